/** How a popped message is named by whoever acknowledges it (protocol §8.1), and the topics that hold the retries of a group. */
import { RETRY_PREFIX } from '../names.ts'

/** Stands in handles of orderly pops where others name their queue of the revive log. */
export const ORDER_REVIVE_QUEUE = 999

/** Which topic a popped message lay in. */
export const RetryMark = { NORMAL: '0', V1: '1', V2: '2' } as const
export type RetryMark = (typeof RetryMark)[keyof typeof RetryMark]

const SEPARATOR_V1 = '_'
const SEPARATOR_V2 = '+'
const INTEGER = /^-?\d{1,16}$/

export interface Receipt {
  /** Queue offset at which the pop began to read. */
  readonly startOffset: number
  readonly popTime: number
  readonly invisibleTime: number
  readonly reviveQueueId: number
}

/** Where the messages of a group lie that were popped from `topic` and came back: RocketMQ's first form… */
export function popRetryTopicV1(topic: string, consumerGroup: string): string {
  return RETRY_PREFIX + consumerGroup + SEPARATOR_V1 + topic
}

/** …and its second, in which topic and group can be told apart. */
export function popRetryTopicV2(topic: string, consumerGroup: string): string {
  return RETRY_PREFIX + consumerGroup + SEPARATOR_V2 + topic
}

export function retryMarkOf(topic: string): RetryMark {
  if (!topic.startsWith(RETRY_PREFIX)) return RetryMark.NORMAL
  return topic.includes(SEPARATOR_V2) ? RetryMark.V2 : RetryMark.V1
}

/** The topic that lies behind a mark, or null for a mark that nobody gives. */
export function realTopicOf(topic: string, consumerGroup: string, mark: string): string | null {
  if (mark === RetryMark.NORMAL) return topic
  if (mark === RetryMark.V1) return popRetryTopicV1(topic, consumerGroup)
  if (mark === RetryMark.V2) return popRetryTopicV2(topic, consumerGroup)
  return null
}

/** The topic whose retries `topic` holds; `topic` itself when it is no retry topic of the group's pops. */
export function normalTopicOf(topic: string, consumerGroup: string): string {
  for (const separator of [SEPARATOR_V2, SEPARATOR_V1]) {
    const prefix = RETRY_PREFIX + consumerGroup + separator
    if (topic.startsWith(prefix)) return topic.slice(prefix.length)
  }
  return topic
}

/** Reads the first four parts of a handle, which are all that an acknowledgement needs; null when they are not there. */
export function parseReceipt(text: string): Receipt | null {
  const parts = text.split(' ', 5)
  const [startOffset, popTime, invisibleTime, reviveQueueId] = parts
  if (reviveQueueId === undefined || startOffset === undefined) return null
  if (popTime === undefined || invisibleTime === undefined) return null
  for (const part of parts.slice(0, 4)) if (!INTEGER.test(part)) return null
  const receipt = {
    startOffset: Number(startOffset),
    popTime: Number(popTime),
    invisibleTime: Number(invisibleTime),
    reviveQueueId: Number(reviveQueueId),
  }
  return Object.values(receipt).every(Number.isSafeInteger) ? receipt : null
}

/** What the property POP_CK of a message says. */
export function formatReceipt(
  receipt: Receipt,
  at: {
    readonly mark: RetryMark
    readonly brokerName: string
    readonly queueId: number
    readonly queueOffset: number
  },
): string {
  const { startOffset, popTime, invisibleTime, reviveQueueId } = receipt
  return `${startOffset} ${popTime} ${invisibleTime} ${reviveQueueId} ${at.mark} ${at.brokerName} ${at.queueId} ${at.queueOffset}`
}
