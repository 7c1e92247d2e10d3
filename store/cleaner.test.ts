import { describe, expect, test } from 'vitest'
import type { MessageStore } from './message-store.ts'
import { get, openStore, put, simulatedWorld, testMessage } from './testing.ts'
import type { Retention, SlowestRead, StoreConfig } from './types.ts'

type World = ReturnType<typeof simulatedWorld>

const HOUR = 3_600_000

/** Intervals long enough for hours to pass quickly. */
const COARSE: Partial<StoreConfig> = {
  cleanResourceInterval: 600_000,
  flushIntervalCommitLog: 60_000,
  flushIntervalConsumeQueue: 60_000,
}

/** A store with several full segments, at noon of a day. */
async function filled(
  overrides: Partial<StoreConfig> = {},
  retention: Retention | null = null,
): Promise<{ readonly world: World; readonly store: MessageStore }> {
  const world = simulatedWorld()
  const noon = new Date(world.time.now())
  noon.setHours(12, 0, 0, 0)
  world.time.jumpWall(noon.getTime() - world.time.now())
  const { store } = await openStore(
    world,
    { fileReservedTime: 5, ...COARSE, ...overrides },
    retention,
  )
  for (let index = 0; index < 120; index++) {
    const message = testMessage({ body: 'x'.repeat(1000), properties: { KEYS: `k${index}` } })
    await world.settle(put(store, message))
  }
  await world.time.advance(130_000)
  return { world, store }
}

const segments = (world: World): number => world.disk.listSync('/store/commitlog').length

describe('cleaning', () => {
  test('removes old segments at the hour of deleteWhen and at no other', async () => {
    const { world, store } = await filled({ deleteWhen: '21' })
    const before = segments(world)

    await world.time.advance(8 * HOUR)
    expect(segments(world)).toBe(before)
    await world.time.advance(HOUR + 1_200_000)

    expect(segments(world)).toBeLessThan(before)
    const first = store.minOffsetInQueue('Orders', 0)
    expect(first).toBeGreaterThan(0)
    expect(await world.settle(get(store, { queueOffset: 0 }))).toMatchObject({
      status: 'OFFSET_TOO_SMALL',
      nextBeginOffset: first,
    })
    expect(await world.settle(get(store, { queueOffset: first }))).toMatchObject({
      status: 'FOUND',
    })
  })

  test('never removes the segment that takes writes', async () => {
    const { world, store } = await filled({ deleteWhen: '00;12;21' })

    await world.time.advance(14 * HOUR)

    const { minPhysicalOffset, maxPhysicalOffset } = store.status()
    expect(minPhysicalOffset).toBeLessThanOrEqual(maxPhysicalOffset)
    expect(maxPhysicalOffset - minPhysicalOffset).toBeLessThan(16 * 1024)
    const result = await world.settle(put(store, testMessage()))
    expect(result).toMatchObject({ status: 'OK', queueOffset: 120 })
  })

  test('keeps what is younger than fileReservedTime, unless the disk is about to be full', async () => {
    const { world } = await filled({ deleteWhen: '12' })
    const before = segments(world)
    await world.time.advance(700_000)
    expect(segments(world)).toBe(before)

    world.disk.foreignBytes = world.disk.totalBytes * 0.87
    await world.time.advance(1_210_000)

    expect(segments(world)).toBeLessThan(before)
  })

  test('removes old segments at any hour above diskMaxUsedSpaceRatio, or when ordered', async () => {
    for (const order of [false, true]) {
      const { world, store } = await filled({ deleteWhen: '04' })
      await world.time.advance(6 * HOUR)
      const before = segments(world)

      if (order) store.deleteExpiredCommitLog()
      else world.disk.foreignBytes = world.disk.totalBytes * 0.8
      await world.time.advance(1_210_000)

      expect(segments(world)).toBeLessThan(before)
    }
  })

  test('a reader whose file goes while it reads is sent to the new minimum', async () => {
    const { world, store } = await filled({ deleteWhen: '04', accessMessageInMemoryMaxRatio: 0 })
    await world.time.advance(6 * HOUR)
    const { promise, resolve } = Promise.withResolvers<void>()
    world.disk.slowReads = promise

    const reading = get(store, { queueOffset: 0 })
    store.deleteExpiredCommitLog()
    await world.time.advance(1_210_000)
    resolve()

    const first = store.minOffsetInQueue('Orders', 0)
    expect(first).toBeGreaterThan(0)
    expect(await world.settle(reading)).toMatchObject({
      status: 'OFFSET_TOO_SMALL',
      nextBeginOffset: first,
    })
    expect(store.status().readOnlyReason).toBeNull()
  })

  test('removes queue files below the minimum, and is whole after a restart', async () => {
    const { world, store } = await filled({ deleteWhen: '21', mappedFileSizeConsumeQueue: 200 })
    await world.time.advance(10 * HOUR)
    const first = store.minOffsetInQueue('Orders', 0)
    expect(first).toBeGreaterThan(20)
    const names = world.disk.listSync('/store/consumequeue/Orders/0').map(({ name }) => name)
    expect(Number(names[0])).toBeGreaterThan((first - 11) * 20)

    world.kill()
    const reopened = (await openStore(world, { mappedFileSizeConsumeQueue: 200 })).store

    expect(reopened.minOffsetInQueue('Orders', 0)).toBe(first)
    expect(reopened.maxOffsetInQueue('Orders', 0)).toBe(120)
    const result = await world.settle(put(reopened, testMessage()))
    expect(result.queueOffset).toBe(120)
  })
})

