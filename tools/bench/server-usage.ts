/** What processes cost, from `/proc`: CPU seconds, memory, and how busy the machine was besides. Linux only. */
import { readFileSync } from 'node:fs'
import process from 'node:process'

const TICKS_PER_SECOND = 100
const KIB = 1024

export interface ProcessMemory {
  readonly pid: number
  readonly rssBytes: number
  readonly anonymousBytes: number
  readonly peakRssBytes: number
}

export interface Usage {
  readonly seconds: number
  /** Of the generator itself. */
  readonly generatorCpuSeconds: number
  readonly server: {
    readonly cpuSeconds: number
    readonly cpuSecondsPerMillion: number | null
    readonly cores: number
    readonly processes: readonly ProcessMemory[]
  } | null
  /** Cores that neither of the two used: a disturbed machine shows here. */
  readonly otherCores: number | null
}

interface Sample {
  readonly at: number
  readonly generator: number
  readonly server: number
  readonly machine: number | null
}

/** Measures from its construction, or the last `restart`, to `end`. */
export class UsageMeter {
  readonly #pids: readonly number[]
  #from: Sample

  constructor(pids: readonly number[]) {
    this.#pids = pids
    this.#from = this.#sample()
  }

  restart(): void {
    this.#from = this.#sample()
  }

  end(messages: number): Usage {
    const to = this.#sample()
    const seconds = (to.at - this.#from.at) / 1000
    const generator = to.generator - this.#from.generator
    const server = to.server - this.#from.server
    const machine =
      to.machine === null || this.#from.machine === null ? null : to.machine - this.#from.machine
    return {
      seconds: round(seconds),
      generatorCpuSeconds: round(generator),
      server:
        this.#pids.length === 0
          ? null
          : {
              cpuSeconds: round(server),
              cpuSecondsPerMillion: messages === 0 ? null : round((server / messages) * 1e6),
              cores: round(server / seconds),
              processes: this.#pids.map((pid) => memoryOf(pid)),
            },
      otherCores:
        machine === null || this.#pids.length === 0
          ? null
          : round(Math.max(machine - generator - server, 0) / seconds),
    }
  }

  #sample(): Sample {
    const own = process.cpuUsage()
    return {
      at: performance.now(),
      generator: (own.user + own.system) / 1e6,
      server: this.#pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0),
      machine: machineSeconds(),
    }
  }
}

/** User and system time of a process and its threads; 0 when it is gone. */
export function cpuSecondsOf(pid: number): number {
  const text = readProc(`/proc/${pid}/stat`)
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND
}

export function memoryOf(pid: number): ProcessMemory {
  const text = readProc(`/proc/${pid}/status`)
  const bytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * KIB
  return {
    pid,
    rssBytes: bytes('VmRSS'),
    anonymousBytes: bytes('RssAnon'),
    peakRssBytes: bytes('VmHWM'),
  }
}

/** True when there is such a process and its figures can be read. */
export function isMeasurable(pid: number): boolean {
  return readProc(`/proc/${pid}/stat`) !== ''
}

/** Seconds that all processors were busy since the machine started; null where `/proc` does not tell. */
function machineSeconds(): number | null {
  const fields = /^cpu +(.*)$/m.exec(readProc('/proc/stat'))?.[1]?.split(' ').map(Number)
  if (fields === undefined) return null
  const [user = 0, nice = 0, system = 0, , , interrupt = 0, softInterrupt = 0, steal = 0] = fields
  return (user + nice + system + interrupt + softInterrupt + steal) / TICKS_PER_SECOND
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
