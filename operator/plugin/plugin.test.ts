import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeApiServer } from '../fake-api-server.ts'
import { createManualTime } from '../manual-time.ts'
import { KubeError } from '../kube-error.ts'
import { createKubeTransport, kubeConfigFor } from '../kube.ts'
import { listAt, valueAt } from '../json.ts'
import { ClusterAccess } from './cluster-access.ts'
import { CLUSTER_COMMANDS, PluginUsage, exitCodeOf, refusalOf, status } from './commands.ts'
import type { KubeTransport } from '../kube-api.ts'
import type { PluginContext, PluginFlags } from './commands.ts'

const CLUSTER = '/apis/rocketmq.gantry.dev/v1alpha1/namespaces/shop/rocketmqclusters/prod'
const PODS = '/api/v1/namespaces/shop/pods'

const member = (id: number, role: string, lagBytes: number) => ({
  id,
  pod: `prod-broker-0-${id}`,
  role,
  ready: true,
  lagBytes,
})

const STATUS = {
  observedGeneration: 1,
  conditions: [
    condition('Ready', 'False', 'Steps', 'empty prod-broker-1'),
    condition('Available', 'True', 'Writable', 'messages are taken by 1 broker group'),
    condition('Degraded', 'True', 'MemberDown', 'prod-broker-0-2 is missing'),
    condition('Paused', 'False', 'NotPaused', ''),
  ],
  version: '0.1.0',
  brokerGroups: 2,
  membersInSync: '5/6',
  selector: 'x',
  nameServers: ['prod-namesrv:9876'],
  nameServersReady: '1/1',
  usedPercent: 41,
  plan: ['empty prod-broker-1'],
  groups: [
    group('prod-broker-0', {
      phase: 'Serving',
      members: [member(0, 'follower', 0), member(1, 'leader', 0), member(2, 'learner', 3_145_728)],
      leader: 'prod-broker-0-1',
      term: 7,
    }),
    group('prod-broker-1', {
      phase: 'Draining',
      drain: {
        startedAt: '2026-01-31T12:00:00Z',
        remainingMessages: 1200,
        etaSeconds: 600,
        blockedBy: ['Orders of billing: 1200'],
        broadcastGroups: [],
      },
    }),
  ],
}

function condition(type: string, value: string, reason: string, message: string) {
  const lastTransitionTime = '2026-01-31T12:00:00Z'
  return { type, status: value, reason, message, observedGeneration: 1, lastTransitionTime }
}

function group(name: string, given: Readonly<Record<string, unknown>>) {
  return {
    name,
    phase: 'Serving',
    message: '',
    replicas: 3,
    ready: 3,
    caughtUp: 3,
    inSync: '3/3',
    members: [],
    desiredRevision: 'r',
    storage: { requested: '1Gi', usedPercent: 41 },
    ...given,
  }
}

const CONFIG = {
  accessKey: { value: 'hush', live: false },
  flushDiskType: { value: 'ASYNC_FLUSH' },
}

let server: FakeApiServer
let transport: KubeTransport
let written: Map<string, string>
const time = createManualTime().clock

beforeEach(async () => {
  server = await FakeApiServer.start()
  transport = createKubeTransport({ config: kubeConfigFor(server.url), clock: time })
  written = new Map()
  server.put(CLUSTER, {
    apiVersion: 'rocketmq.gantry.dev/v1alpha1',
    kind: 'RocketMQCluster',
    metadata: {
      name: 'prod',
      namespace: 'shop',
      generation: 1,
      annotations: {
        'kubectl.kubernetes.io/last-applied-configuration': '{"spec":{"password":"hush"}}',
      },
    },
    spec: { version: '0.1.0', password: 'hush' },
    status: STATUS,
  })
})

afterEach(async () => {
  transport.close()
  await server[Symbol.asyncDispose]()
})

interface Ran {
  readonly code: number
  readonly text: string
}

async function ran(
  command: string,
  flags: PluginFlags = {},
  { name = 'prod', over = transport }: { name?: string; over?: KubeTransport } = {},
): Promise<Ran> {
  let text = ''
  const context: PluginContext = {
    access: new ClusterAccess(over, 'shop'),
    flags,
    clock: time,
    print: (more) => (text += more),
    writeFile: (path, content) => written.set(path, content),
    signal: new AbortController().signal,
  }
  try {
    const code = await (CLUSTER_COMMANDS[command]?.(context, name) ?? status(context, name))
    return { code, text }
  } catch (error) {
    return { code: exitCodeOf(error), text: refusalOf(error) }
  }
}

