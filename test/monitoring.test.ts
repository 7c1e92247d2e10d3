/** What the chart's alerts and boards ask for exists: metrics under their names, and a runbook for each alert. */
import { readFileSync, readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { collectProcessMetrics } from '../common/process-metrics.ts'
import { Registry } from '../common/metrics.ts'
import { createRuntime } from '../common/runtime.ts'
import { registerGroupMetrics } from '../broker/group-metrics.ts'
import { registerBrokerMetrics } from '../broker/metrics.ts'
import { SoleMember } from '../broker/sole-member.ts'
import { createBrokerWorld } from '../broker/testing-world.ts'
import { registerAlarmMetrics } from '../dashboard/alarms/alarm-metrics.ts'
import { createOperatorMetrics } from '../operator/metrics.ts'
import { createRemotingMetrics } from '../remoting/metrics.ts'

const CHART = new URL('../charts/gantry-operator/files/', import.meta.url)
const NAME = /\b(?:rocketmq|nodejs|process)_[a-z0-9_]+/gu
/** Told by the name server, whose registry is made at its start. */
const NAME_SERVER = ['rocketmq_nameserver_broker_number', 'rocketmq_nameserver_topic_number']

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly annotations: Readonly<Record<string, string>>
}

function rules(): readonly Rule[] {
  const file: { readonly groups: readonly { readonly rules: readonly Rule[] }[] } = parse(
    readFileSync(new URL('alerts.yaml', CHART), 'utf8'),
  )
  return file.groups.flatMap((group) => group.rules)
}

async function metricNames(): Promise<ReadonlySet<string>> {
  const registry = new Registry()
  const world = await createBrokerWorld()
  const { disk } = createRuntime()
  createRemotingMetrics(registry)
  registerBrokerMetrics(registry, world.parts, world.processors)
  registerGroupMetrics(
    registry,
    new SoleMember({
      disk,
      storePathRootDir: '',
      address: '',
      store: () => ({ commitOffset: 0, endOffset: 0 }),
      events: {
        onLeading: () => undefined,
        onFollowing: () => undefined,
        onNoRoom: () => undefined,
      },
    }),
  )
  collectProcessMetrics(registry, disk)
  const noAlarms = { pending: 0, firing: 0, silenced: 0, leftOut: 0, receivers: [] }
  registerAlarmMetrics(registry, [], () => noAlarms)
  const operator = createOperatorMetrics({
    queueDepth: () => 0,
    isLeading: () => true,
    droppedEvents: () => 0,
    watchQuietMs: () => new Map(),
    clusters: () => [],
  })
  const text = (await registry.metrics()) + (await operator.registry.metrics())
  const names = new Set(NAME_SERVER)
  for (const [, name = '', type = ''] of text.matchAll(/^# TYPE (\S+) (\S+)$/gmu)) {
    names.add(name)
    if (type !== 'histogram') continue
    for (const suffix of ['_bucket', '_sum', '_count']) names.add(name + suffix)
  }
  return names
}

test('the name server tells what is asked of it', () => {
  const source = readFileSync(new URL('../namesrv/name-server.ts', import.meta.url), 'utf8')

  for (const name of NAME_SERVER) expect(source).toContain(`'${name}'`)
})

test('every metric of an alert or a board is one of ours', async () => {
  const boards = readdirSync(CHART, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.json'))
    .map((path) => readFileSync(new URL(path, CHART), 'utf8'))
  const asked = [...rules().map(({ expr }) => expr), ...boards].flatMap(
    (text) => text.match(NAME) ?? [],
  )
  const known = await metricNames()

  expect(asked.length).toBeGreaterThan(50)
  expect([...new Set(asked)].filter((name) => !known.has(name))).toEqual([])
})

test('every alert has a runbook of its own, and every runbook an alert', () => {
  const page = readFileSync(new URL('../docs/operations/runbooks.md', import.meta.url), 'utf8')
  const headings = [...page.matchAll(/^### (\S+)$/gmu)].map(([, heading = '']) => heading)

  const alerts = rules().map(({ alert }) => alert)
  expect(headings.toSorted()).toEqual(alerts.toSorted())
  expect(rules().map(({ annotations }) => annotations['runbook'])).toEqual(
    alerts.map((alert) => `docs/operations/runbooks.md#${alert.toLowerCase()}`),
  )
})
