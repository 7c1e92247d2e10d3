/**
 * The official client for Python, which is the official C++ client behind a binding: what it sends and consumes, by itself and together
 * with the Java client. One broker group, since the library does not tell of which broker a queue is.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildClients, buildPythonClient, events, messages } from './clients.ts'
import { covers } from './features.ts'
import { numberAt } from './json.ts'
import { MessagingWorld, arrived, eventually, range, seqsOf } from './messaging-world.ts'
import type { ClientProcess, Message } from './clients.ts'

const CLIENT = 'python'
const JAVA = 'java-5.5.0'
const LARGE = 20_000
/** How long messages are waited for that may not be for whoever came later. */
const BOTH_MS = 5000

let world: MessagingWorld

beforeAll(async () => {
  await buildClients()
  await buildPythonClient()
  world = await MessagingWorld.start({ portOffset: 11_700, groups: 1, config: {} })
})

afterAll(async () => {
  await world?.stop()
})

test.for(['sync', 'async'] as const)(
  'the python client sends in mode %s; each message arrives once, where its answer said',
  async (mode, { task }) => {
    covers(task, 'P4')
    const topic = world.name(CLIENT, mode)

    const sent = await world.produce(CLIENT, topic, { mode, count: 40, verbose: true })
    const lines = await world.consume(CLIENT, topic, { group: `${topic}-g`, expect: 40 })

    expect(sent.acked).toBe(40)
    expect(places(messages(lines, 'message'))).toEqual(places(sent.acks))
  },
)

