/**
 * The official clients against a name server and brokers, as black boxes: nothing lost, nothing twice, nothing out of order
 * within a queue.
 *
 * Runs against NAMESRV_ADDR when that is set, else against a `gantry dev` of its own.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { CLIENTS, buildClients, events, messages, runClient, startClient } from './clients.ts'
import type { Client, ClientProcess, Flags, Message } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { figures } from './environment.ts'
import { covers } from './features.ts'
import { listAt, numberAt, textAt } from './json.ts'

/**
 * A broker asked for the offset of a group it does not know answers 0 as long as message 0 of the queue counts as held in
 * memory, and the client's ConsumeFromWhere is not heard. With 0 % of the memory nothing counts as held there. Servers at
 * NAMESRV_ADDR have the usual configuration: their new groups start at 0, whatever they ask for.
 */
const BROKER_CONFIG = { accessMessageInMemoryMaxRatio: '0' }

const SHOWN_BY_MODE = {
  sync: ['M1', 'M41'],
  async: ['M2', 'M41'],
  batch: ['M20', 'M41'],
} as const

const RUN = Date.now().toString(36)
const STARTED_MS = 60_000

let server: DevServer

beforeAll(async () => {
  await buildClients()
  server = await startDevServer({ portOffset: 6000, groups: 2, config: BROKER_CONFIG })
  figures('remoting-clients', { server: server.description })
})

afterAll(async () => {
  await server?.stop()
})

