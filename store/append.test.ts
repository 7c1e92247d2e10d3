import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RecordDraft, decodeRecord } from '../common/message-codec.ts'
import type { MessageToStore } from '../common/message.ts'
import { fsck } from './fsck.ts'
import type { MessageStore } from './message-store.ts'
import { TEST_WORLDS, get, openStore, put, simulatedWorld, testMessage } from './testing.ts'
import type { TestWorld } from './testing.ts'
import type { CommitWaiter, PutStatus } from './types.ts'

/** Notes what it is told. */
class NotingWaiter implements CommitWaiter {
  readonly told: (readonly [PutStatus, string | null])[] = []

  committed(status: PutStatus, reason: string | null): void {
    this.told.push([status, reason])
  }
}

/** Appends with a draft whose bytes are overwritten as soon as the call returns. */
function append(store: MessageStore, waiter: CommitWaiter, message: MessageToStore): PutStatus {
  const draft = new RecordDraft()
  const body = Buffer.concat([Buffer.from('<'), message.body, Buffer.from('>')])
  const properties = Buffer.concat([Buffer.from('{'), message.properties, Buffer.from('}')])
  draft.setMessage(message, Buffer.from('overwritten by append'))
  draft.body = body
  draft.bodyStart = 1
  draft.bodyEnd = body.length - 1
  draft.properties = properties
  draft.propertiesStart = 1
  draft.propertiesEnd = properties.length - 1
  const status = store.append(store.appendQueue(message.topic, message.queueId), draft, waiter)
  body.fill(0xee)
  properties.fill(0xee)
  return status
}

async function bodiesOf(
  world: TestWorld,
  store: MessageStore,
  queueId = 0,
): Promise<readonly string[]> {
  const bodies: string[] = []
  let queueOffset = 0
  while (queueOffset < store.maxOffsetInQueue('Orders', queueId)) {
    const found = await world.settle(get(store, { queueId, queueOffset }))
    bodies.push(...found.records.map((record) => decodeRecord(record).body.toString()))
    queueOffset = found.nextBeginOffset
  }
  return bodies
}

function turn(world: TestWorld): Promise<void> {
  return world.settle(new Promise((resolve) => world.runtime.timers.soon(resolve)))
}

