/**
 * SEND_MESSAGE (10) and SEND_MESSAGE_V2 (310) of the plain kind, from the received bytes into the log and the answer without an object.
 *
 * Plain: a known topic that is not a retry topic, a queue that exists, no batch, no transaction, no property that asks for more than
 * storing, WAIT not false. Everything else, and everything that is refused, goes the ordinary way (send.ts), which has all rules and texts;
 * a test sends random requests both ways and compares what is stored and answered byte for byte.
 *
 * A message costs: one pass over the header, one over its properties, the record, one copy of an answer template. Per connection and
 * turn there is one small object, per turn one batch (send-batch.ts), both used for as many messages as came.
 */
import assert from 'node:assert/strict'
import { MessageSysFlag } from '../../common/message.ts'
import { PropertyName } from '../../common/properties.ts'
import { RecordDraft } from '../../common/message-codec.ts'
import { ONEWAY_FLAG } from '../../remoting/command.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { PutStatus } from '../../store/types.ts'
import { Permission } from '../../remoting/bodies/topic-config.ts'
import { brokerMay } from './answers.ts'
import { PropertyCopier } from './property-copier.ts'
import { SendAnswer, SendAnswers, UNIQUE_KEY_MAX_SIZE } from './send-answer.ts'
import { AnswerChunks, SendBatch } from './send-batch.ts'
import { brokerProperties, propertyPair } from './send-properties.ts'
import { SendTopics } from './send-topics.ts'
import type { HostAddress } from '../../common/message.ts'
import type { Connection } from '../../remoting/connection.ts'
import type { KnownLayout, RequestFrame } from '../../remoting/request-frame.ts'
import type { BrokerParts } from '../parts.ts'
import type { BatchOwner } from './send-batch.ts'
import type { SendTopic } from './send-topics.ts'

const INT_MAX = 0x7fff_ffff
const MAX_FREE_BATCHES = 8
/** The broker's own properties are a handful of short names. */
const SUFFIX_MAX_SIZE = 8 * 1024
const FALSE = Buffer.from('false')
/** Bits of the sysFlag which the ordinary way has to look at. */
const NOT_PLAIN = MessageSysFlag.TRANSACTION_MASK | MessageSysFlag.INNER_BATCH

/** The fields of SEND_MESSAGE_V2. */
const LETTER_A = 0x61
const LETTER_B = 0x62
const LETTER_C = 0x63
const LETTER_E = 0x65
const LETTER_F = 0x66
const LETTER_G = 0x67
const LETTER_H = 0x68
const LETTER_I = 0x69
const LETTER_J = 0x6a
const LETTER_M = 0x6d

/** The field's letter in a header of SEND_MESSAGE_V2, as a bit; those that must be there. */
const REQUIRED = bitsOf('abcdefgh')

/** Names of SEND_MESSAGE by their letters in SEND_MESSAGE_V2. */
const LONG_NAMES: readonly (readonly [letter: string, name: string])[] = [
  ['a', 'producerGroup'],
  ['b', 'topic'],
  ['c', 'defaultTopic'],
  ['d', 'defaultTopicQueueNums'],
  ['e', 'queueId'],
  ['f', 'sysFlag'],
  ['g', 'bornTimestamp'],
  ['h', 'flag'],
  ['i', 'properties'],
  ['j', 'reconsumeTimes'],
  ['l', 'maxReconsumeTimes'],
  ['m', 'batch'],
]
const NAMES_BY_LENGTH = namesByLength()

/** What follows from the live configuration and the address, made anew when one of them changes. */
interface Settings {
  readonly values: unknown
  readonly host: HostAddress
  /** False while the broker takes no writes. */
  readonly isOpen: boolean
  /** Sends are taken from this time on. */
  readonly opensAt: number
  readonly capacity: number
  readonly maxMessageSize: number
  /** The properties that the broker adds. */
  readonly suffix: Buffer
  readonly answers: SendAnswers
}

