/** How the broker knows, finds, asks and loses its clients: official clients, and requests of tools about them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { decodeRecord } from '../common/message-codec.ts'
import { decodeOffsetMessageId } from '../common/message-id.ts'
import { createRuntime } from '../common/runtime.ts'
import { parseFastjson } from '../remoting/bodies/fastjson.ts'
import { asObject, optionalObject, optionalText } from '../remoting/bodies/json-members.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { CLIENTS, buildClients, events, messages, startClient } from './clients.ts'
import type { Client, ClientProcess, Flags, Message, Scenario } from './clients.ts'
import { covers } from './features.ts'
import { listAt, numberAt, textAt } from './json.ts'
import { Mqadmin, buildMqadmin } from './mqadmin.ts'
import { OwnCluster } from './own-cluster.ts'
import type { RemotingCommand } from '../remoting/command.ts'

const RUN = Date.now().toString(36)
const WAIT_MS = 90_000
/** A broker takes a client for gone that says nothing for so long. */
const SILENT_MS = 120_000
const BINARY_HEADERS = { ROCKETMQ_SERIALIZE_TYPE: 'ROCKETMQ' }
const HEARTBEAT_V2 = { JAVA_TOOL_OPTIONS: '-Dcom.rocketmq.heartbeat.v2=true' }
const CALL_TIMEOUT_MS = 15_000
/** Of members that mqadmin compares. */
const COMPARED_AFTER_MS = 122_000

let cluster: OwnCluster
let network: RemotingClient

beforeAll(async () => {
  await buildClients()
  await buildMqadmin()
  cluster = await OwnCluster.start(9400)
  network = new RemotingClient({ ...createRuntime(), logger: silentLogger })
})

afterAll(async () => {
  await network?.close()
  await cluster?.stop()
})

test.for(['java-5.5.0', 'java-4.9.8'] as const)(
  'the %s client with binary headers sends and consumes as with JSON',
  async (client, { task }) => {
    covers(task, 'P1', 'P2')
    const topic = topicFor(client, 'binary')

    for (const mode of ['sync', 'async', 'oneway', 'batch']) {
      await finished(client, 'produce', { topic, mode, count: 20, id: mode }, BINARY_HEADERS)
    }
    const { lines } = await finished(
      client,
      'push-consume',
      { topic, group: `${topic}-g`, expect: 80 },
      BINARY_HEADERS,
    )

    expect(new Set(messages(lines, 'message').map(({ id, seq }) => `${id}-${seq}`)).size).toBe(80)
  },
)

test('java-5.5.0 members with heartbeats of version 2 share the queues, also after a restart', async ({
  task,
}) => {
  covers(task, 'P17', 'M23')
  const topic = topicFor('java-5.5.0', 'v2')
  await finished('java-5.5.0', 'produce', { topic, count: 16, id: 'before' }, HEARTBEAT_V2)
  const flags = { topic, group: `${topic}-g` }
  const members = ['a', 'b'].map((instance) =>
    started('java-5.5.0', 'push-consume', { ...flags, instance }, HEARTBEAT_V2),
  )
  await Promise.all(members.map((one) => assigned(one, 2)))

  await cluster.killBroker()
  await finished('java-5.5.0', 'produce', { topic, count: 40, id: RUN, retries: 20 }, HEARTBEAT_V2)
  await seen(members, RUN, 40)

  for (const one of members) expect(of([one], RUN).length).toBeGreaterThan(0)
})

test.for(CLIENTS)(
  'the queues of a %s consumer that is killed go to the others at once',
  async (client, { task }) => {
    covers(task, 'P18', 'M23')
    await leave(client, 'killed', (member) => void member.kill(), WAIT_MS)
  },
)

test(`the queues of ${CLIENTS.join(' and ')} consumers that say nothing for two minutes go to the others`, async ({
  task,
}) => {
  covers(task, 'P18', 'M23')

  const left = CLIENTS.map((client) =>
    leave(client, 'frozen', (member) => member.freeze(), SILENT_MS + WAIT_MS),
  )

  await Promise.all(left)
})

test('a broker that restarts in good order loses no send of the java-5.5.0 client, which knows GO_AWAY', async ({
  task,
}) => {
  covers(task, 'P15')
  const topic = topicFor('java-5.5.0', 'away')
  const flags = { topic, count: 4000, id: RUN, retries: 1_000_000, verbose: true }
  const producer = started('java-5.5.0', 'produce', flags)
  await producer.line('some sends', WAIT_MS, (line) => {
    return textAt(line, 'event') === 'ack' && numberAt(line, 'seq') === 200
  })

  await cluster.restartBroker()
  const { summary } = await producer.finished()
  const { lines } = await finished('java-5.5.0', 'push-consume', {
    topic,
    group: `${topic}-g`,
    expect: 4000,
  })

  expect(numberAt(summary, 'acked')).toBe(4000)
  expect(new Set(messages(lines, 'message').map(({ seq }) => seq)).size).toBe(4000)
})

