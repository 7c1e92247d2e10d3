/** What has become of a message in each consumer group, in mqadmin's words (its MessageTrack). */
import { consumerConnection, groupsOfTopic } from '../../../client/admin-questions.ts'
import { formatHostAddress } from '../../../common/host-address.ts'
import { PropertyName, propertyOf } from '../../../common/properties.ts'
import { ResponseCode } from '../../../remoting/response-code.ts'
import type { StoredMessage } from '../../../common/message.ts'
import type { ConsumerConnectionView } from '../../../remoting/bodies/client-connections.ts'
import type { Session } from '../session.ts'

type TrackType =
  | 'CONSUMED'
  | 'CONSUMED_BUT_FILTERED'
  | 'PULL'
  | 'NOT_CONSUME_YET'
  | 'NOT_ONLINE'
  | 'CONSUME_BROADCASTING'
  | 'UNKNOWN'

interface MessageTrack {
  readonly consumerGroup: string
  readonly trackType: TrackType
  /** Why there is no more to say. */
  readonly reason: string | null
}

const NO_OFFSETS =
  'Not found the consumer group consume stats, because return offset table is empty, maybe the consumer not consume any message'

/** The lines that follow a message which was asked for. */
export async function trackLines(
  session: Session,
  message: StoredMessage,
): Promise<readonly string[]> {
  const leaders = await session.leadersOf(message.topic)
  const storeHost = formatHostAddress(message.storeHost)
  const holder = leaders.find(({ address }) => address === storeHost) ?? leaders[0]
  if (holder === undefined) return []
  const groups = await groupsOfTopic(session.admin, holder.address, message.topic)
  const lines: string[] = []
  for (const consumerGroup of groups.toSorted()) {
    const { trackType, reason } = await trackOf(session, holder.address, message, consumerGroup)
    lines.push(
      `MessageTrack [consumerGroup=${consumerGroup}, trackType=${trackType}, exceptionDesc=${reason ?? 'null'}]`,
    )
  }
  return lines.length === 0 ? ['WARN: No Consumer'] : lines
}

async function trackOf(
  session: Session,
  broker: string,
  message: StoredMessage,
  consumerGroup: string,
): Promise<MessageTrack> {
  const track = (trackType: TrackType, reason: string | null = null) => ({
    consumerGroup,
    trackType,
    reason,
  })
  const offline = (remark: string) =>
    track('NOT_ONLINE', `CODE:${ResponseCode.CONSUMER_NOT_ONLINE} DESC:${remark}`)
  const connection = await consumerConnection(session.admin, broker, consumerGroup)
  if (connection === null) return offline(`the consumer group[${consumerGroup}] not online`)
  if (connection.consumeType === 'CONSUME_ACTIVELY') return track('PULL')
  if (connection.consumeType !== 'CONSUME_PASSIVELY') return track('UNKNOWN')
  const { queues } = await session.admin.consumeStats(broker, consumerGroup)
  if (queues.length === 0) {
    return connection.messageModel === 'BROADCASTING'
      ? track('CONSUME_BROADCASTING')
      : offline(NO_OFFSETS)
  }
  const isConsumed = queues.some(
    ({ queue, consumerOffset }) =>
      queue.topic === message.topic &&
      queue.queueId === message.queueId &&
      consumerOffset > message.queueOffset,
  )
  if (!isConsumed) return track('NOT_CONSUME_YET')
  return track(isFiltered(connection, message) ? 'CONSUMED_BUT_FILTERED' : 'CONSUMED')
}

/** By tags, as far as mqadmin looks at it: a group with a SQL92 expression filters nothing. */
function isFiltered({ subscriptions }: ConsumerConnectionView, message: StoredMessage): boolean {
  const found = subscriptions.find(({ topic }) => topic === message.topic)
  if (found === undefined || found.tagsSet.length === 0 || found.tagsSet.includes('*')) return false
  const tags = propertyOf(message.properties, PropertyName.TAGS)
  return tags === null || !found.tagsSet.includes(tags)
}
