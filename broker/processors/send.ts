/**
 * SEND_MESSAGE (10), SEND_MESSAGE_V2 (310), SEND_BATCH_MESSAGE (320): the checks of protocol §7.1 in order, then the store.
 *
 * One message costs: the header's fields, one scan of the properties, one append, one answer. Only a topic that has to be created
 * makes the way asynchronous; then the body is copied, since the bytes of a request live for one turn.
 */
import { MessageCodecError, decodeBatchBody } from '../../common/message-codec.ts'
import { encodeOffsetMessageId } from '../../common/message-id.ts'
import { MessageSysFlag } from '../../common/message.ts'
import { PropertyName, formatProperties, parseProperties } from '../../common/properties.ts'
import { parseHostAddress } from '../../common/host-address.ts'
import { Permission } from '../../remoting/bodies/topic-config.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { PutStatus, isStored } from '../../store/types.ts'
import { DELAY_IN_BATCH } from '../delay/delays.ts'
import { deadLetterProperties } from '../retry/dead-letter.ts'
import {
  DLQ_PREFIX,
  RETRY_PREFIX,
  TIMER_TOPIC,
  isForbiddenForClients,
  topicProblem,
} from '../names.ts'
import { halfMessageOf } from '../transaction/half-message.ts'
import { recallHandleOf } from '../timer/recall.ts'
import { isForwarded } from '../request-gate.ts'
import { answer, brokerMay, queueRefusal, topicNotExist } from './answers.ts'
import { FastSend } from './fast-send.ts'
import { PropertyCopier } from './property-copier.ts'
import { PutCounters, countPutsOfBroker } from './put-counters.ts'
import { decodeSendHeader } from './send-header.ts'
import {
  brokerProperties,
  contentProblem,
  dropProperty,
  propertyPair,
  scanProperties,
} from './send-properties.ts'
import type { HostAddress, MessageToStore } from '../../common/message.ts'
import type { Connection, RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { TopicConfig } from '../../remoting/bodies/topic-config.ts'
import type { PutResult } from '../../store/types.ts'
import type { BrokerParts } from '../parts.ts'
import type { MessageType } from '../stats.ts'
import type { Transactions } from '../transaction/transactions.ts'
import type { SendLoad } from './send-batch.ts'
import type { SendHeader } from './send-header.ts'
import type { ScannedProperties } from './send-properties.ts'

/** From V3_4_9 on a client may say how often a message is retried. */
const MAX_RECONSUME_TIMES_VERSION = 121
const NO_ADDRESS: HostAddress = { ip: Buffer.alloc(4), port: 0 }

/** What a send is once its topic and queue are known. */
interface Target {
  readonly topic: TopicConfig
  readonly queueId: number
  readonly properties: ScannedProperties
}

export class SendProcessor {
  readonly #parts: BrokerParts
  readonly #transactions: Pick<Transactions, 'takesMore'>
  readonly #peers = new WeakMap<Connection, HostAddress>()
  #suffix: Buffer = Buffer.alloc(0)
  readonly #copier = new PropertyCopier()
  #suffixOf: unknown = null
  readonly #load: SendLoad = { inFlight: 0 }
  /** What takes plain sends before they are decoded. */
  readonly fast: FastSend

  constructor(parts: BrokerParts, transactions: Pick<Transactions, 'takesMore'>) {
    this.#parts = parts
    this.#transactions = transactions
    const owner = {
      load: this.#load,
      isStored,
      answerTo: (status: PutStatus, reason: string | null) => ({
        ...this.#outcomeOf(status, reason),
        extFields: this.#commonFields(),
      }),
      count: (sends: number, isSystem: boolean) => {
        const { brokerClusterName } = parts.config.values
        countPutsOfBroker(parts.stats, brokerClusterName, {
          messages: sends,
          puts: sends,
          isSystem,
        })
      },
    }
    this.fast = new FastSend(parts, owner, (connection) => this.#bornHost(connection))
  }

  /** Sends that wait for the store. */
  get inFlight(): number {
    return this.#load.inFlight
  }

  readonly handle = (request: RemotingRequest): void | Promise<void> => {
    const header = decodeSendHeader(request.command.code, request.command.extFields)
    const refusal = this.refusalOf(header)
    if (refusal !== null) return this.#refuse(request, refusal)
    const topic = this.#parts.topics.get(header.topic)
    if (topic === undefined) return this.#createAndStore(request, header)
    return this.#sendTo(request, header, topic, request.command.body)
  }

  /** Counts the messages of one put. */
  #count(name: string, messages: number, bytes: number, type: MessageType): void {
    const { stats, topics, config } = this.#parts
    const isSystem = topics.isSystem(name)
    new PutCounters(stats, { name, isSystem }).count(messages, 1, bytes, type)
    countPutsOfBroker(stats, config.values.brokerClusterName, { messages, puts: 1, isSystem })
  }

  #refuse(request: RemotingRequest, refusal: ResponseContent): void {
    request.respond({ ...refusal, extFields: this.#commonFields() })
  }

  #commonFields(): Readonly<Record<string, string>> {
    const { regionId, traceOn } = this.#parts.config.values
    return { MSG_REGION: regionId, TRACE_ON: String(traceOn) }
  }

  /** What can be said before the topic is looked up. */
  refusalOf(header: SendHeader): ResponseContent | null {
    const { config, clock } = this.#parts
    const { startAcceptSendRequestTimeStamp, sendThreadPoolQueueCapacity } = config.values
    if (startAcceptSendRequestTimeStamp > 0 && clock.now() < startAcceptSendRequestTimeStamp) {
      const until = new Date(startAcceptSendRequestTimeStamp).toISOString()
      return answer(ResponseCode.SYSTEM_ERROR, `broker unable to service, until ${until}`)
    }
    if (this.#load.inFlight >= sendThreadPoolQueueCapacity) {
      this.#parts.stats.flowControl.sendQueue++
      return answer(
        ResponseCode.SYSTEM_BUSY,
        '[OVERLOAD]system busy, start flow control for a while',
      )
    }
    if (!brokerMay(this.#parts, Permission.WRITE)) {
      const broker = this.#parts.brokerAddress()
      return answer(
        ResponseCode.NO_PERMISSION,
        `the broker[${broker}] sending message is forbidden`,
      )
    }
    // A topic that is known was checked when it was made.
    const problem =
      this.#parts.topics.get(header.topic) === undefined ? topicProblem(header.topic) : null
    if (problem !== null) return answer(ResponseCode.INVALID_PARAMETER, problem)
    if (isForbiddenForClients(header.topic)) {
      return answer(
        ResponseCode.NO_PERMISSION,
        `Sending message to topic[${header.topic}] is forbidden.`,
      )
    }
    return null
  }

  async #createAndStore(request: RemotingRequest, header: SendHeader): Promise<void> {
    const body = Buffer.from(request.command.body)
    const wanted = this.#parts.topics.inherited(
      header.topic,
      header.defaultTopic,
      header.defaultTopicQueueNums,
    )
    if (wanted === null) {
      this.#refuse(request, topicNotExist(header.topic))
      return
    }
    const topic = await this.#parts.topics.ensure(wanted)
    this.#parts.logger.info(
      { topic: header.topic, producerGroup: header.producerGroup, queues: topic.writeQueueNums },
      'a send created a topic',
    )
    await this.#sendTo(request, header, topic, body)
  }

  #sendTo(
    request: RemotingRequest,
    header: SendHeader,
    topic: TopicConfig,
    body: Buffer,
  ): void | Promise<void> {
    const refusal = queueRefusal(topic, header.queueId, request.connection.remoteAddress)
    if (refusal !== null) return this.#refuse(request, refusal)
    const properties = scanProperties(header.properties)
    if (header.topic.startsWith(RETRY_PREFIX)) {
      return this.#sendRetry(request, header, { topic, queueId: header.queueId, properties }, body)
    }
    this.#noteRequester(request, header, properties)
    this.#store(request, header, { topic, queueId: header.queueId, properties }, body)
  }

  /** After a change of the leader requests come before the heartbeat that tells who sends them, and so may their replies. */
  #noteRequester(
    { command, connection }: RemotingRequest,
    { producerGroup }: SendHeader,
    { requester: clientId }: ScannedProperties,
  ): void {
    if (clientId === null || isForwarded(command)) return
    const { language, version } = command
    this.#parts.clients.expectReply(producerGroup, { clientId, connection, language, version })
  }

  /** A client sends a message that it could not consume: into the retry topic, or into the dead letter queue after too many attempts. */
  #sendRetry(
    request: RemotingRequest,
    header: SendHeader,
    target: Target,
    body: Buffer,
  ): void | Promise<void> {
    const groupName = header.topic.slice(RETRY_PREFIX.length)
    const group = this.#parts.groups.find(groupName)
    if (group === null) {
      return this.#refuse(
        request,
        answer(
          ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
          `subscription group not exist, ${groupName}`,
        ),
      )
    }
    const asked =
      request.command.version >= MAX_RECONSUME_TIMES_VERSION ? header.maxReconsumeTimes : null
    const isGivenUp = header.reconsumeTimes > (asked ?? group.retryMaxTimes)
    // Orderly consumers send a message back only when they give it up.
    if (!isGivenUp && !this.#parts.locks.hasLocks(groupName)) {
      this.#store(request, header, target, body)
      return
    }
    return this.#sendDead(request, header, { groupName, target, body: Buffer.from(body) })
  }

  async #sendDead(
    request: RemotingRequest,
    header: SendHeader,
    dead: { readonly groupName: string; readonly target: Target; readonly body: Buffer },
  ): Promise<void> {
    const { topics, stats } = this.#parts
    const topic = await topics.ensureRetryTopic(DLQ_PREFIX + dead.groupName, 1)
    const { properties } = dead.target
    const delivered: ScannedProperties = {
      ...properties,
      kept:
        dropProperty(properties.kept, PropertyName.DELAY) +
        formatProperties(deadLetterProperties(parseProperties(properties.kept))),
      asksForDelay: false,
    }
    const consumerGroup = header.topic.slice(RETRY_PREFIX.length)
    stats.add('DLQ_PUT_NUMS', `${header.topic}@${consumerGroup}`, 1, 1)
    this.#store(request, header, { topic, queueId: 0, properties: delivered }, dead.body)
  }

  #store(request: RemotingRequest, header: SendHeader, target: Target, body: Buffer): void {
    const { properties } = target
    const isTransaction = (header.sysFlag & MessageSysFlag.TRANSACTION_MASK) !== 0
    const { rejectTransactionMessage } = this.#parts.config.values
    if (rejectTransactionMessage && (isTransaction || properties.isTransactional)) {
      const remark = `the broker[${this.#parts.brokerAddress()}] sending transaction message is forbidden`
      return this.#refuse(request, answer(ResponseCode.NO_PERMISSION, remark))
    }
    if (isTransaction && !properties.isTransactional) {
      const remark = `sysFlag[${header.sysFlag}] says that the message is part of a transaction, the property TRAN_MSG does not`
      return this.#refuse(request, answer(ResponseCode.MESSAGE_ILLEGAL, remark))
    }
    const problem = header.isBatch ? null : contentProblem(header.sysFlag, properties, body)
    if (problem !== null) return this.#refuse(request, this.#illegalMessage(problem))
    const queueId = this.#queueOf(target)
    const messages = header.isBatch
      ? this.#batchMessages(request, header, { ...target, queueId }, body)
      : this.#single(
          this.#messageOf(request.connection, header, { ...target, queueId }, body),
          properties,
        )
    if (!Array.isArray(messages)) return this.#refuse(request, messages)
    this.#load.inFlight++
    this.#parts.store.put(messages, properties.waitsForFlush ? 'inTime' : 'written', (result) => {
      this.#load.inFlight--
      this.#respond(request, { header, queueId, messages, properties }, result)
    })
  }

  /** A message as it is to be stored, or the answer that refuses it. */
  #single(
    message: MessageToStore,
    properties: ScannedProperties,
  ): MessageToStore[] | ResponseContent {
    if (properties.asksForDelay) {
      // A consumer that sends a message of a transaction back: that one was committed.
      const isRetry = message.reconsumeTimes > 0
      if (properties.isTransactional && !isRetry) {
        const remark = 'a message of a transaction cannot be delayed'
        return answer(ResponseCode.MESSAGE_ILLEGAL, remark)
      }
      // Old consumers leave the mark of a half message, with which it would never be seen again.
      const sysFlag = message.sysFlag & ~MessageSysFlag.TRANSACTION_MASK
      const diverted = this.#parts.delays.divert({ ...message, sysFlag })
      return diverted.type === 'refuse' ? diverted.answer : [diverted.message]
    }
    if (!properties.isTransactional) return [message]
    if (!this.#transactions.takesMore) {
      this.#parts.stats.flowControl.transactions++
      const remark = '[OVERLOAD]too many open transactions, start flow control for a while'
      return answer(ResponseCode.SYSTEM_BUSY, remark)
    }
    const half = halfMessageOf(message)
    return half === null ? this.#illegalMessage() : [half]
  }

  #queueOf({ queueId, topic }: Target): number {
    return queueId >= 0 ? queueId : this.#parts.random.integer(Math.max(1, topic.writeQueueNums))
  }

  #messageOf(
    connection: Connection,
    header: SendHeader,
    target: Target,
    body: Buffer,
  ): MessageToStore {
    return this.#message(connection, header, target, {
      flag: header.flag,
      body,
      properties: this.#withOwnProperties(target.properties),
    })
  }

  /** The messages of a batch, or the answer that refuses it. */
  #batchMessages(
    request: RemotingRequest,
    header: SendHeader,
    target: Target,
    body: Buffer,
  ): MessageToStore[] | ResponseContent {
    if (body.length > this.#parts.config.values.maxMessageSize) return this.#illegalMessage()
    if (target.properties.asksForDelay) return answer(ResponseCode.MESSAGE_ILLEGAL, DELAY_IN_BATCH)
    if (header.topic.startsWith(RETRY_PREFIX)) {
      return answer(ResponseCode.MESSAGE_ILLEGAL, 'batch request does not support retry group ')
    }
    try {
      const messages: MessageToStore[] = []
      for (const { flag, body: part, properties } of decodeBatchBody(body)) {
        const stored = this.#plainProperties(properties) ?? this.#batchProperties(properties)
        if (!Buffer.isBuffer(stored)) return stored
        messages.push(
          this.#message(request.connection, header, target, {
            flag,
            body: part,
            properties: stored,
          }),
        )
      }
      if (messages.length > 0) return messages
      return answer(ResponseCode.MESSAGE_ILLEGAL, 'a batch without messages')
    } catch (error) {
      if (!(error instanceof MessageCodecError)) throw error
      return answer(ResponseCode.MESSAGE_ILLEGAL, error.message)
    }
  }

  /** What is stored of the properties of a message in a batch, or the answer that refuses it. */
  #batchProperties(properties: Buffer): Buffer | ResponseContent {
    const scanned = scanProperties(properties.toString())
    if (scanned.asksForDelay) return answer(ResponseCode.MESSAGE_ILLEGAL, DELAY_IN_BATCH)
    if (scanned.isTransactional) {
      return answer(ResponseCode.MESSAGE_ILLEGAL, 'a transactional message (TRAN_MSG) in a batch')
    }
    return this.#withOwnProperties(scanned)
  }

  /** The same for properties that ask for nothing, without making strings; null for others. */
  #plainProperties(properties: Buffer): Buffer | null {
    const copier = this.#copier
    if (!copier.copy(properties, 0, properties.length, false)) return null
    if (copier.uniqueKeyEnd === copier.uniqueKeyStart) return null
    const suffix = this.#propertySuffix()
    const stored = Buffer.allocUnsafe(copier.end + suffix.length)
    copier.target.copy(stored, 0, 0, copier.end)
    suffix.copy(stored, copier.end)
    return stored
  }

  #withOwnProperties({ kept, uniqueKey }: ScannedProperties): Buffer {
    const own =
      uniqueKey === null ? propertyPair(PropertyName.UNIQ_KEY, this.#parts.uniqueId()) : ''
    return Buffer.concat([Buffer.from(kept + own), this.#propertySuffix()])
  }

  #message(
    connection: Connection,
    header: SendHeader,
    { topic, queueId }: Target,
    own: { readonly flag: number; readonly body: Buffer; readonly properties: Buffer },
  ): MessageToStore {
    const multiTags = topic.topicFilterType === 'MULTI_TAG' ? MessageSysFlag.MULTI_TAGS : 0
    const hostBits = MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6
    return {
      topic: topic.topicName,
      queueId,
      flag: own.flag,
      sysFlag: (header.sysFlag & ~hostBits) | multiTags,
      bornTimestamp: header.bornTimestamp,
      bornHost: this.#bornHost(connection),
      reconsumeTimes: header.reconsumeTimes,
      preparedTransactionOffset: 0,
      body: own.body,
      properties: own.properties,
    }
  }

  #bornHost(connection: Connection): HostAddress {
    let host = this.#peers.get(connection)
    if (host === undefined) {
      host = parseHostAddress(connection.remoteHost, connection.remotePort) ?? NO_ADDRESS
      this.#peers.set(connection, host)
    }
    return host
  }

  /** What the broker adds to every message. */
  #propertySuffix(): Buffer {
    const { values } = this.#parts.config
    if (this.#suffixOf !== values) {
      this.#suffixOf = values
      this.#suffix = brokerProperties(values)
    }
    return this.#suffix
  }

  #respond(
    request: RemotingRequest,
    sent: {
      readonly header: SendHeader
      readonly queueId: number
      readonly messages: readonly MessageToStore[]
      readonly properties: ScannedProperties
    },
    result: PutResult,
  ): void {
    const { regionId, traceOn } = this.#parts.config.values
    const outcome = this.#outcomeOf(result.status, result.reason)
    if (!isStored(result.status)) return this.#refuse(request, outcome)
    const host = this.#parts.storeHost()
    const ids = result.physicalOffsets.map((offset) => encodeOffsetMessageId(host, offset))
    let bytes = 0
    for (const { body, properties } of sent.messages) bytes += body.length + properties.length
    const name = sent.messages[0]?.topic ?? ''
    this.#count(name, sent.messages.length, bytes, sent.properties.type)
    if (name === TIMER_TOPIC) {
      for (const message of sent.messages) {
        this.#parts.delays.timers?.parked(message, result.queueOffset)
      }
    }
    request.respond({
      ...outcome,
      extFields: {
        msgId: ids.join(','),
        queueId: String(sent.queueId),
        queueOffset: String(result.queueOffset),
        transactionId: sent.properties.uniqueKey ?? undefined,
        MSG_REGION: regionId,
        TRACE_ON: String(traceOn),
        recallHandle: this.#recallHandleOf(sent.messages),
      },
    })
  }

  #recallHandleOf([message]: readonly MessageToStore[]): string | undefined {
    if (message === undefined) return undefined
    return recallHandleOf(message, this.#parts.config.values.brokerName) ?? undefined
  }

  #illegalMessage(reason: string | null = null): ResponseContent {
    const { maxMessageSize } = this.#parts.config.values
    return answer(
      ResponseCode.MESSAGE_ILLEGAL,
      'the message is illegal, maybe msg body or properties length not matched. ' +
        `msg body length limit ${maxMessageSize}B, msg properties length limit 32KB.${reason === null ? '' : ` ${reason}`}`,
    )
  }

  #outcomeOf(status: PutStatus, reason: string | null): ResponseContent {
    switch (status) {
      case PutStatus.OK:
        return { code: ResponseCode.SUCCESS }
      case PutStatus.FLUSH_DISK_TIMEOUT:
        return { code: ResponseCode.FLUSH_DISK_TIMEOUT }
      case PutStatus.MESSAGE_ILLEGAL:
        return this.#illegalMessage(reason)
      case PutStatus.LMQ_CONSUME_QUEUE_NUM_EXCEEDED:
        return answer(
          ResponseCode.SYSTEM_ERROR,
          `[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]broker config enableLmq and enableMultiDispatch: ${reason ?? ''}`,
        )
      case PutStatus.OS_PAGE_CACHE_BUSY:
        this.#parts.stats.flowControl.pageCache++
        return answer(
          ResponseCode.SYSTEM_BUSY,
          '[PC_SYNCHRONIZED]broker busy, start flow control for a while',
        )
      case PutStatus.SERVICE_NOT_AVAILABLE:
        return answer(
          ResponseCode.SERVICE_NOT_AVAILABLE,
          `service not available now: ${reason ?? 'the store takes no writes'}`,
        )
    }
  }
}

/** The codes that `SendProcessor` serves. */
export const SEND_CODES: readonly number[] = [
  RequestCode.SEND_MESSAGE,
  RequestCode.SEND_MESSAGE_V2,
  RequestCode.SEND_BATCH_MESSAGE,
]
