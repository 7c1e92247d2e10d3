/** ConsumerRunningInfo, the answer body of GET_CONSUMER_RUNNING_INFO (307), as consumers of the official clients tell it of themselves. */
import { parseFastjson } from './fastjson.ts'
import { asObject, listMember, optionalObject, optionalText, textMap } from './json-members.ts'
import { booleanMember, textEntries, textMember } from './json-members.ts'
import { messageQueueOf } from './message-queue.ts'
import type { JsonObject } from './fastjson.ts'
import type { MessageQueue } from './message-queue.ts'

export interface RunningQueue {
  readonly queue: MessageQueue
  /** Java's members of ProcessQueueInfo or PopProcessQueueInfo, as text. */
  readonly facts: ReadonlyMap<string, string>
}

export interface RunningSubscription {
  readonly topic: string
  readonly subString: string
  readonly classFilterMode: boolean
}

export interface ConsumerRunningInfo {
  readonly properties: ReadonlyMap<string, string>
  readonly subscriptions: readonly RunningSubscription[]
  readonly queues: readonly RunningQueue[]
  readonly popQueues: readonly RunningQueue[]
  /** Of each topic, Java's members of ConsumeStatus, as text. */
  readonly statuses: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** What the application tells. */
  readonly userInfo: ReadonlyMap<string, string>
  /** The stacks of its threads, when they were asked for. */
  readonly jstack: string | null
}

/** Throws `RemotingError` (`malformed`). */
export function decodeConsumerRunningInfo(body: Buffer): ConsumerRunningInfo {
  const json = asObject(parseFastjson(body), 'ConsumerRunningInfo')
  const statuses = textEntries(optionalObject(json, 'statusTable') ?? new Map())
  return {
    properties: textsOf(json, 'properties'),
    subscriptions: listMember(json, 'subscriptionSet').map((item) => {
      const subscription = asObject(item, 'subscriptionSet')
      return {
        topic: textMember(subscription, 'topic'),
        subString: optionalText(subscription, 'subString') ?? '',
        classFilterMode: booleanMember(subscription, 'classFilterMode', false),
      }
    }),
    queues: queuesOf(json, 'mqTable'),
    popQueues: queuesOf(json, 'mqPopTable'),
    statuses: new Map(
      statuses.map(([topic, status]) => [topic, textMap(asObject(status, 'statusTable'))]),
    ),
    userInfo: textsOf(json, 'userConsumerInfo'),
    jstack: optionalText(json, 'jstack'),
  }
}

function textsOf(json: JsonObject, name: string): ReadonlyMap<string, string> {
  const texts = optionalObject(json, name)
  return texts === null ? new Map<string, string>() : textMap(texts)
}

function queuesOf(json: JsonObject, name: string): readonly RunningQueue[] {
  return [...(optionalObject(json, name) ?? [])].map(([key, facts]) => ({
    queue: messageQueueOf(key),
    facts: textMap(asObject(facts, name)),
  }))
}
