/**
 * The official Java client killed (kill -9) in the middle of orderly consumption, transactions, timers and pops: the sides that
 * `client-faults.test.ts` does not kill. What was acknowledged is consumed once it is stored once, in order where there is one.
 */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { buildClients, events, messages, startClient } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import { figures } from './environment.ts'
import { covers } from './features.ts'
import { numberAt, textAt } from './json.ts'
import type { ClientProcess, Flags, Message, Scenario } from './clients.ts'
import type { DevServer } from './dev-server.ts'

const CLIENT = 'java-5.5.0'
const OFFSET = 11_300
const RUN = Date.now().toString(36)
const WAIT_MS = 120_000
/** Far more than a producer sends before it is killed. */
const ENDLESS = 1_000_000
const KEYS = 20
const TIMER_MS = 4000
/** In flight when a producer is killed: it waits for each acknowledgement. */
const UNKNOWN_MAX = 1

let server: DevServer

beforeAll(async () => {
  await buildClients()
  server = await startDevServer({ portOffset: OFFSET, groups: 1, config: {} })
})

afterAll(async () => {
  await server?.stop()
})

test('the producer of an orderly topic is killed: each key keeps its order, and goes on with the next producer', async ({
  task,
}) => {
  covers(task, 'M7', 'M36')
  const topic = `Kills-order-${RUN}`
  await finished('produce', { topic, count: 16, id: 'before' })
  const consumer = started('push-consume', { topic, group: `${topic}-g`, listener: 'orderly' })
  await line(consumer, 'assigned')
  const byKey = { topic, mode: 'by-key', keys: KEYS, verbose: true }
  const first = started('produce', { ...byKey, count: ENDLESS, id: 'first' })
  await until('300 are sent', () => ackedOf(first).length >= 300)

  await first.kill()
  const second = started('produce', { ...byKey, count: 300, id: 'second' })
  await second.finished()
  await until('all have come', () => isAllIn([first, second], [consumer]))
  await consumer.stop()

  expectOnce([first, second], [consumer])
  expect(disorderOf(consumer)).toEqual([])
  // A queue has all of the first producer's messages of a key before the second one's.
  const keysOfSecond = new Set<string>()
  const mixed = messagesOf(consumer).filter(({ id, key }) => {
    if (id === 'second') keysOfSecond.add(key)
    return id === 'first' && keysOfSecond.has(key)
  })
  expect(mixed).toEqual([])
})

test('a consumer is killed while transactions are committed: another one has the rest, and nothing that was rolled back', async ({
  task,
}) => {
  covers(task, 'M15', 'M36')
  const topic = `Kills-transaction-${RUN}`
  await finished('produce', { topic, count: 8, id: 'before' })
  const flags = { topic, group: `${topic}-g` }
  const first = started('push-consume', { ...flags, instance: 'a' })
  await until('it consumes', () => namesOf([first]).size >= 8)
  const count = 600
  const group = `${topic}-producers`
  const producer = started('transact', { topic, group, count, local: 'commit,rollback', id: RUN })
  await until('some are committed', () => namesOf([first]).size >= 50)

  await first.kill()
  const second = started('push-consume', { ...flags, instance: 'b' })
  await line(producer, 'sent')
  const even = Array.from({ length: count / 2 }, (_, index) => `${RUN} ${index * 2}`)
  await until('all have come', () => even.every((name) => namesOf([first, second]).has(name)))
  await producer.stop()
  await second.stop()

  const names = [...namesOf([first, second])].filter((name) => !name.startsWith('before'))
  expect(names.toSorted()).toEqual(even.toSorted())
  expect(copiesOf([first, second])).toBe(0)
})

test('a producer and a consumer of timers are killed: what was acknowledged is delivered, once, and never early', async ({
  task,
}) => {
  covers(task, 'M13', 'M36')
  const topic = `Kills-timer-${RUN}`
  await finished('produce', { topic, count: 8, id: 'before' })
  const flags = { topic, group: `${topic}-g` }
  const first = started('push-consume', { ...flags, instance: 'a' })
  await until('it consumes', () => namesOf([first]).size >= 8)
  const timed = { topic, verbose: true, properties: `TIMER_DELAY_MS=${TIMER_MS}`, id: RUN }
  const producer = started('produce', { ...timed, count: ENDLESS })
  await until('many wait', () => ackedOf(producer).length >= 300)

  await producer.kill()
  await until('some have come', () => namesOf([first]).size >= 50)
  await first.kill()
  const second = started('push-consume', { ...flags, instance: 'b' })
  await until('all have come', () => isAllIn([producer], [first, second]))
  await second.stop()

  expectOnce([producer], [first, second])
  for (const message of [first, second].flatMap(({ lines }) => events(lines, 'message'))) {
    if (textAt(message, 'id') !== RUN) continue
    const waited = numberAt(message, 'storeTimestamp') - numberAt(message, 'bornTimestamp')
    expect(waited).toBeGreaterThanOrEqual(TIMER_MS)
  }
})

