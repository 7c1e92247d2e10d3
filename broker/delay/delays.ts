/**
 * What becomes of a message that asks to be delivered later (Java: HookUtils.handleScheduleMessage): it is parked in the topic of the delay
 * levels or of the timers, with its own topic and queue as properties.
 *
 * Whoever stores messages of producers, sent-back messages or committed transactions asks here first.
 */
import { delayLevelsOf } from '../../common/delay-levels.ts'
import { encodeProperties, parseProperties, PropertyName } from '../../common/properties.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { SCHEDULE_TOPIC, TIMER_TOPIC } from '../names.ts'
import { answer } from '../processors/answers.ts'
import type { BrokerStats } from '../stats.ts'
import type { MessageToStore } from '../../common/message.ts'
import type { Clock } from '../../common/ports.ts'
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
      /** The tick before a timer's time; null when the message is no timer. */
      readonly tick: number | null
    }
  | { readonly type: 'refuse'; readonly answer: ResponseContent }

/** What the service of the timers tells. */
export interface TimerFacts {
  /** Too many timers wait for this tick: no more are taken. */
  isCongested(tick: number): boolean
  /** A message of the timer topic has been stored. */
  parked(message: MessageToStore, queueOffset: number): void
  /** Queue offset of the oldest message of the timer topic that waits; null when it is not known here. */
  readonly oldestWaiting: number | null
}

export class Delays {
  readonly #config: BrokerConfig
  readonly #clock: Clock
  readonly #stats: Pick<BrokerStats, 'flowControl'>
  /** Null until the service of the timers is there. */
  timers: TimerFacts | null = null
  /** Milliseconds, the first one for level 1. */
  readonly levelsMs: readonly number[]

  constructor(config: BrokerConfig, clock: Clock, stats: Pick<BrokerStats, 'flowControl'>) {
    this.#config = config
    this.#clock = clock
    this.#stats = stats
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
      return { type: 'store', message, tick: null }
    }
    return this.#parkAsTimer(message, properties)
  }

  #parkAtLevel(message: MessageToStore, properties: Map<string, string>, asked: number): Diverted {
    const level = Math.min(asked, this.levelsMs.length)
    for (const name of TIMER_PROPERTIES) properties.delete(name)
    properties.set(PropertyName.DELAY, String(level))
    return {
      type: 'store',
      message: parked(message, properties, SCHEDULE_TOPIC, level - 1),
      tick: null,
    }
  }

  #parkAsTimer(message: MessageToStore, properties: Map<string, string>): Diverted {
    const { timerWheelEnable, timerMaxDelaySec, timerPrecisionMs } = this.#config.values
    if (!timerWheelEnable) {
      const remark = 'accurate timer message is not enabled, timerWheelEnable is false'
      return refuse(ResponseCode.SYSTEM_ERROR, remark)
    }
    const now = this.#clock.now()
    const asked = askedTime(properties, now)
    if (asked.time === null || asked.time - now > timerMaxDelaySec * 1000) {
      return this.#illegal(`${asked.name} is ${properties.get(asked.name)?.slice(0, 64)}`)
    }
    if (asked.time <= now) {
      if (!properties.has(PropertyName.TIMER_DEL_UNIQKEY)) {
        return { type: 'store', message, tick: null }
      }
      return this.#illegal(`${asked.name} is past`)
    }
    // A time on a tick goes to the one before: a message may be delivered from the end of its tick on.
    const tick = tickBefore(asked.time, timerPrecisionMs)
    if (this.timers?.isCongested(tick) === true) return this.#congested()
    properties.set(PropertyName.TIMER_OUT_MS, String(tick))
    return { type: 'store', message: parked(message, properties, TIMER_TOPIC, 0), tick }
  }

  #illegal(which: string): Diverted {
    const maxMs = this.#config.values.timerMaxDelaySec * 1000
    return refuse(
      ResponseCode.MESSAGE_ILLEGAL,
      `timer message illegal, the delay time should not be bigger than the max delay ${maxMs}ms; ` +
        `or if set del msg, the delay time should be bigger than the current time: ${which}`,
    )
  }

  #congested(): Diverted {
    this.#stats.flowControl.timers++
    const limit = this.#config.values.timerCongestNumEachSlot
    return refuse(
      ResponseCode.SYSTEM_ERROR,
      `timer message is under flow control, max num limit is ${limit * 2} or the current value is greater than ${limit} ` +
        `and less than ${limit * 2}, trigger random flow control`,
    )
  }
}

/** The last tick before a time. */
export function tickBefore(time: number, precisionMs: number): number {
  return (Math.ceil(time / precisionMs) - 1) * precisionMs
}

/** What speaks against delays in a batch, all of whose messages go one way. */
export const DELAY_IN_BATCH = 'a message of a batch cannot be delayed'

function refuse(code: number, remark: string): Diverted {
  return { type: 'refuse', answer: answer(code, remark) }
}

/** The first of the three properties that is there counts; null: it is no number. */
function askedTime(
  properties: ReadonlyMap<string, string>,
  now: number,
): { readonly name: string; readonly time: number | null } {
  const name = TIMER_PROPERTIES.find((each) => properties.has(each)) ?? TIMER_PROPERTIES[0]
  const text = properties.get(name) ?? ''
  if (!/^[+-]?\d{1,15}$/.test(text)) return { name, time: null }
  if (name === PropertyName.TIMER_DELIVER_MS) return { name, time: Number(text) }
  const unitMs = name === PropertyName.TIMER_DELAY_SEC ? 1000 : 1
  const time = now + Number(text) * unitMs
  return { name, time: Number.isSafeInteger(time) ? time : null }
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
