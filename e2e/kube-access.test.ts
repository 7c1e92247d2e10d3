/**
 * Access control on Kubernetes: clusters from empty namespaces, whose users outlive leaders, come to new broker groups and are changed as
 * docs/operations/access.md says; two clusters of one operator with credentials of their own; the chart with its console.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { figures, run } from './environment.ts'
import { covers } from './features.ts'
import { messages } from './clients.ts'
import type { Message } from './clients.ts'
import { at, listAt, textAt } from './json.ts'
import {
  clusterManifest,
  createNamespace,
  deleteNamespace,
  helm,
  incarnations,
  untilReady,
  withOperator,
} from './kube-cluster.ts'
import type { Fixture } from './kube-cluster.ts'
import { commandLine, startClient } from './kube-load.ts'
import { eventually } from './kube.ts'
import type { Kube } from './kube.ts'

/** The operator makes the Secret of the first; the second has one of its own; the third comes by the chart. */
const [MADE, GIVEN, CHART] = ['e2e-access-made', 'e2e-access-given', 'e2e-access-chart'] as const
const ADMIN_PORT = 5557
const GIVEN_USERS = {
  username: 'boss',
  password: "boss's+secret",
  innerUsername: 'parts',
  innerPassword: 'secret-of-parts',
}
/** Live, so that the operator pushes it with a signed request. */
const LIVE_KEY = 'shortPollingTimeMills'

interface User {
  readonly name: string
  readonly secret: string
}

let fixture: Fixture
let kube: Kube
let app: User
/** Messages in the topic of the cluster that is made again. */
let stored = 0

beforeAll(async () => {
  fixture = await withOperator()
  kube = fixture.kube
  for (const namespace of [MADE, GIVEN, CHART]) await createNamespace(kube, namespace)
})

afterAll(async () => {
  await Promise.all([MADE, GIVEN, CHART].map((namespace) => deleteNamespace(kube, namespace)))
})

test('an empty namespace becomes a cluster that lets in who has the right secret, and nobody else', async ({
  task,
}) => {
  covers(task, 'X1', 'X3')
  await kube.apply(manifest(MADE, { enabled: true }, { members: 3 }))
  const { elapsedMs } = await untilReady(kube, MADE, 'prod')
  const secret = await kube.need('Secret', MADE, 'prod-users')

  const { stdout: made } = await gantry(MADE, 'user create shop-app')
  app = { name: 'shop-app', secret: made.trim() }
  await gantry(MADE, 'acl set shop-app Topic:orders -a Pub,Sub')
  await gantry(MADE, 'acl set shop-app Group:orders* -a Sub')
  const sent = await client('sends', app, 'produce', { count: 20 })
  stored += 20
  const received = await client('receives', app, 'push-consume', { from: 'first', expect: 20 })
  const guessed = await client('guesses', { ...app, secret: 'guessed' }, 'produce', { count: 1 })
  const unsigned = await client('unsigned', null, 'produce', { count: 1 })
  const other = await client('elsewhere', app, 'produce', { count: 1, topic: 'payments' })

  figures('access', { readyMs: elapsedMs })
  expect(at(secret, 'metadata', 'ownerReferences')).toBeUndefined()
  expect([sent.exitCode, sent.output]).toEqual([0, expect.anything()])
  expect([received.exitCode, received.output]).toEqual([0, expect.anything()])
  expect(received.messages.length).toBe(20)
  expect(guessed.exitCode).not.toBe(0)
  expect(guessed.output).toContain('User:shop-app: check signature failed.')
  expect(unsigned.exitCode).not.toBe(0)
  expect(unsigned.output).toContain('username cannot be null.')
  expect(other.exitCode).not.toBe(0)
})

