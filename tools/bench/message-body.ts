/**
 * The bodies that `gantry bench` sends, so that whoever reads them can tell whether they are whole, and whether any is missing.
 *
 *   0 run 4 · 4 sender 4 · 8 sequence 8 · 16 intended time of sending, ms since 1970 as a double 8 · 24 check of these 4 · fill
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'

export const BODY_HEADER_SIZE = 28

const CHECK_AT = 24
const CHECK_SEED = 0x9e3779b9
const CHECK_FACTOR = 0x85ebca6b
const LETTERS = 26
const HIGH = 2 ** 32

/** A body of `size` bytes whose header is still empty. */
export function bodyFill(size: number): Buffer {
  assert(size >= BODY_HEADER_SIZE)
  const body = Buffer.alloc(size)
  for (let at = BODY_HEADER_SIZE; at < size; at++) body[at] = 0x61 + (at % LETTERS)
  return body
}

/** Writes the header of one message; `sentAt` in milliseconds since 1970. */
export function writeBodyHeader(
  target: Buffer,
  at: number,
  message: {
    readonly run: number
    readonly sender: number
    readonly sequence: number
    readonly sentAt: number
  },
): void {
  target.writeUInt32BE(message.run, at)
  target.writeUInt32BE(message.sender, at + 4)
  target.writeUInt32BE(Math.floor(message.sequence / HIGH), at + 8)
  target.writeUInt32BE(message.sequence % HIGH, at + 12)
  target.writeDoubleBE(message.sentAt, at + 16)
  target.writeInt32BE(checkOf(target, at), at + CHECK_AT)
}

function checkOf(source: Buffer, at: number): number {
  let check = CHECK_SEED
  for (let word = at; word < at + CHECK_AT; word += 4) {
    check = Math.imul(check ^ source.readInt32BE(word), CHECK_FACTOR)
    check ^= check >>> 15
  }
  return check | 0
}

/** Reads bodies in place; the fields tell of the last one that `read` accepted. */
export class BodyReader {
  run = 0
  sender = 0
  sequence = 0
  sentAt = 0
  #fill: Buffer = Buffer.alloc(0)

  /** 'foreign': not of this bench; 'corrupt': of this bench, but not as it was sent. */
  read(source: Buffer, at: number, size: number): 'whole' | 'foreign' | 'corrupt' {
    if (size < BODY_HEADER_SIZE || source.readInt32BE(at + CHECK_AT) !== checkOf(source, at)) {
      return 'foreign'
    }
    if (this.#fill.length < size) this.#fill = bodyFill(size)
    const from = at + BODY_HEADER_SIZE
    if (source.compare(this.#fill, BODY_HEADER_SIZE, size, from, at + size) !== 0) return 'corrupt'
    this.run = source.readUInt32BE(at)
    this.sender = source.readUInt32BE(at + 4)
    this.sequence = source.readUInt32BE(at + 8) * HIGH + source.readUInt32BE(at + 12)
    this.sentAt = source.readDoubleBE(at + 16)
    return 'whole'
  }
}

/** Whether the checksum which the broker stored beside a body is that of the body. */
export function hasStoredCrc(source: Buffer, at: number, size: number, storedCrc: number): boolean {
  return (crc32(source.subarray(at, at + size)) & 0x7fffffff) === (storedCrc & 0x7fffffff)
}
