/**
 * `gantry fsck DIR [--commitlog DIR] [-o json]`: checks a store folder; exit code 0 when it is sound, 1 when it is not.
 * With `--rebuild` it first builds anew what is derived from the CommitLog, while no broker runs on the folder.
 */
import { parseArgs } from 'node:util'
import process from 'node:process'
import { ExitCode, messageOf } from '../common/errors.ts'
import { createLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { StoreError } from './errors.ts'
import { fsck } from './fsck.ts'
import type { FsckReport } from './fsck.ts'
import { rebuild } from './rebuild.ts'

const USAGE = 'usage: gantry fsck DIR [--rebuild] [--commitlog DIR] [-o json]\n'
const PROGRESS_MS = 1000

export async function run(argv: readonly string[]): Promise<number> {
  let parsed
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        commitlog: { type: 'string' },
        rebuild: { type: 'boolean' },
        output: { type: 'string', short: 'o' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    process.stderr.write(`gantry fsck: ${messageOf(error)}\n${USAGE}`)
    return ExitCode.USAGE
  }
  const { values, positionals } = parsed
  const [root] = positionals
  if (values.help === true) {
    process.stdout.write(USAGE)
    return ExitCode.DONE
  }
  if (root === undefined || positionals.length > 1) {
    process.stderr.write(USAGE)
    return ExitCode.USAGE
  }
  if (values.rebuild === true) {
    const problem = await tryRebuild(root, values.commitlog)
    if (problem !== null) {
      process.stderr.write(`gantry fsck: ${messageOf(problem)}\n`)
      return problem instanceof StoreError && problem.code === 'locked'
        ? ExitCode.UNAVAILABLE
        : ExitCode.FAILED
    }
  }
  return check(root, values.commitlog, values.output === 'json')
}

/** What kept it from that, or null. */
async function tryRebuild(root: string, commitLogDirectory: string | undefined): Promise<unknown> {
  const runtime = createRuntime()
  let toldAt = runtime.clock.monotonic()
  const onProgress = (offset: number, endOffset: number): void => {
    if (runtime.clock.monotonic() - toldAt < PROGRESS_MS) return
    toldAt = runtime.clock.monotonic()
    process.stderr.write(`rebuilding: read up to ${offset} of at most ${endOffset}\n`)
  }
  try {
    const location = commitLogDirectory === undefined ? {} : { commitLogDirectory }
    const logger = createLogger('fsck', 'warn')
    const report = await rebuild({ runtime, logger, root, onProgress, ...location })
    const { startOffset, endOffset, queues } = report
    process.stderr.write(`rebuilt ${queues} queues from [${startOffset}, ${endOffset})\n`)
    return null
  } catch (error) {
    return error
  }
}

function check(root: string, commitLogDirectory: string | undefined, asJson: boolean): number {
  const { disk } = createRuntime()
  if (disk.statusSync(root)?.isDirectory !== true) {
    process.stderr.write(`gantry fsck: ${root} is no folder\n`)
    return ExitCode.NOT_FOUND
  }
  const location = commitLogDirectory === undefined ? {} : { commitLogDirectory }
  const report = fsck({ disk, root, ...location })
  process.stdout.write(asJson ? `${JSON.stringify(report)}\n` : describe(root, report))
  return report.problemCount === 0 ? ExitCode.DONE : ExitCode.FAILED
}

function describe(root: string, report: FsckReport): string {
  const lines = report.problems.map((problem) => `problem: ${problem}`)
  if (report.tornTail !== null) {
    lines.push(`torn tail (will be cut at the next start): ${report.tornTail}`)
  }
  if (report.pendingUnits > 0) {
    lines.push(`${report.pendingUnits} units not written yet (the next start writes them)`)
  }
  if (report.droppedUnits > 0) {
    lines.push(`${report.droppedUnits} records of deleted or expired queue entries`)
  }
  const verdict = report.problemCount === 0 ? 'sound' : `${report.problemCount} problems`
  lines.push(
    `${root}: ${verdict}; ${report.records} records in [${report.startOffset}, ${report.endOffset}), ` +
      `${report.units} units in ${report.queues} queues, ${report.indexEntries} index entries, ${report.configFiles} config files`,
  )
  return `${lines.join('\n')}\n`
}
