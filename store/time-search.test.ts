import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openStore, put, simulatedWorld, testMessage } from './testing.ts'
import type { BoundaryType } from './types.ts'

/** The rules of the protocol, by looking at every message. */
function slowSearch(times: readonly number[], timestamp: number, boundary: BoundaryType): number {
  if (boundary === 'LOWER') {
    const found = times.findIndex((time) => time >= timestamp)
    return found === -1 ? times.length : found
  }
  return Math.max(
    0,
    times.findLastIndex((time) => time <= timestamp),
  )
}

test('offsets by time agree with a search through every message, equal times included', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 40 }), async (gaps) => {
      const world = simulatedWorld()
      const { store } = await openStore(world)
      const times: number[] = []
      for (const gap of gaps) {
        await world.time.advance(gap)
        const result = await world.settle(put(store, testMessage()))
        times.push(result.storeTimestamp)
      }

      const start = (times[0] ?? 0) - 2
      for (let time = start; time < start + 130; time++) {
        for (const boundary of ['LOWER', 'UPPER'] as const) {
          const found = store.offsetByTimestamp('Orders', 0, time, boundary)
          expect([boundary, time - start, found]).toEqual([
            boundary,
            time - start,
            slowSearch(times, time, boundary),
          ])
        }
      }
    }),
    { numRuns: 20 },
  )
})

test('an unknown queue answers offset 0 and no times', async () => {
  const world = simulatedWorld()
  const { store } = await openStore(world)

  expect(store.offsetByTimestamp('Nothing', 0, 5, 'LOWER')).toBe(0)
  expect(store.earliestStoreTimestamp('Nothing', 0)).toBe(null)
  expect(store.storeTimestampAt('Nothing', 0, 0)).toBe(null)
})

test('store times do not go back with the clock, nor over a restart', async () => {
  const world = simulatedWorld()
  const { store } = await openStore(world)
  const first = await world.settle(put(store, testMessage()))
  world.time.jumpWall(-3_600_000)
  const second = await world.settle(put(store, testMessage()))
  await world.settle(store.close())

  const reopened = (await openStore(world)).store
  const third = await world.settle(put(reopened, testMessage()))

  expect(second.storeTimestamp).toBe(first.storeTimestamp)
  expect(third.storeTimestamp).toBe(first.storeTimestamp)
  expect(reopened.earliestStoreTimestamp('Orders', 0)).toBe(first.storeTimestamp)
  expect(reopened.storeTimestampAt('Orders', 0, 2)).toBe(third.storeTimestamp)
  expect(reopened.storeTimestampAt('Orders', 0, 3)).toBe(null)
})
