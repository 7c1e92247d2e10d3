/** NOTIFICATION (200054), POLLING_INFO (200055) and PEEK_MESSAGE (200052): what pops would find, and who waits for it. */
import { requireInt, requireString } from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { POP_MESSAGES_MAX, decodePollHeader, decodeQueueId, lookProblem } from '../pop/pop-rules.ts'
import { answer, success } from './answers.ts'
import { deadlineOf } from './pop.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { GetResult } from '../../store/types.ts'
import type { BrokerParts } from '../parts.ts'
import type { PollHeader } from '../pop/pop-rules.ts'
import type { PopService } from '../pop/pop-service.ts'
import type { Waiter } from '../pop/pop-waiters.ts'
import type { QueueName } from '../pop/revive-record.ts'

/** The processors of this family by code. */
export function popLookProcessors(
  parts: BrokerParts,
  pops: PopService,
): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [RequestCode.NOTIFICATION, (request) => notification(parts, pops, request)],
    [RequestCode.POLLING_INFO, (request) => pollingInfo(parts, pops, request)],
    [RequestCode.PEEK_MESSAGE, (request) => peek(parts, pops, request)],
  ])
}

function notification(parts: BrokerParts, pops: PopService, request: RemotingRequest): void {
  const header = decodePollHeader(request.command.extFields, parts.clock.now())
  const problem = lookProblem(parts, header, request.connection.remoteAddress)
  if (problem !== null) return request.respond(problem)
  const held = new HeldNotification(pops, request, header, deadlineOf(parts, header))
  if (pops.whenReady(() => held.begin(parts.clock.monotonic()))) return
  request.respond(notLeading(parts))
}

function pollingInfo(parts: BrokerParts, pops: PopService, request: RemotingRequest): void {
  const fields = request.command.extFields
  const consumerGroup = requireString(fields, 'consumerGroup')
  const topic = requireString(fields, 'topic')
  const queueId = decodeQueueId(fields)
  const problem = lookProblem(
    parts,
    { consumerGroup, topic, queueId },
    request.connection.remoteAddress,
  )
  if (problem !== null) return request.respond(problem)
  const pollingNum = pops.waiters.count(topic, consumerGroup, queueId)
  request.respond(success({ pollingNum: String(pollingNum) }))
}

function peek(parts: BrokerParts, pops: PopService, request: RemotingRequest): void {
  const fields = request.command.extFields
  const header = {
    consumerGroup: requireString(fields, 'consumerGroup'),
    topic: requireString(fields, 'topic'),
    queueId: decodeQueueId(fields),
  }
  const maxMessages = Math.min(requireInt(fields, 'maxMsgNums'), POP_MESSAGES_MAX)
  const problem = lookProblem(parts, header, request.connection.remoteAddress)
  if (problem !== null) return request.respond(problem)
  if (maxMessages < 1) {
    const remark = `maxMsgNums[${maxMessages}] is less than 1`
    return request.respond(answer(ResponseCode.INVALID_PARAMETER, remark))
  }
  const begin = (): void => {
    const targets = pops.targets({ ...header, isOrder: false })
    const look = new Peek({ parts, pops, request, targets, maxMessages })
    look.next()
  }
  if (!pops.whenReady(begin)) request.respond(notLeading(parts))
}

function notLeading(parts: BrokerParts): { readonly code: number; readonly remark: string } {
  const remark = `service not available now: the broker[${parts.brokerAddress()}] does not lead`
  return { code: ResponseCode.SERVICE_NOT_AVAILABLE, remark }
}

/** Waits like a pop, and is told instead of given. */
class HeldNotification implements Waiter {
  readonly topic: string
  readonly consumerGroup: string
  readonly queueId: number
  readonly deadline: number
  tick: number = -1
  place: number = 0
  readonly #pops: PopService
  readonly #request: RemotingRequest
  readonly #header: PollHeader

  constructor(pops: PopService, request: RemotingRequest, header: PollHeader, deadline: number) {
    this.topic = header.topic
    this.consumerGroup = header.consumerGroup
    this.queueId = header.queueId
    this.deadline = deadline
    this.#pops = pops
    this.#request = request
    this.#header = header
  }

  isWanted(): boolean {
    return this.#request.connection.isOpen
  }

  begin(monotonic: number): void {
    if (this.#pops.hasMessage(this.#header)) return this.#respond(true, false)
    if (monotonic >= this.deadline) return this.#respond(false, false)
    if (!this.#pops.waiters.park(this, false)) this.#respond(false, true)
  }

  wake(read: (hasMore: boolean) => void): void {
    const hasMessage = this.#pops.hasMessage(this.#header)
    if (hasMessage) this.#respond(true, false)
    else this.#pops.waiters.park(this, true)
    // It takes nothing: the next one may look too.
    read(hasMessage)
  }

  expire(): void {
    this.#respond(false, false)
  }

  #respond(hasMsg: boolean, pollingFull: boolean): void {
    this.#request.respond(success({ hasMsg: String(hasMsg), pollingFull: String(pollingFull) }))
  }
}

/** Reads what a pop would get, and takes nothing. */
class Peek {
  readonly #options: {
    readonly parts: BrokerParts
    readonly pops: PopService
    readonly request: RemotingRequest
    readonly targets: readonly QueueName[]
    readonly maxMessages: number
  }
  readonly #bodies: Buffer[] = []
  #count = 0
  #restCount = 0
  #next = 0

  constructor(options: {
    readonly parts: BrokerParts
    readonly pops: PopService
    readonly request: RemotingRequest
    readonly targets: readonly QueueName[]
    readonly maxMessages: number
  }) {
    this.#options = options
  }

  next(): void {
    const { parts, pops, targets, maxMessages, request } = this.#options
    const target = targets[this.#next++]
    if (target === undefined) {
      const isFound = this.#count > 0
      return request.respond({
        code: isFound ? ResponseCode.SUCCESS : ResponseCode.PULL_NOT_FOUND,
        remark: isFound ? 'FOUND' : 'NO_MESSAGE_IN_QUEUE',
        extFields: {
          popTime: String(parts.clock.now()),
          invisibleTime: '0',
          reviveQid: '0',
          restNum: String(this.#restCount),
        },
        ...(isFound ? { body: this.#bodies } : {}),
      })
    }
    const { topic, queueId } = target
    const queueOffset = Math.max(
      pops.state.positionOf(target),
      parts.store.minOffsetInQueue(topic, queueId),
    )
    this.#restCount += Math.max(0, parts.store.maxOffsetInQueue(topic, queueId) - queueOffset)
    const room = maxMessages - this.#count
    if (room <= 0) return this.next()
    parts.store.get({ topic, queueId, queueOffset, maxMessages: room, filter: null }, (result) =>
      this.#onResult(result),
    )
  }

  #onResult(result: GetResult): void {
    this.#bodies.push(result.body)
    this.#count += result.records.length
    this.next()
  }
}