describe.each(CLIENTS)('the %s client', (client) => {
  test.for(['sync', 'async', 'batch'] as const)(
    'sends in mode %s; each message arrives once, where its answer said',
    async (mode, { task }) => {
      covers(task, ...SHOWN_BY_MODE[mode])
      const topic = topicFor(client, mode)

      const sent = await produce(client, topic, { mode, count: 60, verbose: true })
      const received = await consume(client, topic, { group: `${topic}-g`, expect: 60 })

      expect(places(received)).toEqual(places(sent.acked))
      expectOnce(received, sent.id, range(0, 60))
      expectDense(received)
    },
  )

  test('sends one-way; each message arrives once', async ({ task }) => {
    covers(task, 'M3')
    const topic = topicFor(client, 'oneway')

    const sent = await produce(client, topic, { mode: 'oneway', count: 60, verbose: true })
    const received = await consume(client, topic, { group: `${topic}-g`, expect: 60 })

    expect(sent.acked).toEqual([])
    expectOnce(received, sent.id, range(0, 60))
    expectDense(received)
  })

  test('sends a body above the compression threshold, which arrives whole', async ({ task }) => {
    covers(task, 'M40')
    const topic = topicFor(client, 'large')

    const sent = await produce(client, topic, { count: 8, size: 20_000 })
    const received = await consume(client, topic, { group: `${topic}-g`, expect: 8 })

    expectOnce(received, sent.id, range(0, 8))
    expect(new Set(received.map(({ bodySize }) => bodySize))).toEqual(new Set([20_000]))
  })

  test('sends to the queues of all brokers in turn', async ({ task }) => {
    covers(task, 'M5')
    const topic = topicFor(client, 'round')
    // Until it has the route of the new topic a client sends to one queue after the other of what it believes there is. A topic that the
    // Go client makes is on one broker only, and it hears of the other one at its next look at the route.
    await produce(client === 'go' ? 'java-5.5.0' : client, topic, { count: 64, id: 'before' })

    const sent = await produce(client, topic, { count: 160, verbose: true })

    const counts = [...grouped(sent.acked, ({ queue }) => queue).values()].map((all) => all.length)
    const brokers = new Set(sent.acked.map(({ queue }) => queue.split(':')[0]))
    expect(brokers.size).toBe(server.configured ? 2 : brokers.size)
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
  })

  test('keeps all messages of a key in one queue, in order, by the hash selector', async ({
    task,
  }) => {
    covers(task, 'M7')
    const topic = topicFor(client, 'by-key')
    // The selector counts the queues of the route: it must be whole before the first message of a key is sent.
    await produce(client, topic, { count: 64, id: 'before' })

    const sent = await produce(client, topic, { mode: 'by-key', count: 70, keys: 7 })
    const all = await consume(client, topic, {
      group: `${topic}-g`,
      listener: 'orderly',
      expect: 134,
    })

    const received = of(all, sent.id)
    expectOnce(all, sent.id, range(0, 70))
    for (const [, ofKey] of grouped(received, ({ key }) => key)) {
      expect(new Set(ofKey.map(({ queue }) => queue)).size).toBe(1)
      expect(ofKey.map(({ seq }) => seq)).toEqual(ofKey.map(({ seq }) => seq).toSorted(ascending))
    }
    expect(new Set(received.map(({ key }) => key)).size).toBe(7)
  })

  test('shares the queues of a topic between two members of a clustering group', async ({
    task,
  }) => {
    covers(task, 'M23')
    const topic = topicFor(client, 'clustering')
    const before = await produce(client, topic, { count: 20 })
    const first = member(client, topic, { group: `${topic}-g`, instance: 'a' })
    const second = member(client, topic, { group: `${topic}-g`, instance: 'b' })
    await settled([first, second])

    const after = await produce(client, topic, { count: 80 })
    await arrived([first, second], after.id, 80)
    const [ofFirst, ofSecond] = await Promise.all([ended(first), ended(second)])

    // While the second one joined, what was on its way may have been delivered twice; afterwards nothing is.
    expectAtLeastOnce([...ofFirst, ...ofSecond], before.id, range(0, 20))
    expectOnce([...ofFirst, ...ofSecond], after.id, range(0, 80))
    const queuesOfFirst = new Set(of(ofFirst, after.id).map(({ queue }) => queue))
    const queuesOfSecond = new Set(of(ofSecond, after.id).map(({ queue }) => queue))
    expect(queuesOfFirst.size).toBeGreaterThan(0)
    expect(queuesOfSecond.size).toBeGreaterThan(0)
    expect(queuesOfFirst.intersection(queuesOfSecond)).toEqual(new Set())
  })

  test('gives every message to each member of a broadcasting group', async ({ task }) => {
    covers(task, 'M24')
    const topic = topicFor(client, 'broadcasting')
    const before = await produce(client, topic, { count: 20 })
    const flags = { group: `${topic}-g`, model: 'broadcasting' }
    const first = member(client, topic, { ...flags, instance: 'a' })
    const second = member(client, topic, { ...flags, instance: 'b' })
    await Promise.all([arrived([first], before.id, 20), arrived([second], before.id, 20)])

    const after = await produce(client, topic, { count: 40 })
    await Promise.all([arrived([first], after.id, 40), arrived([second], after.id, 40)])
    const [ofFirst, ofSecond] = await Promise.all([ended(first), ended(second)])

    expect([ofFirst.length, ofSecond.length]).toEqual([60, 60])
    expectOnce(ofFirst, before.id, range(0, 20))
    expectOnce(ofSecond, before.id, range(0, 20))
    expectOnce(ofFirst, after.id, range(0, 40))
    expectOnce(ofSecond, after.id, range(0, 40))
  })

  test('consumes orderly: every queue in the order of its offsets', async ({ task }) => {
    covers(task, 'M7', 'M25')
    const topic = topicFor(client, 'orderly')

    const sent = await produce(client, topic, { count: 200 })
    const received = await consume(client, topic, {
      group: `${topic}-g`,
      listener: 'orderly',
      expect: 200,
    })

    expectOnce(received, sent.id, range(0, 200))
    for (const [, ofQueue] of grouped(received, ({ queue }) => queue)) {
      const offsets = ofQueue.map(({ queueOffset }) => queueOffset)
      const seqs = ofQueue.map(({ seq }) => seq)
      expect(offsets).toEqual(range(offsets[0] ?? 0, offsets.length))
      expect(seqs).toEqual(seqs.toSorted(ascending))
    }
  })

  test('pulls by subscription, and from where it seeks to', async ({ task }) => {
    covers(task, 'M26')
    const topic = topicFor(client, 'pull')
    const sent = await produce(client, topic, { count: 64 })

    const subscribed = await pull(client, topic, { group: `${topic}-s`, expect: 64 })
    const fromBegin = await pull(client, topic, { ...SEEK, seek: 'begin', expect: 64 })
    const fromThird = await pull(client, topic, { ...SEEK, seek: 3, 'run-ms': 4000 })
    const fromEnd = await pull(client, topic, { ...SEEK, seek: 'end', expect: 0, 'run-ms': 4000 })

    expectOnce(subscribed, sent.id, range(0, 64))
    expectOnce(fromBegin, sent.id, range(0, 64))
    expect(places(fromThird)).toEqual(places(fromBegin.filter((one) => one.queueOffset >= 3)))
    expect(fromEnd).toEqual([])
    expectDense(fromBegin)
  })

  test('commits pulled offsets by hand, and goes on from there', async ({ task }) => {
    covers(task, 'M26', 'M33')
    const topic = topicFor(client, 'commit')
    const first = await produce(client, topic, { count: 32 })

    const before = await pull(client, topic, { group: `${topic}-g`, expect: 32, commit: true })
    const second = await produce(client, topic, { count: 16 })
    const after = await pull(client, topic, { group: `${topic}-g`, expect: 16, commit: true })

    expectOnce(before, first.id, range(0, 32))
    expect(of(after, first.id)).toEqual([])
    expectOnce(after, second.id, range(0, 16))
  })

  test('receives only the tags it subscribed to', async ({ task }) => {
    covers(task, 'M21')
    const topic = topicFor(client, 'tags')

    const sent = await produce(client, topic, { count: 60, tags: 'A,B,C' })
    const received = await consume(client, topic, {
      group: `${topic}-g`,
      expression: 'A || C',
      expect: 40,
    })

    expectOnce(
      received,
      sent.id,
      range(0, 60).filter((seq) => seq % 3 !== 1),
    )
    expect(new Set(received.map(({ tags }) => tags))).toEqual(new Set(['A', 'C']))
  })

  // Aa and BB have the same hash in Java, by which the broker selects; the client looks at the tag itself.
  test('does not receive another tag of the same hash', async ({ task }) => {
    covers(task, 'M21')
    const topic = topicFor(client, 'same-hash')

    const sent = await produce(client, topic, { count: 40, tags: 'Aa,BB' })
    const received = await consume(client, topic, {
      group: `${topic}-g`,
      expression: 'BB',
      expect: 20,
    })

    expectOnce(
      received,
      sent.id,
      range(0, 40).filter((seq) => seq % 2 === 1),
    )
  })

  test('starts a new group where ConsumeFromWhere says', async ({ task }) => {
    covers(task, 'M32', 'M42')
    const topic = topicFor(client, 'from')
    const old = await produce(client, topic, { count: 24 })
    await untilNextSecond()
    const timestamp = localSeconds(new Date())
    const recent = await produce(client, topic, { count: 24 })

    const last = member(client, topic, { group: `${topic}-last`, from: 'last' })
    await settled([last])
    const latest = await produce(client, topic, { count: 24 })
    await arrived([last], latest.id, 24)
    const ofLast = await ended(last)
    const ofTimestamp = await consume(client, topic, {
      group: `${topic}-timestamp`,
      from: 'timestamp',
      'from-timestamp': timestamp,
      expect: server.configured ? 48 : 72,
    })
    const ofFirst = await consume(client, topic, {
      group: `${topic}-first`,
      from: 'first',
      expect: 72,
    })

    const unheard = server.configured ? [] : range(0, 24)
    expectOnce(ofLast, old.id, unheard)
    expectOnce(ofLast, recent.id, unheard)
    expectOnce(ofLast, latest.id, range(0, 24))
    expectOnce(ofTimestamp, old.id, unheard)
    expectOnce(ofTimestamp, recent.id, range(0, 24))
    expectOnce(ofTimestamp, latest.id, range(0, 24))
    expect(ofFirst.length).toBe(72)
    for (const sent of [old, recent, latest]) expectOnce(ofFirst, sent.id, range(0, 24))
  })

  test('keeps the offsets of its group over a restart of the consumer', async ({ task }) => {
    covers(task, 'M33')
    const topic = topicFor(client, 'restart')
    const first = await produce(client, topic, { count: 40 })

    const before = await consume(client, topic, { group: `${topic}-g`, expect: 40 })
    const second = await produce(client, topic, { count: 30 })
    const after = await consume(client, topic, { group: `${topic}-g`, expect: 30 })

    expectOnce(before, first.id, range(0, 40))
    expect(of(after, first.id)).toEqual([])
    expectOnce(after, second.id, range(0, 30))
  })

  test('loses nothing under the control load', async ({ task }) => {
    covers(task, 'M25')
    const topic = topicFor(client, 'control')

    const { summary } = await runClient(client, 'control-load', server.namesrv, {
      topic,
      group: `${topic}-g`,
      rate: 100,
      'run-ms': 5000,
      // A consumer hears of a broker's queues at its next look at the route, up to 30 s later.
      'drain-ms': 60_000,
    })

    figures('control-load', { client, summary })
    expect(numberAt(summary, 'acked')).toBeGreaterThan(200)
    expect(listAt(summary, 'lost')).toEqual([])
    expect(numberAt(summary, 'outOfOrder')).toBe(0)
    expect(numberAt(summary, 'failedSends')).toBe(0)
  })

  test('runs the official quickstart', async ({ task }) => {
    covers(task, client === 'go' ? 'P3' : 'P2')
    const { summary } = await runClient(client, 'quickstart', server.namesrv, {})

    expect(numberAt(summary, 'acked')).toBe(client === 'go' ? 10 : 1000)
    expect(numberAt(summary, 'received')).toBeGreaterThanOrEqual(numberAt(summary, 'acked'))
  })
})

