/** 64-bit big-endian integers as safe JavaScript numbers, without `bigint` (conventions §6). */
import assert from 'node:assert/strict'

const TWO_TO_32 = 0x1_0000_0000

/**
 * Reads a signed 64-bit big-endian integer.
 *
 * Values outside the safe integers come back rounded; use `isSafeInt64` first where a peer or a damaged file may have written them.
 */
export function readInt64(source: Buffer, at: number): number {
  return source.readInt32BE(at) * TWO_TO_32 + source.readUInt32BE(at + 4)
}

/** Writes a safe integer as signed 64-bit big-endian. */
export function writeInt64(target: Buffer, at: number, value: number): void {
  assert(Number.isSafeInteger(value), 'a 64-bit field holds a safe integer')
  const high = Math.floor(value / TWO_TO_32)
  target.writeInt32BE(high, at)
  target.writeUInt32BE(value - high * TWO_TO_32, at + 4)
}

/** True when the eight bytes hold an integer that a number represents exactly. */
export function isSafeInt64(source: Buffer, at: number): boolean {
  const high = source.readInt32BE(at)
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
  for (let at = start; at < end; at++) {
    const byte = source[at] ?? 0
    if (byte > 0x7f) return continueHash(seed, source.toString('utf8', start, end))
    hash = (Math.imul(hash, 31) + byte) | 0
  }
  return hash
}

function continueHash(seed: number, text: string): number {
  let hash = seed
  for (let index = 0; index < text.length; index++) {
    hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0
  }
  return hash
}
