/**
 * One member of a broker group on a real log and network: feeds the core with ticks, messages and the progress of the log, and
 * performs what it answers, in order.
 */
import assert from 'node:assert/strict'
import { GantryError, isNoRoom } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Runtime, Timer } from '../common/ports.ts'
import type { Install } from './control-frames.ts'
import { findGroup } from './joining.ts'
import type { Configuration, Member, MemberId, RaftMessage } from './messages.ts'
import type { Effect, RaftOptions, Role } from './node.ts'
import { Peers } from './peers.ts'
import type { PeerAddress } from './peers.ts'
import { Raft } from './raft.ts'
import type { ReplicatedLog, Tables } from './replicated-log.ts'
import { votersOf } from './quorum.ts'
import { StateFile } from './state-file.ts'
import { TermsFile } from './terms-file.ts'

/** Fixed for all members: what they are and how they keep time. */
export interface DriverOptions {
  readonly runtime: Runtime
  readonly logger: Logger
  readonly storePathRootDir: string
  /** Cluster and broker name: members of other groups are turned away. */
  readonly group: string
  readonly id: MemberId
  /** All members of the group as they are configured, this one too. */
  readonly peers: readonly PeerAddress[]
  readonly listenHost: string
  /** Told to the others. */
  readonly clientPort: number
  readonly log: ReplicatedLog
  readonly tables: Tables
  readonly preferredLeader: MemberId | null
  readonly tickMs: number
  readonly electionTicks: number
  readonly heartbeatTicks: number
  readonly onRole: (role: Role, leader: MemberId | null, term: number) => void
  /** This member leads and knows all that was committed before. */
  readonly onReady: (term: number) => void
  readonly onFailure: (error: unknown) => void
}

/** Ticks between two requests to be taken in. */
const JOIN_EVERY_TICKS = 10
const MAX_BATCH_BYTES = 1024 * 1024
const MAX_IN_FLIGHT_BYTES = 16 * 1024 * 1024
const MAX_UNCOMMITTED_BYTES = 128 * 1024 * 1024
const READ_TIMEOUT_MS = 3000

export class RaftDriverError extends GantryError<'foreign'> {}

interface Read {
  readonly context: number
  readonly resolve: (offset: number | null) => void
  readonly timer: Timer
}

interface Batch {
  readonly fromOffset: number
  readonly toOffset: number
  readonly records: Buffer | Promise<Buffer>
  readonly checksum: number | null
}

export class RaftDriver {
  readonly #options: DriverOptions
  readonly #state: StateFile
  readonly #terms: TermsFile
  readonly #peers: Peers
  #raft: Raft<Buffer> | null = null
  #ticker: Timer | null = null
  #isPerforming = false
  /** What was sent last within the event that is being performed. */
  #batch: Batch | null = null
  #space: Buffer | null = null
  #isClosed = false
  /** An event was left half done: nothing may follow it. */
  #hasFailed = false
  /** The file may tell of records that were never appended. */
  #isTermsFileAhead = false
  #reads: Read[] = []
  #ticks = 0
  /** A leader is known, or all voters are there to find one. */
  #hasStarted = false

