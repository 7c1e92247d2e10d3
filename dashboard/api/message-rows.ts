/** Messages as the page shows them. Pure. */
import { messageBody } from '../../client/message-body.ts'
import { messageOf } from '../../common/errors.ts'
import { formatHostAddress } from '../../common/host-address.ts'
import { encodeOffsetMessageId } from '../../common/message-id.ts'
import type { StoredMessage } from '../../common/message.ts'
import { parseProperties } from '../../common/properties.ts'
import type { MessageRow } from '../message-types.ts'

/** Of a body; what is longer is cut. */
const BODY_SHOWN_BYTES = 64 * 1024

export function messageRow(
  message: StoredMessage,
  brokerName: string,
  mayReadBody: boolean,
): MessageRow {
  const properties = parseProperties(message.properties)
  const offsetId = encodeOffsetMessageId(message.storeHost, message.physicalOffset)
  return {
    id: properties.get('UNIQ_KEY') ?? offsetId,
    offsetId,
    topic: message.topic,
    brokerName,
    queueId: message.queueId,
    queueOffset: message.queueOffset,
    storedAt: message.storeTimestamp,
    bornAt: message.bornTimestamp,
    bornHost: formatHostAddress(message.bornHost),
    tags: properties.get('TAGS') ?? '',
    keys: properties.get('KEYS') ?? '',
    reconsumeTimes: message.reconsumeTimes,
    properties: Object.fromEntries(properties),
    ...shownBody(message, mayReadBody),
  }
}

function shownBody(
  message: StoredMessage,
  mayReadBody: boolean,
): Pick<MessageRow, 'body' | 'bodySize' | 'isBodyCut' | 'bodyProblem'> {
  const bodySize = message.body.length
  const none = { body: null, bodySize, isBodyCut: false }
  if (!mayReadBody) return { ...none, bodyProblem: 'bodies are not shown to viewers here' }
  try {
    const body = messageBody(message)
    return {
      body: body.subarray(0, BODY_SHOWN_BYTES).toString('base64'),
      bodySize: body.length,
      isBodyCut: body.length > BODY_SHOWN_BYTES,
      bodyProblem: null,
    }
  } catch (error) {
    return { ...none, bodyProblem: messageOf(error) }
  }
}

/** Newest first; of one queue in its order. */
export function newestFirst(left: MessageRow, right: MessageRow): number {
  return right.storedAt - left.storedAt || right.queueOffset - left.queueOffset
}

/** In body, tag, keys, ids or properties. */
export function holds(row: MessageRow, wanted: string): boolean {
  if (wanted === '') return true
  const texts = [row.id, row.offsetId, row.tags, row.keys, ...Object.values(row.properties)]
  if (texts.some((text) => text.toLowerCase().includes(wanted))) return true
  if (row.body === null) return false
  return Buffer.from(row.body, 'base64').toString('utf8').toLowerCase().includes(wanted)
}
