/**
 * Cuts answers out of a stream and reads their code and opaque without parsing the header.
 *
 * Answers of one server look alike, so that a JSON header is looked at where the last one had its two numbers (the code counted from
 * the start, the opaque from the end) before it is searched. Request frames of the server are passed over.
 */
import { RemotingError } from '../../remoting/errors.ts'
import { SerializeType } from '../../remoting/command.ts'

/** An answer must not be longer: no broker sends more at a time. */
const FRAME_MAX_BYTES = 64 * 1024 * 1024
const PREFIX = 8
const CODE_NAME = Buffer.from('"code":')
const OPAQUE_NAME = Buffer.from('"opaque":')
const FIRST_PENDING = 64 * 1024
const ZERO = 0x30
const MINUS = 0x2d

/** One answer; the fields hold until the handler returns. */
export interface Answer {
  readonly code: number
  readonly opaque: number
  readonly source: Buffer
  readonly headerStart: number
  readonly bodyStart: number
  readonly bodyEnd: number
}

export class AnswerReader implements Answer {
  code = 0
  opaque = 0
  source: Buffer = Buffer.alloc(0)
  headerStart = 0
  bodyStart = 0
  bodyEnd = 0
  readonly #onAnswer: (answer: Answer) => void
  #pending: Buffer = Buffer.alloc(0)
  #pendingSize = 0
  #codeFromStart = 0
  #opaqueFromEnd = 0

  constructor(onAnswer: (answer: Answer) => void) {
    this.#onAnswer = onAnswer
  }

  /** Takes the next bytes of the stream. Throws `RemotingError` (`malformed`) when they are no frames. */
  feed(chunk: Buffer): void {
    let at = 0
    while (this.#pendingSize > 0 && at < chunk.length) {
      const wanted = this.#pendingSize < 4 ? 4 : this.#frameSize(this.#pending, 0)
      at = this.#keep(chunk, at, Math.min(chunk.length, at + wanted - this.#pendingSize))
      if (this.#pendingSize >= 4 && this.#pendingSize >= this.#frameSize(this.#pending, 0)) {
        const size = this.#pendingSize
        this.#pendingSize = 0
        this.#take(this.#pending, 0, size)
      }
    }
    while (chunk.length - at >= 4) {
      const size = this.#frameSize(chunk, at)
      if (chunk.length - at < size) break
      this.#take(chunk, at, at + size)
      at += size
    }
    if (at < chunk.length) this.#keep(chunk, at, chunk.length)
  }

  /** The header as text, for what is rare. */
  headerText(): string {
    return this.source.toString('utf8', this.headerStart, this.bodyStart)
  }

  /** Code and remark, for what is refused. */
  refusal(): string {
    const remark = /"remark":"((?:[^"\\]|\\.)*)"/.exec(this.headerText())?.[1]
    return `code ${this.code}${remark === undefined ? '' : `: ${remark}`}`
  }

  #frameSize(source: Buffer, at: number): number {
    const size = 4 + source.readUInt32BE(at)
    if (size < PREFIX || size > FRAME_MAX_BYTES) {
      throw new RemotingError('malformed', `an answer of ${size} bytes`)
    }
    return size
  }

  #keep(chunk: Buffer, start: number, end: number): number {
    const size = this.#pendingSize + end - start
    if (size > this.#pending.length) {
      const grown = Buffer.allocUnsafe(Math.max(size, this.#pending.length * 2, FIRST_PENDING))
      this.#pending.copy(grown, 0, 0, this.#pendingSize)
      this.#pending = grown
    }
    chunk.copy(this.#pending, this.#pendingSize, start, end)
    this.#pendingSize = size
    return end
  }

  #take(source: Buffer, start: number, end: number): void {
    const word = source.readUInt32BE(start + 4)
    const headerStart = start + PREFIX
    const bodyStart = headerStart + (word & 0xffffff)
    if (bodyStart > end) throw new RemotingError('malformed', 'a header is longer than its frame')
    this.source = source
    this.headerStart = headerStart
    this.bodyStart = bodyStart
    this.bodyEnd = end
    if (word >>> 24 === SerializeType.ROCKETMQ) {
      this.code = source.readInt16BE(headerStart)
      this.opaque = source.readInt32BE(headerStart + 5)
    } else {
      this.#scan(source, headerStart, bodyStart)
    }
    this.#onAnswer(this)
  }

  #scan(source: Buffer, start: number, end: number): void {
    let codeAt = start + this.#codeFromStart
    if (!startsWith(source, codeAt, end, CODE_NAME)) {
      codeAt = positionOf(source, CODE_NAME, start, end)
      this.#codeFromStart = codeAt - start
    }
    let opaqueAt = end - this.#opaqueFromEnd
    if (!startsWith(source, opaqueAt, end, OPAQUE_NAME)) {
      opaqueAt = positionOf(source, OPAQUE_NAME, start, end)
      this.#opaqueFromEnd = end - opaqueAt
    }
    this.code = integerAt(source, codeAt + CODE_NAME.length, end)
    this.opaque = integerAt(source, opaqueAt + OPAQUE_NAME.length, end)
  }
}

function positionOf(source: Buffer, name: Buffer, start: number, end: number): number {
  const at = source.indexOf(name, start)
  if (at === -1 || at >= end) {
    throw new RemotingError('malformed', `an answer without ${name.toString()}`)
  }
  return at
}

function startsWith(source: Buffer, at: number, end: number, name: Buffer): boolean {
  if (at + name.length > end) return false
  for (let index = 0; index < name.length; index++) {
    if (source[at + index] !== name[index]) return false
  }
  return true
}

function integerAt(source: Buffer, from: number, end: number): number {
  let at = from
  while (at < end && source[at] === 0x20) at++
  const isNegative = source[at] === MINUS
  if (isNegative) at++
  let value = 0
  for (; at < end; at++) {
    const digit = (source[at] ?? 0) - ZERO
    if (digit < 0 || digit > 9) break
    value = value * 10 + digit
  }
  return isNegative ? -value : value
}
