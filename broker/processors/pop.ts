/** POP_MESSAGE (200050): the checks, the pop, and long polling (protocol §8.1). */
import { ResponseCode } from '../../remoting/response-code.ts'
import { popBody, popFields } from '../pop/pop-answer.ts'
import { decodePopHeader, popProblem, readProblem } from '../pop/pop-rules.ts'
import { answer } from './answers.ts'
import type { RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { MessageFilter } from '../../store/types.ts'
import type { BrokerParts } from '../parts.ts'
import type { PopHeader } from '../pop/pop-rules.ts'
import type { PopService } from '../pop/pop-service.ts'
import type { PopAnswer, PopRequest } from '../pop/pop-task.ts'
import type { Waiter } from '../pop/pop-waiters.ts'
import type { QueueName } from '../pop/revive-record.ts'
import type { PullRules } from './pull-rules.ts'

/** A peer that has not taken so much of what it was sent gets no further messages. */
export const POP_OUTPUT_BYTES_MAX: number = 4 * 1024 * 1024
const INIT_MODE_MAX = 1
/** The answer when messages are there and could not be taken. */
export const NOT_RECORDED: ResponseContent = answer(
  ResponseCode.SYSTEM_ERROR,
  'messages could not be recorded as popped',
)

export class PopProcessor {
  readonly parts: BrokerParts
  readonly pops: PopService
  readonly rules: PullRules

  constructor(parts: BrokerParts, pops: PopService, rules: PullRules) {
    this.parts = parts
    this.pops = pops
    this.rules = rules
  }

  readonly handle = (request: RemotingRequest): void => {
    const { clock } = this.parts
    const { command, connection } = request
    const header = decodePopHeader(command.extFields, clock.now())
    const problem =
      popProblem(this.parts, header, clock.now()) ??
      readProblem(this.parts, header, connection.remoteAddress)
    if (problem !== null) return request.respond(this.#refusal(header, problem))
    const filter = this.filterOf(header)
    if (filter !== null && 'code' in filter) return request.respond(filter)
    if (connection.outputBytes > POP_OUTPUT_BYTES_MAX) {
      this.parts.stats.flowControl.popAnswers++
      const remark = '[OVERLOAD]system busy, start flow control for a while'
      return request.respond(answer(ResponseCode.SYSTEM_BUSY, remark))
    }
    const pop = popRequestOf(header, filter)
    const held = new HeldPop(this, request, pop, deadlineOf(this.parts, header))
    if (this.pops.whenReady(() => held.begin())) return
    const remark = `service not available now: the broker[${this.parts.brokerAddress()}] does not lead`
    request.respond(answer(ResponseCode.SERVICE_NOT_AVAILABLE, remark))
  }

  /** As in Java every expression that is not served is one that cannot be parsed. */
  filterOf({ expression, expressionType }: PopHeader): MessageFilter | ResponseContent | null {
    if (expression === null || expression === '') return null
    const filter = this.rules.requestFilter({ subscription: expression, expressionType })
    if (filter === null || !('code' in filter)) return filter
    return answer(ResponseCode.SUBSCRIPTION_PARSE_FAILED, filter.remark ?? '')
  }

  /** Counts what was taken from one queue. */
  count(name: Pick<QueueName, 'topic' | 'consumerGroup'>, messages: number, bytes: number): void {
    this.rules.count(name, messages, bytes)
    this.parts.stats.add('GROUP_CK_NUMS', `${name.topic}@${name.consumerGroup}`, 1, 1)
  }

  /** Clients read the fields of every answer but those of errors. */
  #refusal(header: PopHeader, problem: ResponseContent): ResponseContent {
    if (problem.code !== ResponseCode.POLLING_TIMEOUT) return problem
    return { ...problem, extFields: popFields({ isOrder: header.isOrder }, nothing(header)) }

    function nothing({ bornTime: popTime, invisibleTime: invisibleTimeMs }: PopHeader): PopAnswer {
      return { popTime, invisibleTimeMs, restCount: 0, isFailed: false, parts: [] }
    }
  }
}

export function popRequestOf(header: PopHeader, filter: MessageFilter | null): PopRequest {
  return {
    consumerGroup: header.consumerGroup,
    topic: header.topic,
    queueId: header.queueId,
    maxMessages: header.maxMessages,
    invisibleTimeMs: header.invisibleTime,
    initMode: header.initMode === INIT_MODE_MAX ? 'max' : 'min',
    filter,
    isOrder: header.isOrder,
    attemptId: header.attemptId,
  }
}

/** `Clock.monotonic()` until which a request is held that was born on another clock. */
export function deadlineOf(
  { clock }: Pick<BrokerParts, 'clock'>,
  { bornTime, pollTime }: { readonly bornTime: number; readonly pollTime: number },
): number {
  const remaining = Math.min(pollTime, bornTime + pollTime - clock.now())
  return clock.monotonic() + Math.max(0, remaining)
}

/** A pop until its answer; perhaps held. */
class HeldPop implements Waiter {
  readonly deadline: number
  tick: number = -1
  place: number = 0
  readonly #processor: PopProcessor
  readonly #request: RemotingRequest
  readonly #pop: PopRequest
  #hasWaited = false
  #wasHeld = false

  constructor(
    processor: PopProcessor,
    request: RemotingRequest,
    pop: PopRequest,
    deadline: number,
  ) {
    this.#processor = processor
    this.#request = request
    this.#pop = pop
    this.deadline = deadline
  }

  get topic(): string {
    return this.#pop.topic
  }

  get consumerGroup(): string {
    return this.#pop.consumerGroup
  }

  get queueId(): number {
    return this.#pop.queueId
  }

  isWanted(): boolean {
    return this.#request.connection.isOpen
  }

  begin(): void {
    this.#processor.pops.pop(this.#pop, (found) => this.#onFound(found))
  }

  wake(read: (hasMore: boolean) => void): void {
    this.#hasWaited = true
    this.#processor.pops.pop(
      this.#pop,
      (found) => this.#onFound(found),
      ({ count, restCount, wasHeld }) => {
        this.#wasHeld = wasHeld
        read(count > 0 && restCount > 0)
      },
    )
  }

  expire(): void {
    const popTime = this.#processor.parts.clock.now()
    const invisibleTimeMs = this.#pop.invisibleTimeMs
    const found = { popTime, invisibleTimeMs, restCount: 0, isFailed: false, parts: [] }
    this.#respond(ResponseCode.POLLING_TIMEOUT, found)
  }

  #onFound(found: PopAnswer): void {
    if (found.parts.length > 0) return this.#respond(ResponseCode.SUCCESS, found)
    const { pops, parts } = this.#processor
    if (found.isFailed) {
      return this.#request.respond(NOT_RECORDED)
    }
    if (!pops.isLeading || parts.clock.monotonic() >= this.deadline) {
      return this.#respond(ResponseCode.POLLING_TIMEOUT, found)
    }
    if (!pops.waiters.park(this, this.#hasWaited)) {
      return this.#respond(ResponseCode.POLLING_FULL, found)
    }
    // While it read from the disk a message may have come of which nobody was told.
    if (this.#wasHeld && pops.hasMessage(this.#pop)) {
      this.#wasHeld = false
      parts.timers.soon(() => pops.waiters.wake(this.topic, this.consumerGroup))
    }
  }

  #respond(code: number, found: PopAnswer): void {
    const { config } = this.#processor.parts
    const { brokerName, popResponseReturnActualRetryTopic: isActualTopic } = config.values
    const isFound = code === ResponseCode.SUCCESS
    if (isFound) this.#count(found)
    this.#request.respond({
      code,
      remark: isFound ? 'FOUND' : 'NO_MESSAGE_IN_QUEUE',
      extFields: popFields(this.#pop, found),
      isLongPolling: this.#hasWaited,
      ...(isFound ? { body: popBody(this.#pop, found, { brokerName, isActualTopic }) } : {}),
    })
  }

  #count({ parts: taken }: PopAnswer): void {
    for (const part of taken) {
      const bytes = part.records.reduce((sum, record) => sum + record.length, 0)
      this.#processor.count(part, part.records.length, bytes)
    }
  }
}
