/**
 * A cluster of the chart in the hands of an administrator: `kubectl gantry` from the first look to hibernation, and the alarms of its console,
 * which reach a receiver in the same cluster.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { figures, run } from './environment.ts'
import { covers } from './features.ts'
import { at, listAt, numberAt, recordAt, textAt } from './json.ts'
import { eventually } from './kube.ts'
import type { KubeObject } from './kube.ts'
import {
  createNamespace,
  deleteNamespace,
  groupStatus,
  helm,
  incarnations,
  podsOf,
  untilReady,
  withOperator,
} from './kube-cluster.ts'
import type { Fixture } from './kube-cluster.ts'
import { commandLine, runClient } from './kube-load.ts'
import { followGantry, kubectlGantry } from './kubectl-plugin.ts'
import type { PluginResult } from './kubectl-plugin.ts'

const NAMESPACE = 'e2e-administrator'
const NAME = 'shop'
const GROUP = 'shop-broker-0'
const RECEIVER = 'receiver'
const TOKEN = 'the-token-of-the-receiver'
/** A key that no broker knows: it is passed on, and nobody may be shown its value. */
const SECRET_CONFIG = 'exampleSecretKey'
const SECRET = 'a-secret-of-the-config'
const MEMBERS = 3
const DELIVERED =
  /^rocketmq_dashboard_alarm_messages_total\{receiver="chat",result="delivered".*\} (\d+)$/mu

let fixture: Fixture

beforeAll(async () => {
  fixture = await withOperator()
  await createNamespace(fixture.kube, NAMESPACE)
  await startReceiver()
  await helm(`upgrade --install ${NAME} charts/gantry-cluster --namespace ${NAMESPACE}`, values())
  await untilReady(fixture.kube, NAMESPACE, NAME, 300_000)
  await eventually('the console has seen the cluster', 120_000, () => consoleAnswer('/readyz'))
})

afterAll(async () => {
  await deleteNamespace(fixture.kube, NAMESPACE)
})

test('status shows all clusters on a line each, and one with its members and plan', async () => {
  const all = await gantry('status')
  const everywhere = await kubectlGantry(['status', '-A'])
  const one = await gantry('status', NAME)
  const json = await gantry('status', NAME, '-o', 'json')

  expect(all.stdout).toMatch(new RegExp(`^${NAMESPACE} +${NAME} +True +1 +3/3 +1/1`, 'mu'))
  expect(everywhere.stdout).toContain(`${NAMESPACE}  ${NAME}`)
  expect([one.code, one.stdout]).toEqual([0, expect.stringContaining(`${NAME}  Ready:`)])
  expect(one.stdout).toContain('Plan: nothing to be done')
  for (let member = 0; member < MEMBERS; member++) {
    expect(one.stdout).toMatch(new RegExp(`${GROUP}-${member} +(leader|follower) +yes`, 'u'))
  }
  expect(listAt(JSON.parse(json.stdout), 'status', 'groups').length).toBe(1)
})

test('what is not there, or is said wrongly, has an exit code and a sentence of its own', async () => {
  const absent = await gantry('status', 'absent')
  const group = await gantry('transfer', NAME, '--group', 'shop-broker-9')
  const command = await gantry('restrat', NAME)
  const sleep = await gantry('hibernate', NAME)

  expect([absent.code, absent.stderr]).toEqual([3, expect.stringContaining('no cluster absent')])
  expect([group.code, group.stderr]).toEqual([3, expect.stringContaining(`there are: ${GROUP}`)])
  expect([command.code, command.stderr]).toEqual([2, expect.stringContaining('mean restart?')])
  expect([sleep.code, sleep.stderr]).toEqual([2, expect.stringContaining('Say --yes')])
})

