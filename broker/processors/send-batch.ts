/**
 * The sends that were appended between two writes of the log: their answers, ready in bytes, and what is to be counted.
 *
 * All of it lies in arrays that are used again: a send costs no object. When the log says that the batch is committed, each connection
 * gets its answers in as few pieces as they came in; when it says anything else, the answers are read back and made anew.
 */
import assert from 'node:assert/strict'
import { decodeCommand, encodeCommand, extFieldsOf } from '../../remoting/command-codec.ts'
import { NO_BODY } from '../../remoting/command.ts'
import { FrameDecoder } from '../../remoting/frame-decoder.ts'
import { PutStatus } from '../../store/types.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { Connection } from '../../remoting/connection.ts'
import type { RequestFrame } from '../../remoting/request-frame.ts'
import type { CommitWaiter } from '../../store/types.ts'
import type { SendAnswer, SendAnswers } from './send-answer.ts'
import type { SendTopic } from './send-topics.ts'

const CHUNK_SIZE = 64 * 1024
const MAX_FREE_CHUNKS = 16
const FRAME_MAX_LENGTH = 1024 * 1024
/** Beside a size class: sends of messages with a sharding key. */
const FIFO = 64

/** Sends that wait for the store, of both ways. */
export interface SendLoad {
  inFlight: number
}

/** What a batch needs of its owner when it is committed. */
export interface BatchOwner {
  readonly load: SendLoad
  /** How the ordinary way answers a send whose put ended like this; OK is not asked for. */
  readonly answerTo: (status: PutStatus, reason: string | null) => ResponseContent
  /** True when a put that ended like this has been stored: it is counted, and its answer has the offsets. */
  readonly isStored: (status: PutStatus) => boolean
  /** So many sends have been stored, each of one message; those of each topic are counted with it. */
  readonly count: (sends: number, isSystem: boolean) => void
  readonly giveBack: (batch: SendBatch) => void
}

/** Buffers for answers that wait; those in use are bounded by the sends in flight. */
export class AnswerChunks {
  readonly #free: Buffer[] = []

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_SIZE)
  }

  giveBack(chunk: Buffer): void {
    if (this.#free.length < MAX_FREE_CHUNKS) this.#free.push(chunk)
  }
}

/** Answers of one connection that lie next to each other. */
interface Slice {
  readonly connection: Connection
  readonly requestCode: number
  readonly receivedAt: number
  readonly isOneway: boolean
  readonly chunk: Buffer
  readonly start: number
  end: number
  count: number
  inFlightBytes: number
}

export class SendBatch implements CommitWaiter {
  /** The batch of the log that it belongs to. */
  batchNumber = -1
  readonly #owner: BatchOwner
  readonly #chunks: AnswerChunks
  #used: Buffer[] = []
  #chunk: Buffer | null = null
  #end = 0
  #slices: Slice[] = []
  #slice: Slice | null = null
  #sends = 0
  // Sends by topic, type and size class, in the order in which they came first.
  readonly #topics: SendTopic[] = []
  readonly #topicSends: number[] = []
  readonly #topicBytes: number[] = []
  readonly #topicClasses: number[] = []

  constructor(owner: BatchOwner, chunks: AnswerChunks) {
    this.#owner = owner
    this.#chunks = chunks
  }

  /** Notes a send that has been appended; `bytes` are those of its body and properties. */
  add(topic: SendTopic, bytes: number, isFifo: boolean): void {
    this.#sends++
    this.#owner.load.inFlight++
    // Within a class sizes differ by less than two, so that the average says enough for a histogram.
    const sizeClass = 32 - Math.clz32((bytes - 1) >> 10)
    const countedClass = isFifo ? sizeClass | FIFO : sizeClass
    let at = topic.countedAt
    if (this.#topics[at] !== topic || this.#topicClasses[at] !== countedClass) {
      at = this.#topics.length
      topic.countedAt = at
      this.#topics.push(topic)
      this.#topicSends.push(0)
      this.#topicBytes.push(0)
      this.#topicClasses.push(countedClass)
    }
    this.#topicSends[at] = (this.#topicSends[at] ?? 0) + 1
    this.#topicBytes[at] = (this.#topicBytes[at] ?? 0) + bytes
  }

