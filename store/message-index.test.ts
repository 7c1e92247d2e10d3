import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MessageIndex } from './message-index.ts'
import { simulatedWorld } from './testing.ts'

type World = ReturnType<typeof simulatedWorld>

const TIME = 1_700_000_000_000

function indexOn(world: World, maxEntries: number): MessageIndex {
  const { disk, time } = world
  const options = { disk, clock: time, timers: time, directory: '/index' }
  return new MessageIndex({ ...options, slotCount: 7, maxEntries })
}

function offsetsOf(index: MessageIndex, keyHash: number): readonly number[] {
  const offsets: number[] = []
  const query = { keyHash, beginTimestamp: 0, endTimestamp: Number.MAX_SAFE_INTEGER }
  index.query(query, (physicalOffset) => {
    offsets.push(physicalOffset)
    return true
  })
  return offsets
}

describe('the index', () => {
  // Goal: whatever waits in memory or lies in files, a query sees all entries, the newest first.
  // Method: random histories against a plain list, with small files, truncations, reopenings and a disk that is full at times.
  test('answers from all that was put, at every moment', async () => {
    const step = fc.record({
      type: fc.constantFrom('put', 'put', 'put', 'write', 'flush', 'truncate', 'full', 'reopen'),
      count: fc.integer({ min: 1, max: 40 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const world = simulatedWorld()
        let index = indexOn(world, 31)
        let entries: { readonly keyHash: number; readonly physicalOffset: number }[] = []
        let physicalOffset = 0
        for (const { type, count } of steps) {
          if (type === 'put') {
            for (let put = 0; put < count; put++) {
              const keyHash = (physicalOffset * 31) % 11
              index.put(keyHash, (physicalOffset += 100), TIME + physicalOffset)
              entries.push({ keyHash, physicalOffset })
            }
          } else if (type === 'write') {
            index.writePending()
          } else if (type === 'flush') {
            await world.settle(index.flush())
          } else if (type === 'truncate') {
            physicalOffset = Math.max(0, physicalOffset - count * 50)
            index.truncateToPhysical(physicalOffset)
            entries = entries.filter((entry) => entry.physicalOffset < physicalOffset)
          } else if (type === 'full') {
            world.disk.failOn('truncate', 1, 'ENOSPC')
          } else {
            index.writePending()
            await world.settle(index.flush())
            await world.settle(index.finish())
            index.close()
            index = indexOn(world, 31)
            index.load(Number.MAX_SAFE_INTEGER, true)
          }
          // While the disk is full a query may miss what has no file yet; each fault is over after one attempt.
          for (const _ of steps) offsetsOf(index, 0)

          for (let keyHash = 0; keyHash < 11; keyHash++) {
            const expected = entries.filter((entry) => entry.keyHash === keyHash).toReversed()
            expect(offsetsOf(index, keyHash)).toEqual(expected.map((entry) => entry.physicalOffset))
          }
        }
      }),
      { numRuns: 80 },
    )
  })

  test('adds thousands of entries by itself, and tells of the newest', () => {
    const world = simulatedWorld()
    const index = indexOn(world, 20_000)

    for (let at = 1; at <= 10_000; at++) index.put(at % 3, at * 10, TIME + at)

    expect(index.lastUpdatePhysicalOffset).toBe(100_000)
    expect(index.lastUpdateTimestamp).toBe(TIME + 10_000)
    expect(world.disk.counts.write).toBeGreaterThan(1)
    expect(offsetsOf(index, 1)).toHaveLength(3334)
  })

  test('keeps entries in memory while the disk is full', () => {
    const world = simulatedWorld()
    const index = indexOn(world, 20_000)
    index.put(0, 5, TIME)
    offsetsOf(index, 0)
    for (let nth = 1; nth <= 2; nth++) world.disk.failOn('write', nth, 'ENOSPC')

    for (let at = 1; at <= 9000; at++) index.put(at % 3, at * 10, TIME + at)

    expect(offsetsOf(index, 2)).toHaveLength(3000)
    index.writePending()
    expect(offsetsOf(index, 2)).toHaveLength(3000)
  })
})
