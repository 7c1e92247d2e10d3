/** One member of a simulated broker group: its disk, and the process that runs on it now. */
import { AssertionError } from 'node:assert'
import { silentLogger } from '../common/log.ts'
import type { Logger } from '../common/log.ts'
import type { Runtime } from '../common/ports.ts'
import type { TableHandle } from '../broker/group-tables.ts'
import type { RaftDriver } from '../raft/driver.ts'
import type { Raft } from '../raft/raft.ts'
import type { MessageStore } from '../store/message-store.ts'
import type { Replication, StoreConfig } from '../store/types.ts'
import type { Checker } from './checker.ts'
import type { Configuration } from '../raft/messages.ts'
import type { HardState } from '../raft/node.ts'
import { nameOf } from './group-rules.ts'
import type { GroupRules } from './group-rules.ts'
import { SimulatedDisk } from './disk.ts'
import type { Engine } from './engine.ts'
import type { Journal } from './journal.ts'
import type { SimulatedNetwork } from './network.ts'
import type { Plant } from './planted.ts'
import { SimulatedProcess } from './process.ts'
import { SeededRandom } from './random.ts'
import type { Settings } from './settings.ts'

/** Records before the end of the committed log that every start looks at again. */
const RECHECKED_RECORDS = 64
/** When the world begins, by clocks that are right. */
export const WALL_MS: number = Date.UTC(2026, 0, 1)

/** What all members share. */
export interface GroupContext {
  readonly engine: Engine
  readonly settings: Settings
  readonly config: StoreConfig
  readonly network: SimulatedNetwork
  readonly checker: Checker
  readonly random: SeededRandom
  readonly rules: GroupRules
  /** Whom a process of the member is told to belong to its group, in the order of their ids. */
  readonly peersOf: (member: Member) => readonly number[]
  readonly plant: Plant | null
  /** What runs in the members' processes. */
  readonly programOf: (options: ProgramOptions) => Program
  /** Its disk has damage of which it need not know. */
  readonly isRotten: (member: Member) => boolean
  /** A process has ended by itself, or could not start. */
  readonly onExit: (member: Member, error: unknown) => void
}

/** What runs in the process of a member. */
export interface Program {
  readonly store: MessageStore
  /** Null until the process takes part in its group. */
  readonly driver: RaftDriver | null
  readonly isReady: boolean
  readonly journal?: Journal
  readonly handle?: TableHandle
  /** Another member shall lead; false when that cannot be. */
  handOver(): Promise<boolean>
  start(): Promise<void>
  close(): Promise<void>
}

export interface ProgramOptions {
  readonly member: Member
  readonly context: GroupContext
  readonly runtime: Runtime
  readonly logger: Logger
  readonly onFailure: (error: Error) => void
}

export class Member {
  readonly id: number
  readonly host: string
  readonly #context: GroupContext
  disk: SimulatedDisk
  process: SimulatedProcess
  program: Program | null = null
  #lives = 0
  /** Where the look at what is committed goes on; null until the process takes part. */
  #checkedOffset: number | null = null
  /** While it leads: its term, and what it has committed. */
  #ledTerm = 0
  #ledCommit = 0
  #ledBy: Configuration | null = null
  #hardState: HardState | null = null

  constructor(context: GroupContext, id: number) {
    this.#context = context
    this.id = id
    this.host = `n${id}`
    this.process = this.#newProcess()
    this.process.kill()
    this.disk = this.#newDisk()
  }

  get driver(): RaftDriver | null {
    return this.program?.driver ?? null
  }

  /** Null until the process takes part in its group. */
  get store(): MessageStore | null {
    return this.driver === null ? null : (this.program?.store ?? null)
  }

  /** It leads, and serves. */
  get isReady(): boolean {
    return this.program?.isReady ?? false
  }

  get journal(): Journal | null {
    return this.program?.journal ?? null
  }

  get handle(): TableHandle | null {
    return this.program?.handle ?? null
  }

  get isUp(): boolean {
    return this.process.isAlive
  }

  handOver(): Promise<boolean> {
    return this.program?.handOver() ?? Promise.resolve(false)
  }

  /** Starts a process on the disk; what becomes of it is told by `onExit`. */
  start(): void {
    this.#lives++
    this.process = this.#newProcess()
    const { process } = this
    process.onCrash = (error) => this.#exit(process, error)
    this.#context.engine.note(`p${process.id} is n${this.id}`)
    this.#run(process).catch((error: unknown) => this.#exit(process, error))
  }

  /** kill -9 of the process: what it wrote stays. */
  kill(): void {
    this.#end()
    this.disk.kill()
    this.#context.network.killHost(this.host)
  }

  /** The machine loses its power: what was not synced is lost or torn, and nobody is told. */
  cutPower(): void {
    this.#end()
    this.disk.crash(this.#context.random)
    this.#context.network.cutPower(this.host)
  }

  /** What the store says of its log, told to the rules before anybody acts upon it. */
  observed(replication: Replication): Replication {
    return {
      ...replication,
      persisted: (offset) => {
        if (this.driver !== null) this.#context.rules.holds(this.#diskName, offset)
        replication.persisted(offset)
      },
    }
  }

  /** Gives the member an empty disk. */
  wipe(): void {
    if (this.isUp) this.kill()
    this.disk = this.#newDisk()
  }

  /** Stops the process in good order. */
  async close(): Promise<void> {
    await this.program?.close()
    this.#end()
    this.#context.network.killHost(this.host)
  }

  /** What must hold whenever an event is over. */
  check(): void {
    const { store } = this
    const raft = this.driver?.raft ?? null
    if (raft === null || store === null) return
    const { engine, checker } = this.#context
    // What it had committed before is looked at once more, as far as it is cheap.
    const checked = (this.#checkedOffset ??= Math.min(
      store.commitOffset,
      checker.offsetBack(RECHECKED_RECORDS),
    ))
    checker.leads(this.host, raft)
    this.#checkDecisions(raft, store)
    if (raft.commitOffset > raft.endOffset || store.commitOffset > store.endOffset) {
      engine.violate('nothing beyond the log is committed', `${this.host} at ${raft.commitOffset}`)
    }
    if (store.commitOffset > raft.commitOffset) {
      const fact = `${this.host} up to ${store.commitOffset}, Raft to ${raft.commitOffset}`
      engine.violate('what is shown has been committed by Raft', fact)
    }
    if (store.commitOffset < checked) {
      const fall = `${this.host} from ${checked} to ${store.commitOffset}`
      engine.violate('commits never go back', fall)
    }
    if (store.commitOffset > checked) this.#observe(store, checked)
  }