test('the producer is killed while its messages are popped: what was acknowledged is popped, and stored once', async ({
  task,
}) => {
  covers(task, 'M28', 'M36')
  const topic = `Kills-pop-${RUN}`
  await finished('produce', { topic, count: 8, id: 'before' })
  const flags = { topic, group: `${topic}-g`, 'invisible-ms': 10_000 }
  const consumer = started('pop-consume', flags)
  await line(consumer, 'started')
  const producer = started('produce', { topic, count: ENDLESS, id: RUN, verbose: true })
  await until('many are sent', () => ackedOf(producer).length >= 300)

  await producer.kill()
  await until('all have come', () => isAllIn([producer], [consumer]))
  await consumer.stop()

  expectOnce([producer], [consumer])
})

function started(scenario: Scenario, flags: Flags): ClientProcess {
  const limits = scenario === 'produce' ? {} : { 'run-ms': 300_000 }
  const running = startClient(CLIENT, scenario, server.namesrv, {
    ...{ 'timeout-ms': 10_000, 'poll-route-ms': 2000 },
    ...limits,
    ...flags,
  })
  onTestFinished(async () => {
    await running.kill()
  })
  return running
}

async function finished(scenario: Scenario, flags: Flags): Promise<void> {
  const { exitCode, stderr } = await started(scenario, flags).finished()
  if (exitCode !== 0) throw new Error(`${scenario} failed:\n${stderr}`)
}

function line(client: ClientProcess, event: string): Promise<unknown> {
  return client.line(event, WAIT_MS, (one) => textAt(one, 'event') === event)
}

function nameOf({ id, seq }: Message): string {
  return `${id} ${seq}`
}

function ackedOf(producer: ClientProcess): readonly string[] {
  return messages(producer.lines, 'ack').map(nameOf)
}

/** Without those that were sent before. */
function messagesOf(consumer: ClientProcess): readonly Message[] {
  return messages(consumer.lines, 'message').filter(({ id }) => id !== 'before')
}

function namesOf(consumers: readonly ClientProcess[]): ReadonlySet<string> {
  return new Set(consumers.flatMap(({ lines }) => messages(lines, 'message')).map(nameOf))
}

function isAllIn(
  producers: readonly ClientProcess[],
  consumers: readonly ClientProcess[],
): boolean {
  const names = namesOf(consumers)
  return producers.flatMap(ackedOf).every((name) => names.has(name))
}

/** How often messages are stored more than once; one that is given out again is not counted. */
function copiesOf(consumers: readonly ClientProcess[]): number {
  const all = consumers.flatMap(messagesOf)
  const places = new Set(all.map(({ queue, queueOffset }) => `${queue} ${queueOffset}`))
  return places.size - new Set(all.map(nameOf)).size
}

/** All that was acknowledged has come, of the rest only what was in flight, and no message is stored twice. */
function expectOnce(
  producers: readonly ClientProcess[],
  consumers: readonly ClientProcess[],
): void {
  const acked = new Set(producers.flatMap(ackedOf))
  const names = new Set(consumers.flatMap(messagesOf).map(nameOf))
  const unknown = [...names].filter((name) => !acked.has(name))
  const received = consumers.flatMap(messagesOf).length
  figures('client-kills', { acked: acked.size, received, unknown: unknown.length })
  expect([...acked].filter((name) => !names.has(name))).toEqual([])
  expect(unknown.length).toBeLessThanOrEqual(UNKNOWN_MAX * producers.length)
  expect(copiesOf(consumers)).toBe(0)
}

/** Where a consumer was given a message of a key for the first time after a later one of the same producer. */
function disorderOf(consumer: ClientProcess): readonly string[] {
  const last = new Map<string, number>()
  const seen = new Set<string>()
  const wrong: string[] = []
  for (const message of messagesOf(consumer)) {
    const name = nameOf(message)
    const key = `${message.id} ${message.key}`
    if (!seen.has(name) && message.seq < (last.get(key) ?? -1)) wrong.push(name)
    seen.add(name)
    last.set(key, Math.max(message.seq, last.get(key) ?? -1))
  }
  return wrong
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + WAIT_MS
  while (!holds()) {
    if (Date.now() > end) throw new Error(`not within ${WAIT_MS} ms: ${what}`)
    await new Promise<void>((resolve) => {
      setTimeout(resolve, 100)
    })
  }
}
