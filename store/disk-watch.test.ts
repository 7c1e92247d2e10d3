import { describe, expect, test } from 'vitest'
import { get, openStore, put, simulatedWorld, testMessage } from './testing.ts'
import type { PutResult } from './types.ts'

describe('a disk that does not answer', () => {
  test('answers a waiting put in time, is counted after 10 s, and fences the store after 20 s', async () => {
    const world = simulatedWorld()
    const { store, failures } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    await world.settle(put(store, testMessage({ body: 'before' })))
    world.disk.holdSyncs()
    const answers: PutResult[] = []
    store.put([testMessage()], 'inTime', (result) => answers.push(result))

    await world.time.advance(2600)
    expect(answers).toMatchObject([{ status: 'FLUSH_DISK_TIMEOUT' }])
    await world.time.advance(6000)
    expect(store.status()).toMatchObject({ diskStalls: 0, readOnlyReason: null })
    await world.time.advance(2600)
    expect(store.status().diskStalls).toBeGreaterThan(0)
    expect(store.status().readOnlyReason).toBeNull()
    expect(failures).toEqual([])
    await world.time.advance(10_000)

    expect(failures).toMatchObject([{ code: 'diskStalled' }])
    const refused = await world.settle(put(store, testMessage()))
    expect(refused.status).toBe('SERVICE_NOT_AVAILABLE')
    expect((await world.settle(get(store))).records).toHaveLength(1)
    world.disk.releaseSyncs()
    await world.time.settle()
    expect(store.maxOffsetInQueue('Orders', 0)).toBe(1)
  })

  test('that answers again within 20 s costs nothing but time', async () => {
    const world = simulatedWorld()
    const { store, failures } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    world.disk.holdSyncs()
    const late = put(store, testMessage())
    await world.time.advance(15_000)
    expect(store.status().oldestDiskOperationMs).toBeGreaterThan(10_000)

    world.disk.releaseSyncs()
    await world.settle(late)
    await world.time.advance(30_000)

    expect(failures).toEqual([])
    expect(store.status().diskStalls).toBeGreaterThan(0)
    expect(store.status().oldestDiskOperationMs).toBe(0)
    // The last bucket has what took longer than 10 s.
    expect(store.status().syncTimes?.counts.at(-1)).toBe(1)
    expect(store.status().syncTimes?.sumMs).toBe(15_000)
    expect((await world.settle(put(store, testMessage()))).status).toBe('OK')
  })

  test('is not blamed for the time in which the process was stopped', async () => {
    const world = simulatedWorld()
    const { store, failures } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    world.disk.holdSyncs()
    const late = put(store, testMessage())
    await world.time.settle()

    world.time.freeze(60_000)
    await world.time.advance(3000)

    expect(failures).toEqual([])
    world.disk.releaseSyncs()
    await world.settle(late)
    await world.settle(store.close())
  })

  // Method: what came at once lies in two segments, whose syncs follow each other and take 15 s each.
  test('is not blamed for syncs each of which it has answered in time', async () => {
    const world = simulatedWorld()
    const { store, failures } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    const message = testMessage({ body: 'x'.repeat(3000) })
    world.disk.holdSyncs()
    const late = Array.from({ length: 8 }, () => put(store, message))

    await world.time.advance(15_000)
    world.disk.releaseSyncs()
    world.disk.holdSyncs()
    await world.time.advance(15_000)

    expect(failures).toEqual([])
    expect(store.status().flushedOffset).toBe(0)
    world.disk.releaseSyncs()
    await world.settle(Promise.all(late))
    await world.time.advance(30_000)
    expect(failures).toEqual([])
    expect(store.status().flushedOffset).toBe(store.endOffset)
  })

  test('is not blamed when it has answered while the process was stopped', async () => {
    const world = simulatedWorld()
    const { store, failures } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    world.disk.holdSyncs()
    const late = put(store, testMessage())
    await world.time.advance(18_500)

    world.time.freeze(10_000)
    // The timers that are due come first, the answers of the disk behind them.
    await world.time.advance(0)
    world.disk.releaseSyncs()
    await world.settle(late)
    await world.time.advance(30_000)

    expect(failures).toEqual([])
    expect(store.status().oldestDiskOperationMs).toBe(0)
  })
})
