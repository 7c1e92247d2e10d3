/** What the machine is, and what its disk gives: measured beside the brokers, on the same file system. */
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  readdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { median } from './statistics.ts'
import type { Machine } from './results.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const SYNC_FILE_SIZE = 64 * MIB
const SYNC_ROUNDS = 2_000
const SYNC_MAX_MS = 4_000
const DROP_CACHES = '/proc/sys/vm/drop_caches'

export function describeMachine(folder: string): Machine {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    kernel: `${os.type()} ${os.release()}`,
    fileSystem: output('stat', ['-f', '-c', '%T', folder]),
    node: process.version,
    java: /version "([^"]+)"/.exec(output('java', ['-version']))?.[1] ?? 'unknown',
  }
}

/** The standard error too: `java -version` speaks there. */
function output(command: string, args: readonly string[]): string {
  try {
    const script = ['-c', '"$0" "$@" 2>&1', command, ...args]
    return execFileSync('/bin/sh', script, { encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}

/**
 * Fills the compile cache of a checkout, as the image's is filled when it is built: the first start of new sources compiles them, and keeps
 * 15 MiB more than all others.
 */
export function fillCompileCache(checkout: string): void {
  for (const role of ['namesrv', 'broker']) {
    execFileSync(join(checkout, 'gantry'), [role, '--help'], { stdio: 'ignore' })
  }
}

/**
 * Fills the memory that nobody uses with the pages of an empty file, which the kernel gives away again as soon as a broker wants them. A
 * virtual machine hands free memory back to its host within seconds, and then pays 3 seconds of CPU for each GiB that it takes again;
 * the broker that writes most would pay most. As large as the memory, so that it is read anew each time, into whatever is free by then. Call it
 * before each broker's turn; the file stays until the folder is removed.
 */
export function warmMemory(folder: string): void {
  mkdirSync(folder, { recursive: true })
  const file = openSync(join(folder, 'warm'), 'a+')
  const size = os.totalmem()
  ftruncateSync(file, size)
  const block = Buffer.allocUnsafe(MIB)
  for (let at = 0; at < size; at += MIB) readSync(file, block, 0, MIB, at)
  closeSync(file)
}

/** The median of write and fdatasync of one record, in milliseconds, over space that has been written before. */
export function measureSync(folder: string, recordSize: number): number {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'sync')
  const file = openSync(path, 'w+')
  const zeroes = Buffer.alloc(MIB)
  for (let at = 0; at < SYNC_FILE_SIZE; at += MIB) writeSync(file, zeroes, 0, MIB, at)
  fsyncSync(file)
  const record = Buffer.alloc(recordSize, 1)
  const durations: number[] = []
  const deadline = performance.now() + SYNC_MAX_MS
  for (let round = 0; round < SYNC_ROUNDS && performance.now() < deadline; round++) {
    const startedAt = performance.now()
    writeSync(file, record, 0, recordSize, (round * recordSize) % (SYNC_FILE_SIZE - recordSize))
    fdatasyncSync(file)
    durations.push(performance.now() - startedAt)
  }
  closeSync(file)
  rmSync(path)
  return median(durations) ?? 0
}

/** Whether `dropCaches` works here. */
export function canDropCaches(): boolean {
  return process.getuid?.() === 0 && existsSync(DROP_CACHES)
}

/** Writes back what is dirty and empties the page cache; needs root. */
export function dropCaches(): void {
  execFileSync('sync')
  writeFileSync(DROP_CACHES, '3')
}

/** Reads the files of a folder once, in order; megabytes (10^6) per second. */
export function readSequentially(folder: string, maxBytes: number): number {
  const buffer = Buffer.allocUnsafe(MIB)
  const startedAt = performance.now()
  let total = 0
  for (const name of readdirSync(folder).sort()) {
    const file = openSync(join(folder, name), 'r')
    for (;;) {
      const count = readSync(file, buffer, 0, MIB, null)
      total += count
      if (count === 0 || total >= maxBytes) break
    }
    closeSync(file)
    if (total >= maxBytes) break
  }
  return total / 1e6 / ((performance.now() - startedAt) / 1000)
}

export function gibibytes(count: number): number {
  return count * GIB
}
