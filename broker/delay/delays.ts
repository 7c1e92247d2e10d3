/**
 * What becomes of a message that asks to be delivered later (Java: HookUtils.handleScheduleMessage): it is parked in the topic of the delay
 * levels or of the timers, with its own topic and queue as properties.
 *
 * Whoever stores messages of producers, sent-back messages or committed transactions asks here first.
 */
import { delayLevelsOf } from '../../common/delay-levels.ts'
import { encodeProperties, parseProperties, PropertyName } from '../../common/properties.ts'
import { notImplementedRemark } from '../../remoting/not-implemented.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { SCHEDULE_TOPIC, TIMER_TOPIC } from '../names.ts'
import { answer } from '../processors/answers.ts'
import type { MessageToStore } from '../../common/message.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { BrokerConfig } from '../config.ts'

const INT_MAX = 0x7fff_ffff
const TIMER_PROPERTIES = [
  PropertyName.TIMER_DELAY_SEC,
  PropertyName.TIMER_DELAY_MS,
  PropertyName.TIMER_DELIVER_MS,
] as const

export type Diverted =
  | {
      readonly type: 'store'
      /** To be stored in the place of the one that was given, which it may be. */
      readonly message: MessageToStore
    }
  | { readonly type: 'refuse'; readonly answer: ResponseContent }

export class Delays {
  /** Milliseconds, the first one for level 1. */
  readonly levelsMs: readonly number[]

  constructor(config: BrokerConfig) {
    this.levelsMs = delayLevelsOf(config.values.messageDelayLevel)
  }

  /** For a message with one of the properties that ask for a delay; others pass as well. */
  divert(message: MessageToStore): Diverted {
    const properties = parseProperties(message.properties)
    const text = properties.get(PropertyName.DELAY) ?? '0'
    const level = Number(text)
    if (!/^[+-]?\d+$/.test(text) || Math.abs(level) > INT_MAX) {
      const shown = text.slice(0, 64)
      return refuse(
        ResponseCode.SYSTEM_ERROR,
        `the property ${PropertyName.DELAY} is no level: ${shown}`,
      )
    }
    if (level > 0) return this.#parkAtLevel(message, properties, level)
    const isTimer = TIMER_PROPERTIES.some((name) => properties.has(name))
    if (!isTimer || message.topic === TIMER_TOPIC || properties.has(PropertyName.TIMER_OUT_MS)) {
      return { type: 'store', message }
    }
    const name = TIMER_PROPERTIES.find((each) => properties.has(each)) ?? ''
    const what = notImplementedRemark(`a message with a timer (${name})`)
    return refuse(ResponseCode.REQUEST_CODE_NOT_SUPPORTED, what)
  }

  #parkAtLevel(message: MessageToStore, properties: Map<string, string>, asked: number): Diverted {
    const level = Math.min(asked, this.levelsMs.length)
    for (const name of TIMER_PROPERTIES) properties.delete(name)
    properties.set(PropertyName.DELAY, String(level))
    return { type: 'store', message: parked(message, properties, SCHEDULE_TOPIC, level - 1) }
  }
}

/** What speaks against delays in a batch, all of whose messages go one way. */
export const DELAY_IN_BATCH = 'a message of a batch cannot be delayed'

function refuse(code: number, remark: string): Diverted {
  return { type: 'refuse', answer: answer(code, remark) }
}

function parked(
  message: MessageToStore,
  properties: Map<string, string>,
  topic: string,
  queueId: number,
): MessageToStore {
  properties.set(PropertyName.REAL_TOPIC, message.topic)
  properties.set(PropertyName.REAL_QID, String(message.queueId))
  return { ...message, topic, queueId, properties: encodeProperties(properties) }
}