export class FastSend {
  readonly #parts: BrokerParts
  readonly #owner: BatchOwner
  readonly #chunks = new AnswerChunks()
  readonly #topics: SendTopics
  readonly #draft = new RecordDraft()
  readonly #answer = new SendAnswer()
  readonly #properties = new PropertyCopier()
  readonly #freeBatches: SendBatch[] = []
  readonly #bornHost: (connection: Connection) => HostAddress
  #settings: Settings | null = null
  #batch: SendBatch | null = null
  #connection: Connection | null = null
  // What `#readHeader` has found.
  #topicField = -1
  #propertiesField = -1
  #queueId = 0
  #sysFlag = 0
  /** What these and the draft were read from, and what each of its fields is; null when the last header was refused. */
  #layout: KnownLayout | null = null
  readonly #letters: number[] = []
  /** The last of equal fields counts, which is not always one that varies. */
  #hasDuplicates = false

  constructor(
    parts: BrokerParts,
    owner: Omit<BatchOwner, 'giveBack'>,
    bornHost: (connection: Connection) => HostAddress,
  ) {
    this.#parts = parts
    this.#bornHost = bornHost
    this.#topics = new SendTopics(parts.store, parts.topics, parts.stats)
    this.#owner = { ...owner, giveBack: (batch) => this.#giveBack(batch) }
  }

