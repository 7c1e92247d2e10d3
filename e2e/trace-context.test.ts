/**
 * Trace contexts of clients: the properties `traceparent` and `tracestate` of W3C arrive as they were sent, whatever way a message takes,
 * and the OpenTracing hooks of the official Java client have one trace at both ends. Spans are the clients' affair.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { CLIENTS, buildClients, events, runClient, startClient } from './clients.ts'
import type { Client, Flags } from './clients.ts'
import { covers } from './features.ts'
import { at, numberAt, textAt } from './json.ts'
import { MessagingWorld } from './messaging-world.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const CONTEXT = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01`, tracestate: 'vendor=t61rcWkgMzE' }
const PROPERTIES = Object.entries(CONTEXT)
  .map(([name, value]) => `${name}=${value}`)
  .join(',')

let world: MessagingWorld

beforeAll(async () => {
  await buildClients()
  world = await MessagingWorld.start({
    portOffset: 4700,
    groups: 1,
    config: { messageDelayLevel: Array.from({ length: 18 }, () => '1s').join(' ') },
  })
})

afterAll(async () => {
  await world?.stop()
})

async function produce(client: Client, topic: string, flags: Flags = {}): Promise<void> {
  const sent = await world.produce(client, topic, { count: 4, properties: PROPERTIES, ...flags })
  expect(sent.acked).toBe(4)
}

/** The properties of the messages that a consumer of the topic is given. */
async function received(client: Client, topic: string, flags: Flags = {}) {
  await world.known(topic)
  const all = { group: `${topic}-g`, expect: 4, verbose: true, ...flags }
  return propertiesIn(await world.consume(client, topic, all))
}

function propertiesIn(lines: readonly unknown[]): readonly unknown[] {
  return events(lines, 'properties').map((line) => at(line, 'properties'))
}

const ALL = [CONTEXT, CONTEXT, CONTEXT, CONTEXT]

describe.each(CLIENTS)('what the %s client sends', (client) => {
  test('has its context when it is consumed, and when it comes again', async ({ task }) => {
    covers(task, 'O10')
    const topic = world.name(client, 'retry')
    await produce(client, topic)

    const first = await received(client, topic, { group: `${topic}-first` })
    const again = await received(client, topic, { 'fail-times': 1 })

    expect(first).toMatchObject(ALL)
    expect(again).toMatchObject(ALL)
    expect(again.every((properties) => textAt(properties, 'RETRY_TOPIC') === topic)).toBe(true)
  })

  test('has it in the dead letter queue', async ({ task }) => {
    covers(task, 'O10')
    const topic = world.name(client, 'dead')
    const group = `${topic}-g`
    await produce(client, topic)
    const failing = world.member(client, topic, { group, 'fail-times': 99, 'max-reconsume': 1 })
    await failing.line('the last attempts', 90_000, () => {
      return events(failing.lines, 'failed').length === 8
    })

    expect(await received(client, `%DLQ%${group}`, { group: `${group}-dead` })).toMatchObject(ALL)
  })

  test('has it after a delay, by level and by time', async ({ task }) => {
    covers(task, 'O10')
    for (const [way, property] of [
      ['level', 'DELAY=1'],
      ['timer', 'TIMER_DELAY_MS=1500'],
    ] as const) {
      const topic = world.name(client, way)
      await produce(client, topic, { properties: `${PROPERTIES},${property}` })

      expect(await received(client, topic)).toMatchObject(ALL)
    }
  })

  test('has it in a batch', async ({ task }) => {
    covers(task, 'O10')
    const topic = world.name(client, 'batch')
    await produce(client, topic, { mode: 'batch' })

    expect(await received(client, topic)).toMatchObject(ALL)
  })
})

test('what was sent in a transaction has its context after the commit', async ({ task }) => {
  covers(task, 'O10')
  const topic = world.name('java-5.5.0', 'transaction')
  const producer = startClient('java-5.5.0', 'transact', world.namesrv, {
    topic,
    group: `${topic}-p`,
    count: 4,
    local: 'commit',
    properties: PROPERTIES,
  })
  onTestFinished(async () => {
    await producer.kill()
  })

  expect(await received('java-5.5.0', topic)).toMatchObject(ALL)
})

test('what is popped has its context, also when it comes again', async ({ task }) => {
  covers(task, 'O10')
  const topic = world.name('java-5.5.0', 'pop')
  await produce('java-5.5.0', topic)

  const { lines } = await runClient('java-5.5.0', 'pop-consume', world.namesrv, {
    topic,
    group: `${topic}-g`,
    expect: 4,
    verbose: true,
    'fail-first': 2,
    'run-ms': 120_000,
  })
  const popped = propertiesIn(lines)

  expect(popped).toMatchObject(ALL)
  const again = events(lines, 'message').filter((line) => numberAt(line, 'reconsumeTimes') > 0)
  expect(again.length).toBe(2)
})

test.for(['java-5.5.0', 'java-4.9.8'] as const)(
  'the OpenTracing hooks of the %s client have one trace at both ends',
  async (client, { task }) => {
    covers(task, 'O10')
    const topic = world.name(client, 'hooks')
    const flags = { topic, group: `${topic}-g`, count: 10, expect: 10 }

    const { lines } = await runClient(client, 'open-tracing', world.namesrv, flags)

    const spans = events(lines, 'span')
    const sent = spans.filter((span) => textAt(span, 'end') === 'sent')
    const consumed = spans.filter((span) => textAt(span, 'end') === 'consumed')
    const parents = consumed.map((span) => [numberAt(span, 'traceId'), numberAt(span, 'parentId')])
    expect(sent.length).toBe(10)
    expect(parents.toSorted(byNumbers)).toEqual(
      sent.map((span) => [numberAt(span, 'traceId'), numberAt(span, 'spanId')]).toSorted(byNumbers),
    )
  },
)

function byNumbers([one = 0]: readonly number[], [other = 0]: readonly number[]): number {
  return one - other
}