function clusterNow(): unknown {
  return server.objects.get(CLUSTER)
}

describe('status', () => {
  test('shows what is wrong, each member, the plan, and how long a drain will take', async () => {
    const { code, text } = await ran('status')

    expect(code).toBe(1)
    expect(text).toContain('shop/prod  not Ready: empty prod-broker-1')
    expect(text).toContain('! Degraded=True MemberDown: prod-broker-0-2 is missing')
    expect(text).not.toContain('Paused')
    expect(text).toMatch(
      /prod-broker-0 +Serving +3\/3 +7 +41% +prod-broker-0-0 +follower +yes +0 B/u,
    )
    expect(text).toMatch(/prod-broker-0-2 +learner +yes +3\.0 MiB/u)
    expect(text).toContain('1. empty prod-broker-1')
    expect(text).toContain('prod-broker-1 is emptied: 1200 messages left, ETA 10 min')
    expect(text).toContain('waits for Orders of billing: 1200')
  })

  test('is JSON for programs', async () => {
    const { text } = await ran('status', { output: 'json' })

    expect(valueAt(JSON.parse(text), 'status', 'groups', 0, 'leader')).toBe('prod-broker-0-1')
  })

  test('of a cluster that is not there says so, by exit code 3', async () => {
    expect(await ran('status', {}, { name: 'prd' })).toEqual({
      code: 3,
      text: 'there is no cluster prd in namespace shop',
    })
  })
})

describe('what changes a cluster', () => {
  test('restart sets the annotation that the operator restarts for', async () => {
    expect((await ran('restart')).code).toBe(0)

    const annotations = valueAt(clusterNow(), 'metadata', 'annotations')
    expect(annotations).toMatchObject({
      'rocketmq.gantry.dev/restart-at': new Date(time.now()).toISOString(),
    })
  })

  test('hibernate needs a yes, and wake undoes it', async () => {
    expect((await ran('hibernate')).code).toBe(2)
    expect(valueAt(clusterNow(), 'spec', 'hibernate')).toBeUndefined()

    await ran('hibernate', { yes: true })
    expect(valueAt(clusterNow(), 'spec', 'hibernate')).toBe(true)
    await ran('wake')
    expect(valueAt(clusterNow(), 'spec', 'hibernate')).toBe(false)
    expect(valueAt(clusterNow(), 'spec', 'version')).toBe('0.1.0')
  })

  test('pause and resume are the flag of the spec, and resume ends a pause by annotation too', async () => {
    await ran('pause')
    expect(valueAt(clusterNow(), 'spec', 'paused')).toBe(true)
    await ran('resume')

    expect(valueAt(clusterNow(), 'spec', 'paused')).toBe(false)
    expect(valueAt(clusterNow(), 'metadata', 'annotations', 'rocketmq.gantry.dev/paused')).toBe(
      'false',
    )
  })

  test.each(['restart', 'hibernate', 'wake', 'pause', 'resume'])(
    'a dry run of %s changes nothing',
    async (command) => {
      const before = clusterNow()

      const { code, text } = await ran(command, { 'dry-run': true })

      expect(code).toBe(0)
      expect(text).toContain('nothing was changed')
      expect(clusterNow()).toBe(before)
    },
  )

  test('a right that is missing is exit code 4', async () => {
    server.fail(({ method }) => method === 'PATCH', 403)

    expect((await ran('restart')).code).toBe(4)
  })
})

