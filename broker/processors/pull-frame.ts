/** The header of a pull read from a frame's spans, without a map of its fields; and its texts as strings that are made once. */
import { FrameFields, TextTable, UNKNOWN_FIELD } from './frame-fields.ts'
import type { RequestFrame } from '../../remoting/request-frame.ts'
import type { MessageFilter } from '../../store/types.ts'
import type { PullHeader } from './pull-rules.ts'

const INT_MAX = 0x7fff_ffff

const Field = {
  consumerGroup: 0,
  topic: 1,
  queueId: 2,
  queueOffset: 3,
  maxMsgNums: 4,
  sysFlag: 5,
  commitOffset: 6,
  suspendTimeoutMillis: 7,
  subscription: 8,
  subVersion: 9,
  expressionType: 10,
} as const
const NAMES = Object.keys(Field)

/** Filled anew for each frame. */
export class PullFrameHeader implements PullHeader {
  consumerGroup = ''
  topic = ''
  queueId = 0
  queueOffset = 0
  maxMessages = 0
  sysFlag = 0
  commitOffset = 0
  suspendTimeoutMs = 0
  subscription: string | null = null
  subVersion = 0
  expressionType: string | null = null
  /** Set by the caller: with it this is what the store is asked. */
  filter: MessageFilter | null = null
  readonly #texts = new TextTable()
  readonly #fields = new FrameFields(NAMES)
  readonly #numbers = new Float64Array(NAMES.length)

  /** False for everything unusual: a field that is missing, not plain digits, or holds escapes. */
  read(frame: RequestFrame): boolean {
    const numbers = this.#numbers.fill(-1)
    let consumerGroup: string | null = null
    let topic: string | null = null
    this.subscription = null
    this.expressionType = null
    for (let index = 0; index < frame.fieldCount; index++) {
      const field = this.#fields.at(frame, index)
      if (field === UNKNOWN_FIELD) continue
      if (frame.hasEscapes(index)) return false
      if (field === Field.consumerGroup) consumerGroup = this.#text(frame, index)
      else if (field === Field.topic) topic = this.#text(frame, index)
      else if (field === Field.subscription) this.subscription = this.#text(frame, index)
      else if (field === Field.expressionType) this.expressionType = this.#text(frame, index)
      else numbers[field] = frame.digitsOf(index)
    }
    if (consumerGroup === null || topic === null) return false
    this.consumerGroup = consumerGroup
    this.topic = topic
    return this.#takeNumbers()
  }

  /** One that the next frame leaves alone. */
  copy(): PullHeader {
    return {
      consumerGroup: this.consumerGroup,
      topic: this.topic,
      queueId: this.queueId,
      queueOffset: this.queueOffset,
      maxMessages: this.maxMessages,
      sysFlag: this.sysFlag,
      commitOffset: this.commitOffset,
      suspendTimeoutMs: this.suspendTimeoutMs,
      subscription: this.subscription,
      subVersion: this.subVersion,
      expressionType: this.expressionType,
    }
  }

  #takeNumbers(): boolean {
    this.queueId = this.#number(Field.queueId)
    this.queueOffset = this.#number(Field.queueOffset)
    const maxMessages = this.#number(Field.maxMsgNums)
    this.maxMessages = Math.max(1, maxMessages)
    this.sysFlag = this.#number(Field.sysFlag)
    this.commitOffset = this.#number(Field.commitOffset)
    this.suspendTimeoutMs = this.#number(Field.suspendTimeoutMillis)
    this.subVersion = this.#number(Field.subVersion)
    return (
      isInt(this.queueId) &&
      isInt(maxMessages) &&
      isInt(this.sysFlag) &&
      this.queueOffset >= 0 &&
      this.commitOffset >= 0 &&
      this.suspendTimeoutMs >= 0 &&
      this.subVersion >= 0
    )
  }

  #number(field: number): number {
    return this.#numbers[field] ?? -1
  }

  #text(frame: RequestFrame, index: number): string {
    return this.#texts.text(frame.source, frame.valueStart(index), frame.valueEnd(index))
  }
}

function isInt(value: number): boolean {
  return value >= 0 && value <= INT_MAX
}
