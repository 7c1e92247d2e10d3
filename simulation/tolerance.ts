/** What the clocks of the members may make of a time, in a run whose clocks nobody sets by more than a second. */
import type { WorkloadOptions } from './workload.ts'

/** What clocks are apart at most at the beginning, with the steps by which they are set, and how much further with each millisecond. */
const APART_MS = { exact: 0, apart: 2000, stepped: 4000, set: Number.POSITIVE_INFINITY } as const
const DRIFT = 0.06
/** A clock tells whole milliseconds that are over: what it says of two moments may be so much more than what lies between them. */
const ROUNDED_MS = 1

/** What the clocks of two members differ by now at most. */
export function apartMs({
  settings,
  engine,
}: Pick<WorkloadOptions, 'settings' | 'engine'>): number {
  return settings.clocks === 'exact' ? 0 : APART_MS[settings.clocks] + engine.now * DRIFT
}

/** Before it, nothing that waits for `delayMs` from now on may come. */
export function earliestAt(
  options: Pick<WorkloadOptions, 'settings' | 'engine'>,
  delayMs: number,
): number {
  const { settings, engine } = options
  if (settings.clocks === 'exact') return engine.now + delayMs - ROUNDED_MS
  // By the time at which it is due clocks are further apart than now.
  return engine.now + delayMs * (1 - DRIFT) - apartMs(options)
}