  /** Writes the answer of the send that `add` has noted; null for a one-way send. */
  answer(
    connection: Connection,
    frame: RequestFrame,
    answers: SendAnswers,
    answer: SendAnswer | null,
  ): void {
    const isOneway = answer === null
    let start = this.#end
    if (answer !== null) {
      this.#chunk ??= this.#takeChunk()
      let end = answers.write(answer, this.#chunk, this.#end)
      if (end < 0) {
        this.#chunk = this.#takeChunk()
        start = 0
        end = answers.write(answer, this.#chunk, 0)
        assert(end > 0, 'an answer fits a chunk')
      }
      this.#end = end
    }
    let slice = this.#slice
    if (
      slice === null ||
      slice.connection !== connection ||
      slice.receivedAt !== frame.receivedAt ||
      slice.requestCode !== frame.code ||
      slice.isOneway !== isOneway ||
      slice.chunk !== (this.#chunk ?? NO_BODY)
    ) {
      slice = this.#begin(connection, frame, isOneway, start)
    }
    slice.end = this.#end
    slice.count++
    slice.inFlightBytes += frame.inFlightBytes
  }

  committed(status: PutStatus, reason: string | null): void {
    const { load, count, isStored, giveBack } = this.#owner
    load.inFlight -= this.#sends
    if (isStored(status)) {
      const ofSystem = this.#countByTopic()
      if (ofSystem > 0) count(ofSystem, true)
      if (this.#sends > ofSystem) count(this.#sends - ofSystem, false)
    }
    for (const slice of this.#slices) {
      if (status === PutStatus.OK) write(slice, slice.chunk, slice.start, slice.end, 0)
      else this.#writeOther(slice, status, reason)
    }
    this.#clear()
    giveBack(this)
  }

  /** Returns how many sends went to system topics. */
  #countByTopic(): number {
    let ofSystem = 0
    for (let index = 0; index < this.#topics.length; index++) {
      const counters = this.#topics[index]?.counters
      const sends = this.#topicSends[index] ?? 0
      const type = (this.#topicClasses[index] ?? 0) >= FIFO ? 'fifo' : 'normal'
      counters?.count(sends, sends, this.#topicBytes[index] ?? 0, type)
      if (counters?.isSystem === true) ofSystem += sends
    }
    return ofSystem
  }

  #begin(connection: Connection, frame: RequestFrame, isOneway: boolean, start: number): Slice {
    const slice: Slice = {
      connection,
      requestCode: frame.code,
      receivedAt: frame.receivedAt,
      isOneway,
      chunk: this.#chunk ?? NO_BODY,
      start,
      end: start,
      count: 0,
      inFlightBytes: 0,
    }
    this.#slices.push(slice)
    this.#slice = slice
    return slice
  }

  #takeChunk(): Buffer {
    const chunk = this.#chunks.take()
    this.#used.push(chunk)
    this.#end = 0
    return chunk
  }

  /** Answers with another status than the one that the frames were made for. */
  #writeOther(slice: Slice, status: PutStatus, reason: string | null): void {
    const content = this.#owner.answerTo(status, reason)
    const keepsFields = this.#owner.isStored(status)
    const frames: Buffer[] = []
    const decoder = new FrameDecoder(FRAME_MAX_LENGTH, (source, start, end) => {
      const answer = decodeCommand(source, start, end)
      frames.push(
        encodeCommand({
          ...answer,
          code: content.code,
          remark: content.remark ?? null,
          extFields: keepsFields ? answer.extFields : extFieldsOf(content.extFields),
        }),
      )
    })
    decoder.push(slice.chunk.subarray(slice.start, slice.end))
    const bytes = Buffer.concat(frames)
    write(slice, bytes, 0, bytes.length, content.code)
  }

  #clear(): void {
    for (const chunk of this.#used) this.#chunks.giveBack(chunk)
    this.#used = []
    this.#chunk = null
    this.#end = 0
    this.#slices = []
    this.#slice = null
    this.#sends = 0
    this.#topics.length = 0
    this.#topicSends.length = 0
    this.#topicBytes.length = 0
    this.#topicClasses.length = 0
  }
}

function write(slice: Slice, frames: Buffer, start: number, end: number, code: number): void {
  slice.connection.writeFrames(frames, start, end, {
    requestCode: slice.requestCode,
    responseCode: slice.isOneway ? null : code,
    count: slice.count,
    bytes: slice.inFlightBytes,
    receivedAt: slice.receivedAt,
    isLongPolling: false,
  })
}
