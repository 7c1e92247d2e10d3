/** Messages as `gantry message` and `gantry group` print them. */
import { messageBody } from '../../../client/message-body.ts'
import { messageOf } from '../../../common/errors.ts'
import { formatHostAddress } from '../../../common/host-address.ts'
import type { StoredMessage } from '../../../common/message.ts'
import { parseProperties } from '../../../common/properties.ts'
import { offsetIdOf, uniqueIdOf } from '../legacy/messages.ts'
import type { CommonFlags } from '../modern.ts'
import { render } from '../table.ts'

/** A message as programs get it. */
export function recordOf(message: StoredMessage): Readonly<Record<string, unknown>> {
  return {
    id: uniqueIdOf(message),
    offsetId: offsetIdOf(message),
    topic: message.topic,
    queue: message.queueId,
    queueOffset: message.queueOffset,
    born: new Date(message.bornTimestamp).toISOString(),
    stored: new Date(message.storeTimestamp).toISOString(),
    bornHost: formatHostAddress(message.bornHost),
    reconsumeTimes: message.reconsumeTimes,
    keys: parseProperties(message.properties).get('KEYS') ?? null,
    properties: Object.fromEntries(parseProperties(message.properties)),
    body: bodyText(message),
  }
}

/** Text where it is text, else the beginning in hex. */
function bodyText(message: StoredMessage): string {
  let body: Buffer
  try {
    body = messageBody(message)
  } catch (error) {
    return `(${messageOf(error)})`
  }
  const text = body.toString()
  // Control characters of a body must not reach the terminal.
  // eslint-disable-next-line no-control-regex
  return /[\u0000-\u0008\u000b-\u001f\u007f\ufffd]/u.test(text)
    ? `0x${body.subarray(0, 64).toString('hex')}${body.length > 64 ? '…' : ''}`
    : text
}

/** One message as a line, an object or a document. */
export function tailLine(flags: CommonFlags, message: StoredMessage, brokerName: string): string {
  const record = { ...recordOf(message), broker: brokerName }
  if (flags.output === 'json') return `${JSON.stringify(record)}\n`
  if (flags.output === 'name') return `${uniqueIdOf(message)}\n`
  if (flags.output === 'yaml')
    return `---\n${render({ columns: [], rows: [], data: record }, 'yaml')}`
  const { TAGS } = Object.fromEntries(parseProperties(message.properties))
  const place = `${brokerName}:${message.queueId}:${message.queueOffset}`
  const time = new Date(message.storeTimestamp).toISOString()
  return `${time}  ${place}  ${TAGS ?? '-'}  ${bodyText(message)}\n`
}