test('the python client sends one-way, and pulls; each message arrives once', async ({ task }) => {
  covers(task, 'P4')
  const topic = world.name(CLIENT, 'oneway')

  const sent = await world.produce(CLIENT, topic, { mode: 'oneway', count: 40 })
  const pulled = await world.pullAll(CLIENT, topic, 40)

  expect(pulled.map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual(range(0, 40))
  expect(new Set(pulled.map(({ id }) => id))).toEqual(new Set([sent.id]))
})

test('the python client keeps all messages of a key in one queue, and consumes them in order', async ({
  task,
}) => {
  covers(task, 'P4')
  const topic = world.name(CLIENT, 'by-key')
  const flags = { group: `${topic}-g`, listener: 'orderly', expect: 70 }

  const sent = await world.produce(CLIENT, topic, { mode: 'by-key', count: 70, keys: 7 })
  const lines = await world.consume(CLIENT, topic, flags)

  expect(seqsOf(lines, sent.id)).toEqual(range(0, 70))
  const ofKeys = Map.groupBy(messages(lines, 'message'), ({ key }) => key)
  expect(ofKeys.size).toBe(7)
  for (const [, ofKey] of ofKeys) {
    expect(new Set(ofKey.map(({ queue }) => queue)).size).toBe(1)
    expect(ofKey.map(({ seq }) => seq)).toEqual(
      ofKey.map(({ seq }) => seq).toSorted((a, b) => a - b),
    )
  }
})

test('the python client receives only the tags it subscribed to', async ({ task }) => {
  covers(task, 'P4')
  const topic = world.name(CLIENT, 'tags')
  const flags = { group: `${topic}-g`, expression: 'A || C', expect: 40 }

  const sent = await world.produce(CLIENT, topic, { count: 60, tags: 'A,B,C' })
  const lines = await world.consume(CLIENT, topic, flags)

  expect(seqsOf(lines, sent.id)).toEqual(range(0, 60).filter((seq) => seq % 3 !== 1))
})

test('what the python client cannot process comes again', async ({ task }) => {
  covers(task, 'P4')
  const topic = world.name(CLIENT, 'retry')
  const flags = { group: `${topic}-g`, 'fail-first': 3, expect: 20 }

  const sent = await world.produce(CLIENT, topic, { count: 20 })
  const lines = await world.consume(CLIENT, topic, flags)

  const failed = events(lines, 'failed').length
  const again = events(lines, 'message').filter((line) => numberAt(line, 'reconsumeTimes') === 1)
  expect(failed).toBeGreaterThan(0)
  // The library gives the others of the same pull back too.
  expect(again.length).toBeGreaterThanOrEqual(failed)
  expect(seqsOf(lines, sent.id)).toEqual(range(0, 20))
})

test('the group of the python client goes on from its offsets after a restart', async ({
  task,
}) => {
  covers(task, 'P4')
  const topic = world.name(CLIENT, 'restart')
  const group = `${topic}-g`

  const first = await world.produce(CLIENT, topic, { count: 40 })
  const before = await world.consume(CLIENT, topic, { group, expect: 40 })
  const second = await world.produce(CLIENT, topic, { count: 30 })
  const after = await world.consume(CLIENT, topic, { group, expect: 30 })

  expect(seqsOf(before, first.id)).toEqual(range(0, 40))
  expect(seqsOf(after, first.id)).toEqual([])
  expect(seqsOf(after, second.id)).toEqual(range(0, 30))
})

test.for(['clustering', 'broadcasting'] as const)(
  'two python clients of a %s group are given what is theirs',
  async (model, { task }) => {
    covers(task, 'P4')
    const topic = world.name(CLIENT, model)
    await world.produce(CLIENT, topic, { count: 1 })
    const flags = { group: `${topic}-g`, model }
    const members = ['a', 'b'].map((instance) =>
      world.member(CLIENT, topic, { ...flags, instance }),
    )
    // The library does not tell which queues a member has: both have some when both are given messages,
    // and they share them when no message comes to both.
    await eventually('messages for both', async () => {
      const { id } = await world.produce(CLIENT, topic, { count: 16 })
      // Those that come before a member has its queues are none of its: others are sent then.
      for (let waited = 0; waited < BOTH_MS && !isComplete(members, id, model, 16); waited += 100) {
        await delay(100)
      }
      const counts = members.map((one) => seqsOf(one.lines, id).length)
      const isOnce = model === 'broadcasting' || sumOf(counts) === 16
      return isComplete(members, id, model, 16) && isOnce && counts.every((count) => count > 0)
    })

    const { id } = await world.produce(CLIENT, topic, { count: 40 })
    await eventually('all messages', () => Promise.resolve(isComplete(members, id, model, 40)))

    const counts = members.map((one) => seqsOf(one.lines, id).length)
    expect(counts.every((count) => count > 0)).toBe(true)
    expect(sumOf(counts)).toBe(model === 'clustering' ? 40 : 80)
  },
)

test('bodies above the compression threshold pass from Python to Java and back', async ({
  task,
}) => {
  covers(task, 'P4')
  const topic = world.name(CLIENT, 'large')
  const large = { count: 8, size: LARGE }

  const fromPython = await world.produce(CLIENT, topic, large)
  const fromJava = await world.produce(JAVA, topic, large)
  const consumer = world.member(CLIENT, topic, { group: `${topic}-python` })
  await Promise.all([arrived(consumer, fromPython.id, 8), arrived(consumer, fromJava.id, 8)])
  const inJava = await world.consume(JAVA, topic, { group: `${topic}-java`, expect: 16 })

  for (const lines of [consumer.lines, inJava]) {
    expect(seqsOf(lines, fromPython.id)).toEqual(range(0, 8))
    expect(seqsOf(lines, fromJava.id)).toEqual(range(0, 8))
    const sizes = messages(lines, 'message').map(({ bodySize }) => bodySize)
    expect(new Set(sizes)).toEqual(new Set([LARGE]))
  }
})

function isComplete(
  members: readonly ClientProcess[],
  id: string,
  model: string,
  count: number,
): boolean {
  const seqs = members.map((one) => seqsOf(one.lines, id))
  if (model === 'broadcasting') return seqs.every((ofOne) => ofOne.length >= count)
  return new Set(seqs.flat()).size >= count
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

/** Where each message stands, as far as the library tells: by number, its id and its place in its queue. */
function places(list: readonly Message[]): readonly unknown[] {
  return list
    .toSorted((a, b) => a.seq - b.seq)
    .map(({ seq, msgId, queueOffset }) => ({ seq, msgId, queueOffset }))
}
