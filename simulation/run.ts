/** One run of a simulated broker group, from a seed to a verdict. */
import assert from 'node:assert/strict'
import process from 'node:process'
import type { Disk, Timers } from '../common/ports.ts'
import { fsck } from '../store/fsck.ts'
import { Checker } from './checker.ts'
import { Engine } from './engine.ts'
import type { EventOwner, Violation } from './engine.ts'
import { Faults } from './faults.ts'
import { putUpGuard } from './guard.ts'
import type { Guard } from './guard.ts'
import { GroupRules } from './group-rules.ts'
import { Member } from './member.ts'
import type { GroupContext } from './member.ts'
import { SimulatedNetwork } from './network.ts'
import { plantOf } from './planted.ts'
import { SeededRandom } from './random.ts'
import { settingsOf, storeConfigOf } from './settings.ts'
import type { RunOptions, Settings } from './settings.ts'
import { BrokerProgram } from './broker-program.ts'
import { BrokerLoad } from './broker-load.ts'
import { StoreProgram } from './store-program.ts'
import { Workload } from './workload.ts'
import type { Load } from './load.ts'

/** Bugs that were put in have to show soon. */
const HARSH = { faultEveryMs: 500, thinkMs: 150, clients: 4 }
/** Members that may come, besides those that have left. */
const SPARES = 1
/** Virtual time that the operations of a run may take. */
const MAX_RUN_MS = 30 * 60_000
/** What connections and restarts take besides elections. */
const RECONNECT_MS = 4000
/** Ten election timeouts of `RaftMember`, the longest that are drawn. */
const PATIENCE_MS = 10 * 3000 + RECONNECT_MS
const CATCH_UP_MS = 120_000
/** Delays, times of invisibility and intervals of checks, several in a row. */
const SETTLE_MS = 180_000

export interface RunResult {
  readonly seed: number
  readonly violation: Violation | null
  readonly steps: number
  readonly virtualMs: number
  readonly hash: number
  readonly hashes: readonly number[]
  readonly counts: Readonly<Record<string, number>>
  readonly faults: Readonly<Record<string, number>>
}

/** `given`: the guard of the process, when it has one. */
export async function simulate(
  options: RunOptions,
  trace: ((line: string) => void) | null = null,
  given: Guard | null = null,
): Promise<RunResult> {
  const plant = plantOf(options.planted)
  const undo = plant?.install?.()
  const guard = given ?? putUpGuard()
  try {
    const world = new World(options, trace, guard)
    const onRejection = (error: unknown): void => world.rejected(error)
    process.on('unhandledRejection', onRejection)
    try {
      await world.run()
    } finally {
      process.off('unhandledRejection', onRejection)
    }
    return world.result
  } finally {
    if (given === null) guard.remove()
    undo?.()
  }
}

class World {
  readonly #options: RunOptions
  readonly #settings: Settings
  readonly #engine: Engine
  readonly #network: SimulatedNetwork
  readonly #checker: Checker
  readonly #members: Member[]
  readonly #byHost: ReadonlyMap<string, Member>
  readonly #faults: Faults
  readonly #workload: Load