test.for(CLIENTS)('tools reach a %s consumer through the broker', async (client, { task }) => {
  covers(task, 'M34', 'M49')
  const topic = topicFor(client, 'tools')
  const group = `${topic}-g`
  const sent = await finished(client, 'produce', { topic, count: 20, id: RUN, verbose: true })
  const consumer = started(client, 'push-consume', { topic, group })
  await seen([consumer], RUN, 20)
  const clientId = await onlyMember(group)

  const info = await call(RequestCode.GET_CONSUMER_RUNNING_INFO, {
    consumerGroup: group,
    clientId,
    jstackEnable: 'true',
  })
  const direct = await call(RequestCode.CONSUME_MESSAGE_DIRECTLY, {
    consumerGroup: group,
    clientId,
    msgId: messages(sent.lines, 'ack')[0]?.offsetMsgId ?? '',
    topic,
  })
  const status = await call(RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, { topic, group })
  const reset = await call(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, {
    topic,
    group,
    timestamp: '0',
    isForce: 'true',
  })
  await seenTimes(consumer, RUN, 41)

  expect([info.code, direct.code, status.code, reset.code]).toEqual([0, 0, 0, 0])
  const running = asObject(parseFastjson(info.body), 'ConsumerRunningInfo')
  expect(optionalText(running, 'jstack') ?? '').toContain(
    client === 'go' ? 'goroutine' : 'ConsumeMessageThread',
  )
  const result = asObject(parseFastjson(direct.body), 'ConsumeMessageDirectlyResult')
  expect(optionalText(result, 'consumeResult')).toBe(client === 'go' ? '0' : 'CR_SUCCESS')
  const table = optionalObject(asObject(parseFastjson(status.body), 'status'), 'consumerTable')
  expect([...(table ?? new Map()).keys()]).toEqual([clientId])
})

// Goal: each member of the group is looked at, and mqadmin tells who agrees from who does not.
// Method: mqadmin compares members only two minutes after the first of them has started; before that all groups agree.
test('mqadmin tells a group whose members subscribe to different messages', async ({ task }) => {
  covers(task, 'M49')
  const folder = await mkdtemp(join(tmpdir(), 'gantry-subscriptions-'))
  const mqadmin = new Mqadmin(folder)
  onTestFinished(async () => {
    await mqadmin.close()
    await rm(folder, { recursive: true })
  })
  const topic = topicFor('java-5.5.0', 'subscriptions')
  await finished('java-5.5.0', 'produce', { topic, count: 16, id: RUN })
  const groups = { agreeing: ['a', 'a', 'a'], disagreeing: ['a', 'a', 'b'] }
  const members = Object.entries(groups).flatMap(([name, expressions]) =>
    expressions.map((expression, index) => {
      const flags = { topic, group: `${topic}-${name}`, expression, instance: `${name}-${index}` }
      return started(index === 1 ? 'java-4.9.8' : 'java-5.5.0', 'push-consume', flags)
    }),
  )
  await Promise.all(members.map((one) => assigned(one, 3)))
  await sleep(COMPARED_AFTER_MS)

  const [agreeing, disagreeing] = await Promise.all(
    Object.keys(groups).map((name) => {
      return mqadmin.run(['consumerStatus', '-n', cluster.namesrv, '-g', `${topic}-${name}`])
    }),
  )

  expect(agreeing?.stdout).toContain('Same subscription in the same group of consumer')
  expect(agreeing?.stdout).toContain('Rebalance OK')
  expect(disagreeing?.stdout).toContain(
    'WARN: Different subscription in the same group of consumer',
  )
})

test.for([
  [1, Buffer.from('PROXY TCP4 198.51.100.7 127.0.0.1 4242 10911\r\n')],
  [2, Buffer.from('0d0a0d0a000d0a515549540a2111000cc63364077f00000110922a9f', 'hex')],
] as const)(
  'behind a load balancer with the PROXY protocol v%i a message is born at its client',
  async ([version, header], { task }) => {
    covers(task, 'P12')
    const topic = topicFor('java-5.5.0', `proxy-${version}`)
    const balancer = await forwarder(header)

    const answer = await network.invoke(
      balancer,
      {
        code: RequestCode.SEND_MESSAGE_V2,
        extFields: { a: 'P', b: topic, c: 'TBW102', d: '1', e: '0', f: '0', g: '1', h: '0' },
        body: Buffer.from('hello'),
      },
      CALL_TIMEOUT_MS,
    )
    const offset = decodeOffsetMessageId(answer.extFields.get('msgId') ?? '')?.physicalOffset
    const view = await call(RequestCode.VIEW_MESSAGE_BY_ID, { offset: String(offset) })

    expect(decodeRecord(view.body).bornHost).toEqual({
      ip: Buffer.from([198, 51, 100, 7]),
      port: 4242,
    })
  },
)

