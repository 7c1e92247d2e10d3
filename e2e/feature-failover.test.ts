/**
 * What the features of messaging keep when the leader of three is killed (kill -9), comes back, and is handed the leadership again:
 * those that no other suite takes over a change of the leader. Official clients set up all of them before, and look after it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { subscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { CLIENTS, buildClients, events, messages, startClient } from './clients.ts'
import { covers } from './features.ts'
import { numberAt, textAt } from './json.ts'
import { handOver, killLeader } from './leader.ts'
import {
  MessagingWorld,
  arrived,
  assigned,
  delay,
  eventually,
  propertiesBySeq,
  range,
  seqsOf,
} from './messaging-world.ts'
import type { TopicConfig } from '../remoting/bodies/topic-config.ts'
import type { Client, ClientProcess, Flags, Scenario } from './clients.ts'
import type { Feature } from './features.ts'

/** What is true of a feature after the change. */
type After = () => Promise<void>

interface Scene {
  readonly client: Client
  readonly title: string
  readonly shows: readonly Feature[]
  /** Before the change. */
  readonly prepare: (client: Client) => Promise<After>
}

/** The Go client does not read the setting of an order topic. */
const JAVA_CLIENTS = CLIENTS.filter((client) => client !== 'go')
/** Of the scenes, while they are prepared. */
const AT_ONCE = 3
/** Committed offsets are in the log within a second. */
const COMMITTED_MS = 2000
const REQUEST_MS = 500
/** A busy machine is no reason to fail: a client looks again for what it could not reach after 20 or 30 s. */
const CONSUMED_MS = 120_000
const READ_ONLY = 4

let world: MessagingWorld
let data: string
const prepared = new Map<Scene, Promise<After>>()
const running: ClientProcess[] = []

const SCENES: readonly Scene[] = [
  ...scenes(CLIENTS, 'light queues go on where they ended', ['M47'], lightQueues),
  ...scenes(CLIENTS, 'tags and SQL92 select out of batches', ['M20', 'M21', 'M22'], filters),
  ...scenes(CLIENTS, 'a group that is switched off stays off', ['M52'], pause),
  ...scenes(['java-5.5.0'], 'a group in POP mode stays in it', ['M28'], popMode),
  ...scenes(CLIENTS, 'namespaces stay apart, with their retries', ['M51'], namespaces),
  ...scenes(CLIENTS, 'traces are found, and go on', ['M50'], traces),
  ...scenes(JAVA_CLIENTS, 'an order topic has its queues and its type', ['M43', 'M45'], orderTopic),
  ...scenes(CLIENTS, 'a topic that may only be read stays so', [], readOnly),
  ...scenes(CLIENTS, 'a broadcasting member goes on from its own offsets', ['M24'], broadcast),
  ...scenes(CLIENTS, 'requests are answered, also of those who asked before', ['M38'], requests),
]

beforeAll(async () => {
  await buildClients()
  data = await mkdtemp(join(tmpdir(), 'gantry-feature-failover-'))
  world = await MessagingWorld.start({
    ...{ portOffset: 5000, groups: 1, members: 3, data },
    config: {
      enableLmq: 'true',
      enableMultiDispatch: 'true',
      enablePropertyFilter: 'true',
      traceTopicEnable: 'true',
      messageDelayLevel: '1s 1s 1s 1s 1s 1s',
    },
  })
  await world.admin.updateNamesrvConfig(world.namesrv, { orderMessageEnable: 'true' })
  await prepareAll()
  await delay(COMMITTED_MS)

  const killed = await killLeader(data)
  await eventually('a message to the new leader', async () => {
    return (await world.produce('go', world.name('go', 'canary'), { count: 1 })).acked === 1
  })
  await handOver(data, world.namesrv, killed)
})

afterAll(async () => {
  await Promise.all(running.map((one) => one.kill()))
  await world?.stop()
  if (data !== undefined) await rm(data, { recursive: true })
})

test.concurrent.for(SCENES.map((scene) => [scene.client, scene.title, scene] as const))(
  'the %s client: %s',
  async ([, , scene], { task }) => {
    covers(task, ...scene.shows)

    const after = await prepared.get(scene)
    await after?.()
  },
)

