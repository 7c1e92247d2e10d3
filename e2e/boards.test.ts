/**
 * Boards and alerts on real data: a `gantry dev` with a group of three under load of the official Java client, an operator, and a
 * Prometheus that scrapes them. GANTRY_E2E_SCRAPE_SECONDS=300 makes it a run of five minutes at the interval of the chart.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expressionsOf } from '../operator/boards/board.ts'
import { BOARDS } from '../operator/boards/boards.ts'
import { FakeApiServer } from '../operator/fake-api-server.ts'
import { buildClients, runClient, startClient } from './clients.ts'
import type { ClientProcess } from './clients.ts'
import { ConsoleProcess } from './console-process.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { ROOT, environmentVariable, figures } from './environment.ts'
import { covers } from './features.ts'
import { listAt, textAt } from './json.ts'
import { EXPORTER_QUERIES } from './monitoring/exporter-queries.ts'
import { Prometheus } from './prometheus.ts'
import { startFailing } from './sample-load.ts'

const OFFSET = 7400
const ADMIN_PORT = 5557 + OFFSET
const MEMBERS = 3
const OPERATOR_PORT = ADMIN_PORT + 50
const CONSOLE_PORT = 8080 + OFFSET
/** Nobody is there. */
const ALARMS = `
receivers:
  - { name: on-call, webhook: { url: 'http://127.0.0.1:9/hook' } }
`
const LONG_SECONDS = Number(environmentVariable('GANTRY_E2E_SCRAPE_SECONDS') || '0')
const INTERVAL_SECONDS = LONG_SECONDS > 0 ? 15 : 2
/** At least four scrapes. */
const WINDOW = `${INTERVAL_SECONDS * 5}s`
const CONFIG_MAP = '/api/v1/namespaces/shop/configmaps/demo-namesrv-config'
/** Retries and levels of a second, and transactions that stay open for the test. */
const CONFIG = {
  messageDelayLevel: Array.from({ length: 18 }, () => '1s').join(' '),
  transactionTimeOut: '600000',
  transactionCheckInterval: '600000',
}

let server: DevServer
let api: FakeApiServer
let operator: ChildProcess
let watcher: ConsoleProcess
let folder: string
let prometheus: Prometheus
let startedAt: number
const clients: ClientProcess[] = []

beforeAll(async () => {
  await buildClients()
  folder = await mkdtemp(join(tmpdir(), 'gantry-boards-'))
  server = await startDevServer({ portOffset: OFFSET, groups: 1, members: MEMBERS, config: CONFIG })
  await startOperator()
  await startLoad()
  await writeFile(join(folder, 'alarms.yaml'), ALARMS)
  watcher = await ConsoleProcess.start({
    namesrv: server.namesrv,
    port: CONSOLE_PORT,
    data: join(folder, 'console'),
    keys: [`alarmsFile=${folder}/alarms.yaml`],
  })
  // Found by what they say of themselves: the order of the ports is not promised.
  const pods = await targets()
  prometheus = await Prometheus.start({
    port: ADMIN_PORT + 60,
    intervalSeconds: INTERVAL_SECONDS,
    ruleFile: join(ROOT, 'charts/gantry-operator/files/alerts.yaml'),
    jobs: [
      { name: 'gantry', path: '/metrics', targets: pods },
      {
        name: 'gantry-operator',
        path: '/metrics',
        targets: [{ target: `127.0.0.1:${OPERATOR_PORT}`, labels: { namespace: 'system' } }],
      },
      {
        name: 'gantry-dashboard',
        path: '/metrics',
        targets: [{ target: `127.0.0.1:${CONSOLE_PORT}`, labels: { cluster: 'e2e' } }],
      },
      {
        name: 'exporter',
        path: '/metrics/exporter',
        targets: pods
          .filter(({ labels }) => labels['role'] === 'broker')
          .map(({ target }) => ({ target, labels: { Cluster: 'e2e', Env: 'test' } })),
      },
    ],
  })
  startedAt = Date.now()
  await deadLettersAndDelays()
  await untilTold('rocketmq_send_to_dlq_messages_total')
  await delay(Math.max(LONG_SECONDS, 6 * INTERVAL_SECONDS) * 1000)
})