describe.each(TEST_WORLDS)('append on the %s disk', (_kind, createWorld) => {
  test('stores the same bytes as put', async () => {
    const messages = fc.array(
      fc.record({
        queueId: fc.nat(2),
        body: fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes)),
        properties: fc.dictionary(
          fc.constantFrom('TAGS', 'KEYS', 'UNIQ_KEY', 'x'),
          fc.stringMatching(/^[a-zé ]{1,8}$/),
        ),
        sysFlag: fc.constantFrom(0, 1, 8, 12),
      }),
      { minLength: 1, maxLength: 30 },
    )
    await fc.assert(
      fc.asyncProperty(messages, async (options) => {
        const [one, other] = [createWorld(), createWorld()]
        const clock = { now: () => 1_700_000_000_000, monotonic: () => 0 }
        const appending = await openStore({ ...one, runtime: { ...one.runtime, clock } })
        const putting = await openStore({ ...other, runtime: { ...other.runtime, clock } })
        const waiter = new NotingWaiter()

        for (const message of options.map(testMessage)) {
          const result = put(putting.store, message)
          expect(append(appending.store, waiter, message)).toBe('OK')
          await turn(one)
          expect(appending.store.lastAppend).toMatchObject({
            queueOffset: (await other.settle(result)).queueOffset,
            physicalOffset: (await other.settle(result)).physicalOffsets[0],
          })
        }

        expect(waiter.told).toEqual(options.map(() => ['OK', null]))
        expect(appending.store.queues()).toEqual(putting.store.queues())
        for (const { queueId, maxOffset } of putting.store.queues()) {
          for (let queueOffset = 0; queueOffset < maxOffset; queueOffset += 8) {
            const [mine, its] = await Promise.all([
              one.settle(get(appending.store, { queueId, queueOffset, maxMessages: 8 })),
              other.settle(get(putting.store, { queueId, queueOffset, maxMessages: 8 })),
            ])
            expect(mine.body.equals(its.body)).toBe(true)
          }
        }
        await one.settle(appending.store.close())
        await other.settle(putting.store.close())
        one.cleanUp()
        other.cleanUp()
      }),
      { numRuns: 15 },
    )
  })

  test('tells a waiter once of all that it was named for in a batch, and only in a later turn', async () => {
    const world = createWorld()
    const { store } = await openStore(world)
    const [first, second] = [new NotingWaiter(), new NotingWaiter()]
    const batchNumber = store.batchNumber

    for (const body of ['a', 'b']) append(store, first, testMessage({ body }))
    for (const body of ['c', 'd']) append(store, second, testMessage({ body }))

    expect(store.batchNumber).toBe(batchNumber)
    expect([first.told, second.told]).toEqual([[], []])
    await turn(world)
    expect([first.told, second.told]).toEqual([[['OK', null]], [['OK', null]]])
    expect(store.batchNumber).toBeGreaterThan(batchNumber)
    expect(await bodiesOf(world, store)).toEqual(['a', 'b', 'c', 'd'])
    expect(store.status()).toMatchObject({ putTimesTotal: 4, putFailedTimes: 0 })
    await world.settle(store.close())
    world.cleanUp()
  })

  test('tells a waiter once also when puts and other waiters come between', async () => {
    const world = createWorld()
    const { store } = await openStore(world)
    const [first, second] = [new NotingWaiter(), new NotingWaiter()]

    append(store, first, testMessage({ body: 'a' }))
    const between = put(store, testMessage({ body: 'b' }))
    append(store, first, testMessage({ body: 'c' }))
    append(store, second, testMessage({ body: 'd' }))
    await world.settle(between)
    await turn(world)

    expect([first.told, second.told]).toEqual([[['OK', null]], [['OK', null]]])
    expect(await bodiesOf(world, store)).toEqual(['a', 'b', 'c', 'd'])
    await world.settle(store.close())
    world.cleanUp()
  })

  test('a turn larger than the buffer is written in several batches, and nothing is lost', async () => {
    const world = createWorld()
    const { store } = await openStore(world)
    const waiters: NotingWaiter[] = []
    let batchNumber = -1
    const sent = Array.from({ length: 60 }, (_, index) => `${index}:${'x'.repeat(1000)}`)

    for (const body of sent) {
      if (store.batchNumber !== batchNumber) waiters.push(new NotingWaiter())
      batchNumber = store.batchNumber
      append(store, waiters.at(-1) ?? new NotingWaiter(), testMessage({ body }))
    }
    await turn(world)

    expect(waiters.length).toBeGreaterThan(5)
    expect(waiters.map(({ told }) => told)).toEqual(waiters.map(() => [['OK', null]]))
    expect(await bodiesOf(world, store)).toEqual(sent)
    await world.settle(store.close())
    expect(fsck({ disk: world.runtime.disk, root: world.root }).problems).toEqual([])
    world.cleanUp()
  })

  test('refuses what no record can hold, and appends nothing of it', async () => {
    const world = createWorld()
    const { store } = await openStore(world)
    const waiter = new NotingWaiter()

    const statuses = [
      append(store, waiter, testMessage({ body: Buffer.alloc(4097) })),
      append(store, waiter, testMessage({ properties: { A: 'x'.repeat(32_767) } })),
      append(store, waiter, { ...testMessage(), bornTimestamp: Number.NaN }),
      append(store, waiter, { ...testMessage(), preparedTransactionOffset: 2 ** 60 }),
      append(store, waiter, testMessage({ body: 'fits' })),
    ]

    expect(statuses).toEqual([...Array.from({ length: 4 }, () => 'MESSAGE_ILLEGAL'), 'OK'])
    await turn(world)
    expect(waiter.told).toEqual([['OK', null]])
    expect(await bodiesOf(world, store)).toEqual(['fits'])
    expect(store.status()).toMatchObject({ putTimesTotal: 1, putFailedTimes: 4 })
    await world.settle(store.close())
    expect(append(store, waiter, testMessage())).toBe('SERVICE_NOT_AVAILABLE')
    world.cleanUp()
  })
})

describe('append with SYNC_FLUSH', () => {
  test('tells waiters after the sync, and serves those of a turn with one', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    const waiters = Array.from({ length: 8 }, () => new NotingWaiter())
    world.disk.holdSyncs()
    const before = world.disk.counts.datasync
    for (const waiter of waiters) append(store, waiter, testMessage())
    await world.time.settle()
    expect(waiters.flatMap(({ told }) => told)).toEqual([])

    world.disk.releaseSyncs()
    await world.time.settle()

    expect(waiters.map(({ told }) => told)).toEqual(waiters.map(() => [['OK', null]]))
    expect(world.disk.counts.datasync - before).toBe(1)
  })

  test('tells each waiter once of a sync that takes too long', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world, { flushDiskType: 'SYNC_FLUSH', syncFlushTimeout: 500 })
    const [early, late] = [new NotingWaiter(), new NotingWaiter()]
    world.disk.holdSyncs()
    append(store, early, testMessage())
    append(store, early, testMessage())
    await world.time.advance(300)
    append(store, late, testMessage())

    await world.time.advance(201)
    expect([early.told, late.told]).toEqual([[['FLUSH_DISK_TIMEOUT', 'flush timeout']], []])
    world.disk.releaseSyncs()
    await world.time.settle()

    expect([early.told.length, late.told]).toEqual([1, [['OK', null]]])
    expect(store.maxOffsetInQueue('Orders', 0)).toBe(3)
  })

  test('a failed sync is told as a failure to all who wait', async () => {
    const world = simulatedWorld()
    const { store, failures } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    const waiter = new NotingWaiter()
    world.disk.failOn('datasync', 1, 'EIO')

    append(store, waiter, testMessage())
    await world.time.settle()

    expect(waiter.told).toMatchObject([['SERVICE_NOT_AVAILABLE', expect.stringContaining('EIO')]])
    expect(failures).toHaveLength(1)
    expect(append(store, waiter, testMessage())).toBe('SERVICE_NOT_AVAILABLE')
  })
})