test.for(['java-5.5.0', 'java-4.9.8'] as const)(
  'the %s client of a broadcasting group goes on from the offsets that it keeps itself when it restarts',
  async (client, { task }) => {
    covers(task, 'M24')
    const topic = topicFor(client, 'broadcasting-restart')
    const flags = { group: `${topic}-g`, model: 'broadcasting' }
    const first = await produce(client, topic, { count: 40 })

    const before = await consume(client, topic, { ...flags, expect: 40 })
    const second = await produce(client, topic, { count: 30 })
    const after = await consume(client, topic, { ...flags, expect: 30 })

    expectOnce(before, first.id, range(0, 40))
    expect(of(after, first.id)).toEqual([])
    expectOnce(after, second.id, range(0, 30))
  },
)

const SEEK = { group: 'e2e-seek', assign: true }

function topicFor(client: Client, purpose: string): string {
  return `E2e-${client.replaceAll('.', '_')}-${purpose}-${RUN}`
}

interface Sent {
  readonly id: string
  readonly acked: readonly Message[]
}

async function produce(client: Client, topic: string, flags: Flags): Promise<Sent> {
  const { summary, lines } = await runClient(client, 'produce', server.namesrv, {
    topic,
    ...flags,
  })
  return { id: textAt(summary, 'id'), acked: messages(lines, 'ack') }
}

