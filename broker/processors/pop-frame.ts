/** The header of a pop read from a frame's spans, as `decodePopHeader` reads it from the fields. */
import { FrameFields, TextTable, UNKNOWN_FIELD } from './frame-fields.ts'
import { POLL_MAX_MS } from '../pop/pop-rules.ts'
import type { RequestFrame } from '../../remoting/request-frame.ts'
import type { PopHeader } from '../pop/pop-rules.ts'

const INT_MAX = 0x7fff_ffff
/** -1, which stands for any queue. */
const ANY = Buffer.from('-1')
const FALSE = Buffer.from('false')

const Field = {
  consumerGroup: 0,
  topic: 1,
  queueId: 2,
  maxMsgNums: 3,
  invisibleTime: 4,
  pollTime: 5,
  bornTime: 6,
  initMode: 7,
  expType: 8,
  exp: 9,
  order: 10,
} as const
const NAMES = Object.keys(Field)
const NUMBERS = ['queueId', 'maxMsgNums', 'invisibleTime', 'pollTime', 'initMode'] as const

/** Filled anew for each frame. */
export class PopFrameHeader implements PopHeader {
  consumerGroup = ''
  topic = ''
  queueId = 0
  maxMessages = 0
  invisibleTime = 0
  pollTime = 0
  bornTime = 0
  initMode = 0
  expressionType: string | null = null
  expression: string | null = null
  readonly isOrder = false
  readonly attemptId = null
  readonly #texts = new TextTable()
  readonly #fields = new FrameFields(NAMES)
  readonly #numbers = new Float64Array(NAMES.length)
  #isAny = false

  /** False for everything unusual, and for pops in order. */
  read(frame: RequestFrame, now: number): boolean {
    this.#numbers.fill(-1)
    this.#isAny = false
    this.consumerGroup = ''
    this.topic = ''
    this.expressionType = null
    this.expression = null
    for (let index = 0; index < frame.fieldCount; index++) {
      const field = this.#fields.at(frame, index)
      if (field !== UNKNOWN_FIELD && !this.#readField(frame, index, field)) return false
    }
    if (this.consumerGroup === '' || this.topic === '') return false
    return this.#takeNumbers(now)
  }

  #readField(frame: RequestFrame, index: number, field: number): boolean {
    if (frame.hasEscapes(index)) return false
    switch (field) {
      case Field.consumerGroup:
        this.consumerGroup = this.#text(frame, index)
        return true
      case Field.topic:
        this.topic = this.#text(frame, index)
        return true
      case Field.expType:
        this.expressionType = this.#text(frame, index)
        return true
      case Field.exp:
        this.expression = this.#text(frame, index)
        return true
      case Field.order:
        return isText(frame, index, FALSE)
      case Field.queueId:
        this.#isAny = isText(frame, index, ANY)
        break
      default:
        break
    }
    this.#numbers[field] = this.#isAny && field === Field.queueId ? 0 : frame.digitsOf(index)
    return true
  }

  #takeNumbers(now: number): boolean {
    for (const name of NUMBERS) if (this.#number(Field[name]) < 0) return false
    this.queueId = this.#isAny ? -1 : this.#number(Field.queueId)
    this.maxMessages = this.#number(Field.maxMsgNums)
    this.invisibleTime = this.#number(Field.invisibleTime)
    this.pollTime = Math.min(this.#number(Field.pollTime), POLL_MAX_MS)
    this.initMode = this.#number(Field.initMode)
    // Absent, or 0: now. What is no number is not distinguished from it here, and goes the ordinary way.
    const bornTime = this.#number(Field.bornTime)
    this.bornTime = bornTime === 0 ? now : bornTime
    return (
      bornTime >= 0 &&
      this.queueId <= INT_MAX &&
      this.maxMessages <= INT_MAX &&
      this.initMode <= INT_MAX
    )
  }

  #number(field: number): number {
    return this.#numbers[field] ?? -1
  }

  #text(frame: RequestFrame, index: number): string {
    return this.#texts.text(frame.source, frame.valueStart(index), frame.valueEnd(index))
  }
}

function isText(frame: RequestFrame, index: number, text: Buffer): boolean {
  const start = frame.valueStart(index)
  if (frame.valueEnd(index) - start !== text.length) return false
  return text.every((byte, at) => frame.source[start + at] === byte)
}
