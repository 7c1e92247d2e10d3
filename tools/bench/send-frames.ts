/**
 * Send requests encoded once; for each message only fixed-width fields are written anew, in place.
 *
 * A block holds as many frames as one connection may have in flight. It goes to the kernel as it is, and is used again as soon as
 * the kernel has taken it.
 */
import assert from 'node:assert/strict'
import { writeDigits } from '../../common/decimal.ts'
import { encodeCommand } from '../../remoting/command-codec.ts'
import { LanguageCode, SerializeType } from '../../remoting/command.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { bodyFill, writeBodyHeader } from './message-body.ts'

/** Opaques have ten digits, so that they can be written in place: this one and those above. */
export const FIRST_OPAQUE = 1_000_000_000
/** MQVersion ordinal of a client of 5.x, which brokers only report. */
const CLIENT_VERSION = 485
const OPAQUE_IN_BINARY = 13
const KEY_DIGITS = 32
const KEY_PLACE = 'F'.repeat(KEY_DIGITS)
const BORN_DIGITS = 13
const BORN_PLACE = '8'.repeat(BORN_DIGITS)
const DELIVER_PLACE = '6'.repeat(BORN_DIGITS)
const TOPIC_DIGITS = 5
/** The number of a topic behind the common part of its name. */
const TOPIC_PLACE = '7'.repeat(TOPIC_DIGITS)
const BATCH_BODY_AT = 20
const NINE = 9
const LETTER = 0x37
const ZERO = 0x30

/** When messages are to be delivered; 0 and 0: at once. A delayed message says in its body when it is due, instead of when it was sent. */
export interface SendDelay {
  readonly delayMs: number
  /** So much more at most, scattered. */
  readonly spreadMs: number
}

/** Follow each other far apart, whatever the spread. */
const SCATTER = 7_919

export interface SendFrameOptions {
  /** Without number when `topics` is 1. */
  readonly topic: string
  readonly topics: number
  readonly brokerName: string
  readonly producerGroup: string
  readonly queues: number
  readonly bodySize: number
  /** Messages to a request; 1 sends single ones. */
  readonly batch: number
  readonly serializeType: SerializeType
  readonly run: number
  readonly delay: SendDelay
}

/** What is different in each request. */
export interface SendSlot {
  opaque: number
  queueId: number
  topicNumber: number
  sender: number
  /** Of the first message. */
  sequence: number
  bornTimestamp: number
  /** Milliseconds since 1970, with fractions: when the message was due. */
  sentAt: number
}

/** The name of the `number`-th topic of a run over many. */
export function numberedTopic(topic: string, number: number): string {
  return `${topic}-${String(number).padStart(TOPIC_DIGITS, '0')}`
}

export const MAX_TOPICS: number = 10 ** TOPIC_DIGITS

export class SendFrames {
  readonly frameSize: number
  readonly #options: SendFrameOptions
  readonly #frame: Buffer
  readonly #queueDigits: number
  readonly #opaqueAt: number
  readonly #queueAt: number
  readonly #bornAt: number
  readonly #topicAt: number
  readonly #keyAt: number
  /** Of the time of delivery; -1 when messages are not delayed. */
  readonly #deliverAt: number
  readonly #bodyAt: number
  readonly #batchEntrySize: number
  readonly #batchKeyAt: number
  readonly #free: Buffer[] = []
  readonly #message = { run: 0, sender: 0, sequence: 0, sentAt: 0 }

