/** One connection that sends: a window of requests in flight, answers matched by opaque, no object for a message. */
import { messageOf } from '../../common/errors.ts'
import type { Socket, SocketHandler } from '../../common/ports.ts'
import { splitAddress } from '../../remoting/client.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { AnswerReader } from './answer-reader.ts'
import type { Answer } from './answer-reader.ts'
import type { Connector } from './lean-network.ts'
import { FIRST_OPAQUE } from './send-frames.ts'
import type { SendFrames, SendSlot } from './send-frames.ts'
import type { SendTotals } from './send-totals.ts'
import { epochOf } from './time.ts'

const CONNECT_TIMEOUT_MS = 5_000
/** Opaques of one slot repeat after this many. */
const GENERATIONS = 100_000

export interface SendConnectionOptions {
  readonly address: string
  readonly frames: SendFrames
  readonly totals: SendTotals
  readonly sender: number
  readonly inFlight: number
  readonly queues: number
  readonly topics: number
  readonly batch: number
  /** Between two requests of this connection; 0: as fast as the window allows. */
  readonly intervalMs: number
}

export class SendConnection {
  readonly #options: SendConnectionOptions
  readonly #reader: AnswerReader
  readonly #slot: SendSlot
  /** By slot: the opaque in flight, or 0. */
  readonly #opaques: Int32Array
  /** By slot: when the request was due, in milliseconds of `performance.now()`. */
  readonly #dueAt: Float64Array
  readonly #freeSlots: Int32Array
  #freeCount: number
  #generation = 0
  #socket: Socket | null = null
  #isSending = false
  #nextDueAt = 0
  #sequence = 0
  #nextQueue: number
  #nextTopic: number
  /** Blocks which the kernel has not taken yet. */
  #waiting: Buffer[] = []
  #now = 0
  #lastAnswerAt = 0
  #closed: (error: Error | null) => void = () => undefined

