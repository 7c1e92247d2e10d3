import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeRecord } from '../common/message-codec.ts'
import { SeededRandom } from '../simulation/random.ts'
import { StoreError } from './errors.ts'
import { readCheckpoint } from './checkpoint.ts'
import { fsck } from './fsck.ts'
import type { MessageStore } from './message-store.ts'
import { get, openStore, put, simulatedWorld, testMessage } from './testing.ts'
import type { StoreConfig } from './types.ts'

type World = ReturnType<typeof simulatedWorld>

const LOG = '/store/commitlog/00000000000000000000'

async function bodiesOf(
  world: World,
  store: MessageStore,
  queueId = 0,
): Promise<readonly string[]> {
  const bodies: string[] = []
  let next = store.minOffsetInQueue('Orders', queueId)
  while (next < store.maxOffsetInQueue('Orders', queueId)) {
    const found = await world.settle(get(store, { queueId, queueOffset: next }))
    expect(found.status).toBe('FOUND')
    for (const record of found.records) bodies.push(decodeRecord(record).body.toString())
    next = found.nextBeginOffset
  }
  return bodies
}

function expectSound(world: World): void {
  expect(fsck({ disk: world.disk, root: '/store' }).problems).toEqual([])
}

async function failureOf(world: World, overrides: Partial<StoreConfig> = {}): Promise<StoreError> {
  try {
    await openStore(world, overrides)
  } catch (error) {
    if (error instanceof StoreError) return error
    throw error
  }
  throw new Error('the store opened')
}

