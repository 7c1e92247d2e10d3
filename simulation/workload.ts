/**
 * Clients of a simulated broker group: they send, read and ask for confirmed reads, one operation at a time each, give up after a
 * while, and hold every answer against what the checker knows.
 */
import type { MessageToStore } from '../common/message.ts'
import type { MessageStore } from '../store/message-store.ts'
import type { GetResult, PutResult } from '../store/types.ts'
import { RecordReader } from '../common/message-codec.ts'
import type { Checker } from './checker.ts'
import type { Engine } from './engine.ts'
import type { Load } from './load.ts'
import type { SimulatedNetwork } from './network.ts'
import type { Member } from './member.ts'
import type { SeededRandom } from './random.ts'
import type { Settings } from './settings.ts'

const TIMEOUT_MS = 3000
const QUEUES = [
  { topic: 'Orders', queueId: 0 },
  { topic: 'Orders', queueId: 1 },
  { topic: 'Payments', queueId: 0 },
] as const
const BORN_HOST = { ip: Buffer.from([10, 0, 0, 7]), port: 40_000 }

/** One message as its sender knows it. */
export interface Sent {
  readonly key: string
  readonly queue: string
  readonly invokedMs: number
  /** When the client heard that it is stored; null: it did not hear, or heard something else. */
  acknowledgedMs: number | null
  physicalOffset: number
  queueOffset: number
  /** The broker has said that it will never be stored. */
  isRefused: boolean
}

export interface Counts {
  operations: number
  acknowledged: number
  read: number
  confirmedReads: number
  unknown: number
}

export interface WorkloadOptions {
  readonly engine: Engine
  readonly settings: Settings
  readonly checker: Checker
  readonly random: SeededRandom
  readonly members: readonly Member[]
  readonly network: SimulatedNetwork
  readonly isRotten: (member: Member) => boolean
  /** A consumer was given a record that is damaged. */
  readonly onDamage: () => void
  readonly operations: number
}

export class Workload implements Load {
  readonly #options: WorkloadOptions
  readonly sent: Map<string, Sent> = new Map()
  /** Changes of the table that were told to be made. */
  readonly tablePuts: string[] = []
  /** The highest acknowledged offset of each queue, by the time of its acknowledgement. */
  readonly #acknowledged = new Map<string, number>()
  #acknowledgedEnd = 0
  readonly counts: Counts & Record<string, number> = {
    operations: 0,
    acknowledged: 0,
    read: 0,
    confirmedReads: 0,
    unknown: 0,
  }
  #working = 0
  #isPaused = false

  constructor(options: WorkloadOptions) {
    this.#options = options
    options.checker.onMessage = (key) => this.#problemOf(key)
  }

  /** All operations are over. */
  get isDone(): boolean {
    return this.#working === 0
  }

  start(): void {
    const { settings } = this.#options
    for (let client = 0; client < settings.clients; client++) {
      this.#working++
      new Client(this.#options, this, client).next()
    }
  }

  /** False when the client shall stop. */
  begin(): boolean {
    if (this.#isPaused || this.counts.operations >= this.#options.operations) {
      this.#working--
      return false
    }
    this.counts.operations++
    return true
  }

  /** Sends through one member until one is acknowledged; for the time after the faults. */
  probe(member: Member, key: string, done: (isAcknowledged: boolean) => void): void {
    const client = new Client(this.#options, this, PROBE_CLIENT)
    client.send(member, QUEUES[0], [key], done)
  }

  floorOf(queue: string): number {
    return this.#acknowledged.get(queue) ?? -1
  }

  get acknowledgedEnd(): number {
    return this.#acknowledgedEnd
  }

  acknowledged(sent: Sent, floor: number): void {
    const { checker, engine } = this.#options
    this.counts.acknowledged++
    const record = checker.byKey(sent.key)
    const place = `${sent.key} as ${sent.queue} offset ${sent.queueOffset} at ${sent.physicalOffset}`
    if (record === null) engine.violate('what is acknowledged is committed', place)
    else if (
      record.physicalOffset !== sent.physicalOffset ||
      record.queueOffset !== sent.queueOffset ||
      record.queue !== sent.queue
    ) {
      const truth = `${record.queue} offset ${record.queueOffset} at ${record.physicalOffset}`
      engine.violate('acknowledgements tell the truth', `${place}, but it is ${truth}`)
    }
    if (sent.queueOffset <= floor) {
      const rule = 'what is sent after an acknowledgement is stored behind it'
      engine.violate(rule, `${place}, although offset ${floor} was acknowledged before`)
    }
    this.#acknowledged.set(
      sent.queue,
      Math.max(this.#acknowledged.get(sent.queue) ?? -1, sent.queueOffset),
    )
    this.#acknowledgedEnd = Math.max(this.#acknowledgedEnd, record?.endOffset ?? 0)
  }

  /** Nothing is begun that takes time. */
  missing(): string | null {
    return null
  }

  /** After everything: whatever was acknowledged is in the log. */
  checkEnd(): void {
    const { checker, engine } = this.#options
    for (const { key, acknowledgedMs, physicalOffset } of this.sent.values()) {
      if (acknowledgedMs === null) continue
      if (checker.byKey(key)?.physicalOffset !== physicalOffset) {
        engine.violate('nothing acknowledged is lost', `${key} at ${physicalOffset}`)
      }
    }
  }

  checkTable(valueOf: (name: string) => string | null): void {
    for (const name of this.tablePuts) {
      if (valueOf(name) === `v${name}`) continue
      this.#options.engine.violate('changes of tables that were told to be made stay', name)
    }
  }

  #problemOf(key: string): string | null {
    const sent = this.sent.get(key)
    if (sent === undefined) return 'nobody sent it'
    return sent.isRefused ? 'it had been refused' : null
  }
}

const PROBE_CLIENT = 999

type QueueName = (typeof QUEUES)[number]

class Client {
  readonly #options: WorkloadOptions
  readonly #workload: Workload
  readonly #id: number
  #target = 0
  #sequence = 0
  /** Next offset to read, by queue. */
  readonly #positions = new Map<string, number>()

