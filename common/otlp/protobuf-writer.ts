/** Writes protobuf messages field by field, as proto3 does: numbers of 0 and empty texts are left out where the definition lets them. */
import assert from 'node:assert/strict'

const VARINT = 0
const FIXED64 = 1
const LENGTH_DELIMITED = 2

const FIRST_SIZE = 4096
/** Of a 32-bit number. */
const VARINT_MAX = 5

export class ProtobufWriter {
  #bytes = Buffer.allocUnsafe(FIRST_SIZE)
  #length = 0

  /** What has been written; the writer begins anew. */
  finish(): Buffer {
    const bytes = this.#bytes.subarray(0, this.#length)
    this.#bytes = Buffer.allocUnsafe(FIRST_SIZE)
    this.#length = 0
    return bytes
  }

  /** A whole number below 2^31: `uint32`, `bool` and enumerations. */
  uint32(field: number, value: number): void {
    if (value === 0) return
    this.#tag(field, VARINT)
    this.#varint(value)
  }

  string(field: number, value: string): void {
    if (value === '') return
    const size = Buffer.byteLength(value)
    this.#tag(field, LENGTH_DELIMITED)
    this.#varint(size)
    this.#reserve(size)
    this.#length += this.#bytes.write(value, this.#length)
  }

  fixed64(field: number, value: bigint): void {
    if (value === 0n) return
    this.#tag(field, FIXED64)
    this.#fixed64(value)
  }

  /** Also when it is 0: for members of a `oneof`, and `optional` ones. */
  double(field: number, value: number): void {
    this.#tag(field, FIXED64)
    this.#double(value)
  }

  packedDoubles(field: number, values: readonly number[]): void {
    if (values.length === 0) return
    this.message(field, () => {
      for (const value of values) this.#double(value)
    })
  }

  packedFixed64(field: number, values: readonly number[]): void {
    if (values.length === 0) return
    this.message(field, () => {
      for (const value of values) this.#fixed64(BigInt(value))
    })
  }

  /** A message in this one: what `write` writes. */
  message(field: number, write: () => void): void {
    this.#tag(field, LENGTH_DELIMITED)
    // Most are short: one byte for the length, and the message moves when that was too little.
    const start = this.#length + 1
    this.#reserve(1)
    this.#length = start
    write()
    const size = this.#length - start
    const more = varintSize(size) - 1
    if (more > 0) {
      this.#reserve(more)
      this.#bytes.copyWithin(start + more, start, this.#length)
    }
    this.#length = start - 1
    this.#varint(size)
    this.#length += size
  }

  #tag(field: number, wireType: number): void {
    this.#varint(field * 8 + wireType)
  }

  #varint(value: number): void {
    assert(Number.isInteger(value) && value >= 0 && value < 2 ** 31)
    this.#reserve(VARINT_MAX)
    let left = value
    while (left >= 0x80) {
      this.#bytes[this.#length++] = (left & 0x7f) | 0x80
      left >>>= 7
    }
    this.#bytes[this.#length++] = left
  }

  #fixed64(value: bigint): void {
    this.#reserve(8)
    this.#length = this.#bytes.writeBigUInt64LE(value, this.#length)
  }

  #double(value: number): void {
    this.#reserve(8)
    this.#length = this.#bytes.writeDoubleLE(value, this.#length)
  }

  #reserve(size: number): void {
    const wanted = this.#length + size
    if (wanted <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(wanted, 2 * this.#bytes.length))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}

function varintSize(value: number): number {
  let size = 1
  for (let left = value; left >= 0x80; left >>>= 7) size++
  return size
}