  get #diskName(): string {
    return nameOf({ id: this.id, incarnation: this.driver?.incarnation ?? 0 })
  }

  #checkDecisions(raft: Raft<Buffer>, store: MessageStore): void {
    const { rules } = this.#context
    if (this.#hardState !== raft.hardState) {
      if (this.#hardState === null) {
        rules.joins(this.#diskName, this.disk)
        // What a start has found counts as any other of it.
        rules.holds(this.#diskName, store.endOffset)
      }
      this.#hardState = raft.hardState
      rules.votes(this.#diskName, raft.hardState, !this.process.isAlive)
    }
    if (raft.role !== 'leader') {
      this.#ledTerm = 0
      return
    }
    if (this.#ledTerm !== raft.term) {
      this.#ledTerm = raft.term
      this.#ledCommit = raft.commitOffset
      this.#ledBy = raft.configuration
      rules.founded(raft.configuration)
      rules.elected(this.id, raft)
    }
    if (raft.commitOffset !== this.#ledCommit) {
      this.#ledCommit = raft.commitOffset
      rules.commits(this.id, raft, this.#ledBy ?? raft.configuration)
      this.#checkCommitTerm(raft)
    }
    this.#ledBy = raft.configuration
  }

  /** Raft §5.4.2: a leader commits by counting only what ends with a record of its own term. */
  #checkCommitTerm(raft: Raft<Buffer>): void {
    const epoch = raft.epochs.findLast(({ startOffset }) => startOffset < raft.commitOffset)
    if (epoch?.term === raft.term) return
    const fact = `${this.host} in term ${raft.term} up to ${raft.commitOffset}, of term ${epoch?.term}`
    this.#context.engine.violate('leaders commit their own term', fact)
  }

  #observe(store: MessageStore, checked: number): void {
    const from = Math.max(checked, store.startOffset)
    this.#checkedOffset = store.commitOffset
    const isRotten = this.#context.isRotten(this)
    const observed = { name: this.host, isRotten, recordAt: (at: number) => store.recordAt(at) }
    this.#context.checker.committed(observed, from, store.commitOffset)
  }

  async #run(process: SimulatedProcess): Promise<void> {
    const { plant, network, programOf } = this.#context
    const { disk } = this
    const random = new SeededRandom(this.#context.random.integer(2 ** 31))
    network.restorePower(this.host)
    plant?.disk?.(disk)
    const program = programOf({
      member: this,
      context: this.#context,
      runtime: { clock: process, timers: process, random, disk, network: network.of(this.host) },
      logger: this.#logger(),
      onFailure: (error) => this.#exit(process, error),
    })
    this.program = program
    await program.start()
  }

  #exit(process: SimulatedProcess, error: unknown): void {
    if (process !== this.process || !process.isAlive) return
    const { engine, onExit } = this.#context
    engine.note(`n${this.id} exits: ${String(error)}`)
    if (error instanceof AssertionError || error instanceof TypeError) {
      engine.violate('assertions hold', `${this.host}: ${error.stack ?? error.message}`)
    }
    // The process ends with the event at hand, as with process.exit in Node.
    process.kill()
    engine.schedule(0, null, 'exit', () => {
      if (process !== this.process) return
      this.kill()
      onExit(this, error)
    })
  }

  #end(): void {
    this.process.kill()
    this.program = null
    this.#checkedOffset = null
    this.#hardState = null
    this.#ledTerm = 0
  }

  #newProcess(): SimulatedProcess {
    const { engine, random, settings } = this.#context
    return new SimulatedProcess(engine, this.id + 100 * this.#lives, {
      wallMs: WALL_MS + (settings.clocks === 'exact' ? 0 : random.integer(2000) - 1000),
      bootMs: random.integer(1_000_000),
      rate: settings.clocks === 'exact' ? 1 : 0.97 + random.next() * 0.06,
    })
  }

  #newDisk(): SimulatedDisk {
    const { engine, random, settings } = this.#context
    const latency = {
      timers: {
        after: (delayMs: number, callback: () => void) =>
          this.process.schedule(delayMs, 'disk', callback),
      },
      of: (operation: string) =>
        (operation === 'datasync' ? settings.syncMs : 0.1) * (0.5 + random.next()),
    }
    const clock = { now: () => WALL_MS + Math.floor(engine.now), monotonic: () => engine.now }
    return new SimulatedDisk({ clock, latency, totalBytes: 64 * 1024 ** 2 })
  }

  #logger(): Logger {
    const { engine } = this.#context
    if (engine.trace === null) return silentLogger
    const line = (fields: object, message: string): void =>
      engine.note(`n${this.id} log: ${message} ${JSON.stringify(fields)}`)
    return {
      ...silentLogger,
      debug: line,
      info: line,
      warn: line,
      error: line,
      child: () => this.#logger(),
    }
  }
}