  constructor(options: WorkloadOptions, workload: Workload, id: number) {
    this.#options = options
    this.#workload = workload
    this.#id = id
  }

  next(): void {
    const { engine, settings, random } = this.#options
    const think = -Math.log(1 - random.next()) * settings.thinkMs
    engine.schedule(think, null, 'client', () => {
      if (this.#workload.begin()) this.#operate()
    })
  }

  send(
    member: Member,
    { topic, queueId }: QueueName,
    keys: readonly string[],
    done: (isAcknowledged: boolean) => void,
  ): void {
    const { engine, settings, random } = this.#options
    const queue = `${topic}/${queueId}`
    const floor = this.#workload.floorOf(queue)
    const sent = keys.map((key): Sent => ({
      key,
      queue,
      invokedMs: engine.now,
      acknowledgedMs: null,
      physicalOffset: -1,
      queueOffset: -1,
      isRefused: false,
    }))
    for (const one of sent) this.#workload.sent.set(one.key, one)
    const messages = keys.map((key): MessageToStore => ({
      topic,
      queueId,
      flag: 0,
      sysFlag: 0,
      bornTimestamp: 1_700_000_000_000,
      bornHost: BORN_HOST,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body: Buffer.from(`${key} ${'x'.repeat(random.integer(settings.bodyBytes))}`),
      properties: Buffer.alloc(0),
    }))
    this.#call<PutResult>(
      member,
      (store, answer) => store.put(messages, 'inTime', answer),
      (result) => {
        if (result === null) this.#workload.counts.unknown++
        for (const [index, one] of sent.entries()) this.#heard(one, index, result, floor)
        done(result?.status === 'OK')
      },
    )
  }

  #heard(sent: Sent, index: number, result: PutResult | null, floor: number): void {
    if (result === null) return
    sent.isRefused = result.status === 'MESSAGE_ILLEGAL'
    if (result.status !== 'OK') return
    sent.acknowledgedMs = this.#options.engine.now
    sent.physicalOffset = result.physicalOffsets[index] ?? -1
    sent.queueOffset = result.queueOffset + index
    this.#workload.acknowledged(sent, floor)
  }

