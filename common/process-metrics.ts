/** What a process says of itself: CPU, memory, open files, and how long the event loop was held up. */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import process from 'node:process'
import { Gauge } from './metrics.ts'
import type { SampledMetric, MetricSample, Registry } from './metrics.ts'
import type { Logger } from './log.ts'
import type { Disk } from './ports.ts'

const DELAY_RESOLUTION_MS = 10
const NANOSECONDS = 1e9
const MICROSECONDS = 1e6
const QUANTILES: readonly (readonly [string, number])[] = [
  ['p50', 50],
  ['p90', 90],
  ['p99', 99],
]

/** Registers the metrics, under the names that Prometheus' clients for Node use. Roles call it; tests need not. */
export function collectProcessMetrics(
  registry: Registry,
  disk: Pick<Disk, 'readFileSync' | 'statusSync'>,
): void {
  addCpu(registry)
  addMemory(registry)
  addFiles(registry, disk)
  addEventLoopDelay(registry)
  const startedAt = performance.timeOrigin / 1000
  gauge(registry, 'process_start_time_seconds', 'When the process started', () => startedAt)
  const version: Gauge<'version'> = new Gauge({
    name: 'nodejs_version_info',
    help: 'The version of Node',
    labelNames: ['version'],
    registers: [registry],
  })
  version.set({ version: process.version }, 1)
}

/** How many files and sockets the process may have open; null where that cannot be told. */
export function openFilesLimit(disk: Pick<Disk, 'readFileSync'>): number | null {
  const text = disk.readFileSync('/proc/self/limits')?.toString('latin1') ?? ''
  const limit = /^Max open files\s+(\d+)/m.exec(text)?.[1]
  return limit === undefined ? null : Number(limit)
}

/** Files that a role keeps open besides its connections. */
const OTHER_FILES = 1000

/** Warns when fewer connections can be opened than are allowed: with none left, the system refuses them without a word to the client. */
export function checkFilesLimit(
  disk: Pick<Disk, 'readFileSync'>,
  maxConnections: number,
  logger: Logger,
): void {
  const openFiles = openFilesLimit(disk)
  if (openFiles === null || openFiles >= maxConnections + OTHER_FILES) return
  const wanted = maxConnections + OTHER_FILES
  logger.warn(
    { openFiles, maxConnections, wanted },
    'the limit of open files (ulimit -n) is too low for maxConnections',
  )
}

function addCpu(registry: Registry): void {
  const metric = (name: string, help: string, read: () => number): SampledMetric => ({
    name,
    help,
    type: 'counter',
    samples: () => [sample(read())],
  })
  const user = () => process.cpuUsage().user / MICROSECONDS
  const system = () => process.cpuUsage().system / MICROSECONDS
  const add = (name: string, help: string, read: () => number) =>
    registry.registerSampled(metric(name, help, read))
  add('process_cpu_user_seconds_total', 'CPU time in user mode', user)
  add('process_cpu_system_seconds_total', 'CPU time in the kernel', system)
  add('process_cpu_seconds_total', 'CPU time', () => user() + system())
}

function addMemory(registry: Registry): void {
  gauge(registry, 'process_resident_memory_bytes', 'Resident memory', () =>
    process.memoryUsage.rss(),
  )
  gauge(registry, 'nodejs_heap_size_total_bytes', 'Size of the JavaScript heap', () => {
    return process.memoryUsage().heapTotal
  })
  gauge(registry, 'nodejs_heap_size_used_bytes', 'Memory in use in the JavaScript heap', () => {
    return process.memoryUsage().heapUsed
  })
  gauge(registry, 'nodejs_external_memory_bytes', 'Memory of buffers, outside the heap', () => {
    return process.memoryUsage().external
  })
}

/** Linux only; the size of /proc/self/fd is the number of its entries from Linux 6.2 on, and 0 before. */
function addFiles(registry: Registry, disk: Pick<Disk, 'readFileSync' | 'statusSync'>): void {
  const limit = openFilesLimit(disk)
  if (limit === null) return
  gauge(registry, 'process_max_fds', 'Files and sockets that may be open', () => limit)
  if ((disk.statusSync('/proc/self/fd')?.size ?? 0) === 0) return
  gauge(registry, 'process_open_fds', 'Open files and sockets', () => {
    return disk.statusSync('/proc/self/fd')?.size ?? 0
  })
}

/** Since the last scrape: what is seen once is shown once. */
function addEventLoopDelay(registry: Registry): void {
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS })
  delay.enable()
  // The histogram counts from one timer to the next, which is the resolution when nothing is held up.
  const seconds = (nanoseconds: number) =>
    Math.max(0, nanoseconds / NANOSECONDS - DELAY_RESOLUTION_MS / 1000)
  const value = (read: () => number) => (delay.count === 0 ? 0 : seconds(read()))
  gauge(registry, 'nodejs_eventloop_lag_mean_seconds', 'Mean delay of the event loop', () => {
    return value(() => delay.mean)
  })
  for (const [name, percentile] of QUANTILES) {
    const help = `Delay of the event loop, ${name}`
    gauge(registry, `nodejs_eventloop_lag_${name}_seconds`, help, () => {
      return value(() => delay.percentile(percentile))
    })
  }
  // The last one that reads: the next scrape begins anew.
  gauge(registry, 'nodejs_eventloop_lag_max_seconds', 'Longest delay of the event loop', () => {
    const longest = value(() => delay.max)
    delay.reset()
    return longest
  })
}

function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  registry.registerSampled({ name, help, type: 'gauge', samples: () => [sample(read())] })
}

function sample(value: number): MetricSample {
  return { suffix: '', labels: {}, value }
}
