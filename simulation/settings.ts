/** What a run is: everything that the seed decides before the first event. */
import { testConfig } from '../store/testing.ts'
import type { StoreConfig } from '../store/types.ts'
import { SeededRandom } from './random.ts'

export interface RunOptions {
  readonly seed: number
  readonly members: number
  /** Operations of all clients together before everything is healed. */
  readonly operations: number
  /** Name of a planted bug, or null. */
  readonly planted: string | null
  readonly workload: WorkloadName
}

/** Probabilities and sizes of one run. */
export interface Settings {
  readonly flushDiskType: 'ASYNC_FLUSH' | 'SYNC_FLUSH'
  readonly latencyMs: number
  readonly splitOneIn: number
  readonly syncMs: number
  readonly clients: number
  readonly thinkMs: number
  readonly bodyBytes: number
  readonly segmentSize: number
  readonly chunkSize: number
  readonly chunkCount: number
  readonly faultEveryMs: number
  /** All clocks tell the same time; or they are apart, and go a little wrong; or are set besides, by a second at most, or by hours. */
  readonly clocks: 'exact' | 'apart' | 'stepped' | 'set'
  /** Members leave the group for good, and others come. */
  readonly changesMembers: boolean
}

/** What the processes of the members run: stores, or whole brokers with some kinds of messages. */
export const WORKLOADS = [
  'store',
  'broker',
  'pops',
  'retries',
  'recalls',
  'orderly',
  'offsets',
  'locks',
  'filters',
  'light',
  'requests',
  'batches',
] as const
export type WorkloadName = (typeof WORKLOADS)[number]

export function settingsOf(options: RunOptions): Settings {
  const random = new SeededRandom(options.seed ^ 0x5e771265)
  const pick = <Value>(...values: readonly [Value, ...Value[]]): Value =>
    values[random.integer(values.length)] ?? values[0]
  return {
    flushDiskType: pick('ASYNC_FLUSH', 'SYNC_FLUSH'),
    latencyMs: pick(0.5, 2, 10, 30),
    splitOneIn: pick(0, 0, 20, 3),
    syncMs: pick(0.2, 2, 15),
    clients: pick(2, 4, 8),
    thinkMs: pick(10, 30, 90),
    bodyBytes: pick(20, 200, 900),
    segmentSize: pick(16, 32, 128) * 1024,
    chunkSize: pick(8, 16, 32) * 1024,
    chunkCount: pick(2, 4),
    faultEveryMs: pick(700, 1500, 4000),
    clocks: 'set',
    changesMembers: random.integer(2) === 0,
    ...(options.workload !== 'store' ? wholeBroker(pick('exact', 'apart', 'stepped')) : {}),
  }
}

/** A segment holds the largest message; when a message is due can be told only by clocks that nobody sets by much. */
function wholeBroker(clocks: Settings['clocks']): Partial<Settings> {
  return { segmentSize: 160 * 1024, clocks, changesMembers: false }
}

export function storeConfigOf({ segmentSize, flushDiskType }: Settings): StoreConfig {
  return testConfig({ mappedFileSizeCommitLog: segmentSize, flushDiskType })
}