  constructor(options: SendConnectionOptions) {
    this.#options = options
    const { inFlight, sender } = options
    this.#reader = new AnswerReader((answer) => this.#onAnswer(answer))
    this.#opaques = new Int32Array(inFlight)
    this.#dueAt = new Float64Array(inFlight)
    this.#freeSlots = Int32Array.from({ length: inFlight }, (_, index) => index)
    this.#freeCount = inFlight
    this.#nextQueue = sender % options.queues
    this.#nextTopic = Math.floor((sender * 7919) % options.topics)
    this.#slot = {
      opaque: 0,
      queueId: 0,
      topicNumber: 0,
      sender,
      sequence: 0,
      bornTimestamp: 0,
      sentAt: 0,
    }
  }

  get inFlight(): number {
    return this.#options.inFlight - this.#freeCount
  }

  /** When the last answer came, in milliseconds of `performance.now()`. */
  get lastAnswerAt(): number {
    return this.#lastAnswerAt
  }

  /** `onClosed` is called once the connection has ended, whatever the cause. Rejects when there is none. */
  async connect(network: Connector, onClosed: (error: Error | null) => void): Promise<void> {
    this.#closed = onClosed
    const { host, port } = splitAddress(this.#options.address)
    const onSocket = (): SocketHandler => ({
      onData: (bytes) => this.#onData(bytes),
      onDrain: () => this.#onDrain(),
      onClose: (error) => this.#onClose(error),
    })
    this.#socket = await network.connect({ host, port, timeoutMs: CONNECT_TIMEOUT_MS, onSocket })
  }

  /** Starts sending; `firstDueAt` counts when the requests are paced. */
  start(firstDueAt: number): void {
    this.#isSending = true
    this.#nextDueAt = firstDueAt
    this.#lastAnswerAt = performance.now()
    if (this.#options.intervalMs === 0) this.#send(this.#lastAnswerAt)
  }

  /** Sends what is due; called by the pacer. */
  tick(now: number): void {
    if (this.#isSending && this.#nextDueAt <= now) this.#send(now)
  }

  /** No new requests; those in flight are still answered. */
  stop(): void {
    this.#isSending = false
  }

  close(): void {
    this.#isSending = false
    this.#socket?.destroy()
  }

  #send(now: number): void {
    const { frames, totals, batch, intervalMs } = this.#options
    const socket = this.#socket
    if (socket === null || this.#freeCount === 0) return
    let wanted = this.#freeCount
    if (intervalMs > 0) {
      wanted = Math.min(wanted, Math.floor((now - this.#nextDueAt) / intervalMs) + 1)
    }
    const count = totals.take(wanted, batch)
    if (count <= 0) {
      if (wanted > 0) this.#isSending = false
      return
    }
    const block = frames.acquire(this.#options.inFlight)
    const bornTimestamp = Math.floor(epochOf(now))
    for (let index = 0; index < count; index++) {
      const dueAt = intervalMs > 0 ? this.#nextDueAt : now
      this.#fill(block, index * frames.frameSize, { now, dueAt, bornTimestamp })
      this.#nextDueAt += intervalMs
    }
    totals.sent += count * batch
    this.#write(socket, block, count * frames.frameSize)
  }

  #fill(
    block: Buffer,
    at: number,
    times: { readonly now: number; readonly dueAt: number; readonly bornTimestamp: number },
  ): void {
    const { frames, totals, batch, queues, topics } = this.#options
    const free = this.#freeSlots[--this.#freeCount] ?? 0
    const opaque = FIRST_OPAQUE + this.#generation * this.#options.inFlight + free
    this.#generation = (this.#generation + 1) % GENERATIONS
    this.#opaques[free] = opaque
    this.#dueAt[free] = times.dueAt
    const slot = this.#slot
    slot.opaque = opaque
    slot.queueId = this.#nextQueue
    slot.topicNumber = this.#nextTopic
    slot.sequence = this.#sequence
    slot.bornTimestamp = times.bornTimestamp
    slot.sentAt = epochOf(times.dueAt)
    this.#sequence += batch
    // The queue moves on after a round over all topics, so that every queue of every topic has its turn.
    if (++this.#nextTopic >= topics) {
      this.#nextTopic = 0
      if (++this.#nextQueue === queues) this.#nextQueue = 0
    }
    frames.patch(block, at, slot)
    if (this.#options.intervalMs > 0) totals.noteLag(times.now - times.dueAt)
  }

  #write(socket: Socket, block: Buffer, size: number): void {
    socket.write(block.subarray(0, size))
    // The kernel took all of it at once, nearly always: the block can be used again.
    if (socket.pendingBytes === 0) this.#options.frames.release(block)
    else this.#waiting.push(block)
  }

  #onData(bytes: Buffer): void {
    this.#now = performance.now()
    this.#lastAnswerAt = this.#now
    try {
      this.#reader.feed(bytes)
    } catch (error) {
      this.#options.totals.fail(messageOf(error))
      this.#socket?.destroy()
      return
    }
    if (this.#isSending && (this.#options.intervalMs === 0 || this.#nextDueAt <= this.#now)) {
      this.#send(this.#now)
    }
  }

  #onAnswer(answer: Answer): void {
    const { inFlight, batch, totals } = this.#options
    const slot = (answer.opaque - FIRST_OPAQUE) % inFlight
    if (slot < 0 || this.#opaques[slot] !== answer.opaque) {
      // A request of the server has a small opaque; an answer that nobody waits for is an error.
      if (answer.opaque >= FIRST_OPAQUE) totals.fail('an answer to no request')
      return
    }
    this.#opaques[slot] = 0
    this.#freeSlots[this.#freeCount++] = slot
    totals.answered(answer.code, batch, this.#now - (this.#dueAt[slot] ?? 0))
    if (answer.code !== ResponseCode.SUCCESS) totals.fail(this.#reader.refusal())
  }

  #onDrain(): void {
    for (const block of this.#waiting) this.#options.frames.release(block)
    this.#waiting = []
  }

  #onClose(error: Error | null): void {
    const { totals, batch } = this.#options
    this.#isSending = false
    this.#socket = null
    totals.unanswered += this.inFlight * batch
    this.#closed(error)
  }
}
