/** Checksums of ranges of the log: reckoned by the leader, compared by a follower. */
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SimulatedTime } from '../simulation/time.ts'
import { RangeChecksums } from './range-checksums.ts'
import { openMember, testMessage } from './testing.ts'

const BASE = 1000
const TAIL = 3

/** Records of these sizes in one stream, each added by its checksum but for the last bytes; a batch ends behind each of `marked`. */
function streamOf(sizes: readonly number[], marked: readonly boolean[]) {
  const size = sizes.reduce((sum, next) => sum + next, 0)
  const bytes = Buffer.from(Array.from({ length: size }, (_, index) => (index * 37) ^ (index >> 3)))
  const checksums = new RangeChecksums()
  checksums.reset(BASE)
  const ends = [0]
  let at = 0
  for (const [index, next] of sizes.entries()) {
    const checked = at + next - TAIL
    const checksum = crc32(bytes.subarray(at, checked)) | 0
    checksums.addRecord(checksum, next - TAIL, bytes, checked, at + next)
    at += next
    if (marked[index] !== true) continue
    checksums.mark(BASE + at)
    ends.push(at)
  }
  return { bytes, checksums, ends }
}

describe('the checksum of a range', () => {
  test('is that of its bytes, wherever batches ended', () => {
    const sizes = fc.array(fc.integer({ min: TAIL, max: 200 }), { minLength: 1, maxLength: 30 })
    const marked = fc.array(fc.boolean(), { minLength: 30, maxLength: 30 })
    fc.assert(
      fc.property(sizes, marked, fc.nat(), fc.nat(), (given, marks, first, second) => {
        const { bytes, checksums, ends } = streamOf(given, marks)
        const places = [ends[first % ends.length] ?? 0, ends[second % ends.length] ?? 0]
        const from = Math.min(...places)
        const to = Math.max(...places)

        const checksum = checksums.between(BASE + from, BASE + to, to - from)

        expect(checksum).toBe(crc32(bytes.subarray(from, to)) | 0)
      }),
    )
  })

  test('is not known where no batch ended, before the start, and of what lies long ago', () => {
    const sizes = Array.from({ length: 1200 }, () => 10)
    const { checksums } = streamOf(
      sizes,
      sizes.map((_, index) => index > 0),
    )

    expect(checksums.between(BASE, BASE + 10, 10)).toBe(null)
    expect(checksums.between(0, BASE, BASE)).toBe(null)
    expect(checksums.between(BASE + 20, BASE + 30, 10)).toBe(null)
    expect(checksums.between(BASE + 11_000, BASE + 12_000, 1000)).not.toBe(null)
  })

  test('is known within a long batch too', () => {
    const checksums = new RangeChecksums()
    checksums.reset(0)
    const record = Buffer.alloc(100_000, 7)
    const checksum = crc32(record.subarray(0, record.length - TAIL)) | 0
    for (let end = record.length; end <= 2_000_000; end += record.length) {
      checksums.addRecord(
        checksum,
        record.length - TAIL,
        record,
        record.length - TAIL,
        record.length,
      )
      checksums.passed(end)
    }

    expect(checksums.lastPlace(0, 1_000_000)).toBe(900_000)
    expect(checksums.lastPlace(900_000, 1_100_000)).toBe(null)
    expect(checksums.between(0, 900_000, 900_000)).toBe(crc32(Buffer.alloc(900_000, 7)) | 0)
  })

  test('is forgotten with a reset', () => {
    const { checksums } = streamOf([10, 20], [true, true])

    checksums.reset(BASE + 10)

    expect(checksums.between(BASE, BASE + 10, 10)).toBe(null)
    expect(checksums.between(BASE + 10, BASE + 30, 20)).toBe(null)
  })
})

/** A leader that has appended turn by turn, over several segments; `ends`: where its turns ended. */
async function openLeader(time: SimulatedTime, turns: number) {
  const ends = [0]
  const store = await openMember(time, { written: (offset) => ends.push(offset) })
  for (let turn = 0; turn < turns; turn++) {
    for (let id = 0; id <= turn % 7; id++) {
      const body = Buffer.alloc((turn * 97 + id * 31) % 700, 65 + id)
      store.put(
        [testMessage({ body, properties: { KEYS: `k${turn}` } })],
        'written',
        () => undefined,
      )
    }
    await time.advance(1)
  }
  return { store, ends: [...new Set(ends)] }
}

