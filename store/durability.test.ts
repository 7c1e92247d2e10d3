import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeRecord } from '../common/message-codec.ts'
import { fsck } from './fsck.ts'
import type { MessageStore } from './message-store.ts'
import { get, openStore, put, simulatedWorld, testMessage } from './testing.ts'
import type { PutResult } from './types.ts'

type World = ReturnType<typeof simulatedWorld>

async function bodiesOf(world: World, store: MessageStore): Promise<readonly string[]> {
  const bodies: string[] = []
  // What has to be read from the disk may come in several answers.
  for (let queueOffset = 0; queueOffset < store.maxOffsetInQueue('Orders', 0);) {
    const found = await world.settle(get(store, { queueOffset, maxMessages: 32 }))
    bodies.push(...found.records.map((record) => decodeRecord(record).body.toString()))
    queueOffset = found.nextBeginOffset
  }
  return bodies
}

describe('SYNC_FLUSH', () => {
  test('answers only after the sync, and shows nobody the message before', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    world.disk.holdSyncs()
    let answered: PutResult | null = null
    store.put([testMessage()], 'inTime', (result) => {
      answered = result
    })
    await world.time.settle()
    expect(answered).toBe(null)
    expect(store.maxOffsetInQueue('Orders', 0)).toBe(0)

    world.disk.releaseSyncs()
    await world.time.settle()

    expect(answered).toMatchObject({ status: 'OK' })
    expect(store.maxOffsetInQueue('Orders', 0)).toBe(1)
    expect(store.status().flushedOffset).toBe(store.status().maxPhysicalOffset)
  })

  test('serves all puts that wait with one sync', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    world.disk.holdSyncs()
    const first = put(store, testMessage())
    await world.time.settle()
    const others = Array.from({ length: 20 }, () => put(store, testMessage()))
    await world.time.settle()
    const before = world.disk.counts.datasync

    world.disk.releaseSyncs()
    await world.settle(Promise.all([first, ...others]))

    expect(world.disk.counts.datasync - before).toBe(2)
  })

  test('does not make a put wait that does not ask to', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    world.disk.holdSyncs()

    const result = await world.settle(put(store, testMessage(), 'written'))

    expect(result.status).toBe('OK')
  })

  test('answers FLUSH_DISK_TIMEOUT with valid offsets when the disk stalls', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world, { flushDiskType: 'SYNC_FLUSH', syncFlushTimeout: 500 })
    world.disk.holdSyncs()
    const answers: PutResult[] = []
    store.put([testMessage()], 'inTime', (result) => answers.push(result))

    await world.time.advance(499)
    expect(answers).toEqual([])
    await world.time.advance(2)

    expect(answers).toMatchObject([{ status: 'FLUSH_DISK_TIMEOUT', queueOffset: 0 }])
    world.disk.releaseSyncs()
    await world.time.settle()
    expect(answers).toHaveLength(1)
    expect(store.maxOffsetInQueue('Orders', 0)).toBe(1)
  })
})

