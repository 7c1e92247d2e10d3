import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import type { Random } from '../common/ports.ts'
import { createManualTime } from './manual-time.ts'
import type { ManualTime } from './manual-time.ts'
import { BACK_OFF_MAX_MS, WorkQueue } from './work-queue.ts'
import type { WorkPass, WorkResult } from './work-queue.ts'

const middle: Random = { next: () => 0.5, integer: () => 0, bytes: (size) => Buffer.alloc(size) }

/** A queue whose passes end when the test says so. */
function setUp(workers = 2): {
  readonly queue: WorkQueue
  readonly time: ManualTime
  readonly started: string[]
  readonly passes: WorkPass[]
  readonly finish: (key: string, result: WorkResult | Error) => Promise<void>
} {
  const time = createManualTime()
  const started: string[] = []
  const passes: WorkPass[] = []
  const open = new Map<string, PromiseWithResolvers<WorkResult>>()
  const queue = new WorkQueue({
    work: (key) => {
      started.push(key)
      const pass = Promise.withResolvers<WorkResult>()
      open.set(key, pass)
      return pass.promise
    },
    workers,
    clock: time.clock,
    timers: time.timers,
    random: middle,
    logger: silentLogger,
    onDone: (pass) => passes.push(pass),
  })
  const finish = async (key: string, result: WorkResult | Error): Promise<void> => {
    const pass = open.get(key)
    if (pass === undefined) throw new Error(`${key} is not worked on`)
    open.delete(key)
    if (result instanceof Error) pass.reject(result)
    else pass.resolve(result)
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
  }
  return { queue, time, started, passes, finish }
}

const never: WorkResult = { requeueAfterMs: null }

test('a key that is added many times before it is worked on is worked on once', () => {
  const { queue, started } = setUp()
  for (let time = 0; time < 5; time += 1) queue.add('a')

  queue.start()

  expect(started).toEqual(['a'])
  expect(queue.depth).toBe(0)
})

test('nothing is worked on before the start', () => {
  const { queue, started } = setUp()

  queue.add('a')

  expect(started).toEqual([])
  expect(queue.depth).toBe(1)
})

test('a key that is added while it is worked on is worked on once more, afterwards', async () => {
  const { queue, started, finish } = setUp()
  queue.start()
  queue.add('a')
  queue.add('a')
  queue.add('a')
  expect(started).toEqual(['a'])

  await finish('a', never)

  expect(started).toEqual(['a', 'a'])
  await finish('a', never)
  expect(started).toEqual(['a', 'a'])
})

test('only so many keys as there are workers are worked on at a time, the others in their order', async () => {
  const { queue, started, finish } = setUp(2)
  queue.start()
  for (const key of ['a', 'b', 'c', 'd']) queue.add(key)
  expect(started).toEqual(['a', 'b'])

  await finish('b', never)

  expect(started).toEqual(['a', 'b', 'c'])
  expect(queue.depth).toBe(1)
})

test('a failed key comes back after 1, 2, 4 … seconds, and never later than 5 minutes', async () => {
  const { queue, time, started, finish } = setUp()
  queue.start()
  queue.add('a')
  const waits: number[] = []

  for (let failure = 0; failure < 12; failure += 1) {
    await finish('a', new Error('no'))
    waits.push(time.waiting[0] ?? -1)
    time.advance(time.waiting[0] ?? 0)
  }

  expect(waits.slice(0, 4)).toEqual([1_000, 2_000, 4_000, 8_000])
  expect(waits[11]).toBe(BACK_OFF_MAX_MS)
  expect(started).toHaveLength(13)
})

test('a success resets the back-off', async () => {
  const { queue, time, finish } = setUp()
  queue.start()
  queue.add('a')
  await finish('a', new Error('no'))
  time.advance(1_000)
  await finish('a', new Error('no'))
  time.advance(2_000)
  await finish('a', { requeueAfterMs: 10_000 })
  time.advance(10_000)

  await finish('a', new Error('no'))

  expect(time.waiting).toEqual([1_000])
})

test('a key comes back by itself when its result says so, and not twice when an event came first', async () => {
  const { queue, time, started, finish } = setUp()
  queue.start()
  queue.add('a')
  await finish('a', { requeueAfterMs: 10_000 })
  time.advance(9_999)
  expect(started).toHaveLength(1)

  queue.add('a')
  expect(started).toHaveLength(2)
  await finish('a', never)
  time.advance(60_000)

  expect(started).toHaveLength(2)
  expect(time.waiting).toEqual([])
})

test('an event breaks a back-off', async () => {
  const { queue, time, started, finish } = setUp()
  queue.start()
  queue.add('a')
  await finish('a', new Error('no'))

  queue.add('a')

  expect(started).toEqual(['a', 'a'])
  expect(time.waiting).toEqual([])
})

test('close waits for what is worked on and takes nothing new', async () => {
  const { queue, started, time, finish } = setUp(1)
  queue.start()
  queue.add('a')
  queue.add('b')
  let isClosed = false

  const closing = queue.close().then(() => (isClosed = true))
  queue.add('c')
  await Promise.resolve()
  expect(isClosed).toBe(false)
  await finish('a', { requeueAfterMs: 5 })
  await closing

  expect(started).toEqual(['a'])
  expect(time.waiting).toEqual([])
})

test('each pass tells how long it waited and took', async () => {
  const { queue, time, passes, finish } = setUp(1)
  queue.start()
  queue.add('a')
  queue.add('b')
  time.advance(300)
  await finish('a', never)
  time.advance(50)

  await finish('b', new Error('no'))

  expect(passes).toEqual([
    { key: 'a', result: 'done', waitedMs: 0, tookMs: 300 },
    { key: 'b', result: 'failed', waitedMs: 300, tookMs: 50 },
  ])
})
