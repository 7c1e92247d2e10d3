/**
 * One connection that consumes: for each of its queues one pull in flight, as official clients do, and the next as soon as the
 * answer has come. Records are checked where they lie in the received bytes.
 */
import assert from 'node:assert/strict'
import { writeDigits } from '../../common/decimal.ts'
import { encodeCommand } from '../../remoting/command-codec.ts'
import { LanguageCode, NO_BODY } from '../../remoting/command.ts'
import type { SerializeType } from '../../remoting/command.ts'
import { PullSysFlag } from '../../remoting/pull-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import type { Answer } from './answer-reader.ts'
import type { ConsumingConnection, ConsumingEvents } from './consume-load.ts'
import { ConsumeSocket } from './consume-socket.ts'
import type { Connector } from './lean-network.ts'
import type { PullTotals } from './pull-totals.ts'
import { RecordTaker } from './record-taker.ts'
import { FIRST_OPAQUE } from './send-frames.ts'

const CLIENT_VERSION = 485
const SUSPEND_TIMEOUT_MS = 15_000
/** Comes first, so that its value is found by its name alone. */
const OFFSET_FIELD = 'queueOffset'
/** Before asking again for what was refused or is not there. */
const RETRY_DELAY_MS = 5

export interface PulledQueue {
  readonly queueId: number
  readonly from: number
  /** Null: goes on as messages come. */
  readonly until: number | null
}

export interface PullConnectionOptions {
  readonly address: string
  readonly topic: string
  readonly group: string
  readonly queues: readonly PulledQueue[]
  readonly totals: PullTotals
  /** Messages to a pull. */
  readonly batch: number
  readonly serializeType: SerializeType
  /** Starts again at the first message after the last one. */
  readonly loops: boolean
  readonly checksCrc: boolean
  /** Only these messages count for the latency; null: none. */
  readonly run: number | null
}

interface QueueState {
  readonly queueId: number
  readonly from: number
  readonly until: number | null
  next: number
  askedAt: number
  isDone: boolean
  request: Buffer
  /** Of the offset in `request`. */
  digits: number
  offsetAt: number
}

export class PullConnection implements ConsumingConnection {
  readonly #options: PullConnectionOptions
  readonly #states: readonly QueueState[]
  readonly #socket: ConsumeSocket
  readonly #taker: RecordTaker
  #left: number
  #done: () => void = () => undefined

  constructor(options: PullConnectionOptions) {
    this.#options = options
    this.#taker = new RecordTaker(options)
    this.#socket = new ConsumeSocket(options, (answer) => this.#onAnswer(answer))
    this.#states = options.queues.map(({ queueId, from, until }) => ({
      queueId,
      from,
      until,
      next: from,
      askedAt: 0,
      isDone: until !== null && from >= until,
      request: NO_BODY,
      digits: 0,
      offsetAt: 0,
    }))
    this.#left = this.#states.filter((state) => !state.isDone).length
  }

  async connect(network: Connector, events: ConsumingEvents): Promise<void> {
    this.#done = events.onDone
    await this.#socket.connect(network, events)
  }

  start(): void {
    this.#socket.isAsking = true
    if (this.#left === 0) this.#done()
    this.#socket.ask(() => {
      for (const [index, state] of this.#states.entries()) {
        if (!state.isDone) this.#ask(index, state)
      }
    })
  }

  close(): void {
    this.#socket.close()
  }

  /** The request before has been answered, so that its bytes can be used again unless the offset has become longer. */
  #ask(index: number, state: QueueState): void {
    const digits = String(state.next).length
    if (digits !== state.digits) {
      state.digits = digits
      state.request = this.#encodeRequest(index, state)
      state.offsetAt = offsetPosition(state.request, state.next)
    } else {
      writeDigits(state.request, state.offsetAt, digits, state.next)
    }
    state.askedAt = this.#socket.now
    this.#socket.push(state.request)
  }

  #encodeRequest(index: number, state: QueueState): Buffer {
    const { topic, group, batch, serializeType } = this.#options
    const waits = state.until === null
    return encodeCommand({
      code: RequestCode.PULL_MESSAGE,
      language: LanguageCode.NODE_JS,
      version: CLIENT_VERSION,
      opaque: FIRST_OPAQUE + index,
      flag: 0,
      remark: null,
      extFields: new Map([
        [OFFSET_FIELD, String(state.next)],
        ['consumerGroup', group],
        ['topic', topic],
        ['queueId', String(state.queueId)],
        ['maxMsgNums', String(batch)],
        ['sysFlag', String(PullSysFlag.SUBSCRIPTION | (waits ? PullSysFlag.SUSPEND : 0))],
        ['commitOffset', '0'],
        ['suspendTimeoutMillis', waits ? String(SUSPEND_TIMEOUT_MS) : '0'],
        ['subscription', '*'],
        ['subVersion', '0'],
        ['expressionType', 'TAG'],
      ]),
      body: NO_BODY,
      serializeType,
    })
  }

  #onAnswer(answer: Answer): void {
    const index = answer.opaque - FIRST_OPAQUE
    const state = this.#states[index]
    if (state === undefined) return
    const { totals } = this.#options
    totals.answered(answer.code, this.#socket.now - state.askedAt)
    if (answer.code === ResponseCode.SUCCESS) this.#takeRecords(answer, state)
    else this.#takeRefusal(answer.code, state)
    if (!this.#socket.isAsking) return
    if (state.until !== null && state.next >= state.until) this.#finish(index, state)
    else if (answer.code === ResponseCode.SUCCESS || state.until === null) this.#ask(index, state)
    else this.#askLater(index, state)
  }

  #finish(index: number, state: QueueState): void {
    if (this.#options.loops) {
      state.next = state.from
      this.#ask(index, state)
      return
    }
    state.isDone = true
    if (--this.#left === 0) this.#done()
  }

  #askLater(index: number, state: QueueState): void {
    setTimeout(() => {
      if (this.#socket.isAsking) this.#socket.ask(() => this.#ask(index, state))
    }, RETRY_DELAY_MS)
  }

  /** PULL_NOT_FOUND and the like say where to go on; everything else is an error. */
  #takeRefusal(code: number, state: QueueState): void {
    const header = this.#socket.answers.headerText()
    const next = /nextBeginOffset\D*?(\d+)/.exec(header)?.[1]
    const isOrdinary =
      code === ResponseCode.PULL_NOT_FOUND ||
      code === ResponseCode.PULL_RETRY_IMMEDIATELY ||
      code === ResponseCode.PULL_OFFSET_MOVED
    if (!isOrdinary) this.#options.totals.fail(this.#socket.answers.refusal())
    else if (code === ResponseCode.PULL_OFFSET_MOVED) this.#options.totals.moved++
    if (isOrdinary && next !== undefined) state.next = Number(next)
  }

  #takeRecords({ source, bodyStart, bodyEnd }: Answer, state: QueueState): void {
    this.#taker.take(source, bodyStart, bodyEnd, this.#socket.now, (queueOffset) => {
      if (queueOffset !== state.next) this.#options.totals.disordered++
      state.next = queueOffset + 1
    })
  }
}

/** Where the digits of the queue offset stand in a request. */
function offsetPosition(request: Buffer, queueOffset: number): number {
  const name = request.indexOf(OFFSET_FIELD)
  const at = request.indexOf(String(queueOffset), name + OFFSET_FIELD.length)
  assert(name !== -1 && at !== -1, 'a request without its offset')
  return at
}