  #operate(): void {
    const { random } = this.#options
    const queue = QUEUES[random.integer(QUEUES.length)] ?? QUEUES[0]
    const kind = random.integer(20)
    if (kind < 12) this.#sendSome(queue)
    else if (kind < 17) this.#read(queue)
    else if (kind < 19) this.#confirm()
    else this.#put()
  }

  #sendSome(queue: QueueName): void {
    const { random } = this.#options
    const count = random.integer(5) === 0 ? 2 + random.integer(4) : 1
    const keys = Array.from({ length: count }, () => `c${this.#id}-${this.#sequence++}`)
    this.send(this.#member(), queue, keys, (isAcknowledged) => {
      if (!isAcknowledged) this.#target++
      this.next()
    })
  }

  #read({ topic, queueId }: QueueName): void {
    const queue = `${topic}/${queueId}`
    const queueOffset = this.#positions.get(queue) ?? 0
    const request = { topic, queueId, queueOffset, maxMessages: 32, filter: null }
    const member = this.#member()
    this.#call<GetResult>(
      member,
      (store, answer) => store.get(request, answer),
      (result) => {
        if (result === null) this.#target++
        else this.#check(queue, member, request.queueOffset, result)
        this.next()
      },
    )
  }

  /** Records of a queue, one behind the other. */
  #check(queue: string, member: Member, from: number, result: GetResult): void {
    const { checker, engine, isRotten } = this.#options
    const reader = new RecordReader()
    let expected = from
    for (const record of result.records) {
      if (reader.read(record, 0, record.length, true) !== null && isRotten(member)) return
      const known = checker.at(reader.physicalOffset)
      if (known === null || known.queue !== queue || !known.bytes.equals(record)) {
        const place = `${queue} offset ${reader.queueOffset} at ${reader.physicalOffset}`
        engine.violate('consumers see what is committed', `${member.host}: ${place}`)
      }
      if (reader.queueOffset !== expected) {
        const place = `${queue}: offset ${reader.queueOffset} where ${expected} was next`
        engine.violate('consumers see everything in order', `${member.host}: ${place}`)
      }
      expected++
      this.#workload.counts.read++
    }
    if (result.status === 'FOUND') this.#positions.set(queue, expected)
    // Retention has taken what was not read yet.
    else if (result.status === 'OFFSET_TOO_SMALL') this.#positions.set(queue, result.minOffset)
  }

  /** A confirmed read knows of everything that was acknowledged before it. */
  #confirm(): void {
    const { engine } = this.#options
    const acknowledgedEnd = this.#workload.acknowledgedEnd
    const member = this.#member()
    const { driver } = member
    if (driver === null) {
      this.#target++
      this.next()
      return
    }
    this.#call<number | null>(
      member,
      (_store, answer) => {
        driver.confirmRead().then(answer, () => answer(null))
      },
      (offset) => {
        if (offset === null) this.#target++
        else {
          this.#workload.counts.confirmedReads++
          if (offset < acknowledgedEnd) {
            const fact = `${member.host} says ${offset}, ${acknowledgedEnd} was acknowledged before`
            engine.violate('confirmed reads know what was acknowledged', fact)
          }
        }
        this.next()
      },
    )
  }

  /** A change of a table, under a name of its own. */
  #put(): void {
    const member = this.#member()
    const name = `c${this.#id}-${this.#sequence++}`
    const { handle } = member
    if (handle === null) {
      this.#target++
      this.next()
      return
    }
    const change = new Map([
      ['name', name],
      ['value', `v${name}`],
    ])
    this.#call<boolean>(
      member,
      (_store, answer) => {
        handle.propose(change).then(
          () => answer(true),
          () => answer(false),
        )
      },
      (isMade) => {
        if (isMade === true) this.#workload.tablePuts.push(name)
        else this.#target++
        this.next()
      },
    )
  }

  #member(): Member {
    const { members, random } = this.#options
    if (random.integer(20) === 0) this.#target = random.integer(members.length)
    const member = members[this.#target % members.length]
    if (member === undefined) throw new RangeError('a group has members')
    return member
  }

  /** Asks a member over the network; null when it does not answer in time, or is not there. */
  #call<Result>(
    member: Member,
    ask: (store: MessageStore, answer: (result: Result) => void) => void,
    done: (result: Result | null) => void,
  ): void {
    const { engine, settings, random } = this.#options
    let isOver = false
    const end = (result: Result | null): void => {
      if (isOver) return
      isOver = true
      timeout.cancel()
      done(result)
    }
    const latency = (): number => settings.latencyMs * (0.5 + random.next())
    const timeout = engine.schedule(TIMEOUT_MS, null, 'client timeout', () => end(null))
    if (!member.isUp) {
      engine.schedule(latency(), null, 'no connection', () => end(null))
      return
    }
    member.process.schedule(latency(), 'request', () => {
      const { store } = member
      if (store === null) {
        engine.schedule(latency(), null, 'no connection', () => end(null))
        return
      }
      ask(store, (result) => {
        engine.schedule(latency(), null, 'answer', () => end(result))
      })
    })
  }
}