/** A broker whose slowest group and topic attributes a test sets. */
function fakeRetention(): Retention & {
  slowest: SlowestRead | null
  read: number | null
  hours: number | null
} {
  return {
    slowest: null,
    read: null,
    hours: null,
    slowestRead() {
      return Promise.resolve(this.slowest)
    },
    readOffset() {
      return this.read
    },
    reserveHours() {
      return this.hours
    },
  }
}

describe('messages that were not read', () => {
  const unread = { topic: 'Orders', consumerGroup: 'G', isProtected: true }

  test('are kept beyond their time and above all watermarks, until they are read', async () => {
    const retention = fakeRetention()
    const { world, store } = await filled({ deleteWhen: '21' }, retention)
    const before = segments(world)
    retention.slowest = { ...unread, physicalOffset: 100 }
    world.disk.foreignBytes = world.disk.totalBytes * 0.95
    await world.time.advance(20 * HOUR)
    expect(segments(world)).toBe(before)
    expect(store.status()).toMatchObject({ unreadKeptFor: 'G', deletedSegments: 0 })
    expect(store.status().readOnlyReason).toContain('disk is full')

    retention.slowest = { ...unread, physicalOffset: 3 * 16 * 1024 + 1 }
    await world.time.advance(2 * HOUR)
    expect(store.status()).toMatchObject({ unreadKeptFor: 'G', minPhysicalOffset: 3 * 16 * 1024 })
    retention.slowest = null
    await world.time.advance(2 * HOUR)

    expect(store.status()).toMatchObject({ unreadKeptFor: null, deletedUnreadSegments: 0 })
    expect(segments(world)).toBeLessThan(before - 3)
  })

  test('go, and are counted, when the policy lets them', async () => {
    const retention = fakeRetention()
    const { world, store } = await filled({ deleteWhen: '21' }, retention)
    retention.slowest = { ...unread, physicalOffset: 100, isProtected: false }

    await world.time.advance(10 * HOUR)

    expect(store.status().deletedUnreadSegments).toBeGreaterThan(0)
    expect(store.status().unreadKeptFor).toBeNull()
  })

  test('stay in the queue of a topic with a shorter time of its own', async () => {
    const retention = fakeRetention()
    const { world, store } = await filled({ deleteWhen: '04' }, retention)
    retention.hours = 2
    retention.read = 50
    await world.time.advance(HOUR)
    expect(store.minOffsetInQueue('Orders', 0)).toBe(0)

    await world.time.advance(2 * HOUR)
    expect(store.minOffsetInQueue('Orders', 0)).toBe(50)
    retention.read = null
    await world.time.advance(HOUR)

    expect(store.minOffsetInQueue('Orders', 0)).toBe(120)
    expect(store.status().minPhysicalOffset).toBe(0)
    expect(await world.settle(get(store, { queueOffset: 7 }))).toMatchObject({
      status: 'OFFSET_TOO_SMALL',
      nextBeginOffset: 120,
    })
    const result = await world.settle(put(store, testMessage()))
    expect(result).toMatchObject({ status: 'OK', queueOffset: 120 })
  })
})