describe('transfer', () => {
  const asked = () => server.requests.filter(({ method }) => method === 'POST')

  test('asks the leader through the API server, for the member that was named', async () => {
    const { code, text } = await ran('transfer', { group: 'prod-broker-0', to: 'prod-broker-0-0' })

    expect(code).toBe(0)
    expect(text).toBe('prod-broker-0-1 hands over to prod-broker-0-0\n')
    expect(asked().map(({ path, body }) => [path, body])).toEqual([
      [`${PODS}/prod-broker-0-1:5557/proxy/admin/v1/raft/transfer`, { to: 0 }],
    ])
  })

  test('without a name it is the furthest member', async () => {
    await ran('transfer', { group: 'prod-broker-0' })

    expect(asked().map(({ body }) => body)).toEqual([{ to: null }])
  })

  test.each([
    [{}, 2, 'say --group, one of: prod-broker-0, prod-broker-1'],
    [{ group: 'prod-broker-9' }, 3, 'has no group prod-broker-9'],
    [{ group: 'prod-broker-0', to: 'prod-broker-1-0' }, 3, 'has no member prod-broker-1-0'],
    [{ group: 'prod-broker-1' }, 5, 'has no leader now'],
  ])('%j is refused', async (flags, code, sentence) => {
    const refused = await ran('transfer', flags)

    expect(refused.code).toBe(code)
    expect(refused.text).toContain(sentence)
    expect(asked()).toEqual([])
  })

  test('what the member answers is told in its words', () => {
    const error = new Error('POST …: 409 {"reason":"nobody has caught up"}')

    expect(refusalOf(error)).toBe('nobody has caught up')
    expect(refusalOf(new KubeError('conflict', 'x', { reason: 'nobody has caught up' }))).toBe(
      'nobody has caught up',
    )
  })
})

describe('logs and bundle', () => {
  const pod = (name: string, role: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'shop',
      labels: { 'rocketmq.gantry.dev/cluster': 'prod', 'rocketmq.gantry.dev/role': role },
    },
  })
  /** As the API server: a log is text, not an object. */
  const withLogs = (): KubeTransport => ({
    request: (request) =>
      request.path === `${PODS}/prod-broker-0-0:5557/proxy/admin/v1/config`
        ? Promise.resolve({ entries: CONFIG })
        : transport.request(request),
    stream: ({ path, query, onLine }) => {
      onLine(`${path.split('/').at(-2) ?? ''} ${JSON.stringify(query)}`)
      return Promise.resolve()
    },
    close: () => undefined,
  })

  beforeEach(() => {
    for (const [name, role] of [
      ['prod-broker-1-0', 'broker'],
      ['prod-broker-0-0', 'broker'],
      ['prod-namesrv-0', 'namesrv'],
    ] as const) {
      server.put(`${PODS}/${name}`, pod(name, role))
    }
    server.put(`${PODS}/other-broker-0-0`, {
      ...pod('other-broker-0-0', 'broker'),
      metadata: { name: 'other-broker-0-0' },
    })
  })

  test('logs come from the pods of the cluster, group or role, each line with its pod', async () => {
    const over = withLogs()
    const podsOf = async (flags: PluginFlags) =>
      (await ran('logs', flags, { over })).text.split('\n').map((line) => line.split(' ')[0])

    expect(await podsOf({})).toEqual(['prod-broker-0-0', 'prod-broker-1-0', 'prod-namesrv-0', ''])
    expect(await podsOf({ group: 'prod-broker-1' })).toEqual(['prod-broker-1-0', ''])
    expect(await podsOf({ role: 'namesrv', tail: '5' })).toEqual(['prod-namesrv-0', ''])
    expect(
      (await ran('logs', { role: 'namesrv', tail: '5', previous: true }, { over })).text,
    ).toContain('{"tailLines":"5","previous":"true"}')
    expect((await ran('logs', { tail: '0' }, { over })).code).toBe(2)
    expect((await ran('logs', { group: 'nobody' }, { over })).code).toBe(3)
  })

  test('a bundle has what can be had, says what cannot, and leaves secrets out', async () => {
    const { code, text } = await ran('bundle', {}, { over: withLogs() })

    const content: unknown = JSON.parse(written.get('shop-prod-bundle.json') ?? '')
    expect(code).toBe(0)
    expect(text).toContain('look through it')
    expect(JSON.stringify(content)).not.toContain('hush')
    expect(valueAt(content, 'members', 'prod-broker-0-0', 'config', 'entries')).toEqual({
      accessKey: '(left out)',
      flushDiskType: { value: 'ASYNC_FLUSH' },
    })
    expect(valueAt(content, 'members', 'prod-namesrv-0', 'raft', 'error')).toContain('not found')
    expect(valueAt(content, 'members', 'prod-broker-1-0', 'log', 0)).toContain('tailLines')
    expect(listAt(content, 'Pod')).toHaveLength(3)
  })
})

test('wrong usage is told apart from everything else', () => {
  expect(exitCodeOf(new PluginUsage('x'))).toBe(2)
  expect(exitCodeOf(new Error('x'))).toBe(1)
})
