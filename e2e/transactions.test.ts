/**
 * Transactions of the official clients: a half message is seen after its commit and never otherwise, once, whoever dies.
 *
 * The broker asks after 2 s and then every 2 s, so that the checks of a run take seconds.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { CLIENTS, buildClients, events, messages, startClient } from './clients.ts'
import type { Client, ClientProcess, Flags } from './clients.ts'
import { covers } from './features.ts'
import { numberAt, textAt } from './json.ts'
import { OwnCluster } from './own-cluster.ts'

const RUN = Date.now().toString(36)
const WAIT_MS = 90_000
const CHECK_INTERVAL_MS = 2000
/** A client registers at a restarted broker by its next heartbeat, which may be half a minute later. */
const CHECK_MAX = 20
const CHECK_MAX_TIME_TOPIC = 'TRANS_CHECK_MAX_TIME_TOPIC'

let cluster: OwnCluster

beforeAll(async () => {
  await buildClients()
  cluster = await OwnCluster.start(9000, {
    transactionTimeOut: 2000,
    transactionCheckInterval: CHECK_INTERVAL_MS,
    transactionCheckMax: CHECK_MAX,
  })
})

afterAll(async () => {
  await cluster?.stop()
})

describe.each(CLIENTS)('the %s client', (client) => {
  test('sees what was committed, once, and nothing that was rolled back', async ({ task }) => {
    covers(task, 'M15')
    const topic = topicFor(client, 'states')
    const producer = transact(client, topic, { count: 40, local: 'commit,rollback' })
    await line(producer, 'sent')
    const consumer = consume(client, topic)
    await arrived(consumer, 20)
    // A check would come within these seconds.
    await delay(6000)
    const { summary } = await producer.stop()
    const seen = await seqs(consumer)

    expect(seen).toEqual(range(40).filter((seq) => seq % 2 === 0))
    expect(numberAt(summary, 'halves')).toBe(40)
    expect(numberAt(summary, 'checks')).toBe(0)
  })

  test('is asked about what it did not know, until it knows', async ({ task }) => {
    covers(task, 'M16')
    const topic = topicFor(client, 'checked')
    const producer = transact(client, topic, {
      count: 12,
      local: 'unknown',
      check: 'commit,rollback',
      'unknown-checks': 1,
    })
    await line(producer, 'sent')
    const consumer = consume(client, topic)
    await arrived(consumer, 6)
    await delay(6000)
    const { lines } = await producer.stop()
    const seen = await seqs(consumer)

    expect(seen).toEqual([0, 2, 4, 6, 8, 10])
    const checks = events(lines, 'check')
    expect(checks.length).toBe(24)
    expect(new Set(checks.map((check) => textAt(check, 'topic')))).toEqual(new Set([topic]))
    expect(checks.map((check) => textAt(check, 'times')).toSorted()).toEqual([
      ...range(12).map(() => '1'),
      ...range(12).map(() => '2'),
    ])
  })

  test('that was killed before its commit is answered for by another member', async ({ task }) => {
    covers(task, 'M16')
    const topic = topicFor(client, 'orphan')
    const first = transact(client, topic, { count: 1, local: 'hold' })
    await line(first, 'half')
    const consumer = consume(client, topic)

    await first.kill()
    // It is known to the broker from its own first message on.
    const second = transact(client, topic, { count: 1, local: 'rollback', check: 'commit' })
    await arrived(consumer, 1)
    await delay(4000)
    const { lines } = await second.stop()

    const { id } = await idOf(first)
    expect(messages(consumer.lines, 'message').map((message) => message.id)).toEqual([id])
    expect(events(lines, 'check').map((check) => textAt(check, 'id'))).toEqual([id])
  })

  test('finds its half messages after a kill -9 of the broker', async ({ task }) => {
    covers(task, 'M15', 'M16')
    const topic = topicFor(client, 'broker')
    const producer = transact(client, topic, {
      count: 20,
      local: 'unknown,commit',
      check: 'commit',
    })
    await line(producer, 'sent')
    const consumer = consume(client, topic)
    await line(consumer, 'assigned')

    await cluster.killBroker()
    await arrived(consumer, 20)
    await delay(8000)
    await producer.stop()

    expect(await seqs(consumer)).toEqual(range(20))
  })
})

