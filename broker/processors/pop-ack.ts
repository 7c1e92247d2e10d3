/** ACK_MESSAGE (200051), BATCH_ACK_MESSAGE (200151) and CHANGE_MESSAGE_INVISIBLETIME (200053). */
import { decodeBatchAcks } from '../../remoting/bodies/pop-bodies.ts'
import { requireLong } from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import {
  decodeHandleHeader,
  handleProblem,
  invisibleTimeProblem,
  isOrderReceipt,
} from '../pop/pop-rules.ts'
import { ORDER_REVIVE_QUEUE, realTopicOf } from '../pop/receipt.ts'
import { answer, success } from './answers.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { BatchAck } from '../../remoting/bodies/pop-bodies.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { BrokerParts } from '../parts.ts'
import type { HandleHeader } from '../pop/pop-rules.ts'
import type { AckStatus, ChangedReceipt, PopService, PopTarget } from '../pop/pop-service.ts'

const NOT_RECORDED = answer(
  ResponseCode.SYSTEM_ERROR,
  'the acknowledgement could not be recorded, which may be tried again',
)

/** The processors of this family by code. */
export function popAckProcessors(
  parts: BrokerParts,
  pops: PopService,
): ReadonlyMap<number, Processor> {
  const whenReady =
    (handle: (request: RemotingRequest) => void): Processor =>
    (request) => {
      // What is held until the state is known must not lie in the buffer that the connection reads into.
      const body = pops.isLeading ? request.command.body : Buffer.from(request.command.body)
      const kept = { ...request.command, body }
      const begin = (): void => {
        if (pops.isLeading) handle(withCommand(request, kept))
        else request.respond(notLeading(parts))
      }
      if (!pops.whenReady(begin)) request.respond(notLeading(parts))
    }
  return new Map<number, Processor>([
    [RequestCode.ACK_MESSAGE, whenReady((request) => ack(parts, pops, request))],
    [
      RequestCode.BATCH_ACK_MESSAGE,
      whenReady((request) => {
        const acks = decodeBatchAcks(request.command.body)
        batchAck(parts, pops, acks, (response) => request.respond(response))
      }),
    ],
    [
      RequestCode.CHANGE_MESSAGE_INVISIBLETIME,
      whenReady((request) => changeInvisibleTime(parts, pops, request)),
    ],
  ])
}

function withCommand(
  request: RemotingRequest,
  command: RemotingRequest['command'],
): RemotingRequest {
  if (command.body === request.command.body) return request
  return {
    command,
    connection: request.connection,
    receivedAt: request.receivedAt,
    respond: (response) => request.respond(response),
  }
}

function ack(parts: BrokerParts, pops: PopService, request: RemotingRequest): void {
  const header = checkedHeader(parts, request, true)
  if ('code' in header) return request.respond(header)
  const { topic, consumerGroup, queueOffset } = header
  if (isOrderReceipt(header.receipt)) {
    pops.ackInOrder(header, queueOffset, (status) => {
      if (status === 'OK') countAcks(parts, topic, consumerGroup, 1)
      request.respond(ackAnswer(header, status))
    })
    return
  }
  ackOne(parts, pops, header, (response) => request.respond(response))
}

/** Acknowledges a message that was not popped in order. */
export function ackOne(
  parts: BrokerParts,
  pops: PopService,
  header: HandleHeader,
  respond: (response: ResponseContent) => void,
): void {
  pops.ack(header, [header.queueOffset], ({ count, isFailed }) => {
    if (count > 0) countAcks(parts, header.topic, header.consumerGroup, count)
    respond(isFailed ? NOT_RECORDED : success())
  })
}

/** Of an orderly pop. One that comes too late is answered as in Java, which cannot tell: the message comes back. */
function ackAnswer(
  { topic, consumerGroup, queueId, queueOffset }: HandleHeader,
  status: AckStatus,
): ResponseContent {
  switch (status) {
    case 'OK':
    case 'EXPIRED':
      return success()
    case 'UNKNOWN': {
      const remark = `offset is illegal, key:${topic}@${consumerGroup}@${queueId}, commit:${queueOffset}`
      return answer(ResponseCode.MESSAGE_ILLEGAL, remark)
    }
    case 'FAILED':
      return NOT_RECORDED
  }
}

