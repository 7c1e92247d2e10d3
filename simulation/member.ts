/** One member of a simulated broker group: its disk, and the process that runs on it now. */
import { AssertionError } from 'node:assert'
import { silentLogger } from '../common/log.ts'
import type { Logger } from '../common/log.ts'
import { diskConfigFolder } from '../broker/config-folder.ts'
import { GroupTables } from '../broker/group-tables.ts'
import type { TableHandle } from '../broker/group-tables.ts'
import { RaftMember } from '../broker/raft-member.ts'
import type { RaftDriver } from '../raft/driver.ts'
import type { Raft } from '../raft/raft.ts'
import { MessageStore } from '../store/message-store.ts'
import type { StoreConfig } from '../store/types.ts'
import type { Checker } from './checker.ts'
import { SimulatedDisk } from './disk.ts'
import type { Engine } from './engine.ts'
import { Journal } from './journal.ts'
import type { SimulatedNetwork } from './network.ts'
import type { Plant } from './planted.ts'
import { SimulatedProcess } from './process.ts'
import { SeededRandom } from './random.ts'
import type { Settings } from './settings.ts'

const PEER_PORT = 40_911
const CLIENT_PORT = 10_911
/** Records before the end of the committed log that every start looks at again. */
const RECHECKED_RECORDS = 64
const WALL_MS = Date.UTC(2026, 0, 1)

/** What all members share. */
export interface GroupContext {
  readonly engine: Engine
  readonly settings: Settings
  readonly config: StoreConfig
  readonly network: SimulatedNetwork
  readonly checker: Checker
  readonly random: SeededRandom
  readonly size: number
  readonly plant: Plant | null
  /** Its disk has damage of which it need not know. */
  readonly isRotten: (member: Member) => boolean
  /** A process has ended by itself, or could not start. */
  readonly onExit: (member: Member, error: unknown) => void
}

export class Member {
  readonly id: number
  readonly host: string
  readonly #context: GroupContext
  disk: SimulatedDisk
  process: SimulatedProcess
  store: MessageStore | null = null
  journal: Journal | null = null
  handle: TableHandle | null = null
  #tables: GroupTables | null = null
  #group: RaftMember | null = null
  isReady = false
  #lives = 0
  #checkedOffset = 0
  /** While it leads: its term, and what it has committed. */
  #ledTerm = 0
  #ledCommit = 0

  constructor(context: GroupContext, id: number) {
    this.#context = context
    this.id = id
    this.host = `n${id}`
    this.process = this.#newProcess()
    this.process.kill()
    this.disk = this.#newDisk()
  }

  get driver(): RaftDriver | null {
    return this.#group?.driver ?? null
  }

