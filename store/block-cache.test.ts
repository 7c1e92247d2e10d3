import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BlockCache } from './block-cache.ts'

const SEGMENT_SIZE = 100
const BLOCK_SIZE = 16
const MAX_BLOCKS = 6

/** A log whose reads end when the test says so. */
class SlowLog {
  bytes: number[] = []
  readonly reads: (() => void)[] = []
  readonly offsets: number[] = []
  readonly cache: BlockCache
  now = 0

  constructor(blocksAhead = 2) {
    this.cache = new BlockCache({
      segmentSize: SEGMENT_SIZE,
      blockSize: BLOCK_SIZE,
      maxBlocks: MAX_BLOCKS,
      maxLoading: 2,
      blocksAhead,
      farBlocks: 3,
      now: () => this.now,
      endOffset: () => this.bytes.length,
      read: (target, length, offset) => this.#read(target, length, offset),
    })
  }

  #read(target: Buffer, length: number, offset: number): Promise<number> {
    this.offsets.push(offset)
    const { promise, resolve } = Promise.withResolvers<number>()
    this.reads.push(() => {
      const part = this.bytes.slice(offset, offset + length)
      Buffer.from(part).copy(target)
      resolve(part.length)
    })
    return promise
  }

  append(count: number, seed: number): void {
    for (let index = 0; index < count; index++) this.bytes.push((seed * 31 + index * 7) & 0xff)
  }

  /** Ends the reads under way, and those that follow from them. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 50; turn++) {
      for (const end of this.reads.splice(0)) end()
      await Promise.resolve()
    }
  }

  /** Loads the block of an offset, and what is read ahead with it. */
  async load(offset: number): Promise<void> {
    this.cache.load(offset, null)
    await this.settle()
  }

  /** What the cache has from an offset on; null when it has nothing. */
  held(offset: number): readonly number[] | null {
    const { cache } = this
    return cache.find(offset) ? [...cache.bytes.subarray(cache.at, cache.end)] : null
  }
}

test('a block that was asked for is there when its read has ended', async () => {
  const log = new SlowLog()
  log.append(40, 1)
  let done = 0

  log.cache.load(20, () => done++)
  const before = log.held(20)
  await log.settle()

  expect([before, done]).toEqual([null, 1])
  expect(log.held(20)).toEqual(log.bytes.slice(20, 32))
})

test('one read serves all who wait for its block', async () => {
  const log = new SlowLog()
  log.append(40, 1)
  let done = 0

  for (const offset of [16, 20, 31]) log.cache.load(offset, () => done++)
  await log.settle()

  expect([done, log.offsets]).toEqual([3, [16]])
})

test('a reader that goes on to the next block finds those behind it on their way', async () => {
  const log = new SlowLog()
  log.append(96, 1)
  await log.load(0)
  log.held(0)

  await log.load(16)

  expect(log.offsets).toEqual([0, 16, 32, 48])
})

test('nothing is read ahead for a reader that is far ahead of another, until that one has caught up or reads no more', async () => {
  const log = new SlowLog()
  log.append(100, 1)
  await log.load(0)
  log.held(0)
  await log.load(16)
  log.held(16)
  await log.settle()

  log.now = 100
  log.held(0)
  log.held(32)
  await log.settle()
  const near = [...log.offsets]
  log.held(0)
  log.held(48)
  await log.settle()
  const far = [...log.offsets]
  log.now = 200
  log.held(32)
  log.held(48)
  await log.settle()

  expect(near).toEqual([0, 16, 32, 48, 64])
  expect(far).toEqual(near)
  expect(log.offsets).toEqual([0, 16, 32, 48, 64, 80])
})

test('blocks end with their segment', async () => {
  const log = new SlowLog()
  log.append(150, 1)

  log.cache.load(99, null)
  await log.load(100)

  expect(log.held(99)).toEqual(log.bytes.slice(99, 100))
  expect(log.held(100)).toEqual(log.bytes.slice(100, 116))
})

test('the end of the log is read again once it has grown', async () => {
  const log = new SlowLog()
  log.append(20, 1)
  await log.load(16)
  log.append(10, 2)
  const before = log.held(22)

  await log.load(22)

  expect(before).toBeNull()
  expect(log.held(22)).toEqual(log.bytes.slice(22, 30))
})

test('a failed read leaves nothing behind, and tells who waits', async () => {
  let done = 0
  const cache = new BlockCache({
    segmentSize: SEGMENT_SIZE,
    blockSize: BLOCK_SIZE,
    maxBlocks: MAX_BLOCKS,
    maxLoading: 2,
    blocksAhead: 2,
    farBlocks: 3,
    now: () => 0,
    endOffset: () => 50,
    read: () => Promise.reject(new Error('EIO')),
  })

  cache.load(0, () => done++)
  await new Promise((resolve) => setImmediate(resolve))

  expect([done, cache.find(0), cache.allocatedBytes]).toEqual([1, false, BLOCK_SIZE])
})

test('memory that nobody used between two calls is given back', async () => {
  const log = new SlowLog()
  log.append(40, 1)
  await log.load(0)
  log.cache.trim()
  const used = log.cache.allocatedBytes

  log.cache.trim()

  expect([used, log.cache.allocatedBytes, log.held(0)]).toEqual([BLOCK_SIZE, 0, null])
})

// Goal: never a wrong byte, never more memory than allowed, nobody waits for ever. Method: random histories, with reads that end late or
// after the log was cut and written anew, against the log itself.
test('what is found is what the log holds, whatever happens meanwhile', async () => {
  const offset = fc.nat(260)
  const step = fc.oneof(
    fc.record({ type: fc.constantFrom('load', 'load', 'find', 'truncate'), offset }),
    fc.record({ type: fc.constantFrom('append', 'settle', 'settle', 'trim'), offset }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const log = new SlowLog()
      let asked = 0
      let told = 0
      for (const [index, { type, offset: at }] of steps.entries()) {
        if (type === 'append') log.append(at, index)
        else if (type === 'settle') await log.settle()
        else if (type === 'trim') log.cache.trim()
        else if (type === 'truncate' && at < log.bytes.length) {
          log.bytes.length = at
          log.cache.drop(at)
        } else if (type === 'load' && at < log.bytes.length) {
          asked++
          log.cache.load(at, () => told++)
        }
        const held = at < log.bytes.length ? log.held(at) : null
        if (held !== null) expect(held).toEqual(log.bytes.slice(at, at + held.length))
        expect(log.cache.allocatedBytes).toBeLessThanOrEqual(MAX_BLOCKS * BLOCK_SIZE)
      }
      await log.settle()
      expect(told).toBe(asked)
    }),
    { numRuns: 300 },
  )
})
