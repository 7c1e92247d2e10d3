import { describe, expect, test } from 'vitest'
import { CommitLog } from './commit-log.ts'
import { DiskWatch } from './disk-watch.ts'
import { silentLogger } from '../common/log.ts'
import { SegmentPreparer } from './segment-preparer.ts'
import { openStore, put, simulatedWorld, testMessage } from './testing.ts'

type World = ReturnType<typeof simulatedWorld>

const SEGMENT = 64 * 1024
const FILL = { first: 8192, window: 24 * 1024, step: 4096, turnStep: 4096 }

function preparing(
  world: World,
  options: { readonly sync?: boolean; readonly warm?: boolean } = {},
): { readonly log: CommitLog; readonly preparer: SegmentPreparer; readonly failures: unknown[] } {
  const { clock, timers, disk } = world.runtime
  const failures: unknown[] = []
  const onFailure = (error: unknown): void => void failures.push(error)
  const log = new CommitLog({
    isReplicated: false,
    disk,
    directory: '/log',
    segmentSize: SEGMENT,
    chunkSize: 8192,
    chunkCount: 4,
  })
  log.segments.load()
  log.resume(0, 0, 0)
  const watch = new DiskWatch({ clock, timers, logger: silentLogger, onStall: onFailure })
  const preparer = new SegmentPreparer({
    clock,
    timers,
    commitLog: log,
    watch,
    onFailure,
    fill: FILL,
    config: {
      flushDiskType: options.sync === true ? 'SYNC_FLUSH' : 'ASYNC_FLUSH',
      warmMapedFileEnable: options.warm === true,
    },
  })
  preparer.start()
  return { log, preparer, failures }
}

const sizeOf = (world: World, name: string): number | undefined =>
  world.disk.statusSync(`/log/${name}`)?.size

describe('preparing segments', () => {
  test('creates the next one once half of the current one is used, and not before', async () => {
    const world = simulatedWorld()
    const { log } = preparing(world)
    log.resume(SEGMENT / 2 - 1, 0, 0)
    await world.time.advance(1000)
    expect(log.segments.count).toBe(1)

    log.resume(SEGMENT / 2, 0, 0)
    await world.time.advance(200)

    expect(log.segments.count).toBe(2)
    expect(sizeOf(world, '00000000000000065536')).toBe(SEGMENT)
    world.disk.crash()
    expect(sizeOf(world, '00000000000000065536')).toBe(SEGMENT)
  })

  test('with SYNC_FLUSH keeps a window of zeroes ahead of the end, in this segment and the next', async () => {
    const world = simulatedWorld()
    const { log } = preparing(world, { sync: true })

    await world.time.advance(1000)
    const atStart = world.disk.writtenBytes('/log/00000000000000000000')
    log.resume(SEGMENT - 4096, 0, 0)
    await world.time.advance(1000)

    expect(atStart).toBe(FILL.window)
    expect(world.disk.writtenBytes('/log/00000000000000065536')).toBeGreaterThan(8192)
  })

  test('with warmMapedFileEnable fills the whole next segment', async () => {
    const world = simulatedWorld()
    const { log, failures } = preparing(world, { warm: true })

    await world.time.advance(1000)

    expect(log.segments.count).toBe(2)
    expect(world.disk.writtenBytes('/log/00000000000000065536')).toBe(SEGMENT)
    expect(failures).toEqual([])
  })

  test('zeroes stay clear of the records, however quickly these come', async () => {
    const world = simulatedWorld()
    const { store, failures } = await openStore(world, {
      flushDiskType: 'SYNC_FLUSH',
      warmMapedFileEnable: true,
    })

    const statuses: string[] = []
    for (let round = 0; round < 30; round++) {
      const puts = Array.from({ length: 10 }, () =>
        put(store, testMessage({ body: 'x'.repeat(1000) })),
      )
      await world.time.advance(90)
      for (const { status } of await world.settle(Promise.all(puts))) statuses.push(status)
    }

    expect(new Set(statuses)).toEqual(new Set(['OK']))
    expect(failures).toEqual([])
    world.cutPower(null)
    const reopened = (await openStore(world)).store
    expect(reopened.maxOffsetInQueue('Orders', 0)).toBe(300)
  })

  test('the segment that is written to is not warmed, nor the next one when its turn comes near', async () => {
    const world = simulatedWorld()
    const { log, preparer } = preparing(world, { warm: true })
    const { promise, resolve } = Promise.withResolvers<void>()
    world.disk.slowWrites = promise

    await world.time.advance(200)
    expect(preparer.fillingFrom).toBe(SEGMENT)
    log.resume(SEGMENT / 2 + 1, 0, 0)
    resolve()
    await world.time.advance(1000)

    expect(preparer.fillingFrom).toBe(Number.MAX_SAFE_INTEGER)
    expect(world.disk.writtenBytes('/log/00000000000000000000')).toBe(0)
    expect(world.disk.writtenBytes('/log/00000000000000065536')).toBe(FILL.step)
  })

  test('what was warmed is not synced: that would cost more than it gains', async () => {
    const world = simulatedWorld()
    const plain = simulatedWorld()
    preparing(world, { warm: true })
    preparing(plain).log.resume(SEGMENT / 2, 0, 0)

    await world.time.advance(1000)
    await plain.time.advance(1000)

    expect(world.disk.writtenBytes('/log/00000000000000065536')).toBe(SEGMENT)
    expect(world.disk.counts.datasync).toBe(plain.disk.counts.datasync)
  })

  test('waits when the disk is full, and goes on when there is room', async () => {
    const world = simulatedWorld()
    const { log, failures } = preparing(world, { sync: true })
    world.disk.failOn('write', 2, 'ENOSPC')

    await world.time.advance(1000)
    const before = world.disk.writtenBytes('/log/00000000000000000000')
    await world.time.advance(6000)

    expect(failures).toEqual([])
    expect(before).toBeLessThan(FILL.window)
    expect(world.disk.writtenBytes('/log/00000000000000000000')).toBeGreaterThan(before)
    expect(log.segments.count).toBe(1)
  })

  test('a failed sync of what was filled is final', async () => {
    const world = simulatedWorld()
    const { failures } = preparing(world, { sync: true })
    world.disk.failOn('datasync', 1, 'ENOSPC')

    await world.time.advance(1000)

    expect(failures).toMatchObject([{ code: 'ioFailed' }])
  })

  test('a roll before the next segment is ready makes it at once', async () => {
    const world = simulatedWorld()
    const { store, failures } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    const puts = Array.from({ length: 40 }, () =>
      put(store, testMessage({ body: 'x'.repeat(1000) })),
    )

    const results = await world.settle(Promise.all(puts))

    expect(results.every(({ status }) => status === 'OK')).toBe(true)
    expect(failures).toEqual([])
    world.cutPower(null)
    const reopened = (await openStore(world)).store
    expect(reopened.maxOffsetInQueue('Orders', 0)).toBe(40)
  })
})
