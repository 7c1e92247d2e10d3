import { beforeEach, expect, test } from 'vitest'
import { SimulatedTime } from '../simulation/time.ts'
import { ReadPace } from './read-pace.ts'
import { UnitWindows } from './unit-windows.ts'
import type { UnitSource } from './unit-windows.ts'

const UNIT_SIZE = 20

let time: SimulatedTime
let clock: { now: () => number; monotonic: () => number }
let slowness: number
let elapsed: number
let windows: UnitWindows

beforeEach(() => {
  time = new SimulatedTime()
  slowness = 0
  elapsed = 0
  clock = { now: () => time.now(), monotonic: () => time.monotonic() + elapsed }
  windows = new UnitWindows(new ReadPace(clock))
})

/** A queue whose n-th unit is n in each byte, all of them in files. */
class Units implements UnitSource {
  readonly memoryStart: number
  syncReads = 0
  reads = 0

  constructor(count: number) {
    this.memoryStart = count
  }

  readUnits(queueOffset: number, count: number, target: Buffer): number {
    this.syncReads++
    elapsed += slowness
    return this.#fill(queueOffset, count, target)
  }

  readFile(queueOffset: number, count: number, target: Buffer): Promise<number> {
    this.reads++
    return Promise.resolve(this.#fill(queueOffset, count, target))
  }

  #fill(queueOffset: number, count: number, target: Buffer): number {
    for (let index = 0; index < count; index++) {
      target.fill((queueOffset + index) & 0xff, index * UNIT_SIZE, (index + 1) * UNIT_SIZE)
    }
    return count
  }
}

function unitAt(queue: UnitSource, queueOffset: number): number | null {
  return windows.find(queue, queueOffset) ? (windows.bytes[windows.at] ?? -1) : null
}

test('one read serves all units of a window', () => {
  const queue = new Units(3000)

  const found = [0, 1, 500, 1023].map((queueOffset) => unitAt(queue, queueOffset))

  expect(found).toEqual([0, 1, 500 & 0xff, 1023 & 0xff])
  expect(queue.syncReads).toBe(1)
})

test('a window says how many units are left in it', () => {
  const queue = new Units(1500)

  windows.find(queue, 1000)
  const atEnd = windows.count
  windows.find(queue, 1100)

  expect([atEnd, windows.count]).toEqual([500, 400])
})

test('readers at different places of a queue do not disturb each other', () => {
  const queue = new Units(100_000)

  for (let step = 0; step < 10; step++) {
    unitAt(queue, step)
    unitAt(queue, 50_000 + step)
  }

  expect(queue.syncReads).toBe(2)
})

test('more queues than windows are read all the same', () => {
  const queues = Array.from({ length: 600 }, () => new Units(10))

  const found = queues.map((queue) => unitAt(queue, 3))

  expect(new Set(found)).toEqual(new Set([3]))
})

test('after two slow reads the next one happens off the event loop, for a second', async () => {
  const queue = new Units(100_000)
  slowness = 5
  const slow = [unitAt(queue, 0), unitAt(queue, 5000)]

  const missed = unitAt(queue, 2000)
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const isLoading = windows.load(queue, 2000, () => resolve(undefined))
  await promise
  const loaded = unitAt(queue, 2001)
  elapsed += 1000
  const again = unitAt(queue, 9000)

  expect([slow, missed, isLoading, loaded]).toEqual([[0, 5000 & 0xff], null, true, 2001 & 0xff])
  expect([again, queue.reads, queue.syncReads]).toEqual([9000 & 0xff, 1, 3])
})

test('one slow read among many quick ones changes nothing', () => {
  const queue = new Units(10_000_000)

  for (let round = 0; round < 100; round++) {
    slowness = round % 20 === 0 ? 5 : 0
    unitAt(queue, round * 5000)
  }

  expect(queue.syncReads).toBe(100)
})

test('what is being read when queues are cut is not believed', async () => {
  const queue = new Units(100_000)
  slowness = 5
  unitAt(queue, 0)
  unitAt(queue, 5000)
  const { promise, resolve } = Promise.withResolvers<undefined>()
  windows.load(queue, 2000, () => resolve(undefined))

  windows.drop()
  await promise

  expect([unitAt(queue, 0), unitAt(queue, 2000)]).toEqual([null, null])
})
