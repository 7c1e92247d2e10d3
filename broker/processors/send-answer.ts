/**
 * Writes the answers of sends that were stored, byte for byte as the ordinary way encodes them, from templates of whole frames.
 *
 * Two answers whose numbers have equally many digits differ in those digits alone. So a template is made by the ordinary encoder for each
 * combination of lengths, and an answer is one copy of it with the digits written over.
 */
import assert from 'node:assert/strict'
import { digitCount, writeDigits } from '../../common/decimal.ts'
import { encodeOffsetMessageId } from '../../common/message-id.ts'
import { encodeCommand, extFieldsOf } from '../../remoting/command-codec.ts'
import { GANTRY_VERSION, LanguageCode, NO_BODY, RESPONSE_FLAG } from '../../remoting/command.ts'
import { SerializeType } from '../../remoting/command.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import type { HostAddress } from '../../common/message.ts'

/** Unique ids longer than this are answered the ordinary way. */
export const UNIQUE_KEY_MAX_SIZE = 127
/** Topics with many digits, clients with long ids: more combinations than this and all are made anew. */
const MAX_TEMPLATES = 256
/** A power of two. */
const RECENT_TEMPLATES = 1024
const OFFSET_DIGITS = 16
const ZERO = 0x30
const LETTER_A_LESS_10 = 0x37
const TWO_TO_32 = 0x1_0000_0000

interface Template {
  readonly key: number
  readonly frame: Buffer
  /** Where the 16 digits of the physical offset stand, and the others. */
  readonly physicalOffsetAt: number
  readonly queueIdAt: number
  readonly queueIdDigits: number
  readonly queueOffsetAt: number
  readonly queueOffsetDigits: number
  readonly uniqueKeyAt: number
  readonly opaqueAt: number
  /** 0: four bytes. */
  readonly opaqueDigits: number
}

/** What an answer says; one object is filled for all. */
export class SendAnswer {
  serializeType: SerializeType = SerializeType.JSON
  /** Not negative. */
  opaque = 0
  queueId = 0
  queueOffset = 0
  physicalOffset = 0
  /** The unique id that the client gave, of printable ASCII without quotes and backslashes; empty: it gave none. */
  keySource: Buffer = NO_BODY
  keyStart = 0
  keyEnd = 0
}

/** What all answers of a broker have in common. */
export interface AnswerConstants {
  readonly host: HostAddress
  readonly regionId: string
  readonly traceOn: boolean
}

export class SendAnswers {
  readonly #constants: AnswerConstants
  readonly #templates = new Map<number, Template>()
  /** Where a template is looked for first: that of each send, where many queues take turns. */
  readonly #recent: (Template | null)[] = Array.from({ length: RECENT_TEMPLATES }, () => null)

  constructor(constants: AnswerConstants) {
    this.#constants = constants
  }

  /** Writes the frame at `at` and returns where it ends; -1 when the target has no room for it. */
  write(answer: SendAnswer, target: Buffer, at: number): number {
    const template = this.#templateFor(answer)
    if (at + template.frame.length > target.length) return -1
    target.set(template.frame, at)
    writeHex(target, at + template.physicalOffsetAt, answer.physicalOffset)
    writeDigits(target, at + template.queueIdAt, template.queueIdDigits, answer.queueId)
    writeDigits(target, at + template.queueOffsetAt, template.queueOffsetDigits, answer.queueOffset)
    const { keySource, keyEnd, opaque } = answer
    let to = at + template.uniqueKeyAt
    for (let from = answer.keyStart; from < keyEnd; from++) target[to++] = keySource[from] ?? 0
    const opaqueAt = at + template.opaqueAt
    if (template.opaqueDigits > 0) {
      writeDigits(target, opaqueAt, template.opaqueDigits, opaque)
    } else {
      target[opaqueAt] = opaque >>> 24
      target[opaqueAt + 1] = opaque >>> 16
      target[opaqueAt + 2] = opaque >>> 8
      target[opaqueAt + 3] = opaque
    }
    return at + template.frame.length
  }