test('a cluster whose Secret is missing or malformed is not begun, and says what is wrong, until the Secret is right', async () => {
  await kube.apply(manifest(GIVEN, { enabled: true, secretName: 'own' }, {}))

  const missing = await untilRefused('is not there; it needs the keys username')
  await putSecret({ ...GIVEN_USERS, innerPassword: 'line break\n' })
  const malformed = await untilRefused('has a bad innerPassword: it ends with a line break')
  const begun = await kube.list('StatefulSet', GIVEN)
  await putSecret(GIVEN_USERS)
  await untilReady(kube, GIVEN, 'prod')

  expect(missing).toContain('spec.accessControl.secretName: Secret own')
  expect(malformed).toContain('spec.accessControl.secretName: Secret own')
  expect(begun).toEqual([])
  const { stdout } = await run('kubectl', ['--namespace', GIVEN, 'get', 'events', '-o', 'json'])
  const events = listAt(JSON.parse(stdout), 'items')
  const said = events.filter((event) => textAt(event, 'reason') === 'SecretNotUsable')
  expect(said.map((event) => textAt(event, 'type'))).toContain('Warning')
})

test('two clusters of one operator have users of their own, and the operator signs to each as its own', async () => {
  const [made, given] = [await superUser(MADE, 'prod-users'), await superUser(GIVEN, 'own')]

  await expect(gantry(GIVEN, 'user list', made)).rejects.toThrow(/is not found/u)
  await expect(gantry(MADE, 'user list', given)).rejects.toThrow(/is not found/u)
  for (const namespace of [MADE, GIVEN]) await expectPushed(namespace, '901')
  expect((await gantry(GIVEN, 'user list', given)).stdout).toContain('parts')
})

test('users outlive the leader', async ({ task }) => {
  covers(task, 'X3')
  const before = await leader()
  await kube.delete('Pod', MADE, before)

  await eventually('another member leads', 120_000, async () => {
    const now = await leader()
    return now !== '' && now !== before ? true : null
  })
  const sent = await client('after-leader', app, 'produce', { count: 5, retries: 20 })
  stored += 5
  await untilReady(kube, MADE, 'prod', 300_000)

  expect(sent.exitCode).toBe(0)
})

test('a new broker group gets users and policies before it takes messages', async ({ task }) => {
  covers(task, 'X6')
  await kube.patch('RocketMQCluster', MADE, 'prod', { spec: { broker: { groups: 2 } } })
  await untilReady(kube, MADE, 'prod', 300_000)

  const { stdout: users } = await gantry(MADE, 'user list -o json')
  const { stdout: acls } = await gantry(MADE, 'acl list -u shop-app -o json')
  const sent = await client('to-both', app, 'produce', { count: 40 })
  stored += 40

  const groups = ['prod-broker-0', 'prod-broker-1']
  const known: unknown = JSON.parse(users)
  const found = listAt(known).find((user) => textAt(user, 'name') === 'shop-app')
  expect(listAt(found, 'on')).toEqual(groups)
  expect(acls).toContain('prod-broker-1')
  expect(sent.exitCode).toBe(0)
  for (const group of groups) expect(sent.output).toContain(`"${group}:`)
})

test('passwords are changed as the documentation says, and no pod restarts', async ({ task }) => {
  covers(task, 'X6')
  const inner = await superUser(MADE, 'prod-users', 'inner')
  const before = await incarnations(kube, MADE, 'prod', 'broker')
  const password = 'another-secret-of-the-operator'

  await gantry(MADE, `user update ${inner.name} --secret-file -`, null, password)
  await kube.patch('Secret', MADE, 'prod-users', { stringData: { innerPassword: password } })

  await expectPushed(MADE, '902')
  await expect(gantry(MADE, 'user list', inner)).rejects.toThrow(/check signature failed/u)
  expect((await gantry(MADE, 'user list', { ...inner, secret: password })).stdout).toContain(
    'shop-app',
  )
  expect(await incarnations(kube, MADE, 'prod', 'broker')).toEqual(before)
})