describe('a failing disk', () => {
  test('after a failed sync nothing is acknowledged any more, and the failure is told once', async () => {
    const world = simulatedWorld()
    const { store, failures } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    await world.settle(put(store, testMessage({ body: 'before' })))
    world.disk.failOn('datasync', 1, 'EIO')

    const during = await world.settle(put(store, testMessage()))
    const after = await world.settle(put(store, testMessage()))

    expect(during.status).toBe('SERVICE_NOT_AVAILABLE')
    expect(after.status).toBe('SERVICE_NOT_AVAILABLE')
    expect(failures).toHaveLength(1)
    expect(failures[0]?.message).toContain('EIO')
    expect(store.status().readOnlyReason).toContain('EIO')
    expect(await bodiesOf(world, store)).toEqual(['before'])
    await world.settle(store.close())
    expect(world.disk.statusSync('/store/abort')).not.toBe(null)
  })

  test('after a failed interval flush ASYNC_FLUSH refuses as well', async () => {
    const world = simulatedWorld()
    const { store, failures } = await openStore(world)
    await world.settle(put(store, testMessage({ body: Buffer.alloc(4000) })))
    await world.settle(put(store, testMessage({ body: Buffer.alloc(4000) })))
    world.disk.failOn('datasync', 1, 'EIO')
    await world.time.advance(20_000)

    const after = await world.settle(put(store, testMessage()))

    expect(after.status).toBe('SERVICE_NOT_AVAILABLE')
    expect(failures).toHaveLength(1)
  })

  test('a failed write refuses the puts of its turn, and their records are gone after a restart', async () => {
    const world = simulatedWorld()
    const { store, failures } = await openStore(world)
    await world.settle(put(store, testMessage({ body: 'before' })))
    world.disk.failOn('write', 1, 'EIO')

    const [first, second] = await world.settle(
      Promise.all([put(store, testMessage()), put(store, testMessage())]),
    )

    expect([first.status, second.status]).toEqual([
      'SERVICE_NOT_AVAILABLE',
      'SERVICE_NOT_AVAILABLE',
    ])
    expect(failures).toHaveLength(1)
    world.cutPower(null)
    const reopened = (await openStore(world)).store
    expect((await bodiesOf(world, reopened)).filter((body) => body !== 'before')).toEqual([])
  })

  test.each(Array.from({ length: 40 }, (_, index) => index + 1))(
    'a fault at disk operation %i never lets an unsynced put be acknowledged',
    async (nth) => {
      for (const operation of ['write', 'datasync'] as const) {
        const world = simulatedWorld()
        const { store } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
        const acked: string[] = []
        world.disk.failOn(operation, nth, 'EIO')
        for (let index = 0; index < 30; index++) {
          const body = `${index}:${'x'.repeat(900)}`
          const result = await world.settle(put(store, testMessage({ body })))
          if (result.status === 'OK') acked.push(body)
          await world.time.advance(200)
        }
        world.cutPower(null)
        const reopened = (await openStore(world)).store

        const kept = await bodiesOf(world, reopened)

        expect(kept.slice(0, acked.length)).toEqual(acked)
      }
    },
  )
})

describe('a full disk', () => {
  test('refuses puts above the warning level, goes on serving reads, and recovers by itself', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world)
    await world.settle(put(store, testMessage({ body: 'kept' })))
    world.disk.foreignBytes = world.disk.totalBytes * 0.95
    await world.time.advance(1500)

    const refused = await world.settle(put(store, testMessage()))
    expect(refused.status).toBe('SERVICE_NOT_AVAILABLE')
    expect(refused.reason).toContain('disk is full')
    expect(await bodiesOf(world, store)).toEqual(['kept'])
    world.disk.foreignBytes = 0
    await world.time.advance(1500)

    const taken = await world.settle(put(store, testMessage({ body: 'again' })))
    expect(taken).toMatchObject({ status: 'OK', queueOffset: 1 })
  })

  test('takes back what ENOSPC kept from the file: no offset is used twice, nothing is lost', async () => {
    for (let nth = 1; nth < 12; nth++) {
      const world = simulatedWorld()
      const { store, failures } = await openStore(world)
      const acked: string[] = []
      world.disk.failOn('write', nth, 'ENOSPC')
      for (let round = 0; round < 8; round++) {
        const batches = Array.from({ length: 3 }, (_, index) =>
          Array.from({ length: 3 }, (_, part) => `${round}.${index}.${part}${'x'.repeat(1000)}`),
        )
        const results = await world.settle(
          Promise.all(
            batches.map((bodies) =>
              put(
                store,
                bodies.map((body) => testMessage({ body })),
              ),
            ),
          ),
        )
        results.forEach(({ status }, index) => {
          if (status === 'OK') acked.push(...(batches[index] ?? []))
        })
        await world.time.advance(7000)
      }

      expect(failures).toEqual([])
      expect(acked.length).toBeGreaterThan(40)
      await world.settle(store.close())
      const reopened = (await openStore(world)).store
      const kept: string[] = []
      for (let next = 0; next < reopened.maxOffsetInQueue('Orders', 0); next = kept.length) {
        const found = await world.settle(get(reopened, { queueOffset: next }))
        kept.push(...found.records.map((record) => decodeRecord(record).body.toString()))
      }
      expect(kept).toEqual(acked)
      expect(fsck({ disk: world.disk, root: '/store' }).problems).toEqual([])
    }
  })
})

