/** A broker group of Raft cores on abstract logs and a network under the test's control; for tests only. */
import assert from 'node:assert/strict'
import type { Random } from '../common/ports.ts'
import type { Configuration, Epoch, Member, MemberId, RaftMessage } from './messages.ts'
import type { Effect, HardState, LogView, RaftOptions } from './node.ts'
import { Raft } from './raft.ts'

export interface TestRecord {
  readonly term: number
  readonly size: number
  /** Unique for clients' records; null for control records. */
  readonly id: number | null
  readonly members: readonly Member[] | null
}

export interface Envelope {
  readonly from: MemberId
  readonly to: MemberId
  readonly message: RaftMessage<readonly TestRecord[]>
}

export interface GroupOptions {
  readonly members: readonly Member[]
  readonly random: Random
  readonly electionTicks?: number
  /** The write survives a crash at once (as ASYNC_FLUSH counts it), or only after `sync`. */
  readonly isSyncFlush?: boolean
  readonly preferredLeader?: MemberId
  readonly maxUncommittedBytes?: number
  readonly maxBatchBytes?: number
}

/** One process and its disk. */
export class TestMember {
  readonly id: MemberId
  readonly #group: TestGroup
  raft: Raft<readonly TestRecord[]> | null = null
  records: TestRecord[] = []
  startOffset = 0
  hardState: HardState = { term: 0, votedFor: null }
  /** Offset that a sync has made durable. */
  syncedOffset = 0
  /** Wanted to be synced when the disk gets to it. */
  unsyncedOffset = 0
  bootId = 0
  commitOffset = 0
  isLeaderReady = false
  reads: { readonly context: number; readonly offset: number }[] = []
  installs: MemberId[] = []
  #firstConfiguration: Configuration

  constructor(group: TestGroup, id: MemberId, configuration: Configuration) {
    this.#group = group
    this.id = id
    this.#firstConfiguration = configuration
  }

  get endOffset(): number {
    return this.startOffset + this.records.reduce((sum, { size }) => sum + size, 0)
  }

  get ids(): readonly number[] {
    return this.records.map(({ id }) => id).filter((id) => id !== null)
  }

  start(): void {
    assert(this.raft === null)
    this.bootId++
    this.isLeaderReady = false
    const { options } = this.#group
    const log: LogView = {
      batchEnd: (offset, maxBytes) => this.#batchEnd(offset, maxBytes),
      startOffset: 0,
      endOffset: 0,
      hasRoom: true,
    }
    Object.defineProperty(log, 'startOffset', { get: () => this.startOffset })
    Object.defineProperty(log, 'endOffset', { get: () => this.endOffset })
    const raftOptions: RaftOptions = {
      id: this.id,
      bootId: this.bootId,
      random: options.random,
      log,
      electionTicks: options.electionTicks ?? 10,
      heartbeatTicks: 1,
      maxBatchBytes: options.maxBatchBytes ?? 40,
      maxInFlightBytes: 200,
      maxUncommittedBytes: options.maxUncommittedBytes ?? 100_000,
      preferredLeader: options.preferredLeader ?? null,
    }
    this.raft = new Raft(raftOptions, {
      hardState: this.hardState,
      epochs: this.#epochs(),
      configurations: this.#configurations(),
      commitOffset: Math.min(this.commitOffset, this.endOffset),
      endOffset: this.endOffset,
    })
    this.syncedOffset = this.endOffset
    this.run()
  }

  /** Kills the process; `losesUnsynced`: the machine with it. */
  crash(losesUnsynced: boolean): void {
    this.raft = null
    if (losesUnsynced) this.#cut(this.syncedOffset)
  }

  /** A client's record, when this member takes it. */
  propose(id: number, size: number): boolean {
    const raft = this.raft
    if (raft === null || !raft.takesRecords) return false
    this.#append({ term: raft.term, size, id, members: null })
    return true
  }

  /** A client's record that this member takes, and writes only in `write`. */
  take(id: number, size: number): void {
    assert(this.raft?.takesRecords === true)
    this.records.push({ term: this.raft.term, size, id, members: null })
  }

  write(): void {
    this.raft?.localAppended(this.endOffset)
    this.#written()
    this.run()
  }

