/** Two runs of one seed, compared event by event, with all that members log and what the events do to the group. */
import { createHash } from 'node:crypto'
import type { Guard } from './guard.ts'
import { simulate } from './run.ts'
import type { RunResult } from './run.ts'
import type { RunOptions } from './settings.ts'

/** The rule that is broken when they differ. */
export const NOT_THE_SAME = 'a seed is the same run each time'
/** Lines of the trace that share a digest. */
const LINES = 1000

interface Traced {
  readonly result: RunResult
  /** Of each thousand lines of the trace. */
  readonly digests: readonly string[]
}

/** The first run's result; a broken rule of its own when the second one was another run. */
export async function replay(options: RunOptions, guard: Guard | null = null): Promise<RunResult> {
  const first = await traced(options, guard)
  const second = await traced(options, guard)
  const difference = differenceOf(first, second)
  if (difference === null) return first.result
  const { steps, virtualMs } = first.result
  const violation = { rule: NOT_THE_SAME, message: difference, step: steps, atMs: virtualMs }
  return { ...first.result, violation }
}

async function traced(options: RunOptions, guard: Guard | null): Promise<Traced> {
  const digests: string[] = []
  let hash = createHash('sha1')
  let lines = 0
  const end = (): void => {
    digests.push(hash.digest('hex'))
    hash = createHash('sha1')
  }
  const add = (line: string): void => {
    hash.update(line)
    if (++lines % LINES === 0) end()
  }
  const result = await simulate(options, add, guard)
  end()
  return { result, digests }
}

/** Null when there is none. */
function differenceOf(first: Traced, second: Traced): string | null {
  const at = first.digests.findIndex((digest, index) => digest !== second.digests[index])
  if (at !== -1) return `the traces differ among the lines from ${at * LINES} on`
  if (first.digests.length !== second.digests.length) return 'one trace is longer'
  const isSame = JSON.stringify(first.result) === JSON.stringify(second.result)
  return isSame ? null : 'the events are the same, and the results differ'
}
