/** Reads messages of a topic's queues for people: bounded, and it says what it did not look at. */
import { messageByOffsetId, messagesByKey, pullOnce } from '../../client/admin-questions.ts'
import type { StoredMessage } from '../../common/message.ts'
import { decodeOffsetMessageId } from '../../common/message-id.ts'
import { formatHostAddress } from '../../common/host-address.ts'
import type { MessageRow } from '../message-types.ts'
import { leadersOfTopic, pictureOf } from './api.ts'
import type { Api, Leader } from './api.ts'
import { messageRow } from './message-rows.ts'

/** A group that every broker has, so that looking leaves no group behind. */
const TOOLS_GROUP = 'TOOLS_CONSUMER'
const PULL_MESSAGES = 32
/** Messages that one request looks at. */
export const SCAN_MAX = 2_000
const QUEUES_MAX = 256

export interface QueueRange {
  readonly leader: Leader
  readonly queueId: number
  readonly from: number
  /** The next after the last. */
  readonly to: number
}

/** The queues of a topic between two times; null: from the first, to the last. */
export async function rangesOf(
  api: Api,
  topic: string,
  times: { readonly from: number | null; readonly to: number | null },
): Promise<readonly QueueRange[]> {
  const leaders = leadersOfTopic(api, topic)
  const state = pictureOf(api).topics.get(topic)
  const ranges: QueueRange[] = []
  for (const leader of leaders) {
    const part = state?.on.find(({ brokerName }) => brokerName === leader.brokerName)
    for (const queueId of (part?.topic.queues ?? []).keys()) {
      if (ranges.length >= QUEUES_MAX) return ranges
      const queue = { topic, queueId }
      const { address } = leader
      const max = await api.admin.maxOffset(address, queue)
      if (max === 0) continue
      const min = await api.admin.minOffset(address, queue)
      const at = async (time: number | null, otherwise: number): Promise<number> =>
        time === null ? otherwise : await api.admin.searchOffset(address, queue, time)
      const from = Math.max(min, await at(times.from, min))
      // The last message is told as the place of all later times.
      const to = times.to === null ? max : await endAt(api, leader, queue, times.to, max)
      if (to > from) ranges.push({ leader, queueId, from, to })
    }
  }
  return ranges
}

async function endAt(
  api: Api,
  { address }: Leader,
  queue: { readonly topic: string; readonly queueId: number },
  time: number,
  max: number,
): Promise<number> {
  const found = await api.admin.searchOffset(address, queue, time + 1)
  return found >= max - 1 ? max : found
}

/** Of each range the newest messages, `perQueue` of each. */
export async function newestOf(
  api: Api,
  topic: string,
  ranges: readonly QueueRange[],
  perQueue: number,
  mayReadBody: boolean,
): Promise<readonly MessageRow[]> {
  const rows: MessageRow[] = []
  for (const { leader, queueId, from, to } of ranges) {
    const start = Math.max(from, to - perQueue)
    rows.push(...(await readQueue(api, { topic, leader, queueId, from: start, to }, mayReadBody)))
  }
  return rows
}

/** The messages of a queue from one offset to another. */
export async function readQueue(
  api: Api,
  { topic, leader, queueId, from, to }: QueueRange & { readonly topic: string },
  mayReadBody: boolean,
): Promise<readonly MessageRow[]> {
  const rows: MessageRow[] = []
  let queueOffset = from
  while (queueOffset < to) {
    const maxMessages = Math.min(PULL_MESSAGES, to - queueOffset)
    const asked = { consumerGroup: TOOLS_GROUP, topic, queueId, queueOffset, maxMessages }
    const { messages, nextOffset } = await pullOnce(api.admin, leader.address, asked)
    for (const message of messages) {
      if (message.queueOffset < to) rows.push(messageRow(message, leader.brokerName, mayReadBody))
    }
    if (nextOffset <= queueOffset) break
    queueOffset = nextOffset
  }
  return rows
}

/** One message of a queue; null when it is no longer there. */
export async function messageAt(
  api: Api,
  topic: string,
  place: { readonly leader: Leader; readonly queueId: number; readonly queueOffset: number },
): Promise<StoredMessage | null> {
  const { leader, queueId, queueOffset } = place
  const asked = { consumerGroup: TOOLS_GROUP, topic, queueId, queueOffset, maxMessages: 1 }
  const { messages } = await pullOnce(api.admin, leader.address, asked)
  return messages.find((message) => message.queueOffset === queueOffset) ?? null
}

const KEYS_MAX = 64

export async function byKey(
  api: Api,
  asked: { readonly topic: string; readonly key: string; readonly isUniqueId: boolean },
  mayReadBody: boolean,
): Promise<readonly MessageRow[]> {
  const rows: MessageRow[] = []
  for (const { address, brokerName } of leadersOfTopic(api, asked.topic)) {
    const found = await messagesByKey(api.admin, address, {
      ...asked,
      maxMessages: KEYS_MAX,
      beginTimestamp: 0,
      endTimestamp: Number.MAX_SAFE_INTEGER,
    })
    rows.push(...found.map((message) => messageRow(message, brokerName, mayReadBody)))
  }
  // The broker's index knows hashes only.
  return rows.filter((row) =>
    asked.isUniqueId ? row.id === asked.key : row.keys.split(' ').includes(asked.key),
  )
}

/** A message id may name any address: only brokers of the cluster are asked. */
export async function byOffsetId(
  api: Api,
  id: string,
  mayReadBody: boolean,
): Promise<MessageRow | null> {
  const decoded = decodeOffsetMessageId(id)
  if (decoded === null) return null
  const address = formatHostAddress(decoded.host)
  const broker = pictureOf(api).brokers.find((each) => each.address === address)
  // An id that a client gave looks the same.
  if (broker === undefined) return null
  const message = await messageByOffsetId(api.admin, id)
  return messageRow(message, broker.brokerName, mayReadBody)
}