  /** The disk finishes what it was given. */
  sync(): void {
    if (this.raft === null) return
    this.syncedOffset = Math.max(this.syncedOffset, Math.min(this.unsyncedOffset, this.endOffset))
    this.raft.persisted(this.syncedOffset)
    this.run()
  }

  tick(): void {
    this.raft?.tick()
    this.run()
  }

  receive(from: MemberId, message: RaftMessage<readonly TestRecord[]>): void {
    this.raft?.receive(from, message)
    this.run()
  }

  /** Performs what the core asks for, and tells the group. */
  run(): void {
    const { raft } = this
    if (raft === null) return
    for (let effects = raft.takeEffects(); effects.length > 0; effects = raft.takeEffects()) {
      for (const effect of effects) this.#perform(raft, effect)
    }
    this.#group.check()
  }

  recordEnd(index: number): number {
    return (
      this.startOffset + this.records.slice(0, index + 1).reduce((sum, { size }) => sum + size, 0)
    )
  }

  #perform(raft: Raft<readonly TestRecord[]>, effect: Effect<readonly TestRecord[]>): void {
    switch (effect.type) {
      case 'persistHardState':
        this.hardState = effect.hardState
        break
      case 'send':
        this.#group.send({ from: this.id, to: effect.to, message: effect.message })
        break
      case 'sendRecords': {
        assert(effect.message.type === 'appendRequest')
        const { previousOffset, endOffset } = effect.message
        const records = this.#slice(previousOffset, endOffset)
        this.#group.send({ from: this.id, to: effect.to, message: { ...effect.message, records } })
        break
      }
      case 'appendTermStart':
        this.#append({ term: effect.term, size: 2, id: null, members: null })
        break
      case 'appendConfiguration':
        this.#append({ term: raft.term, size: 3, id: null, members: effect.members })
        break
      case 'truncate':
        this.#cut(effect.offset)
        break
      case 'appendRecords':
        this.#take(raft, effect)
        break
      case 'commit':
        this.commitOffset = effect.offset
        this.#group.committed(this, effect.offset)
        break
      case 'roleChanged':
        this.isLeaderReady = false
        this.#group.trace.push(
          `n${this.id} ${effect.role} term=${effect.term} leader=${effect.leader}`,
        )
        break
      case 'leaderReady':
        this.isLeaderReady = true
        this.#group.trace.push(`n${this.id} ready term=${effect.term}`)
        break
      case 'install':
        this.installs.push(effect.to)
        break
      case 'readReady':
        this.reads.push(effect)
        break
      case 'readFailed':
        break
    }
  }

  #append(record: TestRecord): void {
    const { raft } = this
    assert(raft !== null)
    const offset = this.endOffset
    this.records.push(record)
    if (record.members !== null) raft.configurationAppended({ offset, members: record.members })
    raft.localAppended(this.endOffset)
    this.#written()
  }

  #take(
    raft: Raft<readonly TestRecord[]>,
    effect: Extract<Effect<readonly TestRecord[]>, { readonly type: 'appendRecords' }>,
  ): void {
    let at = effect.recordsOffset
    for (const record of effect.records) {
      if (at >= effect.fromOffset) {
        assert.equal(this.endOffset, at)
        this.records.push(record)
        if (record.members !== null)
          raft.configurationAppended({ offset: at, members: record.members })
      }
      at += record.size
    }
    assert.equal(this.endOffset, effect.endOffset)
    this.#written()
  }

  /** As the store does, tells after each write what is persistent now, which is not the write when the sync has yet to come. */
  #written(): void {
    this.unsyncedOffset = this.endOffset
    const isSyncFlush = this.#group.options.isSyncFlush === true
    this.raft?.persisted(isSyncFlush ? this.syncedOffset : this.endOffset)
  }

  #cut(offset: number): void {
    while (this.endOffset > offset) this.records.pop()
    assert.equal(this.endOffset, Math.max(offset, this.startOffset))
    this.syncedOffset = Math.min(this.syncedOffset, offset)
    this.unsyncedOffset = Math.min(this.unsyncedOffset, offset)
  }

  #slice(from: number, to: number): readonly TestRecord[] {
    const slice: TestRecord[] = []
    let at = this.startOffset
    for (const record of this.records) {
      if (at >= from && at < to) slice.push(record)
      at += record.size
    }
    return slice
  }

  #batchEnd(offset: number, maxBytes: number): number {
    let at = this.startOffset
    let end = offset
    for (const record of this.records) {
      assert(at >= offset || at + record.size <= offset, 'what is sent begins with a record')
      at += record.size
      if (at > offset && (end === offset || at <= offset + maxBytes)) end = at
    }
    return end
  }

  #epochs(): readonly Epoch[] {
    const epochs: Epoch[] = []
    let at = this.startOffset
    for (const { term, size } of this.records) {
      if (epochs.at(-1)?.term !== term) epochs.push({ term, startOffset: at })
      at += size
    }
    return epochs
  }

  #configurations(): readonly Configuration[] {
    const configurations = [this.#firstConfiguration]
    let at = this.startOffset
    for (const { members, size } of this.records) {
      if (members !== null) configurations.push({ offset: at, members })
      at += size
    }
    return configurations
  }
}