test('a lag rings at the receiver of the console, and its end is told', async ({ task }) => {
  covers(task, 'A14', 'A16')
  await produce('first', 10)
  await consume('first', 10)
  await produce('second', 60)
  await eventually('the lag rings', 60_000, () => told('GantryGroupLag', 1))
  await consume('second', 60)
  const { answer } = await eventually('its end is told', 90_000, () => told('GantryGroupLag', 2))
  const request = (await received()).find((one) =>
    listAt(one, 'body', 'alerts').some(
      (alert) => textAt(alert, 'labels', 'alertname') === 'GantryGroupLag',
    ),
  )
  // Other alarms may ring meanwhile on a machine that is busy.
  await eventually('the console counts what it has delivered', 60_000, async () => {
    const delivered = DELIVERED.exec(await consoleAnswer('/metrics'))?.[1]
    return Number(delivered) === (await received()).length ? true : null
  })

  expect(answer).toEqual(['firing readers', 'resolved readers'])
  expect(request).toMatchObject({
    authorization: `Bearer ${TOKEN}`,
    body: { groupLabels: { alertname: 'GantryGroupLag', cluster: NAME } },
  })
})

test('transfer hands the leadership to the member that is named', async () => {
  const before = await group()
  const follower = [0, 1, 2].map((id) => `${GROUP}-${id}`).find((pod) => pod !== before.leader)
  const trial = await gantry('transfer', NAME, '--group', GROUP, '--dry-run')
  const asked = await gantry('transfer', NAME, '--group', GROUP, '--to', String(follower))

  const { answer } = await eventually('the member leads', 30_000, async () => {
    const now = await group()
    return now.leader === follower ? now : null
  })

  expect(trial.stdout).toContain('nothing was changed')
  expect([asked.code, asked.stderr]).toEqual([0, ''])
  expect(asked.stdout).toBe(`${before.leader} hands over to ${follower}\n`)
  expect(answer.term).toBe(before.term + 1)
})

test('logs are of the pods that are asked for, each line with its pod, also while they come', async () => {
  const brokers = await gantry('logs', NAME, '--group', GROUP, '--tail', '5')
  const servers = await gantry('logs', NAME, '--role', 'namesrv')
  const followed = await followGantry(
    ['logs', NAME, '-n', NAMESPACE, '--group', GROUP, '--tail', '2', '-f'],
    2,
  )

  expect(podsIn(brokers.stdout)).toEqual([`${GROUP}-0`, `${GROUP}-1`, `${GROUP}-2`])
  expect(podsIn(servers.stdout)).toEqual([`${NAME}-namesrv-0`])
  expect(followed.lines.length).toBeGreaterThanOrEqual(2)
  expect(followed.code).toBe(0)
})

test('a bundle has objects, facts, metrics and logs of each member, and no secret', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-bundle-'))
  const file = join(folder, 'bundle.json')
  const asked = await gantry('bundle', NAME, '--file', file)
  const text = await readFile(file, 'utf8')
  await rm(folder, { recursive: true })
  const content: unknown = JSON.parse(text)

  expect([asked.code, asked.stderr]).toEqual([0, ''])
  for (const secret of [SECRET, TOKEN, await consolePassword()]) expect(text).not.toContain(secret)
  expect(at(content, 'cluster', 'spec', 'broker', 'config', SECRET_CONFIG)).toBe('(left out)')
  for (let member = 0; member < MEMBERS; member++) {
    const facts = at(content, 'members', `${GROUP}-${member}`)
    expect(textAt(facts, 'raft', 'role')).toMatch(/^(leader|follower)$/u)
    expect(recordAt(facts, 'store')).not.toHaveProperty('error')
    expect(at(facts, 'config', 'entries', 'flushDiskType')).toBeDefined()
    expect(listAt(facts, 'metrics').join('\n')).toContain('rocketmq_raft_term')
    expect(listAt(facts, 'log').length).toBeGreaterThan(5)
  }
  for (const kind of ['StatefulSet', 'Service', 'PersistentVolumeClaim', 'Pod', 'Event']) {
    expect([kind, listAt(content, kind).length > 0]).toEqual([kind, true])
  }
})

