/**
 * Order of the official clients: a key's messages are consumed in the order of sending, over rebalances and kill -9 of consumers; a
 * queue belongs to one client, whose lock outlives it by a minute at most.
 *
 * GANTRY_E2E_ORDER_COUNT messages of each of 100 keys (default 100).
 */
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { AdminClient } from '../client/admin.ts'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { RemotingClient } from '../remoting/client.ts'
import { CLIENTS, buildClients, events, messages, startClient } from './clients.ts'
import type { Client, ClientProcess, Flags, Message, Scenario } from './clients.ts'
import { covers } from './features.ts'
import { figures } from './environment.ts'
import { numberAt, textAt } from './json.ts'
import { OwnCluster } from './own-cluster.ts'

const RUN = Date.now().toString(36)
const WAIT_MS = 180_000
const KEYS = 100
const PER_KEY = Number(process.env['GANTRY_E2E_ORDER_COUNT'] ?? 100)
const COUNT = KEYS * PER_KEY

let cluster: OwnCluster
let network: RemotingClient
let admin: AdminClient

beforeAll(async () => {
  await buildClients()
  cluster = await OwnCluster.start(9200)
  const runtime = createRuntime()
  network = new RemotingClient({ ...runtime, logger: silentLogger })
  admin = new AdminClient(network)
})

afterAll(async () => {
  await network?.close()
  await cluster?.stop()
})

describe.each(CLIENTS)('the %s client', (client) => {
  test('keeps the order of each key while members come, go and are killed', async ({ task }) => {
    covers(task, 'M7', 'M10', 'M23')
    const topic = await topicFor(client, 'keys', 8)
    const members = [member(client, topic, 'a'), member(client, topic, 'b')]
    await Promise.all(members.map((one) => line(one, 'assigned')))
    const producer = started(client, 'produce', {
      topic,
      mode: 'by-key',
      keys: KEYS,
      count: COUNT,
      id: RUN,
    })

    const arrivals = new Arrivals(members)
    await arrivals.wait(COUNT / 10)
    const killedAt = Date.now()
    await members[0]?.kill()
    members.push(member(client, topic, 'c'))
    const { summary } = await producer.finished()
    await arrivals.wait(COUNT)
    figures('orders', { client, count: COUNT, consumedMs: Date.now() - killedAt })

    expect(numberAt(summary, 'failed')).toBe(0)
    const { skipped, delivered } = inOrder(arrivals.all)
    expect(skipped).toEqual([])
    expect(delivered.size).toBe(KEYS)
    expect(new Set(delivered.values())).toEqual(new Set([PER_KEY]))
  })

  test('consumes a topic with one queue in one order', async ({ task }) => {
    covers(task, 'M8')
    const topic = await topicFor(client, 'global', 1)
    const members = [member(client, topic, 'a'), member(client, topic, 'b')]
    // From then on the queue has one owner for good: nothing may come twice, or out of its place.
    await Promise.all(members.map((one) => assigned(one, members.length)))
    const arrivals = new Arrivals(members)
    await started(client, 'produce', { topic, count: 200, id: RUN }).finished()
    await arrivals.wait(200)

    expect(arrivals.all.map(({ seq }) => seq)).toEqual(Array.from({ length: 200 }, (_, seq) => seq))
  })

  test('suspends one queue after a failure, and goes on with the same message', async ({
    task,
  }) => {
    covers(task, 'M9')
    const topic = await topicFor(client, 'suspend', 4)
    await started(client, 'produce', { topic, count: 200, id: RUN }).finished()

    const consumer = member(client, topic, 'a', { 'fail-first': 3 })
    const arrivals = new Arrivals([consumer])
    await arrivals.wait(200)

    const received = arrivals.all
    expect(received.map(({ seq }) => seq).toSorted((one, other) => one - other)).toEqual(
      Array.from({ length: 200 }, (_, seq) => seq),
    )
    for (const queue of new Set(received.map((message) => message.queue))) {
      const offsets = received
        .filter((message) => message.queue === queue)
        .map(({ queueOffset }) => queueOffset)
      expect(offsets).toEqual(offsets.toSorted((one, other) => one - other))
    }
    // Nothing has come before the first failure: while its queue is suspended the others go on.
    const [msgId] = events(consumer.lines, 'failed').map((one) => textAt(one, 'msgId'))
    const isOf = (one: unknown): boolean => textAt(one, 'msgId') === msgId
    const [from, to] = [consumer.lines.findIndex(isOf), consumer.lines.findLastIndex(isOf)]
    const [again] = messages(consumer.lines.slice(to, to + 1), 'message')
    const meanwhile = messages(consumer.lines.slice(from, to), 'message')
    expect(again).toBeDefined()
    expect(meanwhile.some(({ queue }) => queue !== again?.queue)).toBe(true)
  })
})

