import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TEST_WORLDS, get, openStore, put, simulatedWorld, testMessage } from './testing.ts'
import { GetStatus } from './types.ts'
import type { MessageStore } from './message-store.ts'
import type { TestWorld } from './testing.ts'
import type { GetRequest, StoreConfig } from './types.ts'

const CONFIG: Partial<StoreConfig> = { maxTransferBytesOnMessageInMemory: 1024 * 1024 }

/** Messages of three queues, interleaved; the store is then closed and opened again, so that nothing of them is in memory. */
async function reopened(
  world: TestWorld,
  sizes: readonly number[],
): Promise<{ readonly store: MessageStore; readonly records: readonly (readonly Buffer[])[] }> {
  const first = await openStore(world, CONFIG)
  const offsets: number[][] = [[], [], []]
  for (const [index, size] of sizes.entries()) {
    const queueId = index % 3
    const body = Buffer.alloc(size, index)
    const result = await world.settle(put(first.store, testMessage({ queueId, body })))
    offsets[queueId]?.push(...result.physicalOffsets)
  }
  const records = offsets.map((of) => of.map((at) => first.store.recordAt(at) ?? Buffer.alloc(0)))
  await world.settle(first.store.close())
  const { store } = await openStore(world, CONFIG)
  return { store, records }
}

/** What the fast way answers; null when it gives up. */
async function getFast(world: TestWorld, store: MessageStore, request: GetRequest) {
  for (let loads = 0; loads < 5; loads++) {
    const found = store.find(request)
    if (found.status !== GetStatus.FOUND) return null
    const target = Buffer.alloc(found.bytes + 3)
    if (found.count > 0 && store.copyFound(target, 3)) return target.subarray(3)
    const { promise, resolve } = Promise.withResolvers<undefined>()
    if (!store.loadFound(() => resolve(undefined))) return null
    await world.settle(promise)
  }
  return null
}

describe.each(TEST_WORLDS)('on the %s disk', (_kind, create) => {
  test('messages from before a restart are read whole, from any offset, by either way', async () => {
    const world = create()
    const sizes = Array.from({ length: 120 }, (_, index) => (index * 397) % 2000)
    const { store, records } = await reopened(world, sizes)

    for (const [queueId, expected] of records.entries()) {
      for (const queueOffset of [0, 1, 17, expected.length - 1]) {
        const request = { topic: 'Orders', queueId, queueOffset, maxMessages: 8, filter: null }
        const fast = await getFast(world, store, request)
        const result = await world.settle(get(store, request))

        const body = Buffer.concat(expected.slice(queueOffset, queueOffset + 8))
        expect(result.body.equals(body)).toBe(true)
        expect(fast === null || fast.equals(body)).toBe(true)
        expect(fast === null && queueOffset === 0).toBe(false)
      }
    }

    await world.settle(store.close())
    world.cleanUp()
  })
})

test('messages that lie far apart are read one by one', async () => {
  const world = simulatedWorld()
  const sizes = Array.from({ length: 90 }, (_, index) => (index % 3 === 0 ? 10 : 4000))
  const { store, records } = await reopened(world, sizes)

  const result = await world.settle(get(store, { queueOffset: 3, maxMessages: 2 }))

  expect(result.body.equals(Buffer.concat(records[0]?.slice(3, 5) ?? []))).toBe(true)
  await world.settle(store.close())
})

test('what was read before a truncation is not answered after it', async () => {
  const world = simulatedWorld()
  const { store, records } = await reopened(
    world,
    Array.from({ length: 60 }, () => 100),
  )
  const request = { topic: 'Orders', queueId: 0, queueOffset: 5, maxMessages: 8, filter: null }
  const before = await world.settle(get(store, request))
  const cut = store.status().maxPhysicalOffset - 3 * (records[0]?.[0]?.length ?? 0)
  store.truncateTo(cut)

  await world.settle(put(store, testMessage({ queueId: 0, body: Buffer.alloc(100, 0xee) })))

  const after = await world.settle(get(store, { ...request, queueOffset: 19 }))
  expect(before.records.length).toBe(8)
  expect(after.body.includes(Buffer.alloc(100, 0xee))).toBe(true)
  await world.settle(store.close())
})

// Goal: a wrong or torn record is never handed out. Method: random sizes, offsets and limits, many reads at a time, against the records.
test('reads that overlap in time answer the same as one after the other', async () => {
  const size = fc.oneof(fc.nat(300), fc.integer({ min: 1000, max: 4000 }))
  const read = fc.record({
    queueId: fc.nat(2),
    queueOffset: fc.nat(25),
    maxMessages: fc.integer({ min: 1, max: 40 }),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(size, { minLength: 6, maxLength: 80 }),
      fc.array(read, { minLength: 1, maxLength: 20 }),
      async (sizes, reads) => {
        const world = simulatedWorld()
        const { store, records } = await reopened(world, sizes)

        const results = await world.settle(
          Promise.all(reads.map((request) => get(store, { topic: 'Orders', ...request }))),
        )

        for (const [index, { queueId, queueOffset, maxMessages }] of reads.entries()) {
          const expected = records[queueId]?.slice(queueOffset).slice(0, Math.min(32, maxMessages))
          const whole = Buffer.concat(expected ?? [])
          expect(results[index]?.body.equals(whole)).toBe(true)
        }
        await world.settle(store.close())
      },
    ),
    { numRuns: 40 },
  )
})
