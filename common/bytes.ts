/** 64-bit big-endian integers as safe JavaScript numbers, without `bigint` (conventions §6). */
import assert from 'node:assert/strict'

const TWO_TO_32 = 0x1_0000_0000

/**
 * Reads a signed 64-bit big-endian integer that lies within the buffer: plain loads, for hot paths.
 *
 * Values outside the safe integers come back rounded; use `isSafeInt64` first where a peer or a damaged file may have written them.
 */
export function readInt64(source: Buffer, at: number): number {
  return readInt32(source, at) * TWO_TO_32 + (readInt32(source, at + 4) >>> 0)
}

/** Reads a signed 32-bit big-endian integer that lies within the buffer: plain loads, for hot paths. */
export function readInt32(source: Buffer, at: number): number {
  return (
    ((source[at] ?? 0) << 24) |
    ((source[at + 1] ?? 0) << 16) |
    ((source[at + 2] ?? 0) << 8) |
    (source[at + 3] ?? 0)
  )
}

/** Writes a safe integer as signed 64-bit big-endian. */
export function writeInt64(target: Buffer, at: number, value: number): void {
  if (!Number.isSafeInteger(value)) assert.fail('a 64-bit field holds a safe integer')
  const high = Math.floor(value / TWO_TO_32)
  const low = value - high * TWO_TO_32
  target[at] = high >>> 24
  target[at + 1] = high >>> 16
  target[at + 2] = high >>> 8
  target[at + 3] = high
  target[at + 4] = low >>> 24
  target[at + 5] = low >>> 16
  target[at + 6] = low >>> 8
  target[at + 7] = low
}

/** Writes the lowest 32 bits of an integer, big-endian. Plain byte stores: no call and no range check that a hot path would pay for. */
export function writeInt32(target: Buffer, at: number, value: number): void {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

/** Copies `source[start, end)` to `at`; returns how many. A loop for a few bytes, where a call of `Buffer.copy` costs more. */
export function copyBytes(
  source: Buffer,
  start: number,
  end: number,
  target: Buffer,
  at: number,
): number {
  if (end - start > COPY_LOOP_MAX) return source.copy(target, at, start, end)
  for (let index = start; index < end; index++) target[at + index - start] = source[index] ?? 0
  return end - start
}

const COPY_LOOP_MAX = 40

/** True when the eight bytes, which lie within the buffer, hold an integer that a number represents exactly. */
export function isSafeInt64(source: Buffer, at: number): boolean {
  const high = readInt32(source, at)
  return high < 0x20_0000 && high >= -0x20_0000
}

/** Java's `String.hashCode`: s[0]·31^(n−1) + …, 32-bit wrap, over UTF-16 units. */
export function javaHashCode(text: string): number {
  return continueHash(0, text)
}

/**
 * `javaHashCode` of UTF-8 text in `[start, end)`, without making a string for ASCII. `seed` is the hash of what comes before it:
 * the hash of `a` as seed gives the hash of `a` followed by this text.
 */
export function javaHashCodeOfUtf8(
  source: Buffer,
  start: number,
  end: number,
  seed: number = 0,
): number {
  let hash = seed
  let seen = 0
  let at = start
  // Four at a time: one multiplication waits for the other only once in four bytes.
  for (const last = end - 4; at <= last; at += 4) {
    const first = source[at] ?? 0
    const second = source[at + 1] ?? 0
    const third = source[at + 2] ?? 0
    const fourth = source[at + 3] ?? 0
    seen |= first | second | third | fourth
    hash =
      (Math.imul(hash, 923_521) +
        (Math.imul(first, 29_791) + Math.imul(second, 961) + Math.imul(third, 31) + fourth)) |
      0
  }
  for (; at < end; at++) {
    const byte = source[at] ?? 0
    seen |= byte
    hash = (Math.imul(hash, 31) + byte) | 0
  }
  return seen > 0x7f ? continueHash(seed, source.toString('utf8', start, end)) : hash
}

function continueHash(seed: number, text: string): number {
  let hash = seed
  for (let index = 0; index < text.length; index++) {
    hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0
  }
  return hash
}