  get isUp(): boolean {
    return this.process.isAlive
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

  /** Gives the member an empty disk. */
  wipe(): void {
    if (this.isUp) this.kill()
    this.disk = this.#newDisk()
  }

  /** Stops the process in good order. */
  async close(): Promise<void> {
    const { store } = this
    this.isReady = false
    await this.#group?.close()
    await this.#tables?.close()
    await store?.close()
    this.#end()
    this.#context.network.killHost(this.host)
  }

  /** What must hold whenever an event is over. */
  check(): void {
    const raft = this.driver?.raft ?? null
    if (raft === null || this.store === null) return
    const { engine, checker } = this.#context
    checker.leads(this.host, raft)
    this.#checkCommitTerm(raft)
    if (raft.commitOffset > raft.endOffset || this.store.commitOffset > this.store.endOffset) {
      engine.violate('nothing beyond the log is committed', `${this.host} at ${raft.commitOffset}`)
    }
    if (this.store.commitOffset > raft.commitOffset) {
      const fact = `${this.host} up to ${this.store.commitOffset}, Raft to ${raft.commitOffset}`
      engine.violate('what is shown has been committed by Raft', fact)
    }
    if (this.store.commitOffset < this.#checkedOffset) {
      const fall = `${this.host} from ${this.#checkedOffset} to ${this.store.commitOffset}`
      engine.violate('commits never go back', fall)
    }
    this.#observe()
  }

  /** Raft §5.4.2: a leader commits by counting only what ends with a record of its own term. */
  #checkCommitTerm(raft: Raft<Buffer>): void {
    if (raft.role !== 'leader') {
      this.#ledTerm = 0
      return
    }
    if (this.#ledTerm !== raft.term) {
      this.#ledTerm = raft.term
      this.#ledCommit = raft.commitOffset
    }
    if (raft.commitOffset === this.#ledCommit) return
    this.#ledCommit = raft.commitOffset
    const epoch = raft.epochs.findLast(({ startOffset }) => startOffset < raft.commitOffset)
    if (epoch?.term === raft.term) return
    const fact = `${this.host} in term ${raft.term} up to ${raft.commitOffset}, of term ${epoch?.term}`
    this.#context.engine.violate('leaders commit their own term', fact)
  }

  #observe(): void {
    const { store } = this
    if (store === null || store.commitOffset <= this.#checkedOffset) return
    const from = Math.max(this.#checkedOffset, store.startOffset)
    this.#checkedOffset = store.commitOffset
    const isRotten = this.#context.isRotten(this)
    const observed = { name: this.host, isRotten, recordAt: (at: number) => store.recordAt(at) }
    this.#context.checker.committed(observed, from, store.commitOffset)
  }

  async #run(process: SimulatedProcess): Promise<void> {
    const { config, settings, plant, network, size, checker } = this.#context
    const { disk } = this
    const random = new SeededRandom(this.#context.random.integer(2 ** 31))
    const runtime = {
      clock: process,
      timers: process,
      random,
      disk,
      network: network.of(this.host),
    }
    const logger = this.#logger()
    const onFailure = (error: Error): void => this.#exit(process, error)
    network.restorePower(this.host)
    plant?.disk?.(disk)
    const group = new RaftMember({
      runtime,
      logger,
      storePathRootDir: config.storePathRootDir,
      group: 'simulation/broker-a',
      id: this.id,
      peers: Array.from({ length: size }, (_, id) => ({ id, host: `n${id}`, port: PEER_PORT })),
      listenHost: this.host,
      clientPort: CLIENT_PORT,
      store: () => store,
      tables: () => tables,
      events: {
        onLeading: (term) => this.#lead(store, term),
        onFollowing: () => {
          this.isReady = false
        },
      },
      onFailure,
    })
    const { replication } = group
    const store = new MessageStore({
      config,
      runtime,
      logger,
      storeHost: () => ({ ip: Buffer.from([10, 0, 0, 1 + this.id]), port: CLIENT_PORT }),
      onFailure,
      retention: {
        slowestRead: () => Promise.resolve(null),
        readOffset: () => null,
        reserveHours: () => null,
        neededOffset: () => tables.savedOffset,
      },
      replication: plant?.replication?.(replication, () => this) ?? replication,
      buffer: { chunkSize: settings.chunkSize, chunkCount: settings.chunkCount },
    })
    const folder = diskConfigFolder(disk, `${config.storePathRootDir}/config`)
    const parts = { log: store, folder, timers: process, logger, segmentSize: settings.segmentSize }
    const tables = new GroupTables(parts)
    const journal = new Journal()
    const handle = tables.add(journal)
    await store.start()
    plant?.started?.(store)
    await tables.load()
    // What it had committed before is looked at once more, as far as it is cheap.
    this.#checkedOffset = Math.min(store.commitOffset, checker.offsetBack(RECHECKED_RECORDS))
    this.store = store
    this.journal = journal
    this.handle = handle
    this.#tables = tables
    this.#group = group
    await group.start()
  }

  #lead(store: MessageStore, term: number): void {
    this.#context.engine.note(`n${this.id} leads term=${term}`)
    this.isReady = true
    this.#context.plant?.ready?.(store)
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
    this.isReady = false
    this.store = null
    this.journal = null
    this.handle = null
    this.#tables = null
    this.#group = null
  }

  #newProcess(): SimulatedProcess {
    const { engine, random } = this.#context
    return new SimulatedProcess(engine, this.id + 100 * this.#lives, {
      wallMs: WALL_MS + random.integer(2000) - 1000,
      bootMs: random.integer(1_000_000),
      rate: 0.97 + random.next() * 0.06,
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
