/** A member of a group that has, or may once have, several: leads and follows as Raft says. */
import { RaftDriver } from '../raft/driver.ts'
import { ReplicatedStore } from './replicated-store.ts'
import type { RaftFacts, RaftRole } from '../common/admin-contract.ts'
import type { Timer } from '../common/ports.ts'
import type { DriverOptions } from '../raft/driver.ts'
import type { MemberId } from '../raft/messages.ts'
import type { Role } from '../raft/node.ts'
import type { Raft } from '../raft/raft.ts'
import type { Tables } from '../raft/replicated-log.ts'
import type { MessageStore } from '../store/message-store.ts'
import type { Replication } from '../store/types.ts'
import type { Epoch, GroupMember, MemberEvents } from './group-member.ts'

/** A follower whose connection to the leader breaks asks for an election within 0.4 s; one that hears nothing after 1.5 to 3 s. */
const TICK_MS = 50
const ELECTION_TICKS = 30
const HEARTBEAT_TICKS = 4
/** A member that lacks no more than this of the leader's log counts as in sync. */
const IN_SYNC_BYTES = 16 * 1024 * 1024
/** A leader whose disk has not answered for so long lets another one lead. */
const DISK_STALL_MS = 5000
const DISK_CHECK_MS = 500
/** A leader whose disk has been full for so long lets one with room lead: by then the others have noticed and told how theirs are. */
const FULL_MS = 1500
/** It does so this often at most: members that are about as full do not pass leadership on and on. */
const LEAVE_EVERY_MS = 10_000

const NOT_LEADING = 'this member of the group does not lead'

export interface RaftMemberOptions extends Pick<
  DriverOptions,
  'runtime' | 'logger' | 'storePathRootDir' | 'group' | 'id' | 'peers' | 'listenHost' | 'clientPort'
> {
  readonly store: () => MessageStore
  readonly tables: () => Tables
  readonly events: MemberEvents
  readonly onFailure: (error: Error) => void
}

export class RaftMember implements GroupMember {
  readonly #options: RaftMemberOptions
  #driver: RaftDriver | null = null
  #timer: Timer | null = null
  /** The term in which this member leads, or is about to once everything is readable; 0 when it does not. */
  #leadingTerm = 0
  #isServing = false
  /** When the disk had room last. */
  #hadRoomAt = 0
  /** When it let another one lead because of that. */
  #leftAt = -LEAVE_EVERY_MS
  #elections = 0

  constructor(options: RaftMemberOptions) {
    this.#options = options
  }

  readonly replication: Replication = {
    written: (endOffset) => this.#driver?.logGrown(endOffset),
    persisted: (offset) => this.#driver?.logPersisted(offset),
    refusal: () => (this.#raft?.takesRecords === true ? null : this.#refusal()),
  }

  get term(): number {
    return this.#raft?.term ?? 0
  }

  get epochs(): readonly Epoch[] {
    return this.#raft?.epochs ?? []
  }

  get leaderAddress(): string | null {
    const leader = this.#raft?.leader ?? null
    if (leader === null || leader === this.#options.id) return null
    return this.#driver?.clientAddressOf(leader) ?? null
  }

  /** For who looks behind the facts; null before `start`. */
  get driver(): RaftDriver | null {
    return this.#driver
  }

  /** How often this member has been elected. */
  get elections(): number {
    return this.#elections
  }

  get facts(): RaftFacts | null {
    const driver = this.#driver
    if (driver === null) return null
    const { id, store } = this.#options
    const { commitOffset, endOffset } = store()
    const { incarnation, raft } = driver
    const own = { id, incarnation, commitOffset, endOffset }
    if (raft === null) {
      return {
        ...own,
        role: 'joining',
        term: 0,
        leader: null,
        isReady: false,
        members: [],
        peers: [],
      }
    }
    const { term, leader, configuration } = raft
    return {
      ...own,
      role: this.#roleOf(raft),
      term,
      leader,
      isReady: this.#isServing || this.#isInSync(raft),
      members: configuration.members,
      peers: raft.peers.map((peer) => ({
        id: peer.id,
        matchOffset: peer.matchOffset,
        lagBytes: Math.max(0, raft.endOffset - peer.matchOffset),
        ticksSinceAnswer: peer.ticksSinceAnswer,
      })),
    }
  }

  async start(): Promise<void> {
    const { runtime, store, tables, onFailure } = this.#options
    const log = new ReplicatedStore(store(), (problem) => this.#stepDown(problem))
    store().setNotLeading(NOT_LEADING)
    this.#driver = new RaftDriver({
      ...this.#options,
      log,
      tables: tables(),
      preferredLeader: null,
      tickMs: TICK_MS,
      electionTicks: ELECTION_TICKS,
      heartbeatTicks: HEARTBEAT_TICKS,
      onRole: (role, leader, term) => this.#onRole(role, leader, term),
      onReady: (term) => this.#onReady(term),
      onFailure: (error) => onFailure(error instanceof Error ? error : new Error(String(error))),
    })
    await this.#driver.start()
    this.#timer = runtime.timers.every(DISK_CHECK_MS, () => this.#checkDisk())
  }

  transfer(to: number | null): string | null {
    return this.#driver?.transferLeadership(to) ?? null
  }

  remove(id: number): string | null {
    const members = this.#raft?.configuration.members ?? []
    if (!members.some((member) => member.id === id)) return 'the group has no such member'
    const rest = members.filter((member) => member.id !== id)
    return this.#driver?.proposeMembers(rest) ?? null
  }

  /** A term is had by election only. */
  passTerm(term: number): void {
    this.#options.logger.warn(
      { term, ownTerm: this.term },
      'another member has led in a newer term, or the whole group has lost its disks',
    )
  }