  readonly handle = (connection: Connection, frame: RequestFrame): boolean => {
    const settings = this.#currentSettings()
    if (!settings.isOpen || this.#owner.load.inFlight >= settings.capacity) return false
    if (settings.opensAt > 0 && this.#parts.clock.now() < settings.opensAt) return false
    if (frame.opaque < 0 || !this.#readHeader(frame)) return false
    const topicField = this.#topicField
    const { source } = frame
    const topic = this.#topics.find(
      source,
      frame.valueStart(topicField),
      frame.valueEnd(topicField),
    )
    if (topic === null || this.#queueId >= topic.queueCount) return false
    const bodySize = frame.bodyEnd - frame.bodyStart
    if (bodySize === 0 || bodySize > settings.maxMessageSize) return false
    if (!this.#readProperties(frame, settings)) return false
    return this.#append(connection, frame, topic, settings)
  }

  #append(
    connection: Connection,
    frame: RequestFrame,
    topic: SendTopic,
    settings: Settings,
  ): boolean {
    const { store } = this.#parts
    const draft = this.#draft
    if (connection !== this.#connection) {
      this.#connection = connection
      draft.bornHost = this.#bornHost(connection)
    }
    draft.sysFlag = this.#sysFlag | (topic.isMultiTag ? MessageSysFlag.MULTI_TAGS : 0)
    draft.body = frame.source
    draft.bodyStart = frame.bodyStart
    draft.bodyEnd = frame.bodyEnd
    const batch = this.#openBatch()
    if (store.append(topic.queue(this.#queueId), draft, batch) !== PutStatus.OK) {
      // The store may know this batch, or not: it is not used for anything else.
      this.#batch = null
      return false
    }
    const bytes = frame.bodyEnd - frame.bodyStart + draft.propertiesEnd
    batch.add(topic, bytes, this.#properties.hasShardingKey)
    if ((frame.flag & ONEWAY_FLAG) !== 0) {
      batch.answer(connection, frame, settings.answers, null)
      return true
    }
    const { lastAppend } = store
    const answer = this.#answer
    answer.serializeType = frame.serializeType
    answer.opaque = frame.opaque
    answer.queueId = this.#queueId
    answer.queueOffset = lastAppend.queueOffset
    answer.physicalOffset = lastAppend.physicalOffset
    batch.answer(connection, frame, settings.answers, answer)
    return true
  }

  /** Reads the fields into the draft; false when one of them is missing, or unusual in any way. */
  #readHeader(frame: RequestFrame): boolean {
    const { layout } = frame
    const isKnown = layout !== null && layout === this.#layout
    this.#layout = null
    if (!(isKnown ? this.#readVarying(frame, layout) : this.#readAll(frame))) return false
    if ((this.#sysFlag & NOT_PLAIN) !== 0) return false
    if (!this.#hasDuplicates) this.#layout = layout
    return true
  }

  #readAll(frame: RequestFrame): boolean {
    const isV2 = frame.code === RequestCode.SEND_MESSAGE_V2
    const letters = this.#letters
    this.#draft.reconsumeTimes = 0
    this.#propertiesField = -1
    this.#hasDuplicates = false
    let seen = 0
    for (let index = 0; index < frame.fieldCount; index++) {
      const letter = isV2 ? letterOf(frame, index) : letterOfName(frame, index)
      letters[index] = letter
      if (letter === 0) continue
      if (!this.#readField(frame, index, letter)) return false
      const bit = 1 << (letter - LETTER_A)
      if ((seen & bit) !== 0) this.#hasDuplicates = true
      seen |= bit
    }
    return (seen & REQUIRED) === REQUIRED
  }

  /** For a header that differs from the one before in some values at most: the draft holds the others. */
  #readVarying(frame: RequestFrame, { varyingFields }: KnownLayout): boolean {
    const letters = this.#letters
    for (let index = 0; index < varyingFields.length; index++) {
      const field = varyingFields[index] ?? 0
      const letter = letters[field] ?? 0
      if (letter !== 0 && !this.#readField(frame, field, letter)) return false
    }
    return true
  }

  #readField(frame: RequestFrame, index: number, letter: number): boolean {
    switch (letter) {
      case LETTER_I:
        this.#propertiesField = index
        return true
      case LETTER_A:
      case LETTER_C:
        return true
      case LETTER_B:
        this.#topicField = index
        return !frame.hasEscapes(index)
      case LETTER_M:
        return isFalse(frame, index)
      default:
        return this.#setNumber(letter, frame.digitsOf(index))
    }
  }

  /** Takes the field of a letter that holds a number; negative ones and others are unusual: false. */
  #setNumber(letter: number, value: number): boolean {
    const draft = this.#draft
    if (letter === LETTER_G) {
      draft.bornTimestamp = value
      return value >= 0
    }
    if (value < 0 || value > INT_MAX) return false
    if (letter === LETTER_E) this.#queueId = value
    else if (letter === LETTER_F) {
      this.#sysFlag = value & ~(MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6)
    } else if (letter === LETTER_H) draft.flag = value
    else if (letter === LETTER_J) draft.reconsumeTimes = value
    // The number of queues for a new topic (d), and how often to retry (l), count elsewhere.
    return true
  }

  /** Brings the properties into the draft, with those of the broker behind them; false when they ask for something. */
  #readProperties(frame: RequestFrame, settings: Settings): boolean {
    const properties = this.#properties
    const field = this.#propertiesField
    const { source } = frame
    const isPlain =
      field < 0
        ? properties.copy(source, 0, 0, false)
        : properties.copy(
            source,
            frame.valueStart(field),
            frame.valueEnd(field),
            frame.hasEscapes(field),
          )
    if (!isPlain) return false
    const { target, uniqueKeyStart, uniqueKeyEnd } = properties
    let { end } = properties
    if (uniqueKeyEnd === uniqueKeyStart) {
      end += target.write(
        propertyPair(PropertyName.UNIQ_KEY, this.#parts.uniqueId()),
        end,
        'latin1',
      )
    } else if (!isPlainKey(target, uniqueKeyStart, uniqueKeyEnd)) return false
    const { suffix } = settings
    target.set(suffix, end)
    const draft = this.#draft
    draft.properties = target
    draft.propertiesStart = 0
    draft.propertiesEnd = end + suffix.length
    const answer = this.#answer
    answer.keySource = target
    answer.keyStart = uniqueKeyStart
    answer.keyEnd = uniqueKeyEnd
    return true
  }

  #openBatch(): SendBatch {
    const { batchNumber } = this.#parts.store
    if (this.#batch !== null && this.#batch.batchNumber === batchNumber) return this.#batch
    const batch = this.#freeBatches.pop() ?? new SendBatch(this.#owner, this.#chunks)
    batch.batchNumber = batchNumber
    this.#batch = batch
    return batch
  }

  #giveBack(batch: SendBatch): void {
    assert(batch.batchNumber !== -1, 'a batch is told once')
    batch.batchNumber = -1
    if (this.#batch === batch) this.#batch = null
    if (this.#freeBatches.length < MAX_FREE_BATCHES) this.#freeBatches.push(batch)
  }

  #currentSettings(): Settings {
    const { config } = this.#parts
    const host = this.#parts.storeHost()
    const current = this.#settings
    if (current !== null && current.values === config.values && current.host === host) {
      return current
    }
    const { regionId, traceOn, startAcceptSendRequestTimeStamp } = config.values
    const suffix = brokerProperties(config.values)
    const settings: Settings = {
      values: config.values,
      host,
      isOpen: brokerMay(this.#parts, Permission.WRITE) && suffix.length <= SUFFIX_MAX_SIZE,
      opensAt: startAcceptSendRequestTimeStamp,
      capacity: config.values.sendThreadPoolQueueCapacity,
      maxMessageSize: config.values.maxMessageSize,
      suffix,
      answers: new SendAnswers({ host, regionId, traceOn }),
    }
    this.#settings = settings
    return settings
  }
}

/** The codes that `FastSend` serves. */
export const FAST_SEND_CODES: readonly number[] = [
  RequestCode.SEND_MESSAGE,
  RequestCode.SEND_MESSAGE_V2,
]

/** The letter of a field of SEND_MESSAGE_V2; 0 for one that means nothing here. */
function letterOf(frame: RequestFrame, index: number): number {
  const start = frame.nameStart(index)
  if (frame.nameEnd(index) - start !== 1) return 0
  const letter = frame.source[start] ?? 0
  const isKnown = letter >= LETTER_A && letter <= LETTER_M && letter !== 0x6b
  return isKnown ? letter : 0
}

/** The same for SEND_MESSAGE. */
function letterOfName(frame: RequestFrame, index: number): number {
  const names = NAMES_BY_LENGTH[frame.nameEnd(index) - frame.nameStart(index)]
  if (names === undefined) return 0
  for (const { letter, name } of names) if (frame.isNamed(index, name)) return letter
  return 0
}

function isFalse(frame: RequestFrame, index: number): boolean {
  const start = frame.valueStart(index)
  if (frame.valueEnd(index) - start !== FALSE.length) return false
  for (let at = 0; at < FALSE.length; at++) {
    if (frame.source[start + at] !== FALSE[at]) return false
  }
  return true
}

/** True when a JSON string holds the unique id as it is, and there is a template for it. */
function isPlainKey(source: Buffer, start: number, end: number): boolean {
  if (end - start > UNIQUE_KEY_MAX_SIZE) return false
  for (let at = start; at < end; at++) {
    const byte = source[at] ?? 0
    if (byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c) return false
  }
  return true
}

function namesByLength(): { readonly letter: number; readonly name: Buffer }[][] {
  const byLength: { readonly letter: number; readonly name: Buffer }[][] = []
  for (const [letter, name] of LONG_NAMES) {
    const others = byLength[name.length] ?? []
    byLength[name.length] = [...others, { letter: letter.charCodeAt(0), name: Buffer.from(name) }]
  }
  return byLength
}

function bitsOf(letters: string): number {
  let bits = 0
  for (const letter of letters) bits |= 1 << (letter.charCodeAt(0) - LETTER_A)
  return bits
}
