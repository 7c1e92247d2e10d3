/**
 * CRC-32 (that of zlib and `java.util.zip.CRC32`) of ranges of bytes, and of ranges laid end to end.
 *
 * A call of `zlib.crc32` costs about as much as 300 bytes of the tables here, so small ranges never leave JavaScript. The checksum of A
 * followed by B comes from those of both: who needs that of a part and that of the whole reads each byte once.
 */
import { crc32 } from 'node:zlib'

/** Ranges shorter than this are cheaper by tables. */
const NATIVE_SIZE_MIN = 300

/** Reflected, as CRC-32 goes from the lowest bit. */
const POLYNOMIAL = 0xedb88320 | 0

/** Eight tables of 256: what a byte does to the checksum when 0 to 7 bytes follow it (slicing by 8). */
const TABLES = slicingTables()

const POWERS = 4096
/** `x^(8·index)`, and that to the power of `POWERS`. */
const SMALL_POWERS = powersOf(0x0080_0000)
const LARGE_POWERS = powersOf(multiply(SMALL_POWERS[POWERS - 1] ?? 0, SMALL_POWERS[1] ?? 0))

/** Checksum of `source[start, end)`, as a signed 32-bit integer. */
export function crc32Of(source: Buffer, start: number, end: number): number {
  if (end - start >= NATIVE_SIZE_MIN) return crc32(source.subarray(start, end)) | 0
  const tables = TABLES
  let crc = -1
  let at = start
  for (const last = end - 8; at <= last; at += 8) {
    // Written out: in helper functions it is more than V8 inlines.
    crc =
      (tables[1792 + ((crc ^ (source[at] ?? 0)) & 0xff)] ?? 0) ^
      (tables[1536 + (((crc >>> 8) ^ (source[at + 1] ?? 0)) & 0xff)] ?? 0) ^
      (tables[1280 + (((crc >>> 16) ^ (source[at + 2] ?? 0)) & 0xff)] ?? 0) ^
      (tables[1024 + ((crc >>> 24) ^ (source[at + 3] ?? 0))] ?? 0) ^
      (tables[768 + (source[at + 4] ?? 0)] ?? 0) ^
      (tables[512 + (source[at + 5] ?? 0)] ?? 0) ^
      (tables[256 + (source[at + 6] ?? 0)] ?? 0) ^
      (tables[source[at + 7] ?? 0] ?? 0)
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ (tables[(crc ^ (source[at] ?? 0)) & 0xff] ?? 0)
  return ~crc
}

/** Checksum of what `crc` is that of, followed by a few bytes. */
export function continueCrc32(crc: number, source: Buffer, start: number, end: number): number {
  let state = ~crc
  for (let at = start; at < end; at++) {
    state = (state >>> 8) ^ (TABLES[(state ^ (source[at] ?? 0)) & 0xff] ?? 0)
  }
  return ~state
}

/** Checksum of A followed by B, from their checksums and the length of B. */
export function combineCrc32(first: number, second: number, secondLength: number): number {
  return multiply(powerOf(secondLength), first) ^ second
}

/** `x^(8·length)` modulo the polynomial: by this a checksum is multiplied when `length` bytes follow. */
function powerOf(length: number): number {
  const low = SMALL_POWERS[length % POWERS] ?? 0
  const blocks = Math.floor(length / POWERS)
  if (blocks === 0) return low
  const high = blocks < POWERS ? (LARGE_POWERS[blocks] ?? 0) : hugePower(blocks)
  return length % POWERS === 0 ? high : multiply(high, low)
}

/** Product of two polynomials modulo that of CRC-32. */
function multiply(first: number, second: number): number {
  let product = 0
  let factor = second
  for (let bits = first; bits !== 0; bits <<= 1) {
    product ^= factor & (bits >> 31)
    factor = (factor >>> 1) ^ (POLYNOMIAL & -(factor & 1))
  }
  return product
}

/** Powers of `factor`, from the 0th on. */
function powersOf(factor: number): Int32Array {
  const powers = new Int32Array(POWERS)
  let power = 0x8000_0000 | 0
  for (let index = 0; index < POWERS; index++) {
    powers[index] = power
    power = multiply(factor, power)
  }
  return powers
}

/** For more than `POWERS` blocks, by squaring. */
function hugePower(blocks: number): number {
  let power = 0x8000_0000 | 0
  let square = LARGE_POWERS[1] ?? 0
  for (let rest = blocks; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) power = multiply(square, power)
    square = multiply(square, square)
  }
  return power
}

function slicingTables(): Int32Array {
  const tables = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (POLYNOMIAL & -(crc & 1))
    tables[byte] = crc
  }
  for (let at = 256; at < tables.length; at++) {
    const before = tables[at - 256] ?? 0
    tables[at] = (before >>> 8) ^ (tables[before & 0xff] ?? 0)
  }
  return tables
}
