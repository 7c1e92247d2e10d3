/**
 * SEND_REPLY_MESSAGE (324, 325): the answer to a request of another client (protocol §9, request-reply).
 *
 * The reply is pushed to the requester over the connection that it has with this broker, and stored like any message of the reply topic
 * (`storeReplyMessageEnable`). What the responder is told is whether the push succeeded.
 */
import { messageOf } from '../../common/errors.ts'
import { PropertyName, formatProperties, parseProperties } from '../../common/properties.ts'
import { RemotingError } from '../../remoting/errors.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { answer, queueRefusal, topicNotExist } from './answers.ts'
import { CALL_TIMEOUT_MS } from './client-calls.ts'
import { decodeSendHeader } from './send-header.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { RemotingRequest } from '../../remoting/connection.ts'
import type { BrokerParts } from '../parts.ts'
import type { SendHeader } from './send-header.ts'
import type { SendProcessor } from './send.ts'

/** The codes that `ReplyProcessor` serves, with the code of the same fields that stores them. */
const SEND_CODE_OF: ReadonlyMap<number, number> = new Map([
  [RequestCode.SEND_REPLY_MESSAGE, RequestCode.SEND_MESSAGE],
  [RequestCode.SEND_REPLY_MESSAGE_V2, RequestCode.SEND_MESSAGE_V2],
])
export const REPLY_CODES: readonly number[] = [...SEND_CODE_OF.keys()]

export class ReplyProcessor {
  readonly #parts: BrokerParts
  readonly #send: SendProcessor

  constructor(parts: BrokerParts, send: SendProcessor) {
    this.#parts = parts
    this.#send = send
  }

  readonly handle = async (request: RemotingRequest): Promise<void> => {
    const { command, connection } = request
    const code = SEND_CODE_OF.get(command.code) ?? command.code
    const header = decodeSendHeader(code, command.extFields)
    const refusal =
      this.#send.refusalOf(header) ?? this.#placeRefusal(header, connection.remoteAddress)
    if (refusal !== null) return request.respond(refusal)
    const body = Buffer.from(command.body)
    const pushed = await this.#push(connection.remoteAddress, header, body)
    if (!this.#parts.config.values.storeReplyMessageEnable) {
      return request.respond({ ...pushed, extFields: this.#unstored(header) })
    }
    await this.#send.handle({
      command: { ...command, code, body },
      connection,
      receivedAt: request.receivedAt,
      respond: (stored) => {
        const isStored = fieldOf(stored, 'msgId') !== undefined
        const extFields = (isStored ? stored.extFields : undefined) ?? this.#unstored(header)
        request.respond({ ...pushed, extFields })
      },
    })
  }

  /** Nobody is told a reply that cannot be stored. */
  #placeRefusal(header: SendHeader, remoteAddress: string): ResponseContent | null {
    const { topics } = this.#parts
    const { topic: name, defaultTopic, defaultTopicQueueNums } = header
    const topic = topics.get(name)
    if (topic !== undefined) return queueRefusal(topic, header.queueId, remoteAddress)
    const isMade = topics.inherited(name, defaultTopic, defaultTopicQueueNums) !== null
    return isMade ? null : topicNotExist(name)
  }

  /** What a client can decode as the answer to a send although nothing was stored. */
  #unstored(header: SendHeader): Readonly<Record<string, string>> {
    const { regionId, traceOn } = this.#parts.config.values
    return {
      msgId: '0',
      queueId: String(Math.max(0, header.queueId)),
      queueOffset: '0',
      MSG_REGION: regionId,
      TRACE_ON: String(traceOn),
    }
  }

  async #push(bornHost: string, header: SendHeader, body: Buffer): Promise<ResponseContent> {
    const { clients, clock, logger } = this.#parts
    const properties = parseProperties(header.properties)
    const senderId = properties.get(PropertyName.REPLY_TO_CLIENT)
    const failed = (remark: string) => answer(ResponseCode.SYSTEM_ERROR, remark)
    if (senderId === undefined) return failed('reply message properties[REPLY_TO_CLIENT] is null')
    const connection = clients.connectionOfProducer(senderId)
    if (connection === null) {
      return failed(`push reply message fail, channel of <${senderId}> not found.`)
    }
    const now = clock.now()
    properties.set(PropertyName.PUSH_REPLY_TIME, String(now))
    const content = {
      code: RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT,
      extFields: {
        ...pushHeader(header),
        properties: formatProperties(properties),
        bornHost,
        storeHost: this.#parts.brokerAddress(),
        storeTimestamp: String(now),
      },
      body,
    }
    try {
      const { code, remark } = await connection.invoke(content, CALL_TIMEOUT_MS)
      if (code === ResponseCode.SUCCESS) return { code: ResponseCode.SUCCESS }
      logger.debug({ clientId: senderId, code, remark }, 'a requester did not take its reply')
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error
      logger.debug({ clientId: senderId, reason: messageOf(error) }, 'a reply was not delivered')
    }
    return failed(`push reply message to ${senderId}fail.`)
  }
}

function pushHeader(header: SendHeader): Readonly<Record<string, string>> {
  return {
    producerGroup: header.producerGroup,
    topic: header.topic,
    defaultTopic: header.defaultTopic,
    defaultTopicQueueNums: String(header.defaultTopicQueueNums),
    queueId: String(header.queueId),
    sysFlag: String(header.sysFlag),
    bornTimestamp: String(header.bornTimestamp),
    flag: String(header.flag),
    reconsumeTimes: String(header.reconsumeTimes),
  }
}

function fieldOf({ extFields }: ResponseContent, name: string): string | undefined {
  if (extFields === undefined) return undefined
  return new Map(extFields instanceof Map ? extFields : Object.entries(extFields)).get(name)
}