  #templateFor(answer: SendAnswer): Template {
    const opaqueDigits = answer.serializeType === SerializeType.JSON ? digitCount(answer.opaque) : 0
    const numbers = (digitCount(answer.queueId) * 32 + digitCount(answer.queueOffset)) * 16
    const key = (numbers + opaqueDigits) * 128 + answer.keyEnd - answer.keyStart
    const place = (key ^ (key >>> 7) ^ (key >>> 13)) & (RECENT_TEMPLATES - 1)
    const recent = this.#recent[place] ?? null
    if (recent !== null && recent.key === key) return recent
    const template = this.#find(key, answer)
    this.#recent[place] = template
    return template
  }

  #find(key: number, answer: SendAnswer): Template {
    const known = this.#templates.get(key)
    if (known !== undefined) return known
    const made = makeTemplate(key, answer, this.#constants)
    if (this.#templates.size >= MAX_TEMPLATES) this.#templates.clear()
    this.#templates.set(key, made)
    return made
  }
}

/** The places are found by encoding once more with one field changed. */
function makeTemplate(key: number, answer: SendAnswer, constants: AnswerConstants): Template {
  const { serializeType } = answer
  const isJson = serializeType === SerializeType.JSON
  const queueIdDigits = digitCount(answer.queueId)
  const queueOffsetDigits = digitCount(answer.queueOffset)
  const opaqueDigits = isJson ? digitCount(answer.opaque) : 0
  const keySize = answer.keyEnd - answer.keyStart
  const physicalOffset = 2 ** 52 + 1
  const base = {
    physicalOffset,
    queueId: '1'.repeat(queueIdDigits),
    queueOffset: '1'.repeat(queueOffsetDigits),
    uniqueKey: 'A'.repeat(keySize),
    opaque: isJson ? '1'.repeat(opaqueDigits) : '0',
  }
  const encode = (changed: Partial<typeof base>): Buffer =>
    encodeAnswer({ ...base, ...changed }, serializeType, constants)
  const frame = encode({})
  const place = (changed: Partial<typeof base>): number => {
    const other = encode(changed)
    assert.equal(other.length, frame.length)
    return frame.findIndex((byte, index) => byte !== other[index])
  }
  return {
    key,
    frame,
    // The last of the 16 digits differs.
    physicalOffsetAt: place({ physicalOffset: physicalOffset + 1 }) - OFFSET_DIGITS + 1,
    queueIdAt: place({ queueId: '2'.repeat(queueIdDigits) }),
    queueIdDigits,
    queueOffsetAt: place({ queueOffset: '2'.repeat(queueOffsetDigits) }),
    queueOffsetDigits,
    uniqueKeyAt: keySize === 0 ? 0 : place({ uniqueKey: 'B'.repeat(keySize) }),
    opaqueAt: place({ opaque: isJson ? `2${base.opaque.slice(1)}` : '2130706432' }),
    opaqueDigits,
  }
}

function encodeAnswer(
  fields: {
    readonly physicalOffset: number
    readonly queueId: string
    readonly queueOffset: string
    readonly uniqueKey: string
    readonly opaque: string
  },
  serializeType: SerializeType,
  { host, regionId, traceOn }: AnswerConstants,
): Buffer {
  return encodeCommand({
    code: ResponseCode.SUCCESS,
    language: LanguageCode.OTHER,
    version: GANTRY_VERSION,
    opaque: Number(fields.opaque),
    flag: RESPONSE_FLAG,
    remark: null,
    extFields: extFieldsOf({
      msgId: encodeOffsetMessageId(host, fields.physicalOffset),
      queueId: fields.queueId,
      queueOffset: fields.queueOffset,
      transactionId: fields.uniqueKey === '' ? undefined : fields.uniqueKey,
      MSG_REGION: regionId,
      TRACE_ON: String(traceOn),
    }),
    body: NO_BODY,
    serializeType,
  })
}

/** Writes 16 upper-case hexadecimal digits. */
function writeHex(target: Buffer, at: number, value: number): void {
  const high = Math.floor(value / TWO_TO_32)
  writeHexWord(target, at, high)
  writeHexWord(target, at + 8, value - high * TWO_TO_32)
}

function writeHexWord(target: Buffer, at: number, value: number): void {
  let rest = value | 0
  for (let to = at + 7; to >= at; to--) {
    const digit = rest & 15
    target[to] = digit + (digit < 10 ? ZERO : LETTER_A_LESS_10)
    rest >>>= 4
  }
}
