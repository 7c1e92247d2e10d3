/** PULL_MESSAGE (11) and LITE_PULL_MESSAGE (361): the checks, the read, and long polling (protocol §7.2). */
import { ResponseCode } from '../../remoting/response-code.ts'
import { GetStatus } from '../../store/types.ts'
import { DeferredPulls } from './deferred-pulls.ts'
import { decodePullHeader } from './pull-rules.ts'
import { LEAVING } from '../request-gate.ts'
import type { Connection, RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { GetResult, MessageFilter } from '../../store/types.ts'
import type { ParkedPull } from '../long-polling.ts'
import type { BrokerParts } from '../parts.ts'
import type { DeferredPull } from './deferred-pulls.ts'
import type { PullHeader, PullRules } from './pull-rules.ts'

const NEXT_OFFSET_MAX = Number.MAX_SAFE_INTEGER

/** Who gets the answer: a request of the ordinary way, or one that a frame processor has taken. */
export interface PullReply {
  readonly connection: Connection
  respond(response: ResponseContent): void
  /** Answers a pull that was held in the fast way; false: nothing has happened, it goes the ordinary way. */
  respondFast(pull: Pull): boolean
}

export interface PullOptions {
  readonly header: PullHeader
  readonly filter: MessageFilter | null
  readonly reply: PullReply
}

export class PullProcessor {
  readonly #parts: BrokerParts
  readonly #rules: PullRules
  readonly #deferred: DeferredPulls

  constructor(parts: BrokerParts, rules: PullRules) {
    this.#parts = parts
    this.#deferred = new DeferredPulls(parts.timers)
    this.#rules = rules
  }

  readonly handle = (request: RemotingRequest): void => {
    const { command, connection } = request
    const header = decodePullHeader(command.extFields)
    const refusal = this.#rules.refusalOf(header, command.code, connection.remoteAddress)
    if (refusal !== null) {
      if (refusal.code === ResponseCode.SYSTEM_BUSY) this.#parts.stats.flowControl.coldData++
      return request.respond(refusal)
    }
    const filter = this.#rules.filterOf(header)
    if (filter !== null && 'code' in filter) return request.respond(filter)
    this.pull(new Pull(this, { header, filter, reply: new OrdinaryReply(request) }))
  }

  /** Answers a pull that has passed the checks, or holds it. */
  pull(pull: Pull): void {
    const { offsets, store } = this.#parts
    const { header, reply } = pull
    if (this.defer(pull)) return
    const { consumerGroup, topic, queueId, queueOffset, maxMessages } = header
    const reset = offsets.takeReset(consumerGroup, topic, queueId)
    if (reset === null) {
      this.commit(pull)
      const request = { topic, queueId, queueOffset, maxMessages, filter: pull.filter }
      store.get(request, (result) => this.#onResult(pull, result))
      return
    }
    reply.respond({
      code: ResponseCode.PULL_OFFSET_MOVED,
      remark: 'OFFSET_RESET',
      extFields: this.#fields(header, {
        nextBeginOffset: reset,
        minOffset: store.minOffsetInQueue(topic, queueId),
        maxOffset: store.maxOffsetInQueue(topic, queueId),
      }),
    })
  }

  #onResult(pull: Pull, result: GetResult): void {
    const { header, reply } = pull
    const code = pullCodeOf(result.status, header.queueOffset)
    if (code === ResponseCode.PULL_NOT_FOUND) {
      if (this.park(pull, result.maxOffset)) return
      if (this.#rules.isUnheld(header)) return reply.respond(LEAVING)
    }
    if (code === ResponseCode.SUCCESS) {
      const { records, bytes, nextBeginOffset: nextOffset } = result
      this.#rules.countPulled(header, { messages: records.length, bytes, nextOffset })
    }
    reply.respond({
      code,
      remark: result.status,
      extFields: this.#fields(header, result),
      isLongPolling: pull.isWoken,
      ...(code === ResponseCode.SUCCESS ? { body: result.body } : {}),
    })
  }

  /** True when an answer with messages would have to wait. */
  mustWait(connection: Connection): boolean {
    return this.#deferred.mustWait(connection)
  }

  /** True when the pull waits until its peer has taken some of what was written to it. */
  defer(pull: Pull): boolean {
    if (!this.#deferred.mustWait(pull.connection)) return false
    this.commit(pull)
    this.#deferred.add(pull)
    return true
  }

  /** Takes the client's commit, once: what it commits elsewhere while the pull is held or reads is newer. */
  commit(pull: Pull): void {
    if (pull.isCommitted) return
    pull.isCommitted = true
    this.#rules.commit(pull.header)
  }

  /** True when the pull now waits for a message. */
  park(pull: Pull, seenMaxOffset: number): boolean {
    if (pull.isWoken) return false
    const holdMs = this.#rules.holdMs(pull.header)
    if (holdMs <= 0) return false
    pull.deadline = this.#parts.clock.monotonic() + holdMs
    pull.checkedOffset = seenMaxOffset
    this.#parts.longPolling.park(pull)
    return true
  }

  /** The four offsets which clients need in every answer, 19, 20 and 21 included. */
  #fields(
    header: PullHeader,
    at: {
      readonly nextBeginOffset: number
      readonly minOffset: number
      readonly maxOffset: number
    },
  ): Readonly<Record<string, string>> {
    return {
      suggestWhichBrokerId: '0',
      nextBeginOffset: String(Math.min(at.nextBeginOffset, NEXT_OFFSET_MAX)),
      minOffset: String(at.minOffset),
      maxOffset: String(at.maxOffset),
      topicSysFlag: String(this.#rules.topicSysFlag(header.topic)),
      groupSysFlag: String(this.#rules.groupSysFlag(header.consumerGroup)),
    }
  }
}

/** A pull on its way to its answer; perhaps held. */
export class Pull implements ParkedPull, DeferredPull {
  readonly header: PullHeader
  readonly filter: MessageFilter | null
  readonly reply: PullReply
  readonly #processor: PullProcessor
  /** It has been held: it is answered whatever is found. */
  isWoken: boolean = false
  isCommitted: boolean = false
  deadline: number = 0
  checkedOffset: number = 0

  constructor(processor: PullProcessor, options: PullOptions) {
    this.#processor = processor
    this.header = options.header
    this.filter = options.filter
    this.reply = options.reply
  }

  get topic(): string {
    return this.header.topic
  }

  get queueId(): number {
    return this.header.queueId
  }

  get queueOffset(): number {
    return this.header.queueOffset
  }

  get connection(): Connection {
    return this.reply.connection
  }

  isWanted(): boolean {
    return this.connection.isOpen
  }

  /** A message has come, or the time is over. */
  resume(): void {
    this.isWoken = true
    this.retry()
  }

  retry(): void {
    if (!this.reply.respondFast(this)) this.#processor.pull(this)
  }
}

class OrdinaryReply implements PullReply {
  readonly #request: RemotingRequest

  constructor(request: RemotingRequest) {
    this.#request = request
  }

  get connection(): Connection {
    return this.#request.connection
  }

  respond(response: ResponseContent): void {
    this.#request.respond(response)
  }

  respondFast(): boolean {
    return false
  }
}

/** The response code of a pull that found this. */
export function pullCodeOf(status: GetStatus, queueOffset: number): number {
  switch (status) {
    case GetStatus.FOUND:
      return ResponseCode.SUCCESS
    case GetStatus.NO_MATCHED_MESSAGE:
    case GetStatus.MESSAGE_WAS_REMOVING:
      return ResponseCode.PULL_RETRY_IMMEDIATELY
    case GetStatus.NO_MATCHED_LOGIC_QUEUE:
    case GetStatus.NO_MESSAGE_IN_QUEUE:
      return queueOffset === 0 ? ResponseCode.PULL_NOT_FOUND : ResponseCode.PULL_OFFSET_MOVED
    case GetStatus.OFFSET_FOUND_NULL:
    case GetStatus.OFFSET_OVERFLOW_ONE:
      return ResponseCode.PULL_NOT_FOUND
    case GetStatus.OFFSET_OVERFLOW_BADLY:
    case GetStatus.OFFSET_TOO_SMALL:
      return ResponseCode.PULL_OFFSET_MOVED
  }
}
