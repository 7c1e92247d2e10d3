/**
 * What alarms have to know of the time before the present picture: broker groups that were there, and how many dead letters there were.
 * Pure: time is handed in.
 */
import { DEAD_LETTER_PREFIX } from '../../client/cluster-picture.ts'
import type { BrokerState, ClusterPicture } from '../../client/cluster-picture.ts'
import { Permission } from '../../remoting/bodies/topic-config.ts'

const BROKERS_MAX = 1_000
const GROUPS_MAX = 5_000
/** Marks of a group over the longest time that a rule looks back. */
const MARKS = 60
/** A broker group that is gone for so long is none any more. */
const GONE_MAX_MS = 7 * 86_400_000

export interface KnownBroker {
  readonly brokerName: string
  readonly cluster: string
  /** False: it was being emptied when it was seen last, so it may go. */
  readonly isWritable: boolean
  /** Null: the name servers know it. */
  readonly goneSince: number | null
}

interface Mark {
  readonly at: number
  readonly total: number
}

export interface DeadLetterMarks {
  readonly group: string
  /** Ascending; the first is what was there before. */
  readonly marks: readonly Mark[]
}

export interface MemoryState {
  readonly brokers: readonly KnownBroker[]
  readonly deadLetters: readonly DeadLetterMarks[]
  /** False: the number of dead letters was never looked at. */
  readonly isPrimed: boolean
}

export const EMPTY_MEMORY: MemoryState = { brokers: [], deadLetters: [], isPrimed: false }

/** No name server answers: which brokers there are is not known. */
export function isBlind({ nameServers }: ClusterPicture): boolean {
  return nameServers.every(({ problem }) => problem !== null)
}

/** Every broker group that is there has told of itself just now. */
export function isWhole(picture: ClusterPicture): boolean {
  return (
    !isBlind(picture) &&
    picture.brokers.length > 0 &&
    picture.brokers.every((broker) => broker.problem === null && broker.picture !== null)
  )
}

export class ClusterMemory {
  readonly #brokers: Map<string, KnownBroker>
  readonly #deadLetters: Map<string, Mark[]>
  readonly #windowMs: number
  #isPrimed: boolean

  /** `windowMs`: how far `deadLettersWithin` looks back at most. */
  constructor(state: MemoryState, windowMs: number) {
    this.#brokers = new Map(state.brokers.map((broker) => [broker.brokerName, broker]))
    this.#deadLetters = new Map(state.deadLetters.map(({ group, marks }) => [group, [...marks]]))
    this.#isPrimed = state.isPrimed
    this.#windowMs = windowMs
  }

  get state(): MemoryState {
    return {
      brokers: [...this.#brokers.values()],
      deadLetters: [...this.#deadLetters].map(([group, marks]) => ({ group, marks })),
      isPrimed: this.#isPrimed,
    }
  }

  /** Broker groups that went although they took messages. */
  get gone(): readonly (KnownBroker & { readonly goneSince: number })[] {
    return [...this.#brokers.values()].flatMap((broker) =>
      broker.goneSince === null ? [] : [{ ...broker, goneSince: broker.goneSince }],
    )
  }

  /** True when something changed that has to be kept. */
  observe(picture: ClusterPicture): boolean {
    if (isBlind(picture)) return false
    const hasNewBrokers = this.#observeBrokers(picture)
    // A broker that is silent now would come back with what it had before.
    if (!isWhole(picture) || this.gone.length > 0) return hasNewBrokers
    return this.#observeDeadLetters(picture) || hasNewBrokers
  }

  /** A group that was removed on purpose. False: it is not known, or not gone. */
  forget(brokerName: string): boolean {
    const isGone = (this.#brokers.get(brokerName)?.goneSince ?? null) !== null
    return isGone && this.#brokers.delete(brokerName)
  }

  /** Messages that a group has given up in the last `windowMs`. */
  deadLettersWithin(group: string, windowMs: number, at: number): number {
    const marks = this.#deadLetters.get(group) ?? []
    const base = marks.findLast((mark) => mark.at <= at - windowMs) ?? marks.at(0)
    return (marks.at(-1)?.total ?? 0) - (base?.total ?? 0)
  }

  #observeBrokers({ at, brokers }: ClusterPicture): boolean {
    let isChanged = false
    const present = new Set<string>()
    for (const state of brokers) {
      present.add(state.brokerName)
      const former = this.#brokers.get(state.brokerName)
      const isWritable = isWritableNow(state) ?? former?.isWritable ?? true
      if (former?.isWritable === isWritable && former.goneSince === null) continue
      if (former === undefined && this.#brokers.size >= BROKERS_MAX) continue
      const { brokerName, cluster } = state
      this.#brokers.set(brokerName, { brokerName, cluster, isWritable, goneSince: null })
      isChanged = true
    }
    for (const [name, broker] of this.#brokers) {
      if (present.has(name)) continue
      const goneSince = broker.goneSince ?? at
      if (broker.goneSince !== null && at - goneSince < GONE_MAX_MS) continue
      if (broker.isWritable && broker.goneSince === null) {
        this.#brokers.set(name, { ...broker, goneSince })
      } else this.#brokers.delete(name)
      isChanged = true
    }
    return isChanged
  }

  #observeDeadLetters({ at, topics }: ClusterPicture): boolean {
    let isChanged = !this.#isPrimed
    for (const group of this.#deadLetters.keys()) {
      if (topics.has(`${DEAD_LETTER_PREFIX}${group}`)) continue
      this.#deadLetters.delete(group)
      isChanged = true
    }
    for (const { name, kind, total } of topics.values()) {
      if (kind !== 'deadLetter') continue
      const group = name.slice(DEAD_LETTER_PREFIX.length)
      const marks = this.#deadLetters.get(group)
      if (marks === undefined) {
        if (total === 0 || this.#deadLetters.size >= GROUPS_MAX) continue
        // What is there at the very first look came before.
        const before = { at, total: this.#isPrimed ? 0 : total }
        this.#deadLetters.set(group, this.#isPrimed ? [before, { at, total }] : [before])
        isChanged = true
      } else if (this.#addMark(marks, { at, total })) isChanged = true
    }
    this.#isPrimed = true
    return isChanged
  }

  #addMark(marks: Mark[], mark: Mark): boolean {
    const last = marks.at(-1)
    if (last === undefined || mark.total < last.total) {
      // The topic was made anew.
      marks.splice(0, marks.length, mark)
      return true
    }
    if (mark.total === last.total) return false
    const isClose = marks.length > 1 && mark.at - last.at < this.#windowMs / MARKS
    if (isClose) marks[marks.length - 1] = { at: last.at, total: mark.total }
    else marks.push(mark)
    // The first one left is what was there before the window.
    while (marks.length > 1 && (marks[1]?.at ?? mark.at) <= mark.at - this.#windowMs) marks.shift()
    return true
  }
}

function isWritableNow({ picture, problem }: BrokerState): boolean | null {
  if (picture === null || problem !== null) return null
  return (picture.broker.brokerPermission & Permission.WRITE) !== 0
}