async function consume(client: Client, topic: string, flags: Flags): Promise<readonly Message[]> {
  const { lines } = await runClient(client, 'push-consume', server.namesrv, {
    topic,
    ...flags,
  })
  return messages(lines, 'message')
}

async function pull(client: Client, topic: string, flags: Flags): Promise<readonly Message[]> {
  const { lines } = await runClient(client, 'lite-pull', server.namesrv, {
    topic,
    ...flags,
  })
  return messages(lines, 'message')
}

/** A push consumer that runs until `ended`. */
function member(client: Client, topic: string, flags: Flags): ClientProcess {
  const started = startClient(client, 'push-consume', server.namesrv, {
    topic,
    'run-ms': 300_000,
    ...flags,
  })
  onTestFinished(async () => {
    await started.kill()
  })
  return started
}

async function ended(consumer: ClientProcess): Promise<readonly Message[]> {
  const { lines, summary, stderr } = await consumer.stop()
  if (summary === null) throw new Error(`a consumer ended without a summary:\n${stderr}`)
  return messages(lines, 'message')
}

/** Resolves when each member has queues and knows of all members, and has had a second to look its offsets up. */
async function settled(members: readonly ClientProcess[]): Promise<void> {
  await Promise.all(
    members.map((one) =>
      one.line(
        `${members.length} members share the queues`,
        STARTED_MS,
        (line) =>
          textAt(line, 'event') === 'assigned' && numberAt(line, 'members') === members.length,
      ),
    ),
  )
  await delay(1500)
}

