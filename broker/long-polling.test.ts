import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { javaHashCode } from '../common/bytes.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { tagFilter } from './filter.ts'
import { LongPolling } from './long-polling.ts'
import type { ParkedPull } from './long-polling.ts'
import type { MessageFilter, QueueWatcher } from '../store/types.ts'

/** The tags of a few queues, and who is told of new ones. */
class Queues {
  readonly #tags = new Map<number, string[]>()
  readonly #watchers = new Map<number, QueueWatcher>()

  maxOffsetInQueue(_topic: string, queueId: number): number {
    return this.#tags.get(queueId)?.length ?? 0
  }

  watch(_topic: string, queueId: number, watcher: QueueWatcher | null): void {
    if (watcher === null) this.#watchers.delete(queueId)
    else this.#watchers.set(queueId, watcher)
  }

  hasMatch(_topic: string, queueId: number, queueOffset: number, filter: MessageFilter): boolean {
    const tags = this.#tags.get(queueId) ?? []
    return tags.slice(queueOffset).some((tag) => filter.matchesTagsCode(javaHashCode(tag)))
  }

  isWatched(queueId: number): boolean {
    return this.#watchers.has(queueId)
  }

  /** Adds messages without a word. */
  add(queueId: number, tags: readonly string[]): void {
    this.#tags.set(queueId, [...(this.#tags.get(queueId) ?? []), ...tags])
  }

  /** Adds messages that become readable together. */
  arrive(queueId: number, tags: readonly string[]): void {
    this.add(queueId, tags)
    this.#watchers.get(queueId)?.arrived()
  }
}

let time: SimulatedTime
let queues: Queues
let polling: LongPolling
let resumed: string[]

beforeEach(() => {
  time = new SimulatedTime()
  queues = new Queues()
  resumed = []
  polling = new LongPolling({ clock: time, timers: time, store: queues })
})

function pull(name: string, given: Partial<ParkedPull> = {}): ParkedPull {
  return {
    topic: 'T',
    queueId: 0,
    queueOffset: 0,
    checkedOffset: 0,
    filter: null,
    deadline: 15_000,
    isWanted: () => true,
    resume: () => resumed.push(name),
    ...given,
  }
}

function only(tag: string): MessageFilter | null {
  return tagFilter(tag, [javaHashCode(tag)])
}

test('messages wake the pulls of their queue, once for all of them and in the same turn', () => {
  polling.park(pull('here'))
  polling.park(pull('elsewhere', { queueId: 1 }))

  queues.arrive(0, ['', ''])
  queues.arrive(0, [''])

  expect(resumed).toEqual(['here'])
  expect(polling.count).toBe(1)
})

test('a message before the offset of a pull, or with another tag, does not wake it', () => {
  polling.park(pull('ahead', { queueOffset: 5 }))
  polling.park(pull('other tag', { filter: only('B') }))
  polling.park(pull('same tag', { filter: only('A') }))

  queues.arrive(0, ['A'])

  expect(resumed).toEqual(['same tag'])
})

test('any message of a batch that the filter lets through wakes the pull', () => {
  polling.park(pull('filtered', { filter: only('B') }))

  queues.arrive(0, ['A', 'B', 'A'])

  expect(resumed).toEqual(['filtered'])
})

test('a message that came between the look into the queue and the parking wakes the pull', () => {
  queues.add(0, [''])

  polling.park(pull('late'))
  time.runSoon()

  expect(resumed).toEqual(['late'])
})

test('a queue is watched only while a pull waits for it', () => {
  const before = queues.isWatched(0)
  polling.park(pull('one'))
  const whileParked = queues.isWatched(0)

  queues.arrive(0, [''])

  expect([before, whileParked, queues.isWatched(0)]).toEqual([false, true, false])
})

test('a pull whose time is over is answered', async () => {
  polling.park(pull('short', { deadline: 1000 }))
  polling.park(pull('long', { deadline: 2000 }))
  await time.advance(1000)

  polling.expire()

  expect(resumed).toEqual(['short'])
})

test('the re-check finds what nobody told of', () => {
  polling.park(pull('filtered', { filter: only('A') }))
  queues.add(0, ['B', 'B', 'B'])

  polling.recheck()

  expect(resumed).toEqual(['filtered'])
})

test('a pull that nobody waits for is dropped without an answer', () => {
  polling.park(pull('gone', { isWanted: () => false }))

  polling.recheck()

  expect(resumed).toEqual([])
  expect(polling.count).toBe(0)
})

// Goal: no pull misses its message. Method: random pulls and batches against a model that asks of every pull after every step whether
// some message at or after its offset has its tag.
test('exactly the pulls that have a message are woken, whatever arrives in whatever batches', () => {
  const tag = fc.constantFrom('A', 'B', 'C')
  const step = fc.oneof(
    fc.record({
      queueId: fc.nat(1),
      tag: fc.option(tag),
      ahead: fc.integer({ min: 0, max: 3 }),
    }),
    fc.record({ queueId: fc.nat(1), tags: fc.array(tag, { minLength: 1, maxLength: 5 }) }),
  )

  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const world = new Queues()
      const subject = new LongPolling({ clock: time, timers: time, store: world })
      const log: string[][] = [[], []]
      const waiting = new Map<string, { queueId: number; from: number; tag: string | null }>()
      const woken: string[] = []
      const expected: string[] = []

      for (const [index, given] of steps.entries()) {
        const name = String(index)
        const tags = log[given.queueId] ?? []
        if ('tags' in given) {
          tags.push(...given.tags)
          world.arrive(given.queueId, given.tags)
        } else {
          const queueOffset = tags.length + given.ahead
          const filter = given.tag === null ? null : only(given.tag)
          const resume = (): void => void woken.push(name)
          const checkedOffset = tags.length
          const { queueId } = given
          subject.park(pull(name, { queueId, queueOffset, checkedOffset, filter, resume }))
          waiting.set(name, { queueId, from: queueOffset, tag: given.tag })
        }
        for (const [key, pulled] of waiting) {
          const after = (log[pulled.queueId] ?? []).slice(pulled.from)
          if (!after.some((other) => pulled.tag === null || pulled.tag === other)) continue
          expected.push(key)
          waiting.delete(key)
        }
      }

      expect(woken).toEqual(expected)
      expect(subject.count).toBe(waiting.size)
    }),
  )
})

describe('while the broker stops', () => {
  test('all pulls are answered and none is held any longer', () => {
    polling.park(pull('one'))
    polling.park(pull('two', { queueId: 1 }))

    polling.close()

    expect(resumed).toEqual(['one', 'two'])
    expect(polling.isOpen).toBe(false)
  })
})
