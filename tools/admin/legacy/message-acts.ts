/** What mqadmin does with a message that it has found: hand it to one consumer, send it again, follow its sending with a trace. */
import { consumeDirectly, consumerRunningInfo } from '../../../client/client-questions.ts'
import { messageBody } from '../../../client/message-body.ts'
import { TRACE_TOPIC, sendTraceRecord } from '../../../client/message-traces.ts'
import type { OutgoingMessage, Producer, SendResult } from '../../../client/producer.ts'
import { formatHostAddress } from '../../../common/host-address.ts'
import type { StoredMessage } from '../../../common/message.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { isPush } from './running-info.ts'

/** Out of turn; the consumer says what became of it. */
export async function handOver(
  session: Session,
  message: StoredMessage,
  to: { readonly consumerGroup: string; readonly clientId: string; readonly offsetId: string },
): Promise<void> {
  const { offsetId, clientId, ...group } = to
  const broker = formatHostAddress(message.storeHost)
  const who = { ...group, clientId }
  if (!isPush(await consumerRunningInfo(session.admin, broker, who, false))) {
    const text = `this ${clientId} client is not push consumer ,not support direct push`
    throw new AdminError('failed', text)
  }
  const { topic } = message
  const result = await consumeDirectly(session.admin, broker, who, { topic, offsetId })
  const names = ['order', 'autoCommit', 'consumeResult', 'remark', 'spentTimeMills']
  const facts = names.map((name) => `${name}=${result.get(name) ?? 'null'}`)
  session.line(`ConsumeMessageDirectlyResult [${facts.join(', ')}]`)
}

/** The body of a message in a charset, UTF-8 unless it is named. */
export function bodyText(message: StoredMessage, charset: string | null): string {
  try {
    return new TextDecoder(charset ?? 'utf-8').decode(messageBody(message))
  } catch (error) {
    if (error instanceof RangeError) throw new AdminError('usage', `no charset ${charset}`, error)
    throw error
  }
}

/** Java's `toString`. */
export function sendResultText(result: SendResult): string {
  const { status, messageId, offsetMessageId, queue, queueOffset } = result
  const { topic, brokerName, queueId } = queue
  const where = `MessageQueue [topic=${topic}, brokerName=${brokerName}, queueId=${queueId}]`
  const ids = `msgId=${messageId}, offsetMsgId=${offsetMessageId}`
  return `SendResult [sendStatus=${status}, ${ids}, messageQueue=${where}, queueOffset=${queueOffset}, recallHandle=null]`
}

/** Tells what a producer with tracing tells of a message that it has sent. */
export async function sendTrace(
  producer: Producer,
  message: OutgoingMessage,
  sent: {
    readonly result: SendResult
    readonly storeHost: string
    readonly producerGroup: string
    readonly sentAt: number
    readonly costMs: number
  },
): Promise<void> {
  const body = Buffer.from(sendTraceRecord({ message, ...sent }))
  const keys = [sent.result.messageId, ...(message.keys ?? [])]
  await producer.send({ topic: TRACE_TOPIC, body, keys })
}
