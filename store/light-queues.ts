/**
 * Where new messages stand in light queues (`common/light-queues.ts`): decided when they are appended, and written with them, so that
 * the queues are derived from the log like all others.
 */
import {
  LIGHT_QUEUE_ID,
  LIGHT_SEPARATOR,
  isLightName,
  lightNames,
  mayHaveLightQueues,
} from '../common/light-queues.ts'
import { MessageSysFlag } from '../common/message.ts'
import type { MessageToStore } from '../common/message.ts'
import {
  NAME_VALUE_SEPARATOR,
  PROPERTY_SEPARATOR,
  PropertyName,
  propertyIn,
} from '../common/properties.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import { PutStatus } from './types.ts'
import type { AppendQueue } from './types.ts'

const MARKER = Buffer.from(PropertyName.INNER_MULTI_DISPATCH)

/** A message as it is appended, and the light queues in which it stands. */
export interface PlacedMessage {
  readonly message: MessageToStore
  readonly queues: readonly AppendQueue[]
}

/** Why a put is refused. */
export interface LightRefusal {
  readonly status: PutStatus
  readonly reason: string
}

export class LightQueues {
  readonly #queues: ConsumeQueues
  readonly #max: number

  constructor(queues: ConsumeQueues, max: number) {
    this.#queues = queues
    this.#max = max
  }

  /** True when `topic` is a light queue that is not there and cannot be made. */
  isFullFor(topic: string): boolean {
    return isLightName(topic) && !this.#hasRoom([topic])
  }

  /**
   * The messages of one put with their places; nothing is changed yet, the caller raises `nextOffset` of the queues as it appends.
   * Null: none of them is in a light queue.
   */
  place(messages: readonly MessageToStore[]): readonly PlacedMessage[] | LightRefusal | null {
    if (!messages.some(namesLightQueues)) return null
    const taken = new Map<AppendQueue, number>()
    const placed: PlacedMessage[] = []
    for (const message of messages) {
      const { properties } = message
      const value = namesLightQueues(message)
        ? propertyIn(properties, 0, properties.length, PropertyName.INNER_MULTI_DISPATCH)
        : null
      if (value === null) {
        placed.push({ message, queues: [] })
        continue
      }
      const named = lightNames(value)
      const isWrong = typeof named === 'string'
      if (isWrong && isNew(message)) return { status: PutStatus.MESSAGE_ILLEGAL, reason: named }
      const isFull = isWrong || !this.#hasRoom(named)
      if (isFull && isNew(message)) return this.#full()
      const names = isFull ? [] : named
      if (names.length === 0) {
        placed.push({ message, queues: [] })
        continue
      }
      const places = new Map<string, number>()
      const queues = names.map((name) => {
        const queue = this.#queues.getOrCreate(name, LIGHT_QUEUE_ID)
        const before = taken.get(queue) ?? 0
        places.set(name, queue.nextOffset + before)
        taken.set(queue, before + 1)
        return queue
      })
      // As many offsets as names, although one may be named twice.
      const offsets = value.split(LIGHT_SEPARATOR).map((name) => places.get(name) ?? 0)
      placed.push({ message: withOffsets(message, offsets), queues })
    }
    return placed
  }

  #hasRoom(names: readonly string[]): boolean {
    let room = this.#max - this.#queues.lightQueues
    for (const name of names) {
      if (this.#queues.get(name, LIGHT_QUEUE_ID) === null) room--
    }
    return room >= 0
  }

  #full(): LightRefusal {
    return {
      status: PutStatus.LMQ_CONSUME_QUEUE_NUM_EXCEEDED,
      reason: `there are ${this.#queues.lightQueues} light queues, maxLmqConsumeQueueNum is ${this.#max}`,
    }
  }
}

/** What was accepted before (delayed, or in a transaction) is stored in any case, if need be in its own queue only. */
function isNew({ preparedTransactionOffset, sysFlag }: MessageToStore): boolean {
  return preparedTransactionOffset === 0 && (sysFlag & MessageSysFlag.TRANSACTION_MASK) === 0
}

function namesLightQueues({ topic, sysFlag, properties }: MessageToStore): boolean {
  const transaction = sysFlag & MessageSysFlag.TRANSACTION_MASK
  const isVisible = transaction === 0 || transaction === MessageSysFlag.TRANSACTION_COMMIT
  return isVisible && properties.includes(MARKER) && mayHaveLightQueues(topic)
}

/** The message with INNER_MULTI_QUEUE_OFFSET as its last property; what said that before goes. */
function withOffsets(message: MessageToStore, offsets: readonly number[]): MessageToStore {
  const name = PropertyName.INNER_MULTI_QUEUE_OFFSET
  const separator = Buffer.of(PROPERTY_SEPARATOR)
  const pair = (text: string): boolean =>
    text.startsWith(name + String.fromCodePoint(NAME_VALUE_SEPARATOR))
  const pairs = message.properties.toString('latin1').split(separator.toString('latin1'))
  const kept = pairs.filter((text) => text !== '' && !pair(text))
  const own = name + String.fromCodePoint(NAME_VALUE_SEPARATOR) + offsets.join(',')
  const text = [...kept, own].map((each) => each + separator.toString('latin1')).join('')
  return { ...message, properties: Buffer.from(text, 'latin1') }
}