/** `respond` is called once. */
export function batchAck(
  parts: BrokerParts,
  pops: PopService,
  acks: readonly BatchAck[] | null,
  respond: (response: ResponseContent) => void,
): void {
  if (acks === null || acks.length === 0) {
    return respond(answer(ResponseCode.NO_MESSAGE, 'a batch without acknowledgements'))
  }
  let open = 1
  let response: ResponseContent = success()
  const settle = (): void => {
    if (--open === 0) respond(response)
  }
  for (const batch of acks) {
    const target = batchTarget(batch)
    if (target === null) {
      const remark = `the retry mark r of an acknowledgement is none: ${batch.retry.slice(0, 64)}`
      response = answer(ResponseCode.INVALID_PARAMETER, remark)
      continue
    }
    const queueOffsets = offsetsOf(parts, target, batch)
    if (batch.reviveQueueId !== ORDER_REVIVE_QUEUE) {
      if (queueOffsets.length === 0) continue
      open++
      pops.ack(target, queueOffsets, ({ count, isFailed }) => {
        if (count > 0) countAcks(parts, target.topic, target.consumerGroup, count)
        if (isFailed) response = NOT_RECORDED
        settle()
      })
      continue
    }
    for (const queueOffset of queueOffsets) {
      open++
      pops.ackInOrder(target, queueOffset, (status) => {
        if (status === 'OK') countAcks(parts, target.topic, target.consumerGroup, 1)
        if (status === 'FAILED') response = NOT_RECORDED
        if (status === 'UNKNOWN') response = ackAnswer({ ...target, queueOffset }, status)
        settle()
      })
    }
  }
  settle()
}

function batchTarget(batch: BatchAck): PopTarget | null {
  const { consumerGroup, queueId, startOffset, popTime, invisibleTime, reviveQueueId } = batch
  const topic = realTopicOf(batch.topic, consumerGroup, batch.retry)
  if (topic === null || queueId < 0) return null
  const receipt = { startOffset, popTime, invisibleTime, reviveQueueId }
  return { topic, consumerGroup, queueId, receipt }
}

/** Those that the queue has. */
function offsetsOf(
  { store }: BrokerParts,
  { topic, queueId }: PopTarget,
  { startOffset, distances }: BatchAck,
): readonly number[] {
  const minOffset = store.minOffsetInQueue(topic, queueId)
  const maxOffset = store.maxOffsetInQueue(topic, queueId)
  const offsets: number[] = []
  for (const distance of distances) {
    const queueOffset = startOffset + distance
    if (queueOffset >= minOffset && queueOffset <= maxOffset) offsets.push(queueOffset)
  }
  return offsets
}

function changeInvisibleTime(parts: BrokerParts, pops: PopService, request: RemotingRequest): void {
  const invisibleTime = requireLong(request.command.extFields, 'invisibleTime')
  const header = checkedHeader(parts, request, false)
  if ('code' in header) return request.respond(header)
  const problem = invisibleTimeProblem(invisibleTime)
  if (problem !== null) return request.respond(problem)
  const { queueOffset, receipt } = header
  const done = (changed: ChangedReceipt): void => {
    if (changed.status === 'FAILED') return request.respond(NOT_RECORDED)
    const extFields = {
      popTime: String(changed.popTime),
      invisibleTime: String(changed.invisibleTime),
      reviveQid: String(receipt.reviveQueueId),
    }
    if (changed.status === 'OK') return request.respond(success(extFields))
    const remark = `the message at ${header.topic}@${header.queueId}@${queueOffset} is not invisible under this handle any more`
    request.respond({ code: ResponseCode.NO_MESSAGE, remark, extFields })
  }
  if (isOrderReceipt(receipt)) {
    pops.changeInvisibleTimeInOrder(header, queueOffset, invisibleTime, done)
  } else {
    pops.changeInvisibleTime(header, queueOffset, invisibleTime, done)
  }
}

function checkedHeader(
  parts: BrokerParts,
  request: RemotingRequest,
  isEndAllowed: boolean,
): HandleHeader | ResponseContent {
  const header = decodeHandleHeader(request.command.extFields)
  if ('code' in header) return header
  return handleProblem(parts, header, request.connection.remoteAddress, isEndAllowed) ?? header
}

function countAcks(
  { stats, config }: BrokerParts,
  topic: string,
  group: string,
  count: number,
): void {
  stats.add('GROUP_ACK_NUMS', `${topic}@${group}`, count, 1)
  stats.add('BROKER_ACK_NUMS', config.values.brokerClusterName, count, 1)
}

function notLeading(parts: BrokerParts): ResponseContent {
  const remark = `service not available now: the broker[${parts.brokerAddress()}] does not lead`
  return answer(ResponseCode.SERVICE_NOT_AVAILABLE, remark)
}