describe('recovery', () => {
  test('after a kill finds every acknowledged message, whenever the kill comes', async () => {
    await fc.assert(
      fc.asyncProperty(historyOf(), fc.nat(), async (steps, seed) => {
        await replayHistory(steps, seed, { flushDiskType: 'ASYNC_FLUSH' }, 'kill')
      }),
      { numRuns: 60 },
    )
  })

  test('after a power cut with SYNC_FLUSH finds every acknowledged message, whatever unsynced bytes survived', async () => {
    await fc.assert(
      fc.asyncProperty(historyOf(), fc.nat(), async (steps, seed) => {
        await replayHistory(steps, seed, { flushDiskType: 'SYNC_FLUSH' }, 'powerCut')
      }),
      { numRuns: 100 },
    )
  })

  test('after a power cut with ASYNC_FLUSH leaves a prefix, and all that was flushed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 120 }), async (seed, count) => {
        const world = simulatedWorld()
        const { store } = await openStore(world)
        const sent: string[] = []
        for (let index = 0; index < count; index++) {
          sent.push(`${index}-${'x'.repeat(index % 300)}`)
          await world.settle(put(store, testMessage({ body: sent[index] ?? '' })))
          if (index % 40 === 39) await world.time.advance(1100)
        }
        const flushed = store.status().flushedOffset
        world.cutPower(new SeededRandom(seed))

        const reopened = (await openStore(world)).store

        const kept = await bodiesOf(world, reopened)
        expect(kept).toEqual(sent.slice(0, kept.length))
        expect(reopened.status().maxPhysicalOffset).toBeGreaterThanOrEqual(flushed)
        await world.settle(reopened.close())
        expectSound(world)
      }),
      { numRuns: 60 },
    )
  })

  // Goal: nothing is told to be on disk that is only in the page cache. Method: the kernel forgets what a failed sync could not write.
  test('puts on disk what a sync failed for before the process ended', async () => {
    const world = simulatedWorld()
    const config = { flushDiskType: 'SYNC_FLUSH' } as const
    const { store } = await openStore(world, config)
    // Several pages of them, since recovery touches the last one.
    const bodies = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(3000))
    const messages = bodies.map((body) => testMessage({ body }))
    world.disk.failOn('datasync', 1, 'EIO')
    await world.settle(put(store, messages))
    world.kill()
    const { store: second } = await openStore(world, config)
    expect(await bodiesOf(world, second)).toEqual(bodies)

    world.cutPower(null)

    const { store: third } = await openStore(world, config)
    expect(await bodiesOf(world, third)).toEqual(bodies)
  })

  test('cuts a tail torn at any byte, and the next message takes its place', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world)
    await world.settle(put(store, testMessage({ body: 'whole' })))
    await world.settle(store.close())
    const start = store.status().maxPhysicalOffset
    const next = (await openStore(world)).store
    await world.settle(put(next, testMessage({ body: 'torn', properties: { KEYS: 'k' } })))
    const end = next.status().maxPhysicalOffset
    world.kill()
    const image = world.disk.readFileSync(LOG) ?? Buffer.alloc(0)

    for (let cut = start; cut < end; cut++) {
      const torn = Buffer.from(image)
      torn.fill(0, cut)
      world.disk.openSync(LOG, 'write').writeSync(torn, 0, torn.length, 0)
      const reopened = (await openStore(world)).store
      expect(await bodiesOf(world, reopened)).toEqual(['whole'])
      const result = await world.settle(put(reopened, testMessage({ body: 'after' })))
      expect(result).toMatchObject({ queueOffset: 1, physicalOffsets: [start] })
      expect(await bodiesOf(world, reopened)).toEqual(['whole', 'after'])
      reopened.truncateTo(start)
      world.kill()
    }
  })

  test('does not bring back a record that stood beyond the cut', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world)
    for (const body of ['aaaa', 'bbbb', 'cccc'])
      await world.settle(put(store, testMessage({ body })))
    const second = store.status().maxPhysicalOffset / 3
    world.kill()
    world.disk.corrupt(LOG, second + 30, 0xff)
    const reopened = (await openStore(world)).store
    expect(await bodiesOf(world, reopened)).toEqual(['aaaa'])
    await world.settle(put(reopened, testMessage({ body: 'dddd' })))

    world.kill()

    const again = (await openStore(world)).store
    expect(await bodiesOf(world, again)).toEqual(['aaaa', 'dddd'])
  })

  test('refuses to start at a bad record in the middle, naming file and offset', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    for (let index = 0; index < 6; index++) await world.settle(put(store, testMessage()))
    await world.time.advance(500)
    world.kill()
    world.disk.corrupt(LOG, 60, 0x10)

    const failure = await failureOf(world)

    expect(failure.code).toBe('corrupt')
    expect(failure.message).toContain(`${LOG}: badCrc at offset 0`)
    expect(fsck({ disk: world.disk, root: '/store' }).problems[0]).toContain('badCrc at offset 0')
  })

  // Goal: one write of the checkpoint for many syncs costs nothing but its age. Method: syncs within 100 ms, a power cut after the last.
  test('goes by a checkpoint that is older than the last syncs, and loses none of what they acknowledged', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    const checkpoint = () => readCheckpoint(world.disk, '/store/checkpoint')?.flushedOffset
    await world.time.advance(100)
    await world.settle(put(store, testMessage({ body: 'first' })))
    const afterFirst = store.status().flushedOffset
    for (const body of ['second', 'third']) await world.settle(put(store, testMessage({ body })))
    const afterThird = store.status().flushedOffset
    expect(checkpoint()).toBe(afterFirst)
    world.cutPower(null)

    const reopened = (await openStore(world, { flushDiskType: 'SYNC_FLUSH' })).store

    expect(await bodiesOf(world, reopened)).toEqual(['first', 'second', 'third'])
    expect(reopened.status().flushedOffset).toBe(afterThird)
    await world.settle(put(reopened, testMessage({ body: 'fourth' })))
    await world.time.advance(500)
    expect(checkpoint()).toBe(reopened.status().flushedOffset)
  })

  test('refuses a log that ends before what the checkpoint knows to have been on disk', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world, { flushDiskType: 'SYNC_FLUSH' })
    for (let index = 0; index < 3; index++) await world.settle(put(store, testMessage()))
    const end = store.status().flushedOffset
    await world.time.advance(500)
    world.kill()
    world.disk.corrupt(LOG, end - 3, 0x10)

    const failure = await failureOf(world)

    expect(failure.code).toBe('corrupt')
    expect(failure.message).toContain(LOG)
    expect(failure.message).toContain(`everything below ${end} was on disk`)
  })

  test('refuses a log with a missing file in the middle', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world)
    for (let index = 0; index < 30; index++) {
      await world.settle(put(store, testMessage({ body: 'x'.repeat(2000) })))
    }
    await world.settle(store.close())
    world.disk.removeSync('/store/commitlog/00000000000000016384')

    const failure = await failureOf(world)

    expect(failure.code).toBe('corrupt')
    expect(failure.message).toContain('16384')
  })

  test.each([
    '/store/consumequeue',
    '/store/consumequeue/Orders/0/00000000000000000000',
    '/store/index',
    '/store/checkpoint',
    '/store/abort',
  ])('builds anew what depends on %s when it is gone after a kill', async (path) => {
    const world = simulatedWorld()
    const { store } = await openStore(world)
    const sent = Array.from({ length: 70 }, (_, index) => `m${index}`)
    for (const body of sent) {
      await world.settle(put(store, testMessage({ body, properties: { KEYS: body } })))
    }
    await world.time.advance(3000)
    world.kill()
    world.disk.removeSync(path)
    world.disk.removeSync('/store/checkpoint')

    const reopened = (await openStore(world)).store

    expect(await bodiesOf(world, reopened)).toEqual(sent)
    const { records } = reopened.queryByKey({
      topic: 'Orders',
      key: 'm3',
      maxMessages: 5,
      beginTimestamp: 0,
      endTimestamp: Number.MAX_SAFE_INTEGER,
    })
    expect(records).toHaveLength(1)
    await world.settle(reopened.close())
    expectSound(world)
  })

  test('builds the queues anew when one has lost units that the checkpoint counts on', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world)
    const sent = Array.from({ length: 70 }, (_, index) => `m${index}`)
    for (const body of sent) await world.settle(put(store, testMessage({ body })))
    await world.time.advance(3000)
    await world.settle(put(store, testMessage({ body: 'last' })))
    world.kill()
    world.disk.removeSync('/store/consumequeue/Orders/0/00000000000000001000')

    const reopened = (await openStore(world)).store

    expect(await bodiesOf(world, reopened)).toEqual([...sent, 'last'])
  })

  // Goal: many files never hold up a start. Method: the folder's removal is under way when the process is killed, and again in the next start.
  test('puts queues that are built anew aside, and removes them when the store is open', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world)
    const sent = Array.from({ length: 70 }, (_, index) => `m${index}`)
    for (const body of sent) await world.settle(put(store, testMessage({ body })))
    await world.time.advance(3000)
    world.kill()
    world.disk.removeSync('/store/consumequeue/Orders/0/00000000000000001000')
    const folders = () =>
      world.disk
        .listSync('/store')
        .flatMap(({ name }) => (name.startsWith('consume') ? [name] : []))
    world.disk.failOn('remove', 1, 'EIO')

    const second = (await openStore(world)).store
    await world.time.advance(3000)

    expect(folders()).toEqual(['consumequeue', 'consumequeue.removed-1'])
    expect(await bodiesOf(world, second)).toEqual(sent)
    world.kill()
    const third = (await openStore(world)).store
    await world.time.settle()
    expect(folders()).toEqual(['consumequeue'])
    expect(await bodiesOf(world, third)).toEqual(sent)
    await world.settle(third.close())
    expectSound(world)
  })

  test('a unit that points astray stops the store, and the next start repairs it', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world)
    for (const body of ['a', 'b', 'c']) await world.settle(put(store, testMessage({ body })))
    await world.settle(store.close())
    world.disk.corrupt('/store/consumequeue/Orders/0/00000000000000000000', 20 + 7, 0x01)
    const { store: damaged, failures } = await openStore(world)

    const found = await world.settle(get(damaged, { queueOffset: 1 }))

    expect(found.records).toEqual([])
    expect(failures).toHaveLength(1)
    world.kill()
    const repaired = (await openStore(world)).store
    expect(await bodiesOf(world, repaired)).toEqual(['a', 'b', 'c'])
  })
})

