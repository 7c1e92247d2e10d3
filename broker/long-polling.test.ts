import { beforeEach, describe, expect, test } from 'vitest'
import { javaHashCode } from '../common/bytes.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { tagFilter } from './filter.ts'
import { LongPolling } from './long-polling.ts'
import type { ParkedPull } from './long-polling.ts'

let time: SimulatedTime
let maxOffset: number
let polling: LongPolling
let resumed: string[]

beforeEach(() => {
  time = new SimulatedTime()
  maxOffset = 0
  resumed = []
  polling = new LongPolling({ clock: time, timers: time, maxOffsetInQueue: () => maxOffset })
})

function pull(name: string, given: Partial<ParkedPull> = {}): ParkedPull {
  return {
    topic: 'T',
    queueId: 0,
    queueOffset: 0,
    seenMaxOffset: 0,
    filter: null,
    deadline: 15_000,
    isWanted: () => true,
    resume: () => resumed.push(name),
    ...given,
  }
}

function arrive(queueOffset: number, tag = ''): void {
  maxOffset = queueOffset + 1
  const tagsCode = javaHashCode(tag)
  polling.onArrival({ topic: 'T', queueId: 0, queueOffset, tagsCode, storeTimestamp: 0 })
}

test('a message wakes the pulls of its queue, once, at the end of the turn', () => {
  polling.park(pull('here'))
  polling.park(pull('elsewhere', { queueId: 1 }))

  arrive(0)
  arrive(1)
  const before = [...resumed]
  time.runSoon()

  expect(before).toEqual([])
  expect(resumed).toEqual(['here'])
  expect(polling.count).toBe(1)
})

test('a message before the offset of a pull, or with another tag, does not wake it', () => {
  polling.park(pull('ahead', { queueOffset: 5 }))
  polling.park(pull('other tag', { filter: tagFilter('B', [javaHashCode('B')]) }))
  polling.park(pull('same tag', { filter: tagFilter('A', [javaHashCode('A')]) }))

  arrive(0, 'A')
  time.runSoon()

  expect(resumed).toEqual(['same tag'])
})

test('a message that came between the look into the queue and the parking wakes the pull', () => {
  maxOffset = 1

  polling.park(pull('late'))
  time.runSoon()

  expect(resumed).toEqual(['late'])
})

test('a pull whose time is over is answered', async () => {
  polling.park(pull('short', { deadline: 1000 }))
  polling.park(pull('long', { deadline: 2000 }))
  await time.advance(1000)

  polling.expire()

  expect(resumed).toEqual(['short'])
})

test('the re-check finds what no arrival told of', () => {
  polling.park(pull('filtered', { filter: tagFilter('A', [1]) }))
  time.runSoon()
  maxOffset = 3

  polling.recheck()

  expect(resumed).toEqual(['filtered'])
})

test('a pull that nobody waits for is dropped without an answer', () => {
  polling.park(pull('gone', { isWanted: () => false }))

  polling.recheck()

  expect(resumed).toEqual([])
  expect(polling.count).toBe(0)
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
