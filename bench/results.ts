/** What a comparison leaves behind: one JSON file, from which the report is made. */
import { at, listAt, numberAt, recordAt, textAt } from '../e2e/json.ts'
import type { ServerKind } from '../e2e/server-process.ts'

export const FORMAT = 1

export type Figures = Readonly<Record<string, number>>

/** One side of one pair. */
export interface SideResult {
  readonly figures: Figures
  /** What went wrong; its figures may be incomplete then. */
  readonly problems: readonly string[]
}

export interface PairResult {
  readonly first: ServerKind
  readonly gantry: SideResult
  readonly java: SideResult
}

export interface ScenarioResult {
  readonly id: string
  readonly pairs: readonly PairResult[]
  /** Of the run that it was measured in, when that is another one than the rest's. */
  readonly own?: OwnRun
}

export interface OwnRun {
  readonly date: string
  readonly cpu: string
  readonly options: Options
}

export type Options = Readonly<Record<string, number | string>>

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly kernel: string
  readonly fileSystem: string
  readonly node: string
  readonly java: string
}

export interface Comparison {
  readonly format: typeof FORMAT
  /** When it began, ISO 8601. */
  readonly date: string
  readonly gantry: string
  readonly rocketmq: string
  readonly machine: Machine
  readonly options: Options
  readonly scenarios: readonly ScenarioResult[]
}

/** Throws when the text is no comparison of this format. */
export function parseComparison(text: string): Comparison {
  const json: unknown = JSON.parse(text)
  if (numberAt(json, 'format') !== FORMAT) throw new Error(`not a comparison of format ${FORMAT}`)
  return {
    format: FORMAT,
    date: textAt(json, 'date'),
    gantry: textAt(json, 'gantry'),
    rocketmq: textAt(json, 'rocketmq'),
    machine: {
      cpu: textAt(json, 'machine', 'cpu'),
      cores: numberAt(json, 'machine', 'cores'),
      memoryBytes: numberAt(json, 'machine', 'memoryBytes'),
      kernel: textAt(json, 'machine', 'kernel'),
      fileSystem: textAt(json, 'machine', 'fileSystem'),
      node: textAt(json, 'machine', 'node'),
      java: textAt(json, 'machine', 'java'),
    },
    options: optionsOf(json),
    scenarios: listAt(json, 'scenarios').map((scenario) => ({
      id: textAt(scenario, 'id'),
      pairs: listAt(scenario, 'pairs').map((pair) => ({
        first: textAt(pair, 'first') === 'java' ? ('java' as const) : ('gantry' as const),
        gantry: sideOf(at(pair, 'gantry')),
        java: sideOf(at(pair, 'java')),
      })),
      ...ownOf(at(scenario, 'own')),
    })),
  }
}

function ownOf(json: unknown): Pick<ScenarioResult, 'own'> {
  if (json === undefined) return {}
  return { own: { date: textAt(json, 'date'), cpu: textAt(json, 'cpu'), options: optionsOf(json) } }
}

function optionsOf(json: unknown): Options {
  return Object.fromEntries(
    Object.entries(recordAt(json, 'options')).map(([name, value]) => [
      name,
      typeof value === 'number' ? value : String(value),
    ]),
  )
}

/** `comparison` with the scenarios of a later run in the place of its own, or beside them. */
export function withScenarios(comparison: Comparison, later: Comparison): Comparison {
  const { date, machine, options } = later
  const replaced = new Map(comparison.scenarios.map((scenario) => [scenario.id, scenario]))
  for (const scenario of later.scenarios) {
    replaced.set(scenario.id, { ...scenario, own: { date, cpu: machine.cpu, options } })
  }
  return { ...comparison, scenarios: [...replaced.values()] }
}

function sideOf(json: unknown): SideResult {
  return {
    figures: Object.fromEntries(
      Object.keys(recordAt(json, 'figures')).map((name) => [name, numberAt(json, 'figures', name)]),
    ),
    problems: listAt(json, 'problems').map(String),
  }
}