test('a cluster that is deleted and made again over its volumes has its Secret and its users', async () => {
  const secret = await kube.need('Secret', MADE, 'prod-users')
  await kube.delete('RocketMQCluster', MADE, 'prod')
  await eventually('its pods are gone', 180_000, async () => {
    const pods = await kube.list('Pod', MADE, 'rocketmq.gantry.dev/cluster=prod')
    return pods.length === 0 ? true : null
  })

  await kube.apply(manifest(MADE, { enabled: true }, { members: 3, groups: 2 }))
  await untilReady(kube, MADE, 'prod', 300_000)

  const again = await kube.need('Secret', MADE, 'prod-users')
  expect(at(again, 'data')).toEqual(at(secret, 'data'))
  const received = await client('again', app, 'push-consume', {
    group: 'orders-again',
    from: 'first',
    expect: stored,
  })
  expect(received.exitCode).toBe(0)
})

test('a Secret that is lost is made anew with new super users, by a roll', async () => {
  const former = await superUser(MADE, 'prod-users')
  const before = await incarnations(kube, MADE, 'prod', 'broker')

  await kube.delete('Secret', MADE, 'prod-users')
  // Any edit: else it is seen at the operator's next look, within five minutes.
  await kube.patch('RocketMQCluster', MADE, 'prod', { spec: { broker: { retentionHours: 71 } } })
  await eventually('every broker was replaced', 600_000, async () => {
    const now = await incarnations(kube, MADE, 'prod', 'broker')
    const pods = Object.keys(before)
    return pods.every((pod) => now[pod] !== undefined && now[pod] !== before[pod]) ? true : null
  })
  await untilReady(kube, MADE, 'prod', 900_000)

  const administrator = await superUser(MADE, 'prod-users')
  expect(administrator.name).not.toBe(former.name)
  const { stdout } = await gantry(MADE, 'user list')
  expect(stdout).toContain(former.name)
  expect(stdout).toContain('shop-app')
})

test('the chart asks for users unless it is told not to, and gives its console and its test the credentials', async ({
  task,
}) => {
  covers(task, 'X6')
  const { repository, tag } = fixture.images
  await helm(`upgrade --install shop charts/gantry-cluster --namespace ${CHART}`, [
    `version=${tag}`,
    'broker.groups=1',
    'broker.replicasPerGroup=1',
    'nameServer.replicas=1',
    'broker.storage.size=1Gi',
    'broker.resources.requests.cpu=50m',
    'broker.resources.requests.memory=256Mi',
    `test.image.repository=${repository}`,
    `test.image.tag=${tag}`,
    `dashboard.image.repository=${repository}`,
    `dashboard.image.tag=${tag}`,
  ])
  await untilReady(kube, CHART, 'shop')

  const tested = await helm(`test shop --namespace ${CHART} --logs --timeout 120s`)
  await run('kubectl', `-n ${CHART} rollout status deployment/shop-dashboard`.split(' '))
  const words = 'exec deployment/shop-dashboard -- gantry cluster health -n shop-namesrv:9876'
  const { stdout } = await run('kubectl', ['-n', CHART, ...words.split(' ')])

  expect(tested).toContain('Succeeded')
  expect(stdout).not.toContain('NO_PERMISSION')
})

function manifest(
  namespace: string,
  accessControl: object,
  { members = 1, groups = 1 }: { readonly members?: number; readonly groups?: number },
): ReturnType<typeof clusterManifest> {
  const version = fixture.images.tag
  const base = { name: 'prod', namespace, version, nameServers: 1, groups, members }
  const cluster = clusterManifest(base)
  return { ...cluster, spec: { ...Object(cluster['spec']), accessControl } }
}

async function putSecret(stringData: Readonly<Record<string, string>>): Promise<void> {
  const metadata = { name: 'own', namespace: GIVEN }
  await kube.apply({ apiVersion: 'v1', kind: 'Secret', metadata, stringData })
}