test('restart replaces each pod, and status tells the plan meanwhile', async () => {
  const { kube } = fixture
  const before = await incarnations(kube, NAMESPACE, NAME, 'broker')
  const started = performance.now()
  const asked = await gantry('restart', NAME)
  const { answer: shown } = await eventually('the plan is told', 30_000, async () => {
    const { stdout } = await gantry('status', NAME)
    return /^Plan:\n {2}1\. /mu.test(stdout) ? stdout : null
  })
  await eventually('every broker was replaced', 300_000, async () => {
    const now = await incarnations(kube, NAMESPACE, NAME, 'broker')
    const isReplaced = Object.keys(before).every((pod) => now[pod] !== before[pod])
    return isReplaced && Object.keys(now).length === MEMBERS ? true : null
  })
  await eventually('the cluster is Ready', 120_000, async () =>
    (await gantry('status', NAME)).code === 0 ? true : null,
  )

  figures('kubectl gantry restart', { ms: Math.round(performance.now() - started) })
  expect([asked.code, asked.stderr]).toEqual([0, ''])
  expect(shown).toContain(GROUP)
})

test('a cluster that hibernates has no pods, its console rings, and both end when it wakes', async ({
  task,
}) => {
  covers(task, 'A14', 'A16')
  const { kube } = fixture
  const alerts = ['GantryNameServerDown', 'GantryBrokerAway'] as const
  const before = await Promise.all(alerts.map(async (alert) => (await toldOf(alert)).length))
  const started = performance.now()
  const asleep = await gantry('hibernate', NAME, '--yes')
  await eventually('every pod is gone', 120_000, async () => {
    const pods = await Promise.all(
      (['broker', 'namesrv'] as const).map((role) => podsOf(kube, NAMESPACE, NAME, role)),
    )
    return pods.every(({ size }) => size === 0) ? true : null
  })
  const status = await gantry('status', NAME)
  for (const [index, alert] of alerts.entries()) {
    await eventually(`${alert} rings`, 90_000, () => told(alert, (before[index] ?? 0) + 1))
  }
  const claims = await kube.list('PersistentVolumeClaim', NAMESPACE)
  const awake = await gantry('wake', NAME)
  await untilReady(kube, NAMESPACE, NAME, 300_000)
  const ends: string[] = []
  for (const [index, alert] of alerts.entries()) {
    const count = (before[index] ?? 0) + 2
    const { answer } = await eventually(`${alert} is over`, 90_000, () => told(alert, count))
    ends.push(...answer.slice(count - 2, count))
  }

  figures('kubectl gantry hibernate and wake', { ms: Math.round(performance.now() - started) })
  expect([asleep.code, awake.code]).toEqual([0, 0])
  expect(status.stdout).toContain('Hibernated=True')
  expect(claims.filter(({ metadata }) => metadata.name.startsWith('data-')).length).toBe(MEMBERS)
  expect(ends).toEqual([
    `firing ${NAME}-namesrv:9876`,
    `resolved ${NAME}-namesrv:9876`,
    `firing ${GROUP}`,
    `resolved ${GROUP}`,
  ])
})

const gantry = (...words: readonly string[]): Promise<PluginResult> =>
  kubectlGantry([...words, '-n', NAMESPACE])

async function group(): Promise<{ readonly leader: string; readonly term: number }> {
  const status = groupStatus(await fixture.kube.need('RocketMQCluster', NAMESPACE, NAME), 0)
  return { leader: textAt(status, 'leader'), term: numberAt(status, 'term') }
}

/** The pods whose lines stand in an output, sorted. */
function podsIn(output: string): readonly string[] {
  const names = output.split('\n').filter((line) => line !== '')
  return [...new Set(names.map((line) => line.split(' ')[0] ?? ''))].toSorted()
}

function values(): readonly string[] {
  const { repository, tag } = fixture.images
  const alarms = 'dashboard.alarms.config'
  const receiver = `${alarms}.receivers[0]`
  const rules = [
    ['groupLag', 'messages=20', 'groups={readers}'],
    ['nameServerDown'],
    ['brokerAway'],
  ].flatMap(([kind = '', ...more], index) =>
    [`kind=${kind}`, 'for=1s', ...more].map((text) => `${alarms}.rules[${index}].${text}`),
  )
  return [
    `version=${tag}`,
    // Clients of this test sign nothing.
    'accessControl.enabled=false',
    'nameServer.replicas=1',
    'broker.groups=1',
    `broker.replicasPerGroup=${MEMBERS}`,
    'broker.storage.size=1Gi',
    'broker.resources.requests.cpu=50m',
    'broker.resources.requests.memory=256Mi',
    `broker.config.${SECRET_CONFIG}=${SECRET}`,
    `dashboard.image.repository=${repository}`,
    `dashboard.image.tag=${tag}`,
    'dashboard.config.pollIntervalMs=1000',
    'dashboard.config.requestTimeoutMs=2000',
    `dashboard.alarms.existingSecret=${RECEIVER}`,
    `${alarms}.groupWait=0s`,
    `${alarms}.groupInterval=1s`,
    `${alarms}.resolveAfter=2s`,
    `${receiver}.name=chat`,
    `${receiver}.webhook.url=http://${RECEIVER}:8080/hook`,
    `${receiver}.webhook.headerFiles.Authorization=/etc/gantry-alarms/token`,
    ...rules,
  ]
}

