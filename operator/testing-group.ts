/**
 * The members of one broker group, for tests of the reconciler: they found a group, take in others, elect, copy and hand over as the real ones do,
 * on a clock that is advanced by hand. What must never be asked of them is noted in `broken`.
 */
import type { RaftFacts, RaftMember, RaftRole } from '../common/admin-contract.ts'

/** How long an election, and a copy of the log, take. */
export const ELECTION_MS = 1_000
export const COPY_MS = 2_000
const LOG_END = 1_000_000_000
const FAR_BEHIND = 500_000_000

/** The process of one member. */
export interface FakeMember {
  readonly id: number
  /** Of its disk. */
  readonly incarnation: number
  /** Ids that it was started with. */
  readonly peers: readonly number[]
  /** When it has what it missed. */
  syncedAt: number
}

export class FakeGroup {
  readonly name: string
  readonly broken: string[] = []
  /** Processes that run, by id. */
  readonly running: Map<number, FakeMember> = new Map()
  members: RaftMember[] = []
  term = 0
  leader: number | null = null
  #electAt = 0
  #learnerSince = 0
  /** Disks of members that were taken out: they do not ask to come back. */
  readonly #removed: Set<number> = new Set()

  constructor(name: string) {
    this.name = name
  }

  get voters(): readonly number[] {
    return this.members
      .filter(({ role }) => role === 'voter')
      .map(({ id }) => id)
      .sort((left, right) => left - right)
  }

  start(member: FakeMember, now: number): void {
    this.running.set(member.id, { ...member, syncedAt: now + COPY_MS })
    this.settle(now)
  }

  stop(id: number, now: number): void {
    this.running.delete(id)
    if (this.leader === id) this.#lose(now)
    this.settle(now)
  }

  isInSync(id: number, now: number): boolean {
    const member = this.running.get(id)
    return member !== undefined && this.#isVoter(member) && now >= member.syncedAt
  }

  /** As `/readyz` answers. */
  isReady(id: number, now: number): boolean {
    if (this.leader === null || !this.running.has(id)) return false
    return id === this.leader || this.isInSync(id, now)
  }

  inSync(now: number): readonly number[] {
    return this.voters.filter((id) => this.isReady(id, now))
  }

  /** Why it is refused, or null. */
  transfer(from: number, to: number | null, now: number): string | null {
    if (this.leader !== from) return 'this member does not lead'
    const next = to ?? this.inSync(now).find((id) => id !== from)
    if (next === undefined || !this.isInSync(next, now) || next === from)
      return 'it has not caught up'
    this.#lead(next)
    return null
  }

  /** Why it is refused, or null. */
  remove(from: number, id: number, now: number): string | null {
    if (this.leader !== from) return 'this member does not lead'
    if (id === from) this.broken.push(`${this.name}: the leader is asked to remove itself`)
    const rest = this.voters.filter((other) => other !== id)
    const able = rest.filter((other) => this.isReady(other, now))
    if (this.voters.includes(id) && able.length * 2 <= rest.length) {
      this.broken.push(`${this.name}: without member ${id} no majority is left`)
    }
    const gone = this.members.find((member) => member.id === id)
    if (gone !== undefined) this.#removed.add(gone.incarnation)
    this.members = this.members.filter((member) => member.id !== id)
    return null
  }

  settle(now: number): void {
    if (this.members.length === 0) this.#found()
    this.#takeIn(now)
    const able = [...this.running.values()].filter((member) => this.#isVoter(member))
    const hasQuorum = able.length * 2 > this.voters.length
    if (!hasQuorum && this.leader !== null) this.#lose(now)
    if (hasQuorum && this.leader === null && now >= this.#electAt) {
      const best = able.toSorted((left, right) => left.syncedAt - right.syncedAt)[0]
      if (best !== undefined) this.#lead(best.id)
    }
  }

  facts(id: number, now: number): RaftFacts | null {
    const member = this.running.get(id)
    if (member === undefined) return null
    const isMember = this.#isMember(member)
    const isLeader = this.leader === id
    const peers = this.members
      .filter((other) => other.id !== id)
      .map((other) => {
        const process = this.running.get(other.id)
        const isThere = process !== undefined && this.#isMember(process)
        const lagBytes = isThere && now >= process.syncedAt ? 0 : FAR_BEHIND
        return {
          id: other.id,
          matchOffset: LOG_END - lagBytes,
          lagBytes,
          ticksSinceAnswer: isThere ? 1 : 10_000,
        }
      })
    return {
      id,
      incarnation: member.incarnation,
      role: this.#roleOf(member),
      term: isMember ? this.term : 0,
      leader: isMember ? this.leader : null,
      isReady: this.isReady(id, now),
      commitOffset: LOG_END,
      endOffset: LOG_END,
      members: isMember ? this.members : [],
      peers: isLeader ? peers : [],
    }
  }

  #roleOf(member: FakeMember): RaftRole {
    if (!this.#isMember(member)) return 'joining'
    if (this.leader === member.id) return 'leader'
    return this.#isVoter(member) ? 'follower' : 'learner'
  }

  /** Every configured member is there; those that are configured otherwise could found another group at the same time. */
  #found(): void {
    const founders = [...this.running.values()].filter(({ peers }) =>
      peers.every((id) => this.running.has(id)),
    )
    const [first] = founders
    if (first === undefined) return
    const lists = [...this.running.values()]
      .filter(({ id }) => first.peers.includes(id))
      .map(({ peers }) => peers.join())
    if (new Set(lists).size > 1) {
      this.broken.push(`${this.name}: founded by members that were told ${lists.join(' and ')}`)
    }
    this.members = first.peers.flatMap((id) => {
      const incarnation = this.running.get(id)?.incarnation
      return incarnation === undefined
        ? []
        : [{ id, role: 'voter' as const, incarnation, address: `n${id}` }]
    })
    for (const id of first.peers) {
      const member = this.running.get(id)
      if (member !== undefined) member.syncedAt = 0
    }
  }

  /** Whoever is new asks those that listen; one learner at a time becomes a voter. */
  #takeIn(now: number): void {
    if (this.leader === null) return
    const learner = this.members.find(({ role }) => role === 'learner')
    if (learner !== undefined) {
      const member = this.running.get(learner.id)
      const isCopied = member !== undefined && now >= this.#learnerSince + COPY_MS
      if (!isCopied) return
      member.syncedAt = now
      this.members = this.members.map((other) =>
        other.id === learner.id ? { ...other, role: 'voter' } : other,
      )
      return
    }
    const canBeReached = this.voters.some((id) => this.running.has(id))
    const stranger = [...this.running.values()].find(
      (member) => !this.#isMember(member) && !this.#removed.has(member.incarnation),
    )
    if (stranger === undefined || !canBeReached) return
    const { id, incarnation } = stranger
    const rest = this.members.filter((other) => other.id !== id)
    this.members = [...rest, { id, role: 'learner' as const, incarnation, address: `n${id}` }]
    this.#learnerSince = now
  }

  #isMember({ id, incarnation }: FakeMember): boolean {
    return this.members.some((other) => other.id === id && other.incarnation === incarnation)
  }

  #isVoter(member: FakeMember): boolean {
    return this.#isMember(member) && this.voters.includes(member.id)
  }

  #lead(id: number): void {
    this.leader = id
    this.term += 1
    const member = this.running.get(id)
    if (member !== undefined) member.syncedAt = 0
  }

  #lose(now: number): void {
    this.leader = null
    this.#electAt = now + ELECTION_MS
  }
}