/** Resolves when the members together have `count` different messages of the producer `id`. */
async function arrived(
  members: readonly ClientProcess[],
  id: string,
  count: number,
): Promise<void> {
  const end = Date.now() + STARTED_MS
  const seqs = (): number =>
    new Set(
      members.flatMap(({ lines }) => of(messages(lines, 'message'), id).map(({ seq }) => seq)),
    ).size
  while (seqs() < count) {
    if (Date.now() > end) {
      const seen = members.map(({ lines }) => events(lines, 'message').length)
      throw new Error(`${seqs()} of ${count} messages arrived (${seen.join(', ')} in all)`)
    }
    await delay(50)
  }
  // One more that should not come has time to come.
  await delay(500)
}

function of(received: readonly Message[], id: string): readonly Message[] {
  return received.filter((message) => message.id === id)
}

function expectOnce(received: readonly Message[], id: string, seqs: readonly number[]): void {
  const seen = of(received, id).map(({ seq }) => seq)
  expect(seen.toSorted(ascending)).toEqual(seqs)
}

function expectAtLeastOnce(
  received: readonly Message[],
  id: string,
  seqs: readonly number[],
): void {
  const seen = new Set(of(received, id).map(({ seq }) => seq))
  expect([...seen].toSorted(ascending)).toEqual(seqs)
}

/** The offsets of each queue are 0, 1, 2, …: nothing is missing and nothing is there twice. */
function expectDense(received: readonly Message[]): void {
  for (const [, ofQueue] of grouped(received, ({ queue }) => queue)) {
    const offsets = ofQueue.map(({ queueOffset }) => queueOffset).toSorted(ascending)
    expect(offsets).toEqual(range(0, offsets.length))
  }
}

/** Where each message stands: by number, its queue, offset and id. */
function places(list: readonly Message[]): readonly unknown[] {
  return list
    .toSorted((a, b) => a.seq - b.seq)
    .map(({ seq, queue, queueOffset, offsetMsgId }) => ({ seq, queue, queueOffset, offsetMsgId }))
}

function grouped(
  list: readonly Message[],
  by: (message: Message) => string,
): ReadonlyMap<string, readonly Message[]> {
  return Map.groupBy(list, by)
}

function range(first: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => first + index)
}

function ascending(a: number, b: number): number {
  return a - b
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

/** ConsumeTimestamp has a resolution of one second: what was sent before must lie in an earlier one. */
async function untilNextSecond(): Promise<void> {
  await delay(1100 - (Date.now() % 1000))
}

/** yyyyMMddHHmmss in local time, as the clients read it. */
function localSeconds(date: Date): string {
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60_000)
  return local.toISOString().slice(0, 19).replaceAll(/\D/gu, '')
}