  constructor(options: DriverOptions) {
    const { runtime, storePathRootDir } = options
    this.#options = options
    this.#state = StateFile.open(runtime.disk, storePathRootDir)
    this.#terms = new TermsFile(runtime.disk, storePathRootDir)
    if (this.#state.incarnation === 0) {
      this.#state.save(this.#state.hardState, 1 + runtime.random.integer(2 ** 47))
    }
    this.#peers = new Peers({
      ...options,
      incarnation: this.#state.incarnation,
      raft: () => this.#raft,
      term: () => this.#state.hardState.term,
      onMessage: (from, message) => this.#event((raft) => raft.receive(from, message)),
      onLost: (id) => this.#event((raft) => raft.unreachable(id)),
      // Another member, whose log is whole, shall lead.
      onUnreadable: (error) => this.#fail(error),
      onJoin: (member) => this.#takeIn(member),
      onInstall: (from, install) => this.#restart(from, install),
      onInstalled: (id, startOffset) => this.#event((raft) => raft.installed(id, startOffset)),
    })
  }

  /** Opens the peer port, finds the group or founds it, and takes part from then on. Rejects when the port cannot be opened. */
  async start(): Promise<void> {
    const { runtime, log, tickMs } = this.#options
    await this.#peers.start()
    const terms = this.#terms.read(log.endOffset)
    if (terms !== null) this.#begin(terms.configurations, false)
    this.#findGroup()
    this.#ticker = runtime.timers.every(tickMs, () => {
      try {
        this.#findGroup()
      } catch (error) {
        this.#fail(error)
      }
      this.#startTogether()
      this.#event((raft) => raft.tick())
    })
  }

  /** Null until the member has found its group. */
  get raft(): Raft<Buffer> | null {
    return this.#raft
  }

  /** Where a member serves clients; null while it is not connected. */
  clientAddressOf(id: MemberId): string | null {
    return this.#peers.clientAddressOf(id)
  }

  get incarnation(): number {
    return this.#state.incarnation
  }

  /** The own log has grown by what this leader appended. */
  logGrown(endOffset: number): void {
    this.#event((raft) => {
      if (raft.role === 'leader') raft.localAppended(endOffset)
    })
  }

  /** The own log is persistent up to here, as the flush mode asks. */
  logPersisted(offset: number): void {
    this.#event((raft) => raft.persisted(Math.min(offset, raft.endOffset)))
  }

  diskStalled(): void {
    this.#event((raft) => raft.diskStalled())
  }

  /** Begins to hand over, to the best voter when `to` is null; why not, or null when it has begun. */
  transferLeadership(to: MemberId | null): string | null {
    let refusal: string | null = 'the member has no group yet'
    this.#event((raft) => {
      refusal = raft.transferLeadership(to)
    })
    return refusal
  }

  proposeMembers(members: readonly Member[]): string | null {
    let refusal: string | null = 'the member has no group yet'
    this.#event((raft) => {
      refusal = raft.proposeMembers(members)
    })
    return refusal
  }

  /** Resolves with an offset once everything acknowledged before the call is committed here up to it; null when this member cannot tell. */
  confirmRead(): Promise<number | null> {
    return new Promise((resolve) => {
      this.#event((raft) => {
        const context = raft.askRead()
        if (context === null) {
          resolve(null)
          return
        }
        const timer = this.#options.runtime.timers.after(READ_TIMEOUT_MS, () => {
          this.#reads = this.#reads.filter((read) => read.context !== context)
          resolve(null)
        })
        this.#reads.push({ context, resolve, timer })
      })
      if (this.#raft === null) resolve(null)
    })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#ticker?.cancel()
    this.#answerReads(() => true, null)
    await this.#peers.close()
    this.#state.close()
  }

  /** Looks for a group while the member has none; asks to be taken in while the group does not know this disk. */
  #findGroup(): void {
    const { id, log, logger } = this.#options
    const self = this.#self()
    if (this.#raft !== null) {
      const { configuration, leader } = this.#raft
      const { offset, members } = configuration
      const isLearner = members.some((member) => member.id === id && member.role === 'learner')
      // The leader that took it in may have fallen before that was committed: the next one does not know it.
      const isUnknown = offset === 0 || leader === null
      if (isLearner && isUnknown && this.#ticks++ % JOIN_EVERY_TICKS === 0)
        this.#peers.sendJoin(self)
      return
    }
    const finding = findGroup({
      self,
      others: this.#peers.hellos,
      addressOf: (other) => this.#peers.addressOf(other),
      hasRecords: log.endOffset > log.startOffset,
    })
    if (finding.type === 'foreign') {
      const problem =
        'the store holds messages, but the other members have a group that does not know it'
      this.#options.onFailure(new RaftDriverError('foreign', problem))
    } else if (finding.type === 'found') {
      logger.info({ members: finding.members }, 'the member has found its group')
      this.#begin([{ offset: 0, members: finding.members }], true)
    }
  }

  /** Once in the life of the process. */
  #startTogether(): void {
    if (this.#hasStarted || this.#raft === null) return
    const { id } = this.#options
    const others = votersOf(this.#raft.configuration).filter((voter) => voter !== id)
    this.#hasStarted = this.#raft.leader !== null
    if (this.#hasStarted || !others.every((voter) => this.#peers.isReachable(voter))) return
    this.#hasStarted = true
    this.#event((raft) => raft.startTogether())
  }

  #self(): Member {
    const { id } = this.#options
    return {
      id,
      role: 'voter',
      incarnation: this.#state.incarnation,
      address: this.#peers.addressOf(id),
    }
  }

  #begin(configurations: readonly Configuration[], isNew: boolean): void {
    const { log } = this.#options
    const terms = this.#terms.read(log.endOffset)
    const epochs = terms?.epochs ?? []
    // A crash behind a cut may have left what was said of the records beyond.
    if (isNew) this.#terms.write({ epochs, configurations })
    else this.#isTermsFileAhead = true
    this.#raft = new Raft(this.#raftOptions(), {
      hardState: this.#state.hardState,
      epochs,
      configurations,
      commitOffset: log.knownCommitOffset,
      endOffset: log.endOffset,
    })
    this.#peers.follow(this.#raft.configuration.members)
    this.#event(() => undefined)
  }

  #raftOptions(): RaftOptions {
    const { id, runtime, log, electionTicks, heartbeatTicks, preferredLeader } = this.#options
    return {
      id,
      bootId: runtime.random.integer(2 ** 47),
      random: runtime.random,
      log,
      electionTicks,
      heartbeatTicks,
      maxBatchBytes: MAX_BATCH_BYTES,
      maxInFlightBytes: MAX_IN_FLIGHT_BYTES,
      maxUncommittedBytes: MAX_UNCOMMITTED_BYTES,
      preferredLeader,
    }
  }

  /** Hands an event to the core and performs what follows; events that come while something is performed are taken in between. */
  #event(tell: (raft: Raft<Buffer>) => void): void {
    const raft = this.#raft
    if (raft === null || this.#isClosed || this.#hasFailed) return
    try {
      tell(raft)
      if (this.#isPerforming) return
      this.#isPerforming = true
      try {
        for (let effects = raft.takeEffects(); effects.length > 0; effects = raft.takeEffects()) {
          for (const effect of effects) this.#perform(raft, effect)
        }
      } finally {
        this.#isPerforming = false
        this.#batch = null
      }
    } catch (error) {
      // Neither a broken rule nor a failed disk may go on (conventions §5, reliability D1).
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    this.#options.onFailure(error)
  }

  #perform(raft: Raft<Buffer>, effect: Effect<Buffer>): void {
    const { log } = this.#options
    switch (effect.type) {
      case 'persistHardState':
        this.#state.save(effect.hardState)
        break
      case 'send':
        this.#peers.send(effect.to, effect.message)
        break
      case 'sendRecords':
        this.#sendRecords(effect.to, effect.message)
        break
      case 'appendTermStart':
        this.#saveTerms(raft)
        // Until it is written, which may fail.
        this.#isTermsFileAhead = true
        if (!log.appendTermStart(effect.term)) raft.diskStalled()
        break
      case 'appendConfiguration':
        this.#appendConfiguration(raft, effect.members)
        break
      case 'truncate':
        this.#batch = null
        log.truncateTo(effect.offset)
        // Before the log grows again: what stood for the records that are gone would be taken for true of those that come.
        this.#saveTerms(raft)
        break
      case 'appendRecords':
        this.#appendRecords(raft, effect)
        break
      case 'commit':
        log.commitTo(Math.min(effect.offset, log.endOffset))
        break
      case 'roleChanged':
        this.#options.onRole(effect.role, effect.leader, effect.term)
        break
      case 'leaderReady':
        this.#options.onReady(effect.term)
        break
      case 'install':
        this.#install(raft, effect.to)
        break
      case 'readReady':
        this.#answerReads(({ context }) => context <= effect.context, effect.offset)
        break
      case 'readFailed':
        this.#answerReads(() => true, null)
        break
    }
  }

  #sendRecords(to: MemberId, message: RaftMessage<Buffer>): void {
    assert(message.type === 'appendRequest')
    const { log } = this.#options
    const { previousOffset, endOffset } = message
    // Most often all members are sent the same.
    let batch = this.#batch
    if (batch?.fromOffset !== previousOffset || batch.toOffset !== endOffset) {
      const records = log.readRecords(previousOffset, endOffset, this.#takeSpace())
      const checksum = Buffer.isBuffer(records)
        ? log.rangeChecksum(previousOffset, endOffset, records.length)
        : null
      batch = { fromOffset: previousOffset, toOffset: endOffset, records, checksum }
      this.#batch = batch
    }
    this.#peers.sendRecords(to, { ...message, checksum: batch.checksum }, batch.records)
  }

  /** Where records are laid for sending, again and again; null while something has not left the process, which must not be written over. */
  #takeSpace(): Buffer | null {
    if (this.#peers.isBehind) return null
    this.#space ??= Buffer.allocUnsafeSlow(MAX_BATCH_BYTES)
    return this.#space
  }

  #appendRecords(
    raft: Raft<Buffer>,
    effect: Extract<Effect<Buffer>, { readonly type: 'appendRecords' }>,
  ): void {
    const { log, logger } = this.#options
    const { records, recordsOffset, fromOffset, checksum } = effect
    let configurations: readonly Configuration[]
    try {
      if (effect.epochs.length > 0 || this.#isTermsFileAhead) this.#saveTerms(raft)
      configurations = log.appendRecords(records, recordsOffset, fromOffset, checksum)
    } catch (error) {
      if (!isNoRoom(error)) throw error
      // The leader sends them again, for as long as it takes.
      logger.warn({ err: error, fromOffset }, 'the disk has no room for records of the leader')
      this.#isTermsFileAhead = true
      raft.appendRefused(fromOffset)
      return
    }
    assert.equal(log.endOffset, effect.endOffset, 'the records reach as far as the leader says')
    for (const configuration of configurations) raft.configurationAppended(configuration)
    if (configurations.length > 0) this.#configurationChanged(raft)
  }

  #appendConfiguration(raft: Raft<Buffer>, members: readonly Member[]): void {
    const { log } = this.#options
    const configuration = { offset: log.endOffset, members }
    this.#terms.write({
      epochs: raft.epochs,
      configurations: [...raft.configurations, configuration],
    })
    // Tried again by whoever asked: a learner that has caught up says so with each of its answers.
    if (!log.appendConfiguration(members)) return
    raft.configurationAppended(configuration)
    this.#configurationChanged(raft)
  }

  #configurationChanged(raft: Raft<Buffer>): void {
    this.#options.logger.info({ ...raft.configuration }, 'the members of the group change')
    this.#saveTerms(raft)
    this.#peers.follow(raft.configuration.members)
  }

  #saveTerms(raft: Raft<Buffer>): void {
    this.#isTermsFileAhead = false
    this.#terms.write({ epochs: raft.epochs, configurations: raft.configurations })
  }

  /** A member asks to be taken in: new, or with a new disk. It becomes a learner; asks again until it is in. */
  #takeIn(member: Member): void {
    this.#event((raft) => {
      if (raft.role !== 'leader') return
      const { members } = raft.configuration
      const known = members.find(({ id }) => id === member.id)
      if (known?.incarnation === member.incarnation) return
      const others = members.filter(({ id }) => id !== member.id)
      const refusal = raft.proposeMembers([...others, { ...member, role: 'learner' }])
      if (refusal !== null) this.#options.logger.debug({ member, refusal }, 'a member has to wait')
    })
  }

  #install(raft: Raft<Buffer>, to: MemberId): void {
    const { log, tables } = this.#options
    const { startOffset } = log
    const isSent = this.#peers.sendInstall(to, {
      term: raft.term,
      startOffset,
      epochs: raft.epochs.filter((epoch) => epoch.startOffset < startOffset),
      members: raft.configuration.members,
      tables: tables.save(),
    })
    if (!isSent) raft.installFailed(to)
  }

  #restart(from: MemberId, install: Install): void {
    this.#event((raft) => {
      const { log, tables, logger } = this.#options
      if (install.term !== raft.term || raft.role === 'leader') return
      if (install.startOffset > raft.commitOffset) {
        const { startOffset, epochs, members } = install
        logger.info({ startOffset, from }, 'the log begins anew behind the start of the leader’s')
        // First: a log that starts behind what the tables hold would lack what lies between.
        tables.install(install.tables)
        log.restartAt(startOffset)
        raft.restarted(startOffset, epochs, { offset: 0, members })
        this.#saveTerms(raft)
        this.#peers.follow(members)
      }
      this.#peers.sendInstalled(from, install.startOffset)
    })
  }

  #answerReads(isDue: (read: Read) => boolean, offset: number | null): void {
    const due = this.#reads.filter(isDue)
    this.#reads = this.#reads.filter((read) => !due.includes(read))
    for (const { timer, resolve } of due) {
      timer.cancel()
      resolve(offset)
    }
  }
}