/** The messages that some consumers were given, in the order in which they were. */
class Arrivals {
  readonly all: Message[] = []
  readonly #members: readonly ClientProcess[]
  readonly #read = new Map<ClientProcess, number>()
  readonly #distinct = new Set<number>()

  /** `members` may grow. */
  constructor(members: readonly ClientProcess[]) {
    this.#members = members
  }

  /** Resolves when `count` different messages have come, and a second more for what should not. */
  async wait(count: number): Promise<void> {
    const end = Date.now() + WAIT_MS
    while (this.#distinct.size < count) {
      if (Date.now() > end) throw new Error(`${this.#distinct.size} of ${count} messages came`)
      await delay(20)
      this.#take()
    }
    await delay(1000)
    this.#take()
  }

  /** Queues change hands much more slowly than this is called, so that each look is in order. */
  #take(): void {
    for (const one of this.#members) {
      const from = this.#read.get(one) ?? 0
      this.#read.set(one, one.lines.length)
      for (const message of messages(one.lines.slice(from), 'message')) {
        this.all.push(message)
        this.#distinct.add(message.seq)
      }
    }
  }
}

/** What came before a message that precedes it, and how many of each key came. What is delivered again may begin anywhere before. */
function inOrder(all: readonly Message[]): {
  readonly skipped: readonly string[]
  readonly delivered: ReadonlyMap<string, number>
} {
  const delivered = new Map<string, number>()
  const skipped: string[] = []
  for (const { key, seq } of all) {
    const place = Math.floor(seq / KEYS)
    const next = delivered.get(key) ?? 0
    if (place > next) skipped.push(`${key}: ${place} before ${next}`)
    delivered.set(key, Math.max(next, place + 1))
  }
  return { skipped, delivered }
}

async function topicFor(client: Client, purpose: string, queues: number): Promise<string> {
  const topic = `Order-${client.replaceAll('.', '_')}-${purpose}-${RUN}`
  const numbers = { readQueueNums: queues, writeQueueNums: queues }
  await admin.createTopic(`127.0.0.1:${cluster.brokerPort}`, topicConfig(topic, numbers))
  return topic
}

function member(client: Client, topic: string, instance: string, flags: Flags = {}): ClientProcess {
  const own = { topic, group: `${topic}-g`, listener: 'orderly', instance, ...flags }
  return started(client, 'push-consume', own)
}

function started(client: Client, scenario: Scenario, flags: Flags): ClientProcess {
  const all = { 'run-ms': 400_000, ...flags }
  // Of a consumer only.
  const own = scenario === 'produce' ? { ...all, 'run-ms': false } : all
  const running = startClient(client, scenario, cluster.namesrv, own)
  onTestFinished(async () => {
    await running.kill()
  })
  return running
}

/** Resolves when the member shares the queues with so many. */
function assigned(process: ClientProcess, members: number): Promise<unknown> {
  return process.line(`assigned among ${members}`, WAIT_MS, (one) => {
    return textAt(one, 'event') === 'assigned' && numberAt(one, 'members') === members
  })
}

function line(process: ClientProcess, event: string): Promise<unknown> {
  return process.line(event, WAIT_MS, (one) => textAt(one, 'event') === event)
}

function delay(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs)
  })
}