describe.each(CLIENTS)('the %s client', (client) => {
  test('is not asked before the time that a message asks for', async ({ task }) => {
    covers(task, 'M17')
    const topic = topicFor(client, 'immunity')
    const producer = transact(client, topic, { count: 2, local: 'unknown', immunity: '8' })
    await line(producer, 'sent')
    const consumer = consume(client, topic)
    await arrived(consumer, 2)
    const { lines } = await producer.stop()

    const ages = events(lines, 'check').map((check) => numberAt(check, 'ageMs'))
    expect(ages).toHaveLength(2)
    expect(Math.min(...ages)).toBeGreaterThanOrEqual(8000)
  })

  test('loses no message that it never decides: it is in TRANS_CHECK_MAX_TIME_TOPIC', async ({
    task,
  }) => {
    covers(task, 'M16')
    const topic = topicFor(client, 'expired')
    const producer = transact(client, topic, { count: 1, local: 'unknown', check: 'unknown' })
    const { id } = await idOf(producer)

    const consumer = consume(client, CHECK_MAX_TIME_TOPIC)
    await consumer.line('the expired message', WAIT_MS, (one) => {
      return textAt(one, 'event') === 'message' && textAt(one, 'id') === id
    })
    const { lines } = await producer.stop()

    expect(events(lines, 'check')).toHaveLength(CHECK_MAX)
  })
})

test.for(CLIENTS)(
  'the %s client keeps transactions apart from batches, delays and other producers of its group',
  async (client, { task }) => {
    covers(task, 'M18')
    const topic = topicFor(client, 'apart')
    const group = `${topic}-producers`

    // Java's old client takes the level off, its new one refuses it and the timer by itself. Go's sends both, which the broker refuses.
    const levels = transact(client, topic, { count: 3, local: 'commit', 'delay-level': 18 })
    const timers = transact(client, topic, { count: 2, local: 'commit', 'timer-ms': 1000 })
    const plain = transact(client, topic, { count: 4, local: 'commit,rollback' })
    await Promise.all([levels, timers, plain].map((one) => line(one, 'sent')))
    const flags = { topic, group, count: 6, 'timeout-ms': 15_000 }
    await startClient(client, 'produce', cluster.namesrv, { ...flags, id: 'other' }).finished()
    const batch = { ...flags, mode: 'batch', id: 'batch', properties: 'TRAN_MSG=true' }
    const batches = await startClient(client, 'produce', cluster.namesrv, batch).finished()
    const consumer = consume(client, topic)
    const ofLevels = client === 'java-4.9.8' ? 3 : 0
    await arrived(consumer, 8 + ofLevels)
    await delay(3000)
    await Promise.all([levels, timers, plain, consumer].map((one) => one.stop()))

    const received = messages(consumer.lines, 'message')
    const { id } = await idOf(plain)
    const seqsOf = (name: string): ReadonlySet<number> =>
      new Set(received.filter((message) => message.id === name).map(({ seq }) => seq))
    expect(seqsOf(id)).toEqual(new Set([0, 2]))
    expect(seqsOf('other')).toEqual(new Set(range(6)))
    expect(received.length).toBe(8 + ofLevels)
    expect(events(timers.lines, 'failed').length).toBe(2)
    expect(events(levels.lines, 'failed').length).toBe(3 - ofLevels)
    expect(numberAt(batches.summary, 'acked')).toBe(0)
    expect(JSON.stringify(batches.summary)).toContain('TRAN_MSG')
  },
)

function topicFor(client: Client, purpose: string): string {
  return `Tx-${client.replaceAll('.', '_')}-${purpose}-${RUN}`
}

function transact(client: Client, topic: string, flags: Flags): ClientProcess {
  return started(client, 'transact', { topic, group: `${topic}-producers`, ...flags })
}

function consume(client: Client, topic: string): ClientProcess {
  return started(client, 'push-consume', { topic, group: `${topic}-${client.slice(0, 2)}-g` })
}

function started(
  client: Client,
  scenario: 'transact' | 'push-consume',
  flags: Flags,
): ClientProcess {
  const all = { 'run-ms': 300_000, ...flags }
  const running = startClient(client, scenario, cluster.namesrv, all)
  onTestFinished(async () => {
    await running.kill()
  })
  return running
}

function line(process: ClientProcess, event: string): Promise<unknown> {
  return process.line(event, WAIT_MS, (one) => textAt(one, 'event') === event)
}

async function idOf(producer: ClientProcess): Promise<{ readonly id: string }> {
  return { id: textAt(await line(producer, 'started'), 'id') }
}

async function arrived(consumer: ClientProcess, count: number): Promise<void> {
  const end = Date.now() + WAIT_MS
  while (messages(consumer.lines, 'message').length < count) {
    if (Date.now() > end) {
      throw new Error(`${messages(consumer.lines, 'message').length} of ${count} messages came`)
    }
    await delay(50)
  }
}

/** What the consumer was given, duplicates and all, after it was ended. */
async function seqs(consumer: ClientProcess): Promise<readonly number[]> {
  const { lines } = await consumer.stop()
  return messages(lines, 'message')
    .map(({ seq }) => seq)
    .toSorted((one, other) => one - other)
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}

function delay(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs)
  })
}