  constructor(options: RunOptions, trace: ((line: string) => void) | null, guard: Guard) {
    const { seed, members: size } = options
    const isWhole = options.workload !== 'store'
    const plant = plantOf(options.planted)
    const settings = {
      ...settingsOf(options),
      ...(plant === null ? {} : HARSH),
      ...plant?.settings,
    }
    const engine = new Engine(seed, guard)
    engine.trace = trace
    const random = (purpose: number): SeededRandom => new SeededRandom(seed * 31 + purpose)
    this.#options = options
    this.#settings = settings
    this.#engine = engine
    this.#checker = new Checker(engine, settings.segmentSize)
    this.#network = new SimulatedNetwork({
      timers: networkTimers(engine, null),
      random: random(1),
      latencyMs: settings.latencyMs,
      splitOneIn: settings.splitOneIn,
      timersOf: (host) => networkTimers(engine, this.#memberOf(host)?.process ?? null),
    })
    const context: GroupContext = {
      isRotten: (member) => this.#faults.isRotten(member),
      engine,
      settings,
      config: storeConfigOf(settings),
      network: this.#network,
      checker: this.#checker,
      random: random(2),
      rules: new GroupRules(engine),
      peersOf: (member) => this.#peersOf(member),
      plant,
      programOf: (program) => (isWhole ? new BrokerProgram(program) : new StoreProgram(program)),
      onExit: (member, error) => this.#faults.exited(member, error),
    }
    this.#checker.onControl = (body) => context.rules.committed(body)
    const places = size + (settings.changesMembers ? SPARES : 0)
    this.#members = Array.from({ length: places }, (_, id) => new Member(context, id))
    this.#byHost = new Map(this.#members.map((member) => [member.host, member]))
    const parts = { engine, settings, checker: this.#checker, members: this.#members }
    this.#faults = new Faults({
      ...parts,
      random: random(3),
      network: this.#network,
      founders: size,
    })
    const { operations } = options
    const isRotten = (member: Member): boolean => this.#faults.isRotten(member)
    const onDamage = (): void => this.#faults.damageSeen()
    const load = {
      ...parts,
      random: random(4),
      network: this.#network,
      isRotten,
      onDamage,
      operations,
    }
    this.#workload =
      options.workload === 'store' ? new Workload(load) : new BrokerLoad(load, options.workload)
    engine.betweenEvents = (last) => {
      for (const member of this.#members) {
        // What runs in a process changes no other one.
        if (last === null || last === member.process) member.check()
      }
    }
  }

  get result(): RunResult {
    const engine = this.#engine
    return {
      seed: this.#options.seed,
      violation: engine.violation,
      steps: engine.steps,
      virtualMs: Math.round(engine.now),
      hash: engine.hash,
      hashes: engine.hashes,
      counts: { ...this.#workload.counts },
      faults: this.#faults.counts,
    }
  }

  /** A promise has failed and nobody heard of it: in Node that ends the process. */
  rejected(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#engine.violate('no promise fails unheard', text)
  }

  async run(): Promise<void> {
    const engine = this.#engine
    for (const member of this.#present) member.start()
    await this.#until('a new group has a leader', () => this.#hasLeader(), PATIENCE_MS)
    this.#workload.start()
    this.#faults.start()
    await this.#until('clients come to an end', () => this.#workload.isDone, MAX_RUN_MS)
    this.#faults.heal()
    await this.#progress()
    if (engine.violation === null) await this.#settle()
    if (engine.violation === null) await this.#converge()
    if (engine.violation === null) await this.#compare()
  }

  /** After healing somebody leads soon, and takes what is sent. */
  async #progress(): Promise<void> {
    let attempts = 0
    let isAcknowledged = false
    const probe = (): void => {
      const leader = this.#members.find(({ isReady }) => isReady)
      const again = (): void => {
        if (!isAcknowledged) this.#engine.schedule(100, null, 'probe', probe)
      }
      if (leader === undefined) again()
      else {
        this.#workload.probe(leader, `probe-${attempts++}`, (isOk) => {
          isAcknowledged ||= isOk
          again()
        })
      }
    }
    probe()
    const rule = 'a healed group takes messages within ten election timeouts'
    await this.#until(rule, () => isAcknowledged, PATIENCE_MS)
  }

  /** What clients have begun comes to its end. */
  async #settle(): Promise<void> {
    const isSettled = (): boolean => this.#workload.missing() === null
    const facts = (): string => `${this.#workload.missing()}; ${this.#summary()}`
    await this.#until('what was begun comes to its end', isSettled, SETTLE_MS, facts)
  }

  /** All members get everything, with new disks for those that have rot in theirs. */
  async #converge(): Promise<void> {
    for (let round = 0; round <= this.#members.length; round++) {
      const rule = 'all members of a healed group have everything'
      await this.#until(rule, () => this.#isEven(), CATCH_UP_MS)
      if (this.#engine.violation !== null || !this.#faults.replaceRotten()) break
    }
    this.#workload.checkEnd()
  }

  /** Those that belong to the group, and are voters of it. */
  #isEven(): boolean {
    const { changes } = this.#faults
    if (!this.#hasLeader() || !changes.isSettled) return false
    const present = this.#present
    const end = present[0]?.store?.endOffset ?? -1
    return present.every(
      ({ store, driver }) =>
        store !== null &&
        driver?.raft !== null &&
        store.endOffset === end &&
        store.commitOffset === end &&
        store.isDispatched &&
        store.status().flushedOffset === end,
    )
  }

  #hasLeader(): boolean {
    return this.#members.some(({ isReady, isUp }) => isUp && isReady)
  }

  async #compare(): Promise<void> {
    this.#compareTables()
    // Members that stop may write more, which those that have stopped do not get.
    const { endOffset } = this.#checker
    let open = this.#members.length
    for (const member of this.#members) {
      if (this.#faults.changes.belongs(member)) this.#compareQueues(member)
      member.close().then(
        () => open--,
        (error: unknown) => this.#engine.violate('members stop in good order', String(error)),
      )
    }
    await this.#until('members stop', () => open === 0, CATCH_UP_MS)
    for (const member of this.#present) this.#inspect(member, endOffset)
  }

  /** Tables hold the same everywhere, and everything that was told to be in them. */
  #compareTables(): void {
    if (this.#options.workload !== 'store') return
    const [first] = this.#present
    for (const { host, journal } of this.#present) {
      if (journal?.content === first?.journal?.content) continue
      const facts = `${first?.journal?.content}, but ${host} has ${journal?.content}`
      this.#engine.violate('tables are equal', facts)
    }
    this.#workload.checkTable((name) => first?.journal?.get(name) ?? null)
  }

  /** Queues hold what the log says, no more and no less. */
  #compareQueues(member: Member): void {
    const { store } = member
    if (store === null) return
    for (const [queue, count] of this.#checker.queues) {
      const at = queue.lastIndexOf('/')
      const max = store.maxOffsetInQueue(queue.slice(0, at), Number(queue.slice(at + 1)))
      if (max !== count) {
        this.#engine.violate(
          'queues are what the log says',
          `${member.host}: ${queue} ends at ${max}, not ${count}`,
        )
      }
    }
  }

  /** The files of the log hold what was committed. */
  #compareLog({ disk, host }: Member, endOffset: number): void {
    const folder = '/store/commitlog'
    const files = new Map(
      disk
        .listSync(folder)
        .map(({ name }) => [Number(name), disk.readFileSync(`${folder}/${name}`)]),
    )
    const { segmentSize } = this.#settings
    const start = Math.min(...files.keys())
    for (const { physicalOffset, bytes } of this.#checker.records) {
      if (physicalOffset < start) continue
      if (physicalOffset >= endOffset) break
      const at = physicalOffset % segmentSize
      const file = files.get(physicalOffset - at)
      if (file?.subarray(at, at + bytes.length).equals(bytes) === true) continue
      this.#engine.violate('logs are identical', `${host} at ${physicalOffset}`)
      return
    }
  }

  /** What lies on the disk of a stopped member is whole: log, queues, index. */
  #inspect(member: Member, endOffset: number): void {
    this.#compareLog(member, endOffset)
    const disk: Disk = member.disk
    const report = fsck({ disk, root: '/store' })
    // What a broker writes when the others have stopped is not committed, and not in its queues.
    const pending = this.#options.workload !== 'store' ? 0 : report.pendingUnits
    if (report.problemCount > 0 || pending > 0 || report.tornTail !== null) {
      const facts = [
        ...report.problems.slice(0, 3),
        `${report.pendingUnits} pending`,
        report.tornTail,
      ]
      this.#engine.violate('files are whole after a stop', `${member.host}: ${facts.join('; ')}`)
    }
  }

  #summary(): string {
    const state = ({ host, isUp, store, driver }: Member): string => {
      const raft = driver?.raft ?? null
      if (!isUp || store === null) return `${host} ${isUp ? 'starts' : 'is down'}`
      const { flushedOffset } = store.status()
      const peers = raft?.peers.map(
        ({ id, state, matchOffset }) => `n${id} ${state} ${matchOffset}`,
      )
      return (
        `${host} ${raft?.role ?? 'has no group'} of term ${raft?.term}, log to ${store.endOffset}, on disk to ${flushedOffset}, ` +
        `committed to ${store.commitOffset}${peers?.length === 0 ? '' : ` (${peers?.join(', ')})`}`
      )
    }
    return this.#members.map((member) => state(member)).join('; ')
  }

  get #present(): readonly Member[] {
    return this.#faults.changes.belonging
  }

  /** Itself, and those whose processes run or shall. */
  #peersOf(member: Member): readonly number[] {
    const { changes } = this.#faults
    return this.#members.filter((one) => one === member || changes.mayRun(one)).map(({ id }) => id)
  }

  /** Null for the host of a client. */
  #memberOf(host: string): Member | null {
    return this.#byHost.get(host) ?? null
  }

  async #until(
    rule: string,
    isDone: () => boolean,
    limitMs: number,
    facts: () => string = () => this.#summary(),
  ): Promise<void> {
    if (this.#engine.violation !== null) return
    const isReached = await this.#engine.run(isDone, limitMs)
    if (!isReached) this.#engine.violate(rule, `not after ${limitMs} ms: ${facts()}`)
  }
}

/** What the network does to a process stops and dies with it. */
function networkTimers(engine: Engine, owner: EventOwner | null): Timers {
  return {
    after: (delayMs, callback) => engine.schedule(delayMs, owner, 'network', callback),
    every: () => assert.fail('the network has no intervals'),
    soon: (callback) => {
      engine.schedule(0, owner, 'network', callback)
    },
  }
}