interface Step {
  readonly type: 'put' | 'advance' | 'crash' | 'restart'
  readonly queueId: number
  readonly count: number
  readonly size: number
}

function historyOf(): fc.Arbitrary<readonly Step[]> {
  return fc.array(
    fc.record({
      type: fc.constantFrom('put', 'put', 'put', 'put', 'advance', 'crash', 'restart'),
      queueId: fc.nat(2),
      count: fc.integer({ min: 1, max: 12 }),
      size: fc.integer({ min: 0, max: 1500 }),
    }),
    { minLength: 5, maxLength: 40 },
  )
}

/** Puts, lets time pass, crashes and restarts; after every start all acknowledged messages must be there, in order, exactly once. */
async function replayHistory(
  steps: readonly Step[],
  seed: number,
  config: Partial<StoreConfig>,
  crash: 'kill' | 'powerCut',
): Promise<void> {
  const world = simulatedWorld()
  const random = new SeededRandom(seed)
  let { store } = await openStore(world, config)
  const acked: string[][] = [[], [], []]
  let number = 0
  const checkAll = async (): Promise<void> => {
    for (const queueId of [0, 1, 2]) {
      const found = await bodiesOf(world, store, queueId)
      const mine = acked[queueId] ?? []
      // Messages of puts that were never answered may be there too, behind or between.
      expect(found.filter((body) => mine.includes(body))).toEqual(mine)
      expect(new Set(found).size).toBe(found.length)
    }
  }
  for (const step of steps) {
    const { queueId, count, size } = step
    if (step.type === 'put') {
      const bodies = Array.from({ length: count }, () => `${number++}:${'x'.repeat(size)}`)
      for (const body of bodies) {
        const message = testMessage({ queueId, body, properties: { KEYS: `k${number}` } })
        store.put([message], 'inTime', ({ status }) => {
          expect(status).toBe('OK')
          acked[queueId]?.push(body)
        })
      }
      // Some puts are cut off before the end of their turn, or before their sync.
      if (random.integer(4) > 0) await world.time.settle()
    } else if (step.type === 'advance') {
      await world.time.advance(random.integer(2500))
    } else if (step.type === 'crash') {
      if (crash === 'kill') world.kill()
      else world.cutPower(random)
      store = (await openStore(world, config)).store
      await checkAll()
    } else {
      await world.settle(store.close())
      expectSound(world)
      store = (await openStore(world, config)).store
      await checkAll()
    }
  }
  await world.settle(store.close())
  expectSound(world)
}
