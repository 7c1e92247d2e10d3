/** The flags of the load scenarios of `gantry bench`. */
import process from 'node:process'
import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import { createRuntime } from '../common/runtime.ts'
import { SerializeType } from '../remoting/command.ts'
import type { ConsumeFrom } from './bench/consumer.ts'
import { BODY_HEADER_SIZE } from './bench/message-body.ts'
import type { BenchOptions } from './bench/scenario.ts'
import { isMeasurable } from './bench/server-usage.ts'

const MAX_IN_FLIGHT = 10_000
const MAX_QUEUES = 1_024
const MAX_BATCH = 1_024
const MAX_DELAY_MS = 365 * 24 * 3_600_000

export interface LoadFlags {
  readonly namesrv: string
  readonly topic: string
  readonly group: string
  readonly queues: number
  readonly size: number
  readonly connections: number
  readonly inFlight: number
  readonly batch?: number
  readonly delayMs: number
  readonly spreadMs: number
  readonly rate?: number
  readonly messages: number
  readonly duration?: number
  readonly warmup?: number
  readonly timeout: number
  readonly serialize: SerializeType
  readonly pid: readonly number[]
  readonly crc?: boolean
  readonly json?: boolean
  readonly quiet?: boolean
}

/** What a scenario has instead of the common defaults. */
export interface LoadDefaults {
  readonly connections: number
  readonly inFlight: number
  readonly queues: number
  readonly rate: number
}

export function addLoadFlags(command: Command, defaults: LoadDefaults): Command {
  return command
    .option('-n, --namesrv <list>', 'name servers as host:port;host:port', '127.0.0.1:9876')
    .option('-t, --topic <name>', 'topic; made when it is absent', 'gantry-bench')
    .option('-g, --group <name>', 'producer or consumer group', 'gantry-bench')
    .option(
      '--queues <count>',
      'queues of a topic that is made',
      numberIn(1, MAX_QUEUES),
      defaults.queues,
    )
    .option(
      '-s, --size <bytes>',
      'bytes of a body',
      numberIn(BODY_HEADER_SIZE, 128 * 1024 * 1024),
      1024,
    )
    .option('-c, --connections <count>', 'connections', numberIn(1, 65_535), defaults.connections)
    .option(
      '-w, --in-flight <count>',
      'requests in flight on each connection',
      numberIn(1, MAX_IN_FLIGHT),
      defaults.inFlight,
    )
    .option('-b, --batch <count>', 'messages to a send request', numberIn(1, MAX_BATCH), 1)
    .option(
      '--delay-ms <ms>',
      'deliver single messages so much later',
      numberIn(0, MAX_DELAY_MS),
      0,
    )
    .option('--spread-ms <ms>', 'and up to so much more, scattered', numberIn(0, MAX_DELAY_MS), 0)
    .option(
      '-r, --rate <msg/s>',
      'messages a second in all; 0: as fast as the window allows',
      numberIn(0, 1e9),
      defaults.rate,
    )
    .option(
      '-m, --messages <count>',
      'end after so many messages; 0: no limit',
      numberIn(0, 1e12),
      0,
    )
    .option(
      '-d, --duration <seconds>',
      'measured time (10, or until the end with --messages)',
      seconds,
    )
    .option('--warmup <seconds>', 'time before it (2, or 0 with --messages)', seconds)
    .option(
      '--timeout <seconds>',
      'give a connection up that has no answer for so long',
      seconds,
      30,
    )
    .option('--serialize <type>', 'headers: json or rocketmq', serializeType, SerializeType.JSON)
    .option(
      '--pid <list>',
      'server processes on this machine to account (CPU, memory)',
      pidList,
      [],
    )
    .option('--crc', 'check the stored checksum of every body that is consumed')
    .option('--json', 'print the result as one line of JSON')
    .option('-q, --quiet', 'no progress')
}

export function benchOptionsOf(flags: LoadFlags, isInterrupted: () => boolean): BenchOptions {
  const runtime = createRuntime()
  const isCounted = flags.messages > 0
  return {
    runtime,
    nameServers: flags.namesrv.split(/[;,]/).filter((address) => address !== ''),
    topic: flags.topic,
    group: flags.group,
    queues: flags.queues,
    bodySize: flags.size,
    batch: flags.batch ?? 1,
    connections: flags.connections,
    inFlight: flags.inFlight,
    serializeType: flags.serialize,
    delay: { delayMs: flags.delayMs, spreadMs: flags.spreadMs },
    rate: flags.rate ?? 0,
    messages: flags.messages,
    warmupMs: (flags.warmup ?? (isCounted ? 0 : 2)) * 1000,
    durationMs: (flags.duration ?? (isCounted ? Infinity : 10)) * 1000,
    timeoutMs: flags.timeout * 1000,
    pids: flags.pid,
    run: runtime.random.bytes(4).readUInt32BE(0),
    checksCrc: flags.crc === true,
    progress: flags.quiet === true ? () => undefined : showProgress,
    isInterrupted,
  }
}

/** On a terminal the last line is overwritten. */
function showProgress(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${text}` : `${text}\n`)
}

/** Before the summary is printed. */
export function endProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
}

export function numberIn(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`Not a whole number from ${min} to ${max}.`)
    }
    return value
  }
}

export function consumeFrom(text: string): ConsumeFrom {
  if (text === 'first' || text === 'last' || text === 'committed') return text
  if (/^-\d+$/.test(text)) return -Number(text)
  throw new InvalidArgumentError('Not first, last, committed, or -N for the last N messages.')
}

function seconds(text: string): number {
  const value = Number(text)
  if (text === '' || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError('Not a number of seconds.')
  }
  return value
}

function serializeType(text: string): SerializeType {
  if (text === 'json') return SerializeType.JSON
  if (text === 'rocketmq') return SerializeType.ROCKETMQ
  throw new InvalidArgumentError('Neither json nor rocketmq.')
}

function pidList(text: string): readonly number[] {
  const pids = text.split(',').map(Number)
  for (const pid of pids) {
    if (!Number.isInteger(pid) || !isMeasurable(pid)) {
      throw new InvalidArgumentError(`There is no process ${pid} that can be measured.`)
    }
  }
  return pids
}