async function lightQueues(client: Client): Promise<After> {
  const topic = world.name(client, 'light')
  const light = `%LMQ%all-${client.replaceAll('.', '_')}`
  const flags = { topic, light, group: `${topic}-g` }
  const sent = await world.produce(client, topic, { light, count: 20 })
  const before = await world.pullLight(client, { ...flags, expect: 20 })

  return async () => {
    const later = await world.produce(client, topic, { light, count: 8 })
    // The Go client commits no offset of a queue that it was not assigned: its program keeps the place.
    const place: Flags = client === 'go' ? { seek: before.next } : {}
    const rest = await world.pullLight(client, { ...flags, ...place, expect: 8 })
    const whole = await world.pullLight(client, { ...flags, group: `${topic}-new`, expect: 28 })

    expect([sent.acked, later.acked]).toEqual([20, 8])
    expect([rest.first, rest.next, rest.maxOffset]).toEqual([20, 28, 28])
    expect(rest.seqs).toEqual(range(0, 8))
    expect(whole.seqs).toEqual([...range(0, 20), ...range(0, 8)])
  }
}

async function filters(client: Client): Promise<After> {
  const topic = world.name(client, 'filters')
  const batch = { mode: 'batch', 'batch-size': 5, count: 20, tags: 'A,B', properties: 'a={seq}' }
  const sql = { topic, sql: true, expression: 'a BETWEEN 5 AND 8' }
  await createTopic(topic)
  const byTag = start(client, 'push-consume', { topic, group: `${topic}-tag`, expression: 'A' })
  const bySql = start(client, 'push-consume', { ...sql, group: `${topic}-sql` })
  const before = await world.produce(client, topic, batch)
  await Promise.all([arrived(byTag, before.id, 10), arrived(bySql, before.id, 4)])

  return async () => {
    const after = await world.produce(client, topic, batch)
    await Promise.all([arrived(byTag, after.id, 10), arrived(bySql, after.id, 4)])
    const all = await consume(client, topic, { group: `${topic}-all`, expect: 40 })
    const selected = await consume(client, topic, {
      ...{ ...sql, group: `${topic}-new`, expect: 8 },
    })
    const [ofTag, ofSql] = await Promise.all([byTag.stop(), bySql.stop()])

    for (const { id } of [before, after]) {
      expect(seqsOf(ofTag.lines, id)).toEqual(range(0, 10).map((index) => 2 * index))
      expect(seqsOf(ofSql.lines, id)).toEqual(range(5, 4))
      expect(seqsOf(selected, id)).toEqual(range(5, 4))
      expect(seqsOf(all, id)).toEqual(range(0, 20))
    }
  }
}

async function pause(client: Client): Promise<After> {
  const topic = world.name(client, 'pause')
  const group = `${topic}-g`
  const off = subscriptionGroupConfig(group, { consumeEnable: false })
  await world.admin.createGroup(world.broker, off)
  const sent = await world.produce(client, topic, { count: 8 })
  const consumer = start(client, 'push-consume', { topic, group })
  await assigned(consumer)

  return async () => {
    const later = await world.produce(client, topic, { count: 4 })
    await delay(5000)
    const whileOff = messages(consumer.lines, 'message').length
    await world.admin.createGroup(world.broker, subscriptionGroupConfig(group))
    await Promise.all([arrived(consumer, sent.id, 8), arrived(consumer, later.id, 4)])
    const { lines } = await consumer.stop()

    expect(whileOff).toBe(0)
    expect(seqsOf(lines, sent.id)).toEqual(range(0, 8))
    expect(seqsOf(lines, later.id)).toEqual(range(0, 4))
  }
}

