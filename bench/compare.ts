/** Runs the scenarios pair by pair: in each pair both brokers, in the next one in the other order. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../common/errors.ts'
import type { ServerKind } from '../e2e/server-process.ts'
import { Cluster } from './cluster.ts'
import { LoadRunner } from './load.ts'
import { warmMemory } from './machine.ts'
import type { PairResult, ScenarioResult, SideResult } from './results.ts'
import { ScenarioContext } from './scenario.ts'
import type { CompareOptions, Scenario } from './scenario.ts'

export interface RunOptions extends CompareOptions {
  readonly pairs: number
  readonly folder: string
  readonly port: number
  /** The checkout of Gantry to run. */
  readonly checkout: string
  /** Another one, which runs in the place of the Java broker; null: none. */
  readonly baseline: string | null
}

/** A comparison that runs; `stop` ends its processes and removes its files at once. */
export class Run {
  readonly #options: RunOptions
  readonly #tell: (text: string) => void
  readonly #loads = new LoadRunner()
  #cluster: Cluster | null = null
  #isStopped = false

  constructor(options: RunOptions, tell: (text: string) => void) {
    this.#options = options
    this.#tell = tell
  }

  /** `onPair` is told after every pair what there is so far. */
  async scenario(
    scenario: Scenario,
    onPair: (result: ScenarioResult) => void,
  ): Promise<ScenarioResult> {
    const pairs: PairResult[] = []
    for (let number = 0; number < this.#options.pairs && !this.#isStopped; number++) {
      const first: ServerKind = number % 2 === 0 ? 'gantry' : 'java'
      const second: ServerKind = first === 'gantry' ? 'java' : 'gantry'
      this.#tell(`${scenario.id}: pair ${number + 1} of ${this.#options.pairs}`)
      const firstSide = await this.#side(scenario, first)
      const secondSide = await this.#side(scenario, second)
      if (this.#isStopped) break
      const sides = first === 'gantry' ? [firstSide, secondSide] : [secondSide, firstSide]
      const [gantry = NOTHING, java = NOTHING] = sides
      pairs.push({ first, gantry, java })
      onPair({ id: scenario.id, pairs: [...pairs] })
    }
    return { id: scenario.id, pairs }
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#loads.stop()
    await this.#cluster?.destroy()
    rmSync(this.#options.folder, { recursive: true, force: true })
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  /** A side that fails keeps the figures which it has, and the reason. */
  async #side(scenario: Scenario, kind: ServerKind): Promise<SideResult> {
    if (this.#isStopped) return NOTHING
    warmMemory(this.#options.folder)
    const { baseline, checkout } = this.#options
    const name = kind === 'java' && baseline !== null ? 'baseline' : kind
    const tell = (text: string): void => this.#tell(`  ${name}: ${text}`)
    const isGantry = kind === 'gantry' || baseline !== null
    const cluster = new Cluster({
      kind: isGantry ? 'gantry' : 'java',
      folder: join(this.#options.folder, kind),
      port: this.#options.port,
      members: scenario.members ?? 1,
      config: isGantry ? { ...scenario.config, ...scenario.gantryConfig } : scenario.config,
      checkout: kind === 'java' && baseline !== null ? baseline : checkout,
    })
    this.#cluster = cluster
    const context = new ScenarioContext({
      cluster,
      options: this.#options,
      folder: this.#options.folder,
      loads: this.#loads,
      tell,
    })
    try {
      await cluster.start()
      await scenario.run(context)
    } catch (error) {
      const words = cluster.lastWords
      const reason = words === null ? messageOf(error) : `the broker has ended: ${words}`
      context.problems.push(reason)
    } finally {
      await cluster.destroy()
      this.#cluster = null
    }
    for (const problem of context.problems) tell(`PROBLEM: ${problem}`)
    return {
      figures: context.figures,
      problems: context.problems.map((problem) => problem.slice(0, MAX_PROBLEM)),
    }
  }
}

const MAX_PROBLEM = 300
const NOTHING: SideResult = { figures: {}, problems: ['not run'] }