export class TestGroup {
  readonly options: GroupOptions
  readonly members: Map<MemberId, TestMember> = new Map<MemberId, TestMember>()
  readonly trace: string[] = []
  network: Envelope[] = []
  /** What has been committed anywhere, in order. */
  committedRecords: TestRecord[] = []
  readonly #leaderOfTerm = new Map<number, MemberId>()

  constructor(options: GroupOptions) {
    this.options = options
    for (const { id } of options.members) this.add(id)
  }

  add(id: MemberId): TestMember {
    const member = new TestMember(this, id, { offset: 0, members: this.options.members })
    this.members.set(id, member)
    return member
  }

  member(id: MemberId): TestMember {
    const member = this.members.get(id)
    assert(member !== undefined)
    return member
  }

  get leader(): TestMember | null {
    const leaders = [...this.members.values()].filter(({ raft }) => raft?.role === 'leader')
    leaders.sort((left, right) => (right.raft?.term ?? 0) - (left.raft?.term ?? 0))
    return leaders[0] ?? null
  }

  send(envelope: Envelope): void {
    this.network.push(envelope)
  }

  /** Delivers everything, and what that causes, except along links that `isCut`. */
  deliver(isCut: (from: MemberId, to: MemberId) => boolean = () => false): void {
    for (let round = 0; round < 10_000 && this.network.length > 0; round++) {
      const batch = this.network
      this.network = []
      for (const { from, to, message } of batch) {
        if (!isCut(from, to)) this.members.get(to)?.receive(from, message)
      }
    }
    assert.equal(this.network.length, 0, 'the members stop talking')
  }

  /** Lets time pass for everybody; syncs after each tick. */
  run(ticks: number, isCut?: (from: MemberId, to: MemberId) => boolean): void {
    for (let tick = 0; tick < ticks; tick++) {
      for (const member of this.members.values()) member.tick()
      this.deliver(isCut)
      for (const member of this.members.values()) member.sync()
      this.deliver(isCut)
    }
  }

  committed(member: TestMember, offset: number): void {
    if (member.startOffset > 0) return
    let at = 0
    for (const [index, record] of member.records.entries()) {
      if (at >= offset) break
      at += record.size
      const known = this.committedRecords[index]
      if (known === undefined) this.committedRecords.push(record)
      else assert.deepEqual(record, known, `n${member.id} commits something else at ${at}`)
    }
    assert.equal(at, offset, 'commits end at record boundaries')
  }

  /** What must hold after every step: one leader per term. */
  check(): void {
    for (const { id, raft } of this.members.values()) {
      if (raft?.role !== 'leader') continue
      const other = this.#leaderOfTerm.get(raft.term) ?? id
      assert.equal(other, id, `two leaders in term ${raft.term}`)
      this.#leaderOfTerm.set(raft.term, id)
    }
  }
}

export function voters(count: number): readonly Member[] {
  return Array.from({ length: count }, (_, id) => ({
    id,
    role: 'voter' as const,
    incarnation: 1,
    address: `n${id}`,
  }))
}