afterAll(async () => {
  await prometheus?.[Symbol.asyncDispose]()
  await Promise.all(clients.map((client) => client.kill()))
  if (operator !== undefined && operator.exitCode === null) {
    operator.kill('SIGTERM')
    await once(operator, 'close')
  }
  await watcher?.end('SIGTERM')
  await api?.[Symbol.asyncDispose]()
  await server?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

test('no scrape of any target has failed', async () => {
  const seconds = Math.floor((Date.now() - startedAt) / 1000)
  const up = await prometheus.query(`min_over_time(up[${seconds}s])`)
  const scrapes = await prometheus.query(`sum(count_over_time(up[${seconds}s]))`)
  const longest = await prometheus.query(
    `max by (job) (max_over_time(scrape_duration_seconds[${seconds}s]))`,
  )
  const samples = await prometheus.query('sum by (job) (scrape_samples_scraped)')

  figures('scrapes', { seconds, scrapes, longest, samples })
  // A name server, the members twice, the operator, the console.
  expect(up.map(({ value }) => value)).toEqual(Array.from({ length: 3 + 2 * MEMBERS }, () => 1))
})

test.for(BOARDS)('every panel of "$title" has data', async (board, { task }) => {
  covers(task, 'O1', 'O3', 'O9', 'K15')
  const empty: string[] = []

  for (const { title, expr } of expressionsOf(board, WINDOW)) {
    const samples = await prometheus.query(expr)
    if (!samples.some(({ value }) => Number.isFinite(value))) empty.push(`${title}: ${expr}`)
  }

  expect(empty).toEqual([])
})

test.for(BOARDS)('every variable of "$title" has values', async (board) => {
  for (const { label, metric } of board.variables) {
    // Outside Kubernetes there is none; the filter of an absent label matches all.
    if (label === 'namespace' && board.id !== 'operator') continue
    const values = await prometheus.get(
      `/api/v1/label/${label}/values?match[]=${encodeURIComponent(metric)}`,
    )
    expect(values).not.toEqual([])
  }
})

test('what boards for the exporter ask for has data', async ({ task }) => {
  covers(task, 'O2')
  const empty: string[] = []

  for (const expr of EXPORTER_QUERIES) {
    if ((await prometheus.query(expr)).length === 0) empty.push(expr)
  }

  expect(empty).toEqual([])
})

test('only the leader answers for its group in the dialect of the exporter', async () => {
  expect(await prometheus.query('count(rocketmq_broker_tps)')).toMatchObject([{ value: 1 }])
})

test('Prometheus evaluates every alert, and only what has happened fires', async ({ task }) => {
  covers(task, 'A16')
  const rules = listAt(await prometheus.get('/api/v1/rules'), 'groups').flatMap((group) =>
    listAt(group, 'rules'),
  )
  const firing = rules
    .filter((rule) => textAt(rule, 'state') === 'firing')
    .map((rule) => textAt(rule, 'name'))
    // Of the machine that runs the test, and of clusters that have no pods.
    .filter((name) => !/^Gantry(?:Disk|EventLoop|SyncSlow|SendsSlow|Cluster|Operator)/u.test(name))

  expect(rules.filter((rule) => textAt(rule, 'health') !== 'ok')).toEqual([])
  expect(new Set(firing)).toEqual(new Set(['GantryDeadLetters']))
})

async function untilTold(metric: string): Promise<void> {
  for (let tries = 0; tries < 120; tries++) {
    if ((await prometheus.query(metric)).length > 0) return
    await delay(1000)
  }
  throw new Error(`nothing has told ${metric}`)
}

interface Target {
  readonly target: string
  readonly labels: Readonly<Record<string, string>>
}

async function targets(): Promise<readonly Target[]> {
  const found: Target[] = []
  for (let port = ADMIN_PORT; port < ADMIN_PORT + 1 + MEMBERS; port++) {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    const role = text.includes('node_type="nameserver"') ? 'namesrv' : 'broker'
    found.push({ target: `127.0.0.1:${port}`, labels: { role, cluster: 'e2e' } })
  }
  return found
}

/** Messages, a group that reads them, one that is behind, and open transactions, all for as long as the test runs. */
async function startLoad(): Promise<void> {
  const { namesrv } = server
  const runMs = (LONG_SECONDS + 300) * 1000
  const load = startClient('java-5.5.0', 'control-load', namesrv, {
    topic: 'Orders',
    group: 'billing',
    rate: 20,
    'timeout-ms': 20_000,
    'run-ms': runMs,
  })
  const transactions = startClient('java-5.5.0', 'transact', namesrv, {
    topic: 'Payments',
    group: 'tellers',
    count: 30,
    local: 'commit,rollback,unknown',
    check: 'unknown',
    'timeout-ms': 20_000,
    'run-ms': runMs,
  })
  clients.push(load, transactions)
  await load.line('progress', 90_000, (line) => textAt(line, 'event') === 'progress')
  await transactions.line('sent', 90_000, (line) => textAt(line, 'event') === 'sent')
}

/** While Prometheus looks: a group that fails, and messages for later. */
async function deadLettersAndDelays(): Promise<void> {
  const { namesrv } = server
  clients.push(await startFailing(namesrv))
  await runClient('java-5.5.0', 'produce', namesrv, {
    topic: 'Reminders',
    count: 5,
    properties: 'TIMER_DELAY_SEC=1',
    'timeout-ms': 20_000,
  })
  await runClient('java-5.5.0', 'produce', namesrv, {
    topic: 'Reminders',
    count: 5,
    properties: 'TIMER_DELAY_SEC=3600',
    'timeout-ms': 20_000,
  })
}

/** An operator with a cluster, and one whose spec is wrong while it was emptying a group. */
async function startOperator(): Promise<void> {
  api = await FakeApiServer.start()
  api.put(path('demo'), manifest('demo', { groups: 1 }, {}))
  api.put(
    path('broken'),
    manifest(
      'broken',
      { groups: -1 },
      {
        conditions: [],
        groups: [{ name: 'broken-broker-1', drain: { remainingMessages: 5 } }],
      },
    ),
  )
  // What its status says of the group stays.
  api.fail((request) => request.path === `${path('broken')}/status`, 500, { times: 1_000_000 })
  const kubeconfig = join(folder, 'kubeconfig')
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: api.url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: {} }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  }
  await writeFile(kubeconfig, JSON.stringify(config))
  const flags = ['--lease-namespace', 'system', '--operand-image', 'gantry:1']
  operator = spawn(
    join(ROOT, 'gantry'),
    ['operator', ...flags, '--admin-port', String(OPERATOR_PORT)],
    { env: { ...process.env, KUBECONFIG: kubeconfig, POD_NAME: 'operator' }, stdio: 'ignore' },
  )
  for (let tries = 0; tries < 120; tries++) {
    const ready = await fetch(`http://127.0.0.1:${OPERATOR_PORT}/readyz`).catch(() => null)
    if (ready?.ok === true && api.objects.has(CONFIG_MAP)) {
      // It repairs this, and watches break.
      api.remove(CONFIG_MAP)
      api.endWatches('reset')
      return
    }
    await delay(500)
  }
  throw new Error('the operator is not ready')
}

function path(name: string): string {
  return `/apis/rocketmq.gantry.dev/v1alpha1/namespaces/shop/rocketmqclusters/${name}`
}

function manifest(name: string, broker: object, status: object): Record<string, unknown> {
  return {
    apiVersion: 'rocketmq.gantry.dev/v1alpha1',
    kind: 'RocketMQCluster',
    metadata: { name, namespace: 'shop', generation: 1 },
    spec: {
      version: '0.1.0',
      nameServer: { replicas: 1 },
      broker: { replicasPerGroup: 1, storage: { size: '1Gi' }, ...broker },
    },
    status,
  }
}