describe('truncation', () => {
  test('truncate, then append, leaves what a fresh store with the same messages has', async () => {
    const sizes = fc.array(fc.nat(1800), { minLength: 1, maxLength: 25 })
    await fc.assert(
      fc.asyncProperty(sizes, sizes, fc.nat(), fc.boolean(), async (before, after, at, flushed) => {
        const world = simulatedWorld()
        const { store } = await openStore(world)
        const fresh = simulatedWorld()
        const expected = (await openStore(fresh)).store
        const send = async (
          to: World,
          into: MessageStore,
          size: number,
          name: string,
        ): Promise<number> => {
          const message = testMessage({
            queueId: size % 3,
            body: `${name}${'x'.repeat(size)}`,
            properties: { KEYS: `key${size % 7}`, TAGS: name },
          })
          return (await to.settle(put(into, message))).physicalOffsets[0] ?? -1
        }
        const cut = at % before.length
        let cutOffset = 0
        for (const [index, size] of before.entries()) {
          const offset = await send(world, store, size, `b${index}`)
          if (index === cut) cutOffset = offset
          if (index < cut) await send(fresh, expected, size, `b${index}`)
        }
        if (flushed) await world.time.advance(3000)

        store.truncateTo(cutOffset)
        for (const [index, size] of after.entries()) {
          await send(world, store, size, `a${index}`)
          await send(fresh, expected, size, `a${index}`)
        }

        const state = (of: World, from: MessageStore): unknown => ({
          queues: from
            .queues()
            .filter(({ maxOffset }) => maxOffset > 0)
            .sort((left, right) => left.queueId - right.queueId),
          end: from.status().maxPhysicalOffset,
          keys: Array.from({ length: 7 }, (_, key) =>
            from
              .queryByKey({
                ...{ topic: 'Orders', key: `key${key}`, maxMessages: 64 },
                ...{ beginTimestamp: 0, endTimestamp: Number.MAX_SAFE_INTEGER },
              })
              .records.map((record) => decodeRecord(record).body.length),
          ),
          report: fsckAfterClose(of),
        })
        await world.settle(store.close())
        await fresh.settle(expected.close())
        const [one, other] = [(await openStore(world)).store, (await openStore(fresh)).store]
        expect(state(world, one)).toEqual(state(fresh, expected === other ? expected : other))
      }),
      { numRuns: 40 },
    )
  })

  test('a log copied by raw bytes is equal, and a damaged or misplaced copy is refused', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world)
    for (let index = 0; index < 30; index++) {
      await world.settle(put(store, testMessage({ body: `${index}`.repeat(300) })))
    }
    const log = world.disk.readFileSync('/store/commitlog/00000000000000000000') ?? Buffer.alloc(0)
    const other = simulatedWorld()
    const copy = (await openStore(other)).store
    const firstSize = log.readInt32BE(0)

    expect(copy.appendBytes(log.subarray(firstSize, firstSize * 2))).toBe(false)
    const damaged = Buffer.from(log.subarray(0, firstSize * 3))
    damaged.writeUInt8(0x21, firstSize + 100)
    expect(copy.appendBytes(damaged)).toBe(false)
    expect(copy.status().maxPhysicalOffset).toBe(0)
    let at = 0
    while (log.readUInt32BE(at + 4) !== 0xcbd43194) at += log.readInt32BE(at)
    expect(copy.appendBytes(log.subarray(0, at))).toBe(true)
    expect(copy.appendBytes(log.subarray(at, at + 8))).toBe(true)

    expect(copy.status().maxPhysicalOffset).toBe(16 * 1024)
    const copied = other.disk.readFileSync('/store/commitlog/00000000000000000000')
    expect(copied?.equals(log)).toBe(true)
    expect(copy.maxOffsetInQueue('Orders', 0)).toBeGreaterThan(10)
  })
})

function fsckAfterClose(world: World): unknown {
  const { problems, records, units } = fsck({ disk: world.disk, root: '/store' })
  return { problems, records, units }
}
