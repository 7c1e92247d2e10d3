import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SeededRandom } from '../../simulation/random.ts'
import { PendingTimers } from './pending-timers.ts'

interface Entry {
  readonly dueTime: number
  readonly queueOffset: number
}

function takeOut(timers: PendingTimers): Entry[] {
  const taken: Entry[] = []
  while (timers.size > 0) {
    taken.push({ dueTime: timers.nextDueTime, queueOffset: timers.nextQueueOffset })
    timers.pop()
  }
  return taken
}

function byDueTime(one: Entry, other: Entry): number {
  return one.dueTime - other.dueTime || one.queueOffset - other.queueOffset
}

const DUE_TIMES = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 200 })

describe('pending timers', () => {
  test('come out by due time, and those of one time in the order in which they came', () => {
    fc.assert(
      fc.property(DUE_TIMES, (dueTimes) => {
        const timers = new PendingTimers()
        const entries = dueTimes.map((dueTime, queueOffset) => ({ dueTime, queueOffset }))
        for (const { dueTime, queueOffset } of entries) timers.add(dueTime, queueOffset, 0)

        expect(takeOut(timers)).toEqual(entries.toSorted(byDueTime))
        expect(timers.nextDueTime).toBe(Infinity)
      }),
    )
  })

  test('beyond what is kept are forgotten, the later ones, and found again', () => {
    fc.assert(
      fc.property(DUE_TIMES, fc.integer({ min: 1, max: 20 }), (dueTimes, kept) => {
        const timers = new PendingTimers(kept)
        const entries = dueTimes.map((dueTime, queueOffset) => ({ dueTime, queueOffset }))
        for (const { dueTime, queueOffset } of entries) timers.add(dueTime, queueOffset, 0)

        const taken: Entry[] = []
        for (;;) {
          expect(timers.size).toBeLessThan(2 * kept)
          taken.push(...takeOut(timers))
          if (!timers.hasFar) break
          const last = taken.at(-1)
          expect(timers.minFarOffset).toBe(
            Math.min(
              ...entries
                .filter(
                  (entry) =>
                    !taken.includes(entry) && (last === undefined || byDueTime(last, entry) < 0),
                )
                .map(({ queueOffset }) => queueOffset),
            ),
          )
          const wasFar = timers.takeAll()
          for (const { dueTime, queueOffset } of entries) {
            if (wasFar(dueTime, queueOffset, 0)) timers.add(dueTime, queueOffset, 0)
          }
        }

        expect(taken).toEqual(entries.toSorted(byDueTime))
      }),
    )
  })

  test('can be shifted and removed', () => {
    const timers = new PendingTimers()
    for (let queueOffset = 0; queueOffset < 10; queueOffset++) {
      timers.add(100 - queueOffset, queueOffset, queueOffset % 2 === 0 ? 2 : 0)
    }

    timers.shiftAll((_queueOffset, flags) => (flags === 2 ? 1000 : 0))
    timers.remove((queueOffset) => queueOffset === 9 || queueOffset === 8)

    expect(timers.minQueueOffset()).toBe(0)
    expect(takeOut(timers).map(({ queueOffset }) => queueOffset)).toEqual([7, 5, 3, 1, 6, 4, 2, 0])
  })

  test('a million take sixteen megabytes', () => {
    const timers = new PendingTimers()
    const random = new SeededRandom(1)
    const before = process.memoryUsage().arrayBuffers
    for (let queueOffset = 0; queueOffset < 1_000_000; queueOffset++) {
      timers.add(random.integer(3_600_000), queueOffset, 0)
    }
    const used = process.memoryUsage().arrayBuffers - before

    expect(timers.size).toBe(1_000_000)
    expect(used).toBeLessThan(40 * 1024 * 1024)
  })

  test('are counted by how soon they are due', () => {
    const pending = new PendingTimers()
    for (const dueTime of [999, 1000, 1004, 1005, 1059, 1060]) pending.add(dueTime, dueTime, 0)

    expect(pending.dueWithin(1000, [5, 60])).toEqual([2, 2])
  })
})
