/** The body of BATCH_ACK_MESSAGE in the form in which clients write it, read where it lies, as `decodeBatchAcks` reads it. */
import { NO_BODY } from '../../remoting/command.ts'
import { TextTable } from './frame-fields.ts'
import type { BatchAck } from '../../remoting/bodies/pop-bodies.ts'
import type { RequestFrame } from '../../remoting/request-frame.ts'

const SPACE = 0x20
const QUOTE = 0x22
const COMMA = 0x2c
const ZERO = 0x30
const COLON = 0x3a
const EQUALS = 0x3d
const LIST_START = 0x5b
const BACKSLASH = 0x5c
const LIST_END = 0x5d
const OBJECT_START = 0x7b
const OBJECT_END = 0x7d
/** A number of so many digits is a safe integer. */
const DIGITS_MAX = 15

const NO_DIGIT = 0xff
const BASE64 = base64Values()

export class BatchAckReader {
  readonly #texts = new TextTable()
  #source: Buffer = NO_BODY
  #at = 0
  #end = 0
  /** Something was not as expected: what was read is of no use. */
  #isUnusual = false

  /** Null for everything unusual. */
  read({ source, bodyStart, bodyEnd }: RequestFrame): readonly BatchAck[] | null {
    this.#source = source
    this.#at = bodyStart
    this.#end = bodyEnd
    this.#isUnusual = false
    const acks: BatchAck[] = []
    this.#expect(OBJECT_START)
    do {
      const name = this.#name()
      if (name === 'acks' && acks.length === 0) this.#readAcks(acks)
      else if (name === 'brokerName') this.#text()
      else this.#isUnusual = true
    } while (this.#takes(COMMA))
    this.#expect(OBJECT_END)
    return this.#isUnusual || this.#at !== this.#end || acks.length === 0 ? null : acks
  }

  #readAcks(acks: BatchAck[]): void {
    this.#expect(LIST_START)
    do acks.push(this.#ack())
    while (this.#takes(COMMA))
    this.#expect(LIST_END)
  }

  #ack(): BatchAck {
    let consumerGroup = ''
    let topic = ''
    let retry = ''
    let startOffset = -1
    let queueId = -1
    let reviveQueueId = -1
    let popTime = -1
    let invisibleTime = -1
    let distances: readonly number[] | null = null
    this.#expect(OBJECT_START)
    do {
      const name = this.#name()
      if (name === 'c') consumerGroup = this.#text()
      else if (name === 't') topic = this.#text()
      else if (name === 'r') retry = this.#text()
      else if (name === 'so') startOffset = this.#number()
      else if (name === 'q') queueId = this.#number()
      else if (name === 'rq') reviveQueueId = this.#number()
      else if (name === 'pt') popTime = this.#number()
      else if (name === 'it') invisibleTime = this.#number()
      else if (name === 'b') distances = this.#distances()
      else this.#isUnusual = true
    } while (this.#takes(COMMA))
    this.#expect(OBJECT_END)
    const isWhole =
      consumerGroup !== '' &&
      topic !== '' &&
      retry !== '' &&
      startOffset >= 0 &&
      queueId >= 0 &&
      reviveQueueId >= 0 &&
      popTime >= 0 &&
      invisibleTime >= 0
    if (!isWhole || distances === null) this.#isUnusual = true
    return {
      consumerGroup,
      topic,
      retry,
      startOffset,
      queueId,
      reviveQueueId,
      popTime,
      invisibleTime,
      distances: distances ?? [],
    }
  }

  /** False, also once something was unusual, which ends every loop. */
  #takes(byte: number): boolean {
    if (this.#isUnusual || this.#at >= this.#end || this.#source[this.#at] !== byte) return false
    this.#at++
    return true
  }

  #expect(byte: number): void {
    if (!this.#takes(byte)) this.#isUnusual = true
  }

  #name(): string {
    const name = this.#text()
    this.#expect(COLON)
    return name
  }

  #text(): string {
    this.#expect(QUOTE)
    const start = this.#at
    let at = start
    for (; at < this.#end; at++) {
      const byte = this.#source[at] ?? 0
      if (byte === QUOTE) break
      if (byte < SPACE || byte === BACKSLASH) this.#isUnusual = true
    }
    this.#at = at
    this.#expect(QUOTE)
    return this.#isUnusual ? '' : this.#texts.text(this.#source, start, at)
  }

  #number(): number {
    const start = this.#at
    let value = 0
    for (; this.#at < this.#end; this.#at++) {
      const digit = (this.#source[this.#at] ?? 0) - ZERO
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
    }
    const count = this.#at - start
    const hasZeroBefore = count > 1 && this.#source[start] === ZERO
    if (count === 0 || count > DIGITS_MAX || hasZeroBefore) this.#isUnusual = true
    return value
  }

  /** `java.util.BitSet.toByteArray` in base64: the lowest bit of the first byte is the first one. */
  #distances(): readonly number[] {
    const distances: number[] = []
    this.#expect(QUOTE)
    let held = 0
    let heldBits = 0
    let first = 0
    for (; this.#at < this.#end; this.#at++) {
      const value = BASE64[this.#source[this.#at] ?? 0] ?? NO_DIGIT
      if (value === NO_DIGIT) break
      held = ((held << 6) | value) & 0xffff
      heldBits += 6
      if (heldBits < 8) continue
      heldBits -= 8
      for (let bits = (held >>> heldBits) & 0xff; bits !== 0; bits &= bits - 1) {
        distances.push(first + 31 - Math.clz32(bits & -bits))
      }
      first += 8
    }
    while (this.#takes(EQUALS));
    this.#expect(QUOTE)
    return distances
  }
}

function base64Values(): Uint8Array {
  const values = new Uint8Array(256).fill(NO_DIGIT)
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  for (let value = 0; value < digits.length; value++) values[digits.charCodeAt(value)] = value
  return values
}