describe('a leader', () => {
  test('knows the checksum of what it sends, over segments and pieces of the buffer', async () => {
    const time = new SimulatedTime()
    const { store, ends } = await openLeader(time, 100)
    const segments = Math.floor(store.endOffset / (16 * 1024))
    let known = 0

    for (let index = 1; index < ends.length; index++) {
      const from = ends[Math.max(0, index - 1 - (index % 3))] ?? 0
      const to = ends[index] ?? 0
      const records = await store.readRecords(from, to)
      const checksum = store.rangeChecksum(from, to, records.length)
      expect(checksum).toBe(crc32(records) | 0)
      known++
    }

    expect(segments).toBeGreaterThan(3)
    expect(known).toBeGreaterThan(90)
  })

  test('cuts what it sends where it knows the checksum', async () => {
    const time = new SimulatedTime()
    const { store } = await openLeader(time, 100)
    let pieces = 0

    for (let from = 0; from < store.endOffset; pieces++) {
      const to = store.batchEnd(from, 8000)
      expect(to).toBeGreaterThan(from)
      expect(to - from).toBeLessThanOrEqual(8000)
      const records = await store.readRecords(from, to)
      expect(store.rangeChecksum(from, to, records.length)).toBe(crc32(records) | 0)
      from = to
    }

    expect(pieces).toBeGreaterThan(15)
  })

  test('that has cut its log knows those of what came later', async () => {
    const time = new SimulatedTime()
    const { store, ends } = await openLeader(time, 10)
    const cut = ends.at(-3) ?? 0

    store.setNotLeading('another member leads')
    store.truncateTo(cut)
    store.setNotLeading(null)
    store.put([testMessage({ body: 'later' })], 'written', () => undefined)
    await time.advance(1)

    const later = await store.readRecords(cut, store.endOffset)
    const all = await store.readRecords(0, store.endOffset)
    expect(store.rangeChecksum(cut, store.endOffset, later.length)).toBe(crc32(later) | 0)
    expect(store.rangeChecksum(0, store.endOffset, all.length)).toBe(null)
  })
})

describe('a follower', () => {
  test('takes records whose checksum is the leader’s, or each by its own when it is not', async () => {
    const time = new SimulatedTime()
    const { store, ends } = await openLeader(time, 10)
    const middle = ends[5] ?? 0
    const first = Buffer.from(await store.readRecords(0, middle))
    const second = Buffer.from(await store.readRecords(middle, store.endOffset))
    const follower = await openMember(time)

    expect(follower.appendBytes(first, store.rangeChecksum(0, middle, first.length))).toBe(true)
    expect(follower.appendBytes(second, 17)).toBe(true)

    expect(follower.endOffset).toBe(store.endOffset)
  })

  test('takes nothing with a changed byte, with and without the leader’s checksum', async () => {
    const time = new SimulatedTime()
    const { store } = await openLeader(time, 3)
    const records = Buffer.from(await store.readRecords(0, store.endOffset))
    const checksum = store.rangeChecksum(0, store.endOffset, records.length)
    const follower = await openMember(time)

    for (let at = 0; at < records.length; at++) {
      const changed = Buffer.from(records)
      changed[at] = (changed[at] ?? 0) ^ 0x10
      expect(follower.appendBytes(changed, checksum)).toBe(false)
      expect(follower.appendBytes(changed, null)).toBe(false)
    }
    expect(follower.appendBytes(records.subarray(0, -1), checksum)).toBe(false)

    expect(follower.endOffset).toBe(0)
    expect(follower.appendBytes(records, checksum)).toBe(true)
  })

  test('takes no records of another place, though their checksum is right', async () => {
    const time = new SimulatedTime()
    const { store, ends } = await openLeader(time, 10)
    const middle = ends[5] ?? 0
    const second = Buffer.from(await store.readRecords(middle, store.endOffset))
    const follower = await openMember(time)

    const checksum = store.rangeChecksum(middle, store.endOffset, second.length)

    expect(checksum).toBe(crc32(second) | 0)
    expect(follower.appendBytes(second, checksum)).toBe(false)
  })
})
