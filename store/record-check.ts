/** Whether bytes are the record that a ConsumeQueue unit means: the record says itself where it belongs. */
import { isSafeInt64, readInt32, readInt64 } from '../common/bytes.ts'
import { lightPlacesOf } from '../common/light-queues.ts'
import { MAGIC_V2, PHYSICAL_OFFSET_AT, RecordReader } from '../common/message-codec.ts'

/** The smallest record: IPv4 addresses, no body, a topic of one byte, no properties. */
const RECORD_SIZE_MIN = 92
const QUEUE_ID_AT = 12
const QUEUE_OFFSET_AT = 20
const SYS_FLAG_AT = 36
/** Of a record with IPv4 addresses; each IPv6 address adds 12. */
const BODY_SIZE_AT = 84
const IPV6_EXTRA = 12
const BORN_HOST_V6 = 0x10
const STORE_HOST_V6 = 0x20

export interface RecordOwner {
  readonly topic: string
  readonly queueId: number
  /** Its records may be those of other queues, which name it. */
  readonly isLight: boolean
  readonly topicBytes: Buffer
}

/**
 * The queue offset of the record of `size` bytes at `at`; -1 when it is not one of this queue, or not the one from `physicalOffset`.
 * `size` bytes are there. Looks at a few fields and the topic: no checksum.
 */
export function queueOffsetOfRecord(
  bytes: Buffer,
  at: number,
  size: number,
  owner: RecordOwner,
  physicalOffset: number,
): number {
  const queueOffset = ownQueueOffset(bytes, at, size, owner, physicalOffset)
  if (queueOffset >= 0 || !owner.isLight) return queueOffset
  return lightQueueOffset(bytes, at, size, owner, physicalOffset)
}

/** Where the record stands in a light queue that it names. */
function lightQueueOffset(
  bytes: Buffer,
  at: number,
  size: number,
  { topic }: RecordOwner,
  physicalOffset: number,
): number {
  const reader = new RecordReader()
  const problem = reader.read(bytes, at, at + size, false)
  if (problem !== null || reader.size !== size || reader.physicalOffset !== physicalOffset)
    return -1
  const end = reader.propertiesAt + reader.propertiesSize
  const places = lightPlacesOf(reader.topic(bytes), bytes, reader.propertiesAt, end)
  return places.find(({ name }) => name === topic)?.queueOffset ?? -1
}

function ownQueueOffset(
  bytes: Buffer,
  at: number,
  size: number,
  owner: RecordOwner,
  physicalOffset: number,
): number {
  if (size < RECORD_SIZE_MIN || readInt32(bytes, at) !== size) return -1
  if (readInt32(bytes, at + QUEUE_ID_AT) !== owner.queueId) return -1
  if (!isSafeInt64(bytes, at + PHYSICAL_OFFSET_AT)) return -1
  if (readInt64(bytes, at + PHYSICAL_OFFSET_AT) !== physicalOffset) return -1
  const sysFlag = readInt32(bytes, at + SYS_FLAG_AT)
  let bodyAt = at + BODY_SIZE_AT
  if ((sysFlag & BORN_HOST_V6) !== 0) bodyAt += IPV6_EXTRA
  if ((sysFlag & STORE_HOST_V6) !== 0) bodyAt += IPV6_EXTRA
  const topicSizeAt = bodyAt + 4 + readInt32(bytes, bodyAt)
  const { topicBytes } = owner
  const isWide = readInt32(bytes, at + 4) >>> 0 === MAGIC_V2
  const topicAt = topicSizeAt + (isWide ? 2 : 1)
  if (topicSizeAt < bodyAt || topicAt + topicBytes.length > at + size) return -1
  const topicSize = isWide ? bytes.readUInt16BE(topicSizeAt) : bytes[topicSizeAt]
  if (topicSize !== topicBytes.length) return -1
  for (let index = 0; index < topicSize; index++) {
    if (bytes[topicAt + index] !== topicBytes[index]) return -1
  }
  return isSafeInt64(bytes, at + QUEUE_OFFSET_AT) ? readInt64(bytes, at + QUEUE_OFFSET_AT) : -1
}
