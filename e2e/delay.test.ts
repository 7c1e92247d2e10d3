/**
 * Delayed messages with the official clients: delay levels, any delay, times of delivery, recall; and a broker that is killed while
 * messages wait.
 *
 * Times are compared in the records: a delivered message has the time at which the client made it and the one at which the broker
 * appended it to its topic, both of this machine's clock.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { CLIENTS, buildClients, events, messages, runClient, startClient } from './clients.ts'
import type { Client, ClientProcess, ClientResult, Flags } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { ROOT, figures, run } from './environment.ts'
import { covers } from './features.ts'
import { listAt, numberAt, textAt } from './json.ts'

const LEVELS = Array.from({ length: 18 }, (_, index) => index + 1)
const CONFIG = {
  accessMessageInMemoryMaxRatio: '0',
  messageDelayLevel: LEVELS.map((level) => `${level}s`).join(' '),
  recallMessageEnable: 'true',
}
const RUN = Date.now().toString(36)
/** Of what comes late on a machine that is busy with other suites; the figures tell how late it was. */
const LATE_MS_MAX = 10_000

let server: DevServer
let data: string

beforeAll(async () => {
  await buildClients()
  data = await mkdtemp(join(tmpdir(), 'gantry-e2e-delay-'))
  server = await startDevServer({ portOffset: 8000, groups: 1, config: CONFIG, data })
})

afterAll(async () => {
  await server?.stop()
  await rm(data, { recursive: true, force: true })
})

describe.each(CLIENTS)('the %s client', (client) => {
  test('gets messages of all 18 levels, and one above them, each after its delay', async ({
    task,
  }) => {
    covers(task, 'M12')
    const topic = `delay-levels-${client.replaceAll('.', '-')}-${RUN}`
    const consumer = await listening(client, topic, 19)

    await produce(client, {
      ...{ topic, count: 19, 'start-seq': 1, properties: 'DELAY={seq}', id: topic },
    })
    const received = times((await consumer.finished()).lines)

    figures(`delay-levels-${client}`, { lateMs: received.map(({ seq, ms }) => ms - levelMs(seq)) })
    expect(received.map(({ seq }) => seq).toSorted(ascending)).toEqual([...LEVELS, 19])
    for (const { seq, ms } of received) {
      expect(ms).toBeGreaterThanOrEqual(levelMs(seq))
      expect(ms).toBeLessThan(levelMs(seq) + LATE_MS_MAX)
    }
  })

  test.each([
    ['TIMER_DELAY_SEC', 3, 3000],
    ['TIMER_DELAY_MS', 2345, 2345],
  ])('gets messages with %s=%i after that delay', async (name, value, delayMs) => {
    const topic = `delay-${name}-${client.replaceAll('.', '-')}-${RUN}`
    const consumer = await listening(client, topic, 20)

    const properties = `${name}=${value}`
    await produce(client, { topic, count: 20, properties, id: topic })
    const received = times((await consumer.finished()).lines)

    figures(`delay-${name}-${client}`, { lateMs: received.map(({ ms }) => ms - delayMs) })
    expect(received).toHaveLength(20)
    for (const { ms } of received) {
      expect(ms).toBeGreaterThanOrEqual(delayMs)
      expect(ms).toBeLessThan(delayMs + LATE_MS_MAX)
    }
  })

  test('gets messages with a time of delivery then', async ({ task }) => {
    covers(task, 'M13')
    const topic = `deliver-${client.replaceAll('.', '-')}-${RUN}`
    const consumer = await listening(client, topic, 20)
    const deliverAt = Date.now() + 8000

    const properties = `TIMER_DELIVER_MS=${deliverAt}`
    await produce(client, { topic, count: 20, properties, id: topic })
    const { lines } = await consumer.finished()

    const storedAt = events(lines, 'message').map((line) => numberAt(line, 'storeTimestamp'))
    expect(storedAt).toHaveLength(20)
    expect(Math.min(...storedAt)).toBeGreaterThanOrEqual(deliverAt)
    expect(Math.max(...storedAt)).toBeLessThan(deliverAt + LATE_MS_MAX)
  })
})

