/** What a scenario of the comparison is, and what it works with. */
import type { Cluster } from './cluster.ts'
import type { LoadFlags, LoadResult, LoadRunner } from './load.ts'
import { warmMemory } from './machine.ts'
import type { Metric } from './metrics.ts'

const WARM_UP_RATE = 8_000

export interface CompareOptions {
  /** Measured seconds of each load. */
  readonly seconds: number
  /** Seconds of load before the first measurement: the Java broker compiles itself meanwhile. */
  readonly warmupSeconds: number
  /** Size of the backlog and of the log before the kill. */
  readonly backlogGib: number
  readonly logGib: number
  readonly memoryGib: number
  readonly topics: number
  readonly idleConnections: number
  /** How often the leader of a group is killed. */
  readonly kills: number
}

export interface Scenario {
  readonly id: string
  /** The number of the promise that it belongs to. */
  readonly point: number
  readonly title: string
  /** Keys of broker.conf. */
  readonly config: Readonly<Record<string, string | number>>
  /** Keys for Gantry alone, where the two mean different things. */
  readonly gantryConfig?: Readonly<Record<string, string | number>>
  /** Of the broker group; 1 unless given. */
  readonly members?: number
  readonly metrics: readonly Metric[]
  /** The cluster runs, with an empty store; the figures go into `context`. */
  readonly run: (context: ScenarioContext) => Promise<void>
}

/** One side of one pair of one scenario. */
export class ScenarioContext {
  readonly cluster: Cluster
  readonly options: CompareOptions
  readonly figures: Record<string, number> = {}
  readonly problems: string[] = []
  readonly #folder: string
  readonly #loads: LoadRunner
  readonly #tell: (text: string) => void

  constructor(parts: {
    readonly cluster: Cluster
    readonly options: CompareOptions
    /** Where `warmMemory` has its file. */
    readonly folder: string
    readonly loads: LoadRunner
    readonly tell: (text: string) => void
  }) {
    this.cluster = parts.cluster
    this.options = parts.options
    this.#folder = parts.folder
    this.#loads = parts.loads
    this.#tell = parts.tell
  }

  /** Keeps a figure; what is no number is left out. */
  note(id: string, value: number): void {
    if (!Number.isFinite(value)) return
    this.figures[id] = Math.round(value * 1000) / 1000
    this.#tell(`${id} ${this.figures[id]}`)
  }

  /** As before the scenario: for one that compares what it measures before with what comes now. */
  warmMemory(): void {
    warmMemory(this.#folder)
  }

  /** Runs a load against the cluster, with the processes of the broker group accounted. */
  async load(scenario: string, flags: LoadFlags): Promise<LoadResult> {
    const result = await this.#loads.run(scenario, this.#flagsOf(flags))
    this.#noteProblem(scenario, result)
    return result
  }

  /** Runs a load for as long as `work` takes: a process of its own, so that its figures have no share in what other loads wait for. */
  async loadDuring(
    scenario: string,
    flags: LoadFlags,
    work: () => Promise<unknown>,
  ): Promise<LoadResult> {
    const result = await this.#loads.runDuring(scenario, this.#flagsOf(flags), work)
    this.#noteProblem(scenario, result)
    return result
  }

  /**
   * Load that nobody looks at, so that what follows meets a warm broker. At a rate that both can do: both have then written as much when
   * they are measured, and use as much memory that was never touched before.
   */
  async warmUp(flags: LoadFlags): Promise<void> {
    const duration = this.options.warmupSeconds
    if (duration === 0) return
    await this.#loads.run('producer', {
      namesrv: this.cluster.nameServer,
      topic: 'warm',
      warmup: 0,
      rate: WARM_UP_RATE,
      ...flags,
      duration,
    })
  }

  /** Sends messages in batches until there are so many. */
  async fill(topic: string, size: number, messages: number): Promise<void> {
    await this.load('producer', {
      topic,
      size,
      messages,
      batch: 32,
      connections: 8,
      'in-flight': 2,
      duration: 900,
      warmup: 0,
    })
  }

  #flagsOf(flags: LoadFlags): LoadFlags {
    return {
      namesrv: this.cluster.nameServer,
      pid: this.cluster.brokers.map(({ pid }) => pid).join(','),
      duration: this.options.seconds,
      warmup: 1,
      ...flags,
    }
  }

  #noteProblem(scenario: string, { problems: [problem] }: LoadResult): void {
    if (problem !== undefined) this.problems.push(`${scenario}: ${problem}`)
  }
}