  constructor(options: SendFrameOptions) {
    this.#options = options
    this.#message.run = options.run
    this.#queueDigits = String(options.queues - 1).length
    const queuePlace = '9'.repeat(this.#queueDigits)
    const isBatch = options.batch > 1
    const isDelayed = options.delay.delayMs + options.delay.spreadMs > 0
    const deliver = isDelayed ? `TIMER_DELIVER_MS\u0001${DELIVER_PLACE}\u0002` : ''
    const properties = `UNIQ_KEY\u0001${KEY_PLACE}\u0002${deliver}WAIT\u0001true\u0002`
    const entry = batchEntry(bodyFill(options.bodySize), Buffer.from(properties))
    const body = isBatch
      ? Buffer.concat(Array.from({ length: options.batch }, () => entry))
      : bodyFill(options.bodySize)
    this.#batchEntrySize = isBatch ? entry.length : 0
    this.#batchKeyAt = entry.indexOf(KEY_PLACE)
    this.#frame = encodeCommand({
      code: isBatch ? RequestCode.SEND_BATCH_MESSAGE : RequestCode.SEND_MESSAGE_V2,
      language: LanguageCode.NODE_JS,
      version: CLIENT_VERSION,
      opaque: FIRST_OPAQUE,
      flag: 0,
      remark: null,
      extFields: fieldsOf(options, queuePlace, isBatch ? 'WAIT\u0001true\u0002' : properties),
      body,
      serializeType: options.serializeType,
    })
    this.frameSize = this.#frame.length
    this.#bodyAt = this.frameSize - body.length
    const isJson = options.serializeType === SerializeType.JSON
    this.#opaqueAt = isJson ? this.#place(`"opaque":${FIRST_OPAQUE}`) + 9 : OPAQUE_IN_BINARY
    this.#queueAt = isJson
      ? this.#place(`"e":"${queuePlace}"`) + 5
      : this.#place(`\u0000\u0001e\u0000\u0000\u0000${String.fromCharCode(this.#queueDigits)}9`) + 7
    this.#bornAt = this.#place(BORN_PLACE)
    this.#keyAt = isBatch ? -1 : this.#place(KEY_PLACE)
    this.#deliverAt = isDelayed ? this.#place(DELIVER_PLACE) : -1
    this.#topicAt = options.topics > 1 ? this.#place(TOPIC_PLACE) : -1
  }

  /** A block of `frames` frames; give it back by `release`. */
  acquire(frames: number): Buffer {
    const size = frames * this.frameSize
    const free = this.#free.pop()
    if (free !== undefined && free.length >= size) return free
    const block = Buffer.allocUnsafeSlow(size)
    for (let at = 0; at < size; at += this.frameSize) this.#frame.copy(block, at)
    return block
  }

  release(block: Buffer): void {
    this.#free.push(block)
  }

  /** Writes what is different in the frame at `at`. */
  patch(block: Buffer, at: number, slot: SendSlot): void {
    const { batch, run, serializeType } = this.#options
    if (serializeType === SerializeType.JSON) {
      writeDigits(block, at + this.#opaqueAt, 10, slot.opaque)
    } else {
      block.writeInt32BE(slot.opaque, at + this.#opaqueAt)
    }
    writeDigits(block, at + this.#queueAt, this.#queueDigits, slot.queueId)
    writeDigits(block, at + this.#bornAt, BORN_DIGITS, slot.bornTimestamp)
    if (this.#topicAt !== -1) {
      writeDigits(block, at + this.#topicAt, TOPIC_DIGITS, slot.topicNumber)
    }
    if (this.#keyAt !== -1) writeKey(block, at + this.#keyAt, run, slot.sender, slot.sequence)
    const message = this.#message
    message.sender = slot.sender
    message.sentAt = slot.sentAt
    if (this.#deliverAt !== -1) {
      message.sentAt = this.#dueAt(slot)
      writeDigits(block, at + this.#deliverAt, BORN_DIGITS, message.sentAt)
    }
    if (this.#batchEntrySize === 0) {
      message.sequence = slot.sequence
      writeBodyHeader(block, at + this.#bodyAt, message)
      return
    }
    for (let index = 0; index < batch; index++) {
      const entryAt = at + this.#bodyAt + index * this.#batchEntrySize
      message.sequence = slot.sequence + index
      writeBodyHeader(block, entryAt + BATCH_BODY_AT, message)
      writeKey(block, entryAt + this.#batchKeyAt, run, slot.sender, slot.sequence + index)
    }
  }

  #dueAt({ sentAt, sequence }: SendSlot): number {
    const { delayMs, spreadMs } = this.#options.delay
    return Math.ceil(sentAt) + delayMs + ((sequence * SCATTER) % (spreadMs + 1))
  }

  #place(text: string): number {
    const at = this.#frame.indexOf(text, 8, 'latin1')
    assert(at !== -1 && at < this.#bodyAt, 'a place in the header is not found')
    return at
  }
}

/** The fields of SEND_MESSAGE_V2 (protocol §6.2). */
function fieldsOf(
  options: SendFrameOptions,
  queuePlace: string,
  properties: string,
): ReadonlyMap<string, string> {
  const topic = options.topics > 1 ? `${options.topic}-${TOPIC_PLACE}` : options.topic
  return new Map([
    ['a', options.producerGroup],
    ['b', topic],
    ['c', 'TBW102'],
    ['d', '4'],
    ['e', queuePlace],
    ['f', '0'],
    ['g', BORN_PLACE],
    ['h', '0'],
    ['i', properties],
    ['j', '0'],
    ['k', 'false'],
    ['l', '0'],
    ['m', String(options.batch > 1)],
    ['n', options.brokerName],
  ])
}

/** One message of a batch: size, magic, body CRC (0, as clients leave it), flag, body, properties. */
function batchEntry(body: Buffer, properties: Buffer): Buffer {
  const entry = Buffer.alloc(BATCH_BODY_AT + body.length + 2 + properties.length)
  entry.writeInt32BE(entry.length, 0)
  entry.writeInt32BE(body.length, 16)
  body.copy(entry, BATCH_BODY_AT)
  entry.writeInt16BE(properties.length, BATCH_BODY_AT + body.length)
  properties.copy(entry, BATCH_BODY_AT + body.length + 2)
  return entry
}

/** A unique key as clients make it: 32 hexadecimal digits. */
function writeKey(target: Buffer, at: number, run: number, sender: number, sequence: number): void {
  writeHex(target, at, run)
  writeHex(target, at + 8, sender)
  writeHex(target, at + 16, Math.floor(sequence / 2 ** 32))
  writeHex(target, at + 24, sequence >>> 0)
}

function writeHex(target: Buffer, at: number, value: number): void {
  for (let index = 7, rest = value | 0; index >= 0; index--, rest >>>= 4) {
    const digit = rest & 15
    target[at + index] = digit > NINE ? LETTER + digit : ZERO + digit
  }
}