describe('the java-5.5.0 client recalls', () => {
  test('every third message, and gets the others', async ({ task }) => {
    covers(task, 'M14')
    const topic = `recall-${RUN}`
    const consumer = await listening('java-5.5.0', topic, 20)

    const sent = await produce('java-5.5.0', {
      ...{ topic, count: 30, properties: 'TIMER_DELAY_SEC=6', recall: 3, id: topic, verbose: true },
    })
    const received = messages((await consumer.finished()).lines, 'message')

    const acked = messages(sent.lines, 'ack')
    const recalled = events(sent.lines, 'recalled')
    expect(recalled.map((line) => textAt(line, 'msgId'))).toEqual(
      acked.filter(({ seq }) => seq % 3 === 0).map(({ msgId }) => msgId),
    )
    expect(received.map(({ seq }) => seq).toSorted(ascending)).toEqual(
      acked.map(({ seq }) => seq).filter((seq) => seq % 3 !== 0),
    )
  })

  test('too late, and is told so', async () => {
    const topic = `recall-late-${RUN}`

    const sent = await produce('java-5.5.0', {
      ...{ topic, count: 1, properties: 'TIMER_DELAY_SEC=2', recall: 1, 'recall-after-ms': 3000 },
    })

    expect(textAt(events(sent.lines, 'recall-failed')[0], 'message')).toContain('timestamp invalid')
  })
})

describe.skipIf(process.env['NAMESRV_ADDR'] !== undefined)('a broker that is killed', () => {
  test('while messages wait delivers each of them once, recalled ones not', async ({ task }) => {
    covers(task, 'M12', 'M13', 'M14', 'M36')
    const topic = `killed-${RUN}`
    const consumer = await listening('java-5.5.0', topic, 400, { 'linger-ms': 8000 })
    const send = (id: string, flags: Flags) => produce('java-5.5.0', { topic, id, ...flags })

    await send('levels', { count: 100, properties: 'DELAY=10' })
    await send('timers', { count: 100, properties: 'TIMER_DELAY_MS=12000' })
    await send('early', { count: 100, properties: 'TIMER_DELAY_SEC=2' })
    await send('late', { count: 150, properties: 'TIMER_DELAY_SEC=15', recall: 3 })
    for (let kills = 0; kills < 3; kills++) {
      process.kill(await brokerPid(), 'SIGKILL')
      await new Promise((resolve) => setTimeout(resolve, 3000))
    }
    const received = messages((await consumer.finished()).lines, 'message')

    const names = received.map(({ id, seq }) => `${id} ${seq}`)
    const wanted = [
      ...range(100).flatMap((seq) => [`levels ${seq}`, `timers ${seq}`, `early ${seq}`]),
      ...range(150).flatMap((seq) => (seq % 3 === 0 ? [] : [`late ${seq}`])),
    ]
    // The consumer may get a message twice whose offset it had not committed: as one and the same message.
    expect([...new Set(names)].toSorted()).toEqual(wanted.toSorted())
    const places = new Set(received.map(({ queue, queueOffset }) => `${queue} ${queueOffset}`))
    expect(places.size).toBe(wanted.length)
  })
})

function produce(client: Client, flags: Flags): Promise<ClientResult> {
  return runClient(client, 'produce', server.namesrv, flags)
}

/** A consumer that has its queues, before anything is sent. */
async function listening(
  client: Client,
  topic: string,
  expected: number,
  flags: Flags = {},
): Promise<ClientProcess> {
  await produce(client, { topic, count: 1, id: 'first' })
  const consumer = startClient(client, 'push-consume', server.namesrv, {
    ...{
      topic,
      group: `${topic}-g`,
      expect: expected,
      from: 'last',
      'run-ms': 150_000,
    },
    ...flags,
  })
  onTestFinished(async () => {
    await consumer.kill()
  })
  await consumer.line('its queues', 60_000, (line) => textAt(line, 'event') === 'assigned')
  return consumer
}

/** For each message that was delayed how long after it was made it was delivered. */
function times(
  lines: readonly unknown[],
): readonly { readonly seq: number; readonly ms: number }[] {
  return events(lines, 'message').map((line) => ({
    seq: numberAt(line, 'seq'),
    ms: numberAt(line, 'storeTimestamp') - numberAt(line, 'bornTimestamp'),
  }))
}

function levelMs(level: number): number {
  return Math.min(level, LEVELS.length) * 1000
}

async function brokerPid(): Promise<number> {
  const { stdout } = await run(join(ROOT, 'gantry'), [
    'dev',
    'status',
    '--data',
    data,
    '-o',
    'json',
  ])
  const pods = listAt(JSON.parse(stdout), 'pods')
  return numberAt(
    pods.find((pod) => textAt(pod, 'kind') === 'broker'),
    'pid',
  )
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index)
}

function ascending(left: number, right: number): number {
  return left - right
}
