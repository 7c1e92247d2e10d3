/** `bench/compare`: Gantry and Apache RocketMQ's broker, or an earlier Gantry, in turn, on this machine; or the report of such a run. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { ExitCode, messageOf } from '../common/errors.ts'
import { nearestName } from '../common/nearest-name.ts'
import { usageProblem } from '../common/role-main.ts'
import { ROOT, VERSION } from '../e2e/environment.ts'
import { buildJavaBroker } from '../e2e/server-process.ts'
import { Run } from './compare.ts'
import type { RunOptions } from './compare.ts'
import { describeMachine, fillCompileCache } from './machine.ts'
import { formatBaseline, formatReport } from './report.ts'
import { FORMAT, parseComparison, withScenarios } from './results.ts'
import type { Comparison, ScenarioResult } from './results.ts'
import type { Scenario } from './scenario.ts'
import { SCENARIOS } from './scenarios.ts'

const ROCKETMQ_VERSION = '5.5.0'
const NOTES = join(ROOT, 'bench', 'performance-notes.md')
const REPORT = join(ROOT, 'docs', 'performance.md')
const INTERRUPTED = 130

const NUMBERS = {
  pairs: { default: '3', help: 'pairs of each scenario' },
  seconds: { default: '10', help: 'measured seconds of each load' },
  warmup: { default: '10', help: 'seconds of load before the first measurement' },
  'backlog-gib': { default: '5', help: 'size of the backlog' },
  'log-gib': { default: '10', help: 'size of the log before the kill' },
  'memory-gib': { default: '10', help: 'how much is sent before memory is read' },
  topics: { default: '50000', help: 'topics of the last step' },
  idle: { default: '10000', help: 'idle connections of the last step' },
  kills: { default: '5', help: "how often a group's leader is killed" },
  port: { default: '21300', help: 'first of 40 free ports' },
} as const

const OPTIONS = {
  ...Object.fromEntries(
    Object.entries(NUMBERS).map(([name, { default: value }]) => [
      name,
      { type: 'string' as const, default: value },
    ]),
  ),
  only: { type: 'string' as const, multiple: true },
  out: { type: 'string' as const },
  data: { type: 'string' as const },
  into: { type: 'string' as const },
  gantry: { type: 'string' as const, default: ROOT },
  baseline: { type: 'string' as const },
  report: { type: 'string' as const },
  help: { type: 'boolean' as const, default: false },
}

async function main(argv: readonly string[]): Promise<number> {
  let values: Readonly<Record<string, unknown>>
  try {
    values = parseArgs({ args: [...argv], options: OPTIONS, strict: true }).values
  } catch (error) {
    return usage(usageProblem(error, OPTIONS))
  }
  if (values['help'] === true) {
    process.stdout.write(help())
    return ExitCode.DONE
  }
  if (typeof values['report'] === 'string') return report(values['report'])
  const wrong = Object.keys(NUMBERS).find((name) => !/^\d+(\.\d+)?$/.test(String(values[name])))
  if (wrong !== undefined) return usage(`--${wrong}: not a number`)
  const wanted = Array.isArray(values['only']) ? values['only'].map(String) : []
  for (const id of wanted) {
    if (SCENARIOS.some((scenario) => scenario.id === id)) continue
    const ids = SCENARIOS.map((scenario) => scenario.id)
    return usage(`no scenario ${id}; did you mean ${nearestName(id, ids) ?? ids.join(', ')}?`)
  }
  const scenarios = SCENARIOS.filter(({ id }) => wanted.length === 0 || wanted.includes(id))
  return run(values, scenarios)
}

async function run(
  values: Readonly<Record<string, unknown>>,
  scenarios: readonly Scenario[],
): Promise<number> {
  const numberOf = (name: keyof typeof NUMBERS): number => Number(values[name])
  const parent = typeof values['data'] === 'string' ? values['data'] : tmpdir()
  const options: RunOptions = {
    pairs: numberOf('pairs'),
    seconds: numberOf('seconds'),
    warmupSeconds: numberOf('warmup'),
    backlogGib: numberOf('backlog-gib'),
    logGib: numberOf('log-gib'),
    memoryGib: numberOf('memory-gib'),
    topics: numberOf('topics'),
    idleConnections: numberOf('idle'),
    kills: numberOf('kills'),
    port: numberOf('port'),
    checkout: String(values['gantry']),
    baseline: typeof values['baseline'] === 'string' ? resolve(values['baseline']) : null,
    folder: mkdtempSync(join(parent, 'gantry-compare-')),
  }
  const runner = new Run(options, tell)
  stopOnSignals(runner)
  for (const checkout of [options.checkout, options.baseline]) {
    if (checkout !== null) fillCompileCache(checkout)
  }
  if (options.baseline === null) await buildJavaBroker()
  const shown = Object.keys(NUMBERS).filter((name) => name !== 'port')
  const comparison: Comparison = {
    format: FORMAT,
    date: new Date().toISOString(),
    gantry: VERSION,
    rocketmq: ROCKETMQ_VERSION,
    machine: describeMachine(options.folder),
    options: {
      ...Object.fromEntries(shown.map((name) => [name, Number(values[name])])),
      load: Math.round((loadavg()[0] ?? 0) * 10) / 10,
    },
    scenarios: [],
  }
  const out = typeof values['out'] === 'string' ? values['out'] : defaultOut(comparison, scenarios)
  tell(`results go to ${out}`)
  const done: ScenarioResult[] = []
  for (const scenario of scenarios) {
    const result = await runner.scenario(scenario, (soFar) =>
      write(out, { ...comparison, scenarios: [...done, soFar] }),
    )
    done.push(result)
  }
  await runner.stop()
  finish({ ...comparison, scenarios: done }, options.baseline, values['into'])
  return ExitCode.DONE
}

function finish(comparison: Comparison, baseline: string | null, into: unknown): void {
  if (baseline !== null) {
    const args = ['-C', baseline, 'rev-parse', '--short', 'HEAD']
    const name = execFileSync('git', args, { encoding: 'utf8' }).trim()
    process.stdout.write(formatBaseline(comparison, name))
    return
  }
  process.stdout.write(formatReport(comparison, ''))
  if (typeof into === 'string') {
    write(into, withScenarios(parseComparison(readFileSync(into, 'utf8')), comparison))
  }
}

/** The first signal ends everything and leaves nothing behind but the results so far. */
function stopOnSignals(runner: Run): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      tell('interrupted: the processes are ended and the data removed')
      runner.stop().then(
        () => process.exit(INTERRUPTED),
        () => process.exit(INTERRUPTED),
      )
    })
  }
}

