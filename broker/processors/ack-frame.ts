/** The header of an acknowledgement read from a frame's spans, as `decodeHandleHeader` reads it from the fields. */
import { FrameFields, TextTable, UNKNOWN_FIELD } from './frame-fields.ts'
import type { RequestFrame } from '../../remoting/request-frame.ts'
import type { HandleHeader } from '../pop/pop-rules.ts'
import type { Receipt } from '../pop/receipt.ts'

const INT_MAX = 0x7fff_ffff
const SPACE = 0x20
const ZERO = 0x30
/** A number of so many digits is a safe integer. */
const DIGITS_MAX = 15

const Field = { consumerGroup: 0, topic: 1, queueId: 2, extraInfo: 3, offset: 4 } as const
const NAMES = Object.keys(Field)

export class AckFrameReader {
  readonly #texts = new TextTable()
  readonly #fields = new FrameFields(NAMES)

  /** Null for everything unusual. */
  read(frame: RequestFrame): HandleHeader | null {
    let consumerGroup = ''
    let topic = ''
    let queueId = -1
    let queueOffset = -1
    let receipt: Receipt | null = null
    for (let index = 0; index < frame.fieldCount; index++) {
      const field = this.#fields.at(frame, index)
      if (field === UNKNOWN_FIELD) continue
      if (frame.hasEscapes(index)) return null
      if (field === Field.consumerGroup) consumerGroup = this.#text(frame, index)
      else if (field === Field.topic) topic = this.#text(frame, index)
      else if (field === Field.queueId) queueId = frame.digitsOf(index)
      else if (field === Field.offset) queueOffset = frame.digitsOf(index)
      else receipt = receiptIn(frame.source, frame.valueStart(index), frame.valueEnd(index))
    }
    if (consumerGroup === '' || topic === '' || receipt === null) return null
    if (queueId < 0 || queueId > INT_MAX || queueOffset < 0) return null
    return { consumerGroup, topic, queueId, queueOffset, receipt }
  }

  #text(frame: RequestFrame, index: number): string {
    return this.#texts.text(frame.source, frame.valueStart(index), frame.valueEnd(index))
  }
}

/** The first four numbers of a handle; null when they are not plain digits. */
function receiptIn(source: Buffer, start: number, end: number): Receipt | null {
  const numbers = [0, 0, 0, 0]
  let at = start
  for (let part = 0; part < numbers.length; part++) {
    const first = at
    let value = 0
    for (; at < end && source[at] !== SPACE; at++) {
      const digit = (source[at] ?? 0) - ZERO
      if (digit < 0 || digit > 9) return null
      value = value * 10 + digit
    }
    if (at === first || at - first > DIGITS_MAX) return null
    numbers[part] = value
    at++
  }
  const [startOffset = 0, popTime = 0, invisibleTime = 0, reviveQueueId = 0] = numbers
  return { startOffset, popTime, invisibleTime, reviveQueueId }
}
