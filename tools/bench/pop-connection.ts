/**
 * One connection that pops and acknowledges: one pop in flight, and with the next one leaves the acknowledgement of what the last one
 * brought, as official clients do. Records are checked where they lie in the received bytes.
 */
import assert from 'node:assert/strict'
import { digitCount, writeDigits } from '../../common/decimal.ts'
import type { Clock } from '../../common/ports.ts'
import { encodeBatchAcks } from '../../remoting/bodies/pop-bodies.ts'
import type { BatchAck } from '../../remoting/bodies/pop-bodies.ts'
import { decodeCommand, encodeCommand } from '../../remoting/command-codec.ts'
import { LanguageCode, NO_BODY, SerializeType } from '../../remoting/command.ts'
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
const INVISIBLE_MS = 60_000
const POLL_MS = 1000
/** What was asked with these opaques: pops on one, acknowledgements on the other. */
const POP_OPAQUE = FIRST_OPAQUE
const ACK_OPAQUE = FIRST_OPAQUE + 1
/** Comes first, so that its value is found by its name alone. */
const BORN_FIELD = 'bornTime'
/** Before asking again where others of the group hold what is left. */
const RETRY_DELAY_MS = 1
/** Bytes of a frame's length. */
const LENGTH_SIZE = 4

/** A consumer group that pops a whole topic of one broker; all connections of a round share it. */
export interface PopRound {
  readonly group: string
  /** Messages that are still to come; Infinity: nobody has counted. */
  left: number
}

export interface PopConnectionOptions {
  readonly clock: Clock
  readonly address: string
  readonly topic: string
  readonly totals: PullTotals
  /** Messages to a pop. */
  readonly batch: number
  /** One acknowledgement for each message instead of one for each pop. */
  readonly acksEach: boolean
  readonly checksCrc: boolean
  /** The group to go on with when the one before has got everything; null: the end. */
  readonly roundAfter: (before: PopRound | null) => PopRound | null
}

export class PopConnection implements ConsumingConnection {
  readonly #options: PopConnectionOptions
  readonly #socket: ConsumeSocket
  readonly #taker: RecordTaker
  #round: PopRound | null = null
  #request: Buffer = NO_BODY
  #bornAt = 0
  #askedAt = 0
  /** Acknowledgements without an answer, and when the first of them left. */
  #openAcks = 0
  #done: () => void = () => undefined

  constructor(options: PopConnectionOptions) {
    this.#options = options
    this.#taker = new RecordTaker({ ...options, run: null })
    this.#socket = new ConsumeSocket(options, (answer) => this.#onAnswer(answer))
  }

  async connect(network: Connector, events: ConsumingEvents): Promise<void> {
    this.#done = events.onDone
    await this.#socket.connect(network, events)
  }

  start(): void {
    this.#socket.isAsking = true
    this.#socket.ask(() => this.#begin(null))
  }

  close(): void {
    this.#socket.close()
  }

  #begin(before: PopRound | null): void {
    const { roundAfter, clock } = this.#options
    this.#round = roundAfter(before)
    if (this.#round === null) return this.#end()
    const bornTime = String(clock.now())
    this.#request = this.#encodePop(this.#round, bornTime)
    this.#bornAt = this.#request.indexOf(bornTime)
    assert(this.#bornAt !== -1, 'a request with the time of its birth')
    this.#ask()
  }

  #end(): void {
    this.#socket.isAsking = this.#openAcks > 0
    if (!this.#socket.isAsking) this.#done()
  }

  /** The request before has been answered, so that its bytes can be used again. */
  #ask(): void {
    const bornTime = this.#options.clock.now()
    writeDigits(this.#request, this.#bornAt, digitCount(bornTime), bornTime)
    this.#askedAt = this.#socket.now
    this.#socket.push(this.#request)
  }

  #encodePop({ group, left }: PopRound, bornTime: string): Buffer {
    const { topic, batch } = this.#options
    return encode(RequestCode.POP_MESSAGE, POP_OPAQUE, {
      [BORN_FIELD]: bornTime,
      consumerGroup: group,
      topic,
      queueId: '-1',
      maxMsgNums: String(batch),
      invisibleTime: String(INVISIBLE_MS),
      // Who knows how much is left does not wait for more.
      pollTime: Number.isFinite(left) ? '0' : String(POLL_MS),
      initMode: '0',
      order: 'false',
    })
  }