describe('append to a full disk', () => {
  test('takes back the batch that was not written, in its queues too, and keeps the one before', async () => {
    const world = simulatedWorld()
    const { store, failures } = await openStore(world)
    const [before, lost, after] = [new NotingWaiter(), new NotingWaiter(), new NotingWaiter()]
    append(store, before, testMessage({ body: 'before' }))
    await world.time.settle()
    world.disk.failOn('write', 1, 'ENOSPC')

    append(store, lost, testMessage({ body: 'lost' }))
    append(store, lost, testMessage({ body: 'lost', queueId: 1 }))
    expect(store.lastAppend.queueOffset).toBe(0)
    await world.time.settle()

    expect(before.told).toEqual([['OK', null]])
    expect(lost.told).toEqual([['SERVICE_NOT_AVAILABLE', 'the disk is full']])
    expect(append(store, after, testMessage())).toBe('SERVICE_NOT_AVAILABLE')
    await world.time.advance(7000)
    for (const queueId of [0, 1]) append(store, after, testMessage({ body: 'after', queueId }))
    expect(store.lastAppend.queueOffset).toBe(0)
    await world.time.settle()
    expect(await bodiesOf(world, store)).toEqual(['before', 'after'])
    expect(await bodiesOf(world, store, 1)).toEqual(['after'])
    expect(failures).toEqual([])
  })

  // Goal: whatever write fails, exactly what was told OK is there afterwards, also after a kill.
  // Method: turns larger than the buffer and the segments, with the n-th write failing; the random sizes move the borders.
  test('whichever write finds no room, what was told OK is stored and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 16 }),
        fc.array(fc.integer({ min: 1, max: 3500 }), { minLength: 40, maxLength: 70 }),
        fc.boolean(),
        async (nth, sizes, isKilled) => {
          const world = simulatedWorld()
          // Only the log is written meanwhile.
          const intervals = { flushIntervalCommitLog: 1e9, flushIntervalConsumeQueue: 1e9 }
          const { store, failures } = await openStore(world, intervals)
          const expected: string[] = []
          const writesBefore = world.disk.counts.write
          world.disk.failOn('write', nth, 'ENOSPC')
          for (let start = 0; start < sizes.length; start += 12) {
            const parts: { waiter: NotingWaiter; bodies: string[]; batchNumber: number }[] = []
            for (const [index, size] of sizes.slice(start, start + 12).entries()) {
              const body = `${start + index}:${'x'.repeat(size)}`
              let part = parts.at(-1)
              if (part?.batchNumber !== store.batchNumber) {
                const { batchNumber } = store
                part = { waiter: new NotingWaiter(), bodies: [], batchNumber }
                parts.push(part)
              }
              if (append(store, part.waiter, testMessage({ body })) === 'OK') part.bodies.push(body)
            }
            await world.time.settle()
            for (const { waiter, bodies } of parts) {
              expect(waiter.told).toHaveLength(bodies.length > 0 ? 1 : 0)
              if (waiter.told[0]?.[0] === 'OK') expected.push(...bodies)
            }
            await world.time.advance(7000)
          }
          fc.pre(world.disk.counts.write - writesBefore >= nth)

          expect(failures).toEqual([])
          expect(await bodiesOf(world, store)).toEqual(expected)
          if (isKilled) world.kill()
          else await world.settle(store.close())
          const reopened = (await openStore(world)).store
          expect(await bodiesOf(world, reopened)).toEqual(expected)
          await world.settle(reopened.close())
          expect(fsck({ disk: world.disk, root: '/store' }).problems).toEqual([])
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('append to a failing disk', () => {
  test('a failed write in the middle of a turn refuses the rest of it and ends the store', async () => {
    const world = simulatedWorld()
    const { store, failures } = await openStore(world)
    const waiter = new NotingWaiter()
    world.disk.failOn('write', 1, 'EIO')

    const statuses = Array.from({ length: 20 }, (_, index) =>
      append(store, waiter, testMessage({ body: `${index}:${'x'.repeat(1000)}` })),
    )

    expect(statuses.slice(0, 5)).toEqual(Array.from({ length: 5 }, () => 'OK'))
    expect(statuses.at(-1)).toBe('SERVICE_NOT_AVAILABLE')
    expect([waiter.told, failures]).toEqual([[], []])
    await world.time.settle()
    expect(waiter.told).toMatchObject([['SERVICE_NOT_AVAILABLE', expect.stringContaining('EIO')]])
    expect(failures).toHaveLength(1)
  })
})