/** Writes what it is sent to its log, a line for each. */
const RECEIVER_PROGRAM = `
require('node:http').createServer((request, response) => {
  let body = ''
  request.on('data', (bytes) => (body += bytes))
  request.on('end', () => {
    const { authorization } = request.headers
    console.log(JSON.stringify({ authorization, body: JSON.parse(body) }))
    response.end('{}')
  })
}).listen(8080)
process.on('SIGTERM', () => process.exit(0))
`

async function startReceiver(): Promise<void> {
  const { kube, images } = fixture
  const metadata = { name: RECEIVER, namespace: NAMESPACE, labels: { app: RECEIVER } }
  const pod: KubeObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata,
    spec: {
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'receiver',
          image: `${images.repository}:${images.tag}`,
          command: ['node', '-e', RECEIVER_PROGRAM],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  }
  const spec = { selector: { app: RECEIVER }, ports: [{ port: 8080 }] }
  await kube.apply(pod)
  await kube.apply({ apiVersion: 'v1', kind: 'Service', metadata, spec })
  const literal = `--from-literal=token=Bearer ${TOKEN}`
  await run('kubectl', ['create', 'secret', 'generic', RECEIVER, '-n', NAMESPACE, literal])
}

/** Requests that the receiver got, as its log tells them. */
async function received(): Promise<readonly unknown[]> {
  const lines = (await fixture.kube.logs(NAMESPACE, RECEIVER)).split('\n')
  return lines.filter((line) => line.startsWith('{')).map((line): unknown => JSON.parse(line))
}

/** `firing readers`, in the order they came. */
async function toldOf(alertname: string): Promise<readonly string[]> {
  return (await received())
    .flatMap((request) => listAt(request, 'body', 'alerts'))
    .filter((alert) => textAt(alert, 'labels', 'alertname') === alertname)
    .map((alert) => {
      const labels = recordAt(alert, 'labels')
      const about = ['group', 'broker', 'name_server'].find((label) => label in labels) ?? ''
      return `${textAt(alert, 'status')} ${textAt(labels, about)}`
    })
}

/** The same when there are so many; null before. */
async function told(alertname: string, count: number): Promise<readonly string[] | null> {
  const all = await toldOf(alertname)
  return all.length >= count ? all : null
}

async function consoleAnswer(path: string): Promise<string> {
  const service = `/api/v1/namespaces/${NAMESPACE}/services/${NAME}-dashboard:8080/proxy`
  return (await run('kubectl', ['get', '--raw', `${service}${path}`])).stdout
}

async function consolePassword(): Promise<string> {
  const path = ['-n', NAMESPACE, `${NAME}-dashboard`, '-o', 'jsonpath={.data.password}']
  const { stdout } = await run('kubectl', ['get', 'secret', ...path])
  expect(stdout).not.toBe('')
  return Buffer.from(stdout, 'base64').toString('utf8')
}

const produce = (name: string, count: number): Promise<unknown> =>
  client(`produce-${name}`, 'produce', { group: 'writers', count, retries: 5, mode: 'sync' })

const consume = (name: string, expected: number): Promise<unknown> =>
  client(`consume-${name}`, 'push-consume', { group: 'readers', from: 'first', expect: expected })

async function client(
  name: string,
  scenario: string,
  flags: Readonly<Record<string, string | number>>,
): Promise<unknown> {
  const all = { namesrv: `${NAME}-namesrv:9876`, topic: 'Orders', ...flags }
  return runClient(fixture, { namespace: NAMESPACE, name }, 'java5', commandLine(scenario, all))
}