  #onAnswer(answer: Answer): void {
    if (answer.opaque === ACK_OPAQUE) this.#takeAck(answer)
    else if (answer.opaque === POP_OPAQUE) this.#takePop(answer)
  }

  #takeAck({ code }: Answer): void {
    this.#openAcks--
    const { totals } = this.#options
    if (code !== ResponseCode.SUCCESS) {
      totals.fail(`an acknowledgement: ${this.#socket.answers.refusal()}`)
    }
    if (this.#round === null && this.#socket.isAsking) this.#end()
  }

  #takePop(answer: Answer): void {
    const { totals } = this.#options
    const round = this.#round
    totals.answered(answer.code, this.#socket.now - this.#askedAt)
    if (round === null) return
    if (answer.code === ResponseCode.SUCCESS) this.#takeMessages(answer, round)
    else if (!isEmpty(answer.code)) totals.fail(this.#socket.answers.refusal())
    else if (round.left === Infinity) round.left = 0
    if (!this.#socket.isAsking) return
    if (round.left <= 0) this.#begin(round)
    else if (answer.code === ResponseCode.SUCCESS) this.#ask()
    else this.#askLater()
  }

  #takeMessages(answer: Answer, round: PopRound): void {
    const { source, headerStart, bodyStart, bodyEnd } = answer
    const { totals, acksEach } = this.#options
    const count = this.#taker.take(source, bodyStart, bodyEnd, this.#socket.now, () => undefined)
    const { extFields } = decodeCommand(source, headerStart - LENGTH_SIZE, bodyEnd)
    const acks = this.#acksOf(extFields, round.group)
    const named = acks.reduce((sum, { distances }) => sum + distances.length, 0)
    if (named !== count) totals.fail(`${count} messages came, and ${named} are named`)
    round.left -= count
    if (acksEach) for (const ack of acks) this.#ackEach(ack)
    else this.#ack(RequestCode.BATCH_ACK_MESSAGE, {}, encodeBatchAcks('', acks))
  }

  #ackEach({ distances, ...ack }: BatchAck): void {
    const { startOffset, popTime, invisibleTime, reviveQueueId } = ack
    const handle = `${startOffset} ${popTime} ${invisibleTime} ${reviveQueueId} ${ack.retry} - ${ack.queueId}`
    for (const distance of distances) {
      const offset = startOffset + distance
      this.#ack(RequestCode.ACK_MESSAGE, {
        consumerGroup: ack.consumerGroup,
        topic: ack.topic,
        queueId: String(ack.queueId),
        extraInfo: `${handle} ${offset}`,
        offset: String(offset),
      })
    }
  }

  #ack(code: number, fields: Readonly<Record<string, string>>, body: Buffer = NO_BODY): void {
    this.#openAcks++
    this.#socket.push(encode(code, ACK_OPAQUE, fields, body))
  }

  #acksOf(fields: ReadonlyMap<string, string>, group: string): readonly BatchAck[] {
    const starts = new Map(
      split(fields.get('startOffsetInfo')).map(([mark, queueId, start]) => [
        `${mark} ${queueId}`,
        Number(start),
      ]),
    )
    return split(fields.get('msgOffsetInfo')).map(([mark = '0', queueId, offsets = '']) => {
      const startOffset = starts.get(`${mark} ${queueId}`) ?? 0
      return {
        consumerGroup: group,
        topic: this.#options.topic,
        retry: mark,
        startOffset,
        queueId: Number(queueId),
        reviveQueueId: Number(fields.get('reviveQid')),
        popTime: Number(fields.get('popTime')),
        invisibleTime: INVISIBLE_MS,
        distances: offsets.split(',').map((offset) => Number(offset) - startOffset),
      }
    })
  }

  #askLater(): void {
    setTimeout(() => {
      const round = this.#round
      if (!this.#socket.isAsking || round === null) return
      this.#socket.ask(() => {
        if (round.left <= 0) this.#begin(round)
        else this.#ask()
      })
    }, RETRY_DELAY_MS)
  }
}

/** Codes in which brokers say that there is nothing now. */
function isEmpty(code: number): boolean {
  return (
    code === ResponseCode.POLLING_TIMEOUT ||
    code === ResponseCode.PULL_NOT_FOUND ||
    code === ResponseCode.PULL_RETRY_IMMEDIATELY
  )
}

/** Codes of this family do not fit the binary header. */
function encode(
  code: number,
  opaque: number,
  fields: Readonly<Record<string, string>>,
  body: Buffer = NO_BODY,
): Buffer {
  return encodeCommand({
    code,
    language: LanguageCode.NODE_JS,
    version: CLIENT_VERSION,
    opaque,
    flag: 0,
    remark: null,
    extFields: new Map(Object.entries(fields)),
    body,
    serializeType: SerializeType.JSON,
  })
}

/** `a b c;a b c`. */
function split(text: string | undefined): readonly (readonly string[])[] {
  return (text ?? '').split(';').flatMap((item) => (item === '' ? [] : [item.split(' ')]))
}