  async close(): Promise<void> {
    this.#timer?.cancel()
    this.#leadingTerm = 0
    await this.#driver?.close()
  }

  get #raft(): Raft<Buffer> | null {
    return this.#driver?.raft ?? null
  }

  #refusal(): string {
    const raft = this.#raft
    if (raft?.role !== 'leader' || !this.#isServing) return NOT_LEADING
    return 'too much waits for the other members, or leadership is being handed over'
  }

  #roleOf({ role, configuration }: Raft<Buffer>): RaftRole {
    if (role === 'leader') return 'leader'
    const own = configuration.members.find(({ id }) => id === this.#options.id)
    if (own?.role === 'learner') return 'learner'
    return role === 'follower' ? 'follower' : 'candidate'
  }

  #isInSync(raft: Raft<Buffer>): boolean {
    if (raft.role !== 'follower' || raft.leader === null) return false
    return raft.heardCommitOffset - raft.endOffset <= IN_SYNC_BYTES && raft.hasHeardLeader
  }

  #onRole(role: Role, leader: MemberId | null, term: number): void {
    const { logger, store, events } = this.#options
    logger.info({ role, leader, term }, 'the role in the group changes')
    if (role === 'leader') {
      this.#elections++
      return
    }
    this.#leadingTerm = 0
    // Also when it was not ready yet: the first record of its term waits like a message.
    store().setNotLeading(NOT_LEADING)
    if (!this.#isServing) return
    this.#isServing = false
    events.onFollowing()
  }

  /** Everything that was committed before must be readable first; that takes its time after a long absence. */
  #onReady(term: number): void {
    this.#leadingTerm = term
    this.#serveOnceDispatched(term)
  }

  #serveOnceDispatched(term: number): void {
    const { runtime, store, events } = this.#options
    // Not while the core's effects are being performed: what is done here may lead to new ones.
    runtime.timers.soon(() => {
      if (this.#leadingTerm !== term || this.#isServing) return
      if (!store().isDispatched) {
        this.#serveOnceDispatched(term)
        return
      }
      this.#isServing = true
      store().setNotLeading(null)
      events.onLeading(term)
    })
  }

  #checkDisk(): void {
    const { runtime, store } = this.#options
    const now = runtime.clock.monotonic()
    const { hasRoom } = store()
    if (hasRoom) this.#hadRoomAt = now
    if (this.#raft?.role !== 'leader') return
    if (store().status().oldestDiskOperationMs > DISK_STALL_MS) {
      this.#stepDown('the disk does not answer')
    } else if (!hasRoom) {
      this.#leaveForRoom(now)
    }
  }

  /** Nobody can send while a leader's disk is full; with another one that has room the group goes on. */
  #leaveForRoom(now: number): void {
    const { logger, events } = this.#options
    if (!this.#isServing || now - this.#hadRoomAt < FULL_MS) return
    const successor = this.#raft?.successorWithRoom ?? null
    if (successor === null || now - this.#leftAt < LEAVE_EVERY_MS) return
    this.#leftAt = now
    logger.warn({ successor, term: this.term }, 'the disk is full: a member with room shall lead')
    events.onNoRoom(successor)
  }

  #stepDown(problem: string): void {
    this.#options.logger.error({ problem, term: this.term }, 'another member shall lead')
    this.#driver?.diskStalled()
  }
}
