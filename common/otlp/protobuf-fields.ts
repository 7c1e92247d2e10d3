/** Reads the fields of a protobuf message in their order. */
import { GantryError } from '../errors.ts'

export class ProtobufError extends GantryError<'malformed'> {}

export interface ProtobufField {
  readonly field: number
  /** Of a text or message, its bytes. Numbers of 64 bits lose what a double does not hold. */
  readonly value: number | Buffer
}

const WIRE_TYPES = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const

/** Throws `ProtobufError` where the bytes are none of a message. */
export function* protobufFields(bytes: Buffer): Iterable<ProtobufField> {
  let at = 0
  const take = (size: number): Buffer => {
    if (size > bytes.length - at) throw new ProtobufError('malformed', 'the message ends early')
    at += size
    return bytes.subarray(at - size, at)
  }
  const varint = (): number => {
    let value = 0
    for (let factor = 1; factor < 2 ** 64; factor *= 128) {
      const [byte = 0] = take(1)
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
    throw new ProtobufError('malformed', 'a number is too long')
  }
  while (at < bytes.length) {
    const tag = varint()
    const field = Math.floor(tag / 8)
    switch (tag % 8) {
      case WIRE_TYPES.varint:
        yield { field, value: varint() }
        break
      case WIRE_TYPES.fixed64:
        yield { field, value: take(8) }
        break
      case WIRE_TYPES.lengthDelimited:
        yield { field, value: take(varint()) }
        break
      case WIRE_TYPES.fixed32:
        yield { field, value: take(4) }
        break
      default:
        throw new ProtobufError('malformed', `there is no wire type ${tag % 8}`)
    }
  }
}