/** What the `Degraded` condition says, once it says `text`. */
async function untilRefused(text: string): Promise<string> {
  const { answer } = await eventually(`Degraded says ${text}`, 60_000, async () => {
    const cluster = await kube.need('RocketMQCluster', GIVEN, 'prod')
    const degraded = listAt(cluster, 'status', 'conditions').find(
      (condition) => textAt(condition, 'type') === 'Degraded',
    )
    const isSo = textAt(degraded, 'reason') === 'SecretNotUsable'
    const message = textAt(degraded, 'message')
    return isSo && message.includes(text) ? message : null
  })
  return answer
}

async function superUser(
  namespace: string,
  secretName: string,
  which: 'administrator' | 'inner' = 'administrator',
): Promise<User> {
  const secret = await kube.need('Secret', namespace, secretName)
  const value = (key: string): string =>
    Buffer.from(textAt(secret, 'data', key), 'base64').toString('utf8')
  return which === 'inner'
    ? { name: value('innerUsername'), secret: value('innerPassword') }
    : { name: value('username'), secret: value('password') }
}

/** `gantry` in a broker's pod, where it is the administrator unless it is told to be another user. */
function gantry(
  namespace: string,
  command: string,
  user: User | null = null,
  input = '',
): Promise<{ readonly stdout: string }> {
  const other =
    user === null ? '' : `GANTRY_ACCESS_KEY="${user.name}" GANTRY_SECRET_KEY="${user.secret}" `
  const script = `${other}gantry ${command} -n prod-namesrv:9876`
  const inPod = ['exec', '-i', 'prod-broker-0-0', '-c', 'broker', '--', 'sh', '-c', script]
  const words = ['--namespace', namespace, ...inPod]
  return run('sh', ['-c', 'printf %s "$0" | kubectl "$@"', input, ...words])
}

/** An official Java client in a pod of its own. */
async function client(
  name: string,
  user: User | null,
  scenario: string,
  flags: Readonly<Record<string, string | number>>,
): Promise<{
  readonly exitCode: number
  readonly output: string
  /** Received. */
  readonly messages: readonly Message[]
}> {
  const environment: Readonly<Record<string, string>> =
    user === null ? {} : { GANTRY_E2E_ACCESS_KEY: user.name, GANTRY_E2E_SECRET_KEY: user.secret }
  const given = { namesrv: 'prod-namesrv:9876', topic: 'orders', group: 'orders-g' }
  // A busy machine is no reason to fail.
  const all = { ...given, 'timeout-ms': 15_000, ...flags }
  const where = { namespace: MADE, name }
  const pod = await startClient(fixture, where, 'java5', commandLine(scenario, all), environment)
  const exitCode = await pod.finished(180_000)
  const output = await kube.logs(MADE, name)
  await kube.delete('Pod', MADE, name)
  return { exitCode, output, messages: messages(pod.lines, 'message') }
}

/** A live key reaches every broker. */
async function expectPushed(namespace: string, value: string): Promise<void> {
  await kube.patch('RocketMQCluster', namespace, 'prod', {
    spec: { broker: { config: { [LIVE_KEY]: value } } },
  })
  const pods = Object.keys(await incarnations(kube, namespace, 'prod', 'broker'))
  await eventually(`${LIVE_KEY} is ${value} in ${namespace}`, 60_000, async () => {
    for (const pod of pods) {
      const config = await kube.podGet(namespace, pod, ADMIN_PORT, '/admin/v1/config')
      if (textAt(config, 'entries', LIVE_KEY, 'value') !== value) return null
    }
    return pods.length > 0 ? true : null
  })
}

/** The pod that leads the first group; empty while none does. */
async function leader(): Promise<string> {
  const cluster = await kube.need('RocketMQCluster', MADE, 'prod')
  return textAt(cluster, 'status', 'groups', 0, 'leader')
}
