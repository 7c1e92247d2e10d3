/**
 * The rules of a broker group, as somebody sees them who knows every member: looked at after every event.
 *
 * What any member commits first is the truth from then on; every other commit, acknowledgement and read has to agree with it.
 */
import { RecordReader } from '../common/message-codec.ts'
import type { Engine } from './engine.ts'
import { CONTROL_TOPIC } from '../store/control-record.ts'

/** One committed record. */
export interface CommittedRecord {
  readonly physicalOffset: number
  readonly bytes: Buffer
  /** `topic/queueId`; null for records of the group. */
  readonly queue: string | null
  readonly queueOffset: number
  /** Where the next record begins. */
  readonly endOffset: number
}

/** What the checker asks of a member. */
export interface ObservedMember {
  readonly name: string
  /** What it cannot read may be what its disk has destroyed. */
  readonly isRotten: boolean
  readonly recordAt: (physicalOffset: number) => Buffer | null
}

export interface ObservedRaft {
  readonly role: string
  readonly term: number
  readonly commitOffset: number
  readonly endOffset: number
}

export class Checker {
  readonly #engine: Engine
  readonly #segmentSize: number
  readonly records: CommittedRecord[] = []
  readonly #byOffset = new Map<number, CommittedRecord>()
  readonly #nextQueueOffset = new Map<string, number>()
  readonly #byKey = new Map<string, CommittedRecord>()
  readonly #leaderOfTerm = new Map<number, string>()
  readonly #reader = new RecordReader()
  #leader: string | null = null
  #latestTerm = 0
  #endOffset = 0
  #storeTimestamp = 0
  /** Said of a message of a client when it is committed for the first time; returns what is wrong with that. */
  onMessage: (key: string, topic: string) => string | null = () => null
  /** Said of a message of any other topic when it is committed for the first time. */
  onOther: (key: string, topic: string, reconsumeTimes: number) => void = () => undefined
  /** Said of a record of the group when it is committed for the first time, with its body. */
  onControl: (body: string) => void = () => undefined
  /** Topics in which each key is stored once at most; what the broker writes for itself may repeat it. */
  isOfClients: (topic: string) => boolean = () => true

  constructor(engine: Engine, segmentSize: number) {
    this.#engine = engine
    this.#segmentSize = segmentSize
  }

  /** End of what any member has committed. */
  get endOffset(): number {
    return this.#endOffset
  }

  /** Who became leader last. */
  get leader(): string | null {
    return this.#leader
  }

  /** The newest in which anybody led. */
  get latestTerm(): number {
    return this.#latestTerm
  }

  /** How many leaders there were, one after the other. */
  get reigns(): number {
    return this.#leaderOfTerm.size
  }

  /** Where the record begins that has `count` others behind it. */
  offsetBack(count: number): number {
    return this.records[Math.max(0, this.records.length - 1 - count)]?.physicalOffset ?? 0
  }

  at(physicalOffset: number): CommittedRecord | null {
    return this.#byOffset.get(physicalOffset) ?? null
  }

  byKey(key: string): CommittedRecord | null {
    return this.#byKey.get(key) ?? null
  }

  get queues(): ReadonlyMap<string, number> {
    return this.#nextQueueOffset
  }

  /** One leader per term. */
  leads(member: string, raft: ObservedRaft): void {
    if (raft.role !== 'leader') return
    const other = this.#leaderOfTerm.get(raft.term)
    if (other === undefined) {
      this.#leaderOfTerm.set(raft.term, member)
      this.#latestTerm = Math.max(this.#latestTerm, raft.term)
      this.#leader = member
    } else if (other !== member) {
      this.#engine.violate('one leader per term', `${other} and ${member} in term ${raft.term}`)
    }
  }

  /** A member has committed `[from, to)`; it must be what all others have committed there. */
  committed(member: ObservedMember, from: number, to: number): void {
    for (let at = from; at < to;) {
      const known = this.#byOffset.get(at)
      const bytes = member.recordAt(at)
      const end = bytes === null ? (known?.endOffset ?? this.#segmentEnd(at)) : at + bytes.length
      if (known === undefined && at >= this.#endOffset) this.#learn(member, at, bytes, end)
      else if (known === undefined || bytes === null || !known.bytes.equals(bytes)) {
        const isBlank = known === undefined && bytes === null
        const isRot = bytes === null && member.isRotten
        if (!isBlank && !isRot) this.#differs(member, at, bytes, known)
      }
      at = end
      if (this.#engine.violation !== null) return
    }
  }

  #learn(member: ObservedMember, at: number, bytes: Buffer | null, endOffset: number): void {
    this.#endOffset = endOffset
    if (bytes === null) return
    const reader = this.#reader
    reader.read(bytes, 0, bytes.length, false)
    const topic = reader.topic(bytes)
    const queue = topic === CONTROL_TOPIC ? null : `${topic}/${reader.queueId}`
    const record = { physicalOffset: at, bytes, queue, queueOffset: reader.queueOffset, endOffset }
    this.records.push(record)
    this.#byOffset.set(at, record)
    this.#checkTime(member, at, reader.storeTimestamp)
    if (queue === null) {
      this.onControl(bytes.toString('utf8', reader.bodyAt, reader.bodyAt + reader.bodySize))
      return
    }
    const expected = this.#nextQueueOffset.get(queue) ?? 0
    this.#nextQueueOffset.set(queue, expected + 1)
    if (record.queueOffset !== expected) {
      this.#engine.violate(
        'queue offsets are dense and unique',
        `${member.name} commits ${queue} offset ${record.queueOffset} at ${at}, ${expected} is next`,
      )
    }
    const body = bytes.toString('latin1', reader.bodyAt, reader.bodyAt + reader.bodySize)
    const key = keyOf(body)
    if (!this.isOfClients(topic)) return this.onOther(key, topic, reader.reconsumeTimes)
    if (this.#byKey.has(key)) {
      this.#engine.violate('nothing is stored twice', `${key} at ${at} once more`)
    }
    this.#byKey.set(key, record)
    const problem = this.onMessage(key, topic)
    if (problem !== null) this.#engine.violate('nothing is invented', `${key} at ${at}: ${problem}`)
  }

  /** Whatever clocks do: what is found by time relies on it. */
  #checkTime(member: ObservedMember, at: number, storeTimestamp: number): void {
    if (storeTimestamp < this.#storeTimestamp) {
      const fact = `${member.name} commits ${storeTimestamp} at ${at}, behind ${this.#storeTimestamp}`
      this.#engine.violate('store times never go back', fact)
    }
    this.#storeTimestamp = storeTimestamp
  }

  #differs(
    member: ObservedMember,
    at: number,
    bytes: Buffer | null,
    known: CommittedRecord | undefined,
  ): void {
    const theirs = known === undefined ? 'nothing begins there' : `${known.bytes.length} bytes`
    const own = bytes === null ? 'no record' : `${bytes.length} bytes`
    this.#engine.violate(
      'committed prefixes are identical',
      `${member.name} commits ${own} at ${at}, where ${theirs} had been committed`,
    )
  }

  #segmentEnd(at: number): number {
    return at - (at % this.#segmentSize) + this.#segmentSize
  }
}

/** Bodies begin with their key. */
export function keyOf(body: string): string {
  const end = body.indexOf(' ')
  return end === -1 ? body : body.slice(0, end)
}