async function popMode(client: Client): Promise<After> {
  const topic = world.name(client, 'pop')
  const flags = { topic, group: `${topic}-g` }
  const before = await world.produce(client, topic, { count: 8 })
  await start(client, 'pop-consume', { ...flags, expect: 8 }).finished()

  return async () => {
    const after = await world.produce(client, topic, { count: 20 })
    const again = { ...flags, 'keep-mode': true, verbose: true, expect: 20 }
    const { lines } = await start(client, 'pop-consume', again).finished()

    expect(seqsOf(lines, before.id)).toEqual([])
    expect(seqsOf(lines, after.id)).toEqual(range(0, 20))
    // Each was popped: the broker told the member to, who did not ask for it this time.
    const handles = [...propertiesBySeq(lines).values()].map((one) => textAt(one, 'POP_CK'))
    expect(handles.filter((handle) => handle !== '')).toHaveLength(20)
  }
}

async function namespaces(client: Client): Promise<After> {
  const topic = world.name(client, 'namespace')
  const group = `${topic}-g`
  const one = { namespace: 'one' }
  const two = { namespace: 'two' }
  const first = await world.produce(client, topic, { ...one, count: 5 })
  const second = await world.produce(client, topic, { ...two, count: 4 })
  const retried = { group, ...one, expect: 5, 'fail-times': 1 }
  const before = await consume(client, topic, retried)

  return async () => {
    const later = await world.produce(client, topic, { ...one, count: 3 })
    const [ofOne, ofTwo] = await Promise.all([
      consume(client, topic, { group, ...one, expect: 3, 'fail-times': 1 }),
      consume(client, topic, { group, ...two, expect: 4 }),
    ])

    expect(seqsOf(before, first.id)).toEqual(range(0, 5))
    expect(seqsOf(ofOne, later.id)).toEqual(range(0, 3))
    expect(seqsOf(ofTwo, second.id)).toEqual(range(0, 4))
    expect([...messages(ofOne, 'message'), ...messages(ofTwo, 'message')]).toHaveLength(7)
  }
}

async function traces(client: Client): Promise<After> {
  const topic = world.name(client, 'trace')
  const traced = { count: 3, trace: true, verbose: true }
  const before = await world.produce(client, topic, traced)

  return async () => {
    const after = await world.produce(client, topic, traced)
    const flags = { group: `${topic}-g`, expect: 6, trace: true, 'linger-ms': 8000 }
    const lines = await consume(client, topic, flags)

    expect(messages(lines, 'message')).toHaveLength(6)
    for (const { msgId } of [...before.acks, ...after.acks]) {
      await eventually(`the trace of ${msgId}`, async () => {
        const kinds = await world.traceOf(msgId)
        return ['Pub', 'SubBefore', 'SubAfter'].every((kind) => kinds.has(kind))
      })
    }
  }
}

async function orderTopic(client: Client): Promise<After> {
  const topic = world.name(client, 'order')
  const { brokers } = await world.admin.clusterInfo(world.namesrv)
  const broker = [...brokers.keys()][0] ?? ''
  const attributes = new Map([['message.type', 'FIFO']])
  await createTopic(topic, { readQueueNums: 8, writeQueueNums: 8, order: true, attributes })
  const entry = { namespace: 'ORDER_TOPIC_CONFIG', key: topic, value: `${broker}:3` }
  await world.admin.putKv(world.namesrv, entry)
  const before = await world.produce(client, topic, { count: 12, verbose: true })

  return async () => {
    const after = await world.produce(client, topic, { count: 12, verbose: true })
    const flags = { group: `${topic}-g`, listener: 'orderly', expect: 24 }
    const lines = await consume(client, topic, flags)
    const { topics } = await world.admin.getAllTopicConfig(world.broker)

    expect(topics.get(topic)).toMatchObject({ order: true, writeQueueNums: 8, attributes })
    for (const { id, acks } of [before, after]) {
      const queues = new Set(acks.map(({ queue }) => queue))
      expect(queues).toEqual(new Set([0, 1, 2].map((queueId) => `${broker}:${queueId}`)))
      expect(seqsOf(lines, id)).toEqual(range(0, 12))
    }
    for (const queue of new Set(messages(lines, 'message').map((message) => message.queue))) {
      const offsets = messages(lines, 'message').filter((message) => message.queue === queue)
      expect(offsets.map(({ queueOffset }) => queueOffset)).toEqual(range(0, 8))
    }
  }
}