function report(path: string): number {
  try {
    const comparison = parseComparison(readFileSync(path, 'utf8'))
    writeFileSync(REPORT, formatReport(comparison, readFileSync(NOTES, 'utf8')))
    process.stdout.write(`${REPORT}\n`)
    return ExitCode.DONE
  } catch (error) {
    process.stderr.write(`bench/compare: ${messageOf(error)}\n`)
    return ExitCode.FAILED
  }
}

function write(path: string, comparison: Comparison): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify(comparison, null, 1)}\n`)
}

/** A run of some scenarios does not replace the results that the report is made of. */
function defaultOut({ date }: Comparison, scenarios: readonly Scenario[]): string {
  const name = `${date.slice(0, 10)}.json`
  if (scenarios.length === SCENARIOS.length) return join(ROOT, 'bench', 'results', name)
  return join(tmpdir(), `gantry-compare-${name}`)
}

function tell(text: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`)
}

function usage(problem: string): number {
  process.stderr.write(`bench/compare: ${problem}\n`)
  return ExitCode.USAGE
}

function help(): string {
  const numbers = Object.entries(NUMBERS).map(
    ([name, { default: value, help: text }]) => `  --${`${name} N`.padEnd(18)} ${text} (${value})`,
  )
  return `usage: bench/compare [OPTIONS]          run, print the report; bench/results/<date>.json when all ran
       bench/compare --report FILE.json    write docs/performance.md from a run

${numbers.join('\n')}
  --${'only SCENARIO'.padEnd(18)} one scenario; may be given several times
  --${'out FILE.json'.padEnd(18)} where the results go
  --${'into FILE.json'.padEnd(18)} put the scenarios into an earlier run's results as well, in the place of its own
  --${'gantry DIR'.padEnd(18)} the checkout of Gantry to run (this one)
  --${'baseline DIR'.padEnd(18)} another checkout, to run in the place of the Java broker
  --${'data DIR'.padEnd(18)} where the stores go, about 20 GiB at most (the folder for temporary files)

scenarios: ${SCENARIOS.map(({ id }) => id).join(', ')}

Needs a JDK and Maven (the Java broker comes from Maven Central at the first run), and root for reading from a cold cache.
`
}

process.exitCode = await main(process.argv.slice(2))
