/**
 * The official Java client while the leader of a broker group of three is killed (kill -9), and with it consumers, or producers in the
 * middle of a transaction: what was acknowledged is consumed, in order where there is one, and whatever comes twice is one message.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { buildClients, events, messages, startClient } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import { figures } from './environment.ts'
import { covers } from './features.ts'
import { numberAt, textAt } from './json.ts'
import { killLeader } from './leader.ts'
import type { ClientProcess, Flags, Message, Scenario } from './clients.ts'
import type { DevServer } from './dev-server.ts'

const CLIENT = 'java-5.5.0'
const RUN = Date.now().toString(36)
const WAIT_MS = 120_000
const ROUTE_MS = 2000

let server: DevServer
let data: string

beforeAll(async () => {
  await buildClients()
  data = await mkdtemp(join(tmpdir(), 'gantry-e2e-faults-'))
  server = await startDevServer({
    portOffset: 8400,
    groups: 1,
    members: 3,
    config: {
      transactionTimeOut: '2000',
      transactionCheckInterval: '2000',
      transactionCheckMax: '30',
    },
    data: join(data, 'cluster'),
  })
})

afterAll(async () => {
  await server?.stop()
  await rm(data, { recursive: true, force: true })
})

test('an orderly consumer and its leader are killed: nothing is lost, and each key keeps its order', async ({
  task,
}) => {
  covers(task, 'M7', 'M10', 'M36', 'M37', 'M53')
  const topic = `Faults-order-${RUN}`
  await finished('produce', { topic, count: 16, id: 'before' })
  const flags = { topic, group: `${topic}-g`, listener: 'orderly' }
  const first = started('push-consume', { ...flags, instance: 'a' })
  const second = started('push-consume', { ...flags, instance: 'b' })
  await Promise.all([line(first, 'assigned'), line(second, 'assigned')])
  const producer = started('produce', {
    ...{ topic, mode: 'by-key', keys: 20, count: 2000, id: RUN, retries: 1_000_000, verbose: true },
  })
  await until('a quarter has come', () => seqsOf([first, second]).size >= 500)

  await killLeader(join(data, 'cluster'))
  await until('half has come', () => seqsOf([first, second]).size >= 1000)
  await first.kill()
  const { summary, lines } = await producer.finished()
  await until('all have come', () => seqsOf([first, second]).size >= 2000)
  await second.stop()

  const received = [first, second].flatMap(({ lines: all }) => ofRun(all))
  const acked = messages(lines, 'ack').map(({ seq }) => seq)
  const retried = numberAt(summary, 'retries')
  const copies = new Set(received.map(({ msgId }) => msgId)).size - 2000
  figures('faults-order', { received: received.length, copies, retried })
  expect(acked.toSorted(ascending)).toEqual(Array.from({ length: 2000 }, (_, seq) => seq))
  expect(acked.filter((seq) => !seqsOf([first, second]).has(seq))).toEqual([])
  // A send whose answer was lost is another message when the program sends it again, and only then.
  expect(copies).toBeLessThanOrEqual(retried)
  for (const consumer of [first, second]) expect(disorderOf(consumer)).toEqual([])
})

test('a producer is killed before its commit, and then the leader: another producer decides', async ({
  task,
}) => {
  covers(task, 'M15', 'M16', 'M36')
  const topic = `Faults-transaction-${RUN}`
  const group = `${topic}-producers`
  const consumer = started('push-consume', { topic, group: `${topic}-g` })
  const first = started('transact', { topic, group, count: 1, local: 'hold', id: 'held' })
  await line(first, 'half')
  await first.kill()

  const second = started('transact', {
    ...{ topic, group, count: 20, local: 'unknown', check: 'commit,rollback', id: RUN },
    'unknown-checks': 1,
  })
  await line(second, 'sent')
  await killLeader(join(data, 'cluster'))
  await until('what was committed has come', () => namesOf(consumer).size >= 11)
  await pause(6000)
  await second.stop()
  await consumer.stop()

  const even = Array.from({ length: 10 }, (_, index) => `${RUN} ${index * 2}`)
  expect([...namesOf(consumer)].toSorted()).toEqual([...even, 'held 0'].toSorted())
  expect(copiesOf(consumer)).toBe(0)
})

test('the leader is killed while timers wait: each is delivered once, and none early', async ({
  task,
}) => {
  covers(task, 'M12', 'M13', 'M36')
  const topic = `Faults-timer-${RUN}`
  const consumer = started('push-consume', { topic, group: `${topic}-g` })
  await finished('produce', { topic, count: 100, id: 'timer', properties: 'TIMER_DELAY_MS=12000' })
  await finished('produce', { topic, count: 100, id: 'level', properties: 'DELAY=3' })

  await killLeader(join(data, 'cluster'))
  await until('all have come', () => namesOf(consumer).size >= 200)
  await pause(3000)
  await consumer.stop()

  expect(namesOf(consumer).size).toBe(200)
  expect(copiesOf(consumer)).toBe(0)
  const delays = { timer: 12_000, level: 10_000 }
  for (const message of events(consumer.lines, 'message')) {
    const waited = numberAt(message, 'storeTimestamp') - numberAt(message, 'bornTimestamp')
    const wanted = textAt(message, 'id') === 'timer' ? delays.timer : delays.level
    expect(waited).toBeGreaterThanOrEqual(wanted)
  }
})

test('the leader is killed while a consumer in POP mode has messages, and the consumer too: they come back', async ({
  task,
}) => {
  covers(task, 'M28', 'M36')
  const topic = `Faults-pop-${RUN}`
  const group = `${topic}-g`
  await finished('produce', { topic, count: 8, id: 'before' })
  const flags = { topic, group, batch: 1, 'invisible-ms': 10_000 }
  const stuck = started('pop-consume', { ...flags, instance: 'stuck', stuck: true })
  await line(stuck, 'message')
  await finished('produce', { topic, count: 200, id: RUN, retries: 1_000_000 })

  const other = started('pop-consume', { ...flags, instance: 'other' })
  await line(other, 'started')
  await killLeader(join(data, 'cluster'))
  await stuck.kill()
  await until('all have come', () => namesOf(other).size >= 208)
  await other.stop()

  const held = new Set(messages(stuck.lines, 'message').map(nameOf))
  expect(held.size).toBeGreaterThan(0)
  expect([...held].filter((name) => !namesOf(other).has(name))).toEqual([])
})

function started(scenario: Scenario, flags: Flags): ClientProcess {
  const limits = scenario === 'produce' ? {} : { 'run-ms': 300_000 }
  const routes = { 'poll-route-ms': ROUTE_MS }
  const all = { 'timeout-ms': 10_000, ...routes, ...limits, ...flags }
  const running = startClient(CLIENT, scenario, server.namesrv, all)
  onTestFinished(async () => {
    await running.kill()
  })
  return running
}

async function finished(scenario: Scenario, flags: Flags): ReturnType<ClientProcess['finished']> {
  const result = await started(scenario, flags).finished()
  if (result.exitCode !== 0) throw new Error(`${scenario} failed:\n${result.stderr}`)
  return result
}

function line(client: ClientProcess, event: string): Promise<unknown> {
  return client.line(event, WAIT_MS, (one) => textAt(one, 'event') === event)
}

function ofRun(lines: readonly unknown[]): readonly Message[] {
  return messages(lines, 'message').filter(({ id }) => id === RUN)
}

function seqsOf(consumers: readonly ClientProcess[]): ReadonlySet<number> {
  return new Set(consumers.flatMap(({ lines }) => ofRun(lines)).map(({ seq }) => seq))
}

function nameOf({ id, seq }: Message): string {
  return `${id} ${seq}`
}

function namesOf({ lines }: ClientProcess): ReadonlySet<string> {
  return new Set(messages(lines, 'message').map(nameOf))
}

/** Messages that are there more often than once; a message that is given out again is not counted. */
function copiesOf(consumer: ClientProcess): number {
  const places = messages(consumer.lines, 'message').map((one) => `${one.queue} ${one.queueOffset}`)
  return new Set(places).size - namesOf(consumer).size
}

/** Where a consumer was given a message of a key for the first time after a later one of that key. */
function disorderOf({ lines }: ClientProcess): readonly string[] {
  const last = new Map<string, number>()
  const seen = new Set<number>()
  const wrong: string[] = []
  for (const { key, seq } of ofRun(lines)) {
    if (!seen.has(seq) && seq < (last.get(key) ?? -1)) wrong.push(`${key}: ${seq}`)
    seen.add(seq)
    last.set(key, Math.max(seq, last.get(key) ?? -1))
  }
  return wrong
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + WAIT_MS
  while (!holds()) {
    if (Date.now() > end) throw new Error(`not within ${WAIT_MS} ms: ${what}`)
    await pause(100)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

function ascending(one: number, other: number): number {
  return one - other
}