async function readOnly(client: Client): Promise<After> {
  const topic = world.name(client, 'read-only')
  await createTopic(topic)
  const before = await world.produce(client, topic, { count: 8 })
  await createTopic(topic, { perm: READ_ONLY })

  return async () => {
    const refused = await world.produce(client, topic, { count: 1, 'timeout-ms': 3000 })
    const lines = await consume(client, topic, { group: `${topic}-g`, expect: 8 })

    expect([refused.acked, refused.failed]).toEqual([0, 1])
    expect(seqsOf(lines, before.id)).toEqual(range(0, 8))
    expect(messages(lines, 'message')).toHaveLength(8)
  }
}

async function broadcast(client: Client): Promise<After> {
  const topic = world.name(client, 'broadcast')
  const member = { group: `${topic}-g`, model: 'broadcasting', instance: topic }
  const before = await world.produce(client, topic, { count: 10 })
  const seen = await consume(client, topic, { ...member, expect: 10 })

  return async () => {
    const after = await world.produce(client, topic, { count: 6 })
    const lines = await consume(client, topic, { ...member, expect: 6 })

    expect(seqsOf(seen, before.id)).toEqual(range(0, 10))
    expect(seqsOf(lines, after.id)).toEqual(range(0, 6))
    expect(messages(lines, 'message')).toHaveLength(6)
  }
}

async function requests(client: Client): Promise<After> {
  const topic = world.name(client, 'ask')
  const asking = { topic, group: `${topic}-q`, 'timeout-ms': 3000 }
  const endless = { ...asking, count: 1_000_000, 'every-ms': REQUEST_MS, 'at-least': true }
  await createTopic(topic)
  const responder = start(client, 'respond', { topic, group: `${topic}-g`, 'timeout-ms': 15_000 })
  await responder.line('started', 60_000, (line) => textAt(line, 'event') === 'started')
  const asker = start(client, 'request', endless)
  await replied(asker, 3)

  return async () => {
    const repliesBefore = events(asker.lines, 'reply').length
    const other = { ...asking, group: `${topic}-o`, count: 5, 'timeout-ms': 30_000 }
    const { lines } = await start(client, 'request', other).finished()
    await replied(asker, repliesBefore + 3)
    const { lines: told } = await asker.stop()
    await responder.stop()

    expect(events(lines, 'reply').map((line) => textAt(line, 'body'))).toEqual(
      range(0, 5).map((seq) => `re: q - ${seq}`),
    )
    for (const reply of events(told, 'reply')) {
      expect(textAt(reply, 'body')).toBe(`re: q - ${numberAt(reply, 'seq')}`)
    }
  }
}

function consume(client: Client, topic: string, flags: Flags): Promise<readonly unknown[]> {
  return world.consume(client, topic, { 'run-ms': CONSUMED_MS, ...flags })
}

function replied(asker: ClientProcess, count: number): Promise<void> {
  return eventually(`${count} replies`, () =>
    Promise.resolve(events(asker.lines, 'reply').length >= count),
  )
}

function scenes(
  clients: readonly Client[],
  title: string,
  shows: readonly Feature[],
  prepare: Scene['prepare'],
): readonly Scene[] {
  return clients.map((client) => ({ client, title, shows, prepare }))
}

/** Prepares all scenes, some at once; one that fails does so in its test. */
async function prepareAll(): Promise<void> {
  const waiting = [...SCENES]
  const worker = async (): Promise<void> => {
    for (let scene = waiting.shift(); scene !== undefined; scene = waiting.shift()) {
      const after = scene.prepare(scene.client)
      prepared.set(scene, after)
      await after.catch(() => undefined)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

async function createTopic(topic: string, given: Partial<TopicConfig> = {}): Promise<void> {
  await world.admin.createTopic(world.broker, topicConfig(topic, given))
  await world.known(topic)
}

/** A client that goes on over the change, until the suite ends. */
function start(client: Client, scenario: Scenario, flags: Flags): ClientProcess {
  const routes: Flags = client === 'go' ? {} : { 'poll-route-ms': 2000 }
  const all = { ...routes, 'run-ms': 300_000, ...flags }
  const started = startClient(client, scenario, world.namesrv, all)
  running.push(started)
  return started
}