/** One of two members goes, and the other one has all queues within `withinMs`, and what is sent then. */
async function leave(
  client: Client,
  purpose: string,
  go: (member: ClientProcess) => void,
  withinMs: number,
): Promise<void> {
  const topic = topicFor(client, purpose)
  await finished(client, 'produce', { topic, count: 16, id: 'before' })
  const flags = { topic, group: `${topic}-g` }
  const first = started(client, 'push-consume', { ...flags, instance: 'a' })
  const second = started(client, 'push-consume', { ...flags, instance: 'b' })
  await Promise.all([assigned(first, 2), assigned(second, 2)])

  go(first)
  await until(() => {
    const last = events(second.lines, 'assigned').at(-1)
    return last !== undefined && numberAt(last, 'members') === 1
  }, withinMs)
  await finished(client, 'produce', { topic, count: 40, id: RUN })
  await seen([second], RUN, 40)

  expect(new Set(of([second], RUN).map(({ seq }) => seq)).size).toBe(40)
}

/** A load balancer that says `header` to the broker; resolves with its address. */
async function forwarder(header: Buffer): Promise<string> {
  const server: Server = createServer((client) => {
    const upstream = connect(cluster.brokerPort, '127.0.0.1')
    upstream.write(header)
    client.pipe(upstream).pipe(client)
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
  })
  onTestFinished(() => {
    server.close()
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on a port')
  return `127.0.0.1:${address.port}`
}

function call(
  code: RequestCode,
  extFields: Readonly<Record<string, string>>,
): Promise<RemotingCommand> {
  return network.invoke(`127.0.0.1:${cluster.brokerPort}`, { code, extFields }, CALL_TIMEOUT_MS)
}

async function onlyMember(consumerGroup: string): Promise<string> {
  const { body } = await call(RequestCode.GET_CONSUMER_LIST_BY_GROUP, { consumerGroup })
  const [clientId, ...others] = listAt(JSON.parse(body.toString()), 'consumerIdList')
  if (typeof clientId !== 'string' || others.length > 0) throw new Error('not one member')
  return clientId
}

function topicFor(client: Client, purpose: string): string {
  return `Life-${client.replaceAll('.', '_')}-${purpose}-${RUN}`
}

function assigned(consumer: ClientProcess, members: number): Promise<unknown> {
  return consumer.line(`${members} members`, WAIT_MS, (line) => {
    return textAt(line, 'event') === 'assigned' && numberAt(line, 'members') === members
  })
}

function of(consumers: readonly ClientProcess[], id: string): readonly Message[] {
  return consumers.flatMap(({ lines }) => messages(lines, 'message')).filter((one) => one.id === id)
}

/** Resolves when the consumers have got `count` different messages. */
async function seen(consumers: readonly ClientProcess[], id: string, count: number): Promise<void> {
  await until(() => new Set(of(consumers, id).map(({ seq }) => seq)).size >= count)
}

/** Resolves when a consumer has got `count` messages, repeated ones too. */
async function seenTimes(consumer: ClientProcess, id: string, count: number): Promise<void> {
  await until(() => of([consumer], id).length >= count)
}

async function until(isTrue: () => boolean, withinMs = WAIT_MS): Promise<void> {
  const end = Date.now() + withinMs
  while (!isTrue()) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${String(isTrue)}`)
    await new Promise((resolve) => {
      setTimeout(resolve, 50)
    })
  }
}

async function finished(
  client: Client,
  scenario: Scenario,
  flags: Flags,
  env: Readonly<Record<string, string>> = {},
): ReturnType<ClientProcess['finished']> {
  return started(client, scenario, flags, env).finished()
}

function started(
  client: Client,
  scenario: Scenario,
  flags: Flags,
  env: Readonly<Record<string, string>> = {},
): ClientProcess {
  const limits = scenario === 'produce' ? {} : { 'run-ms': 300_000 }
  const all = { ...limits, ...flags }
  const running = startClient(client, scenario, cluster.namesrv, all, env)
  onTestFinished(async () => {
    await running.kill()
  })
  return running
}
