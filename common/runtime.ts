/** The real ports: Node's clock, timers, randomness, disk and network. Nothing else in Gantry touches them (conventions §2). */
import assert from 'node:assert/strict'
import { randomBytes, randomInt } from 'node:crypto'
import dns from 'node:dns/promises'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { systemCodeOf } from './errors.ts'
import type {
  Clock,
  Disk,
  DiskFile,
  DiskLock,
  Listener,
  Network,
  Random,
  Runtime,
  Socket,
  SocketHandler,
  Timer,
  Timers,
} from './ports.ts'

/** The ports of a real process; several components may share one. */
export function createRuntime(): Runtime {
  return {
    clock: realClock,
    timers: realTimers,
    random: realRandom,
    disk: realDisk,
    network: realNetwork,
  }
}

const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}

const realTimers: Timers = {
  after(delayMs: number, callback: () => void): Timer {
    const handle = setTimeout(callback, delayMs)
    return { cancel: () => clearTimeout(handle) }
  },
  every(intervalMs: number, callback: () => void): Timer {
    const handle = setInterval(callback, intervalMs)
    return { cancel: () => clearInterval(handle) }
  },
  soon(callback: () => void): void {
    setImmediate(callback)
  },
}

const realRandom: Random = {
  next: () => Math.random(),
  integer: (bound: number) => randomInt(bound),
  bytes: (size: number) => randomBytes(size),
}

class RealFile implements DiskFile {
  readonly path: string
  #descriptor: number | null

  constructor(filePath: string, descriptor: number) {
    this.path = filePath
    this.#descriptor = descriptor
  }

  sizeSync(): number {
    return fs.fstatSync(this.#open()).size
  }

  readSync(target: Buffer, targetStart: number, length: number, position: number): number {
    const descriptor = this.#open()
    let done = 0
    while (done < length) {
      const count = fs.readSync(
        descriptor,
        target,
        targetStart + done,
        length - done,
        position + done,
      )
      if (count === 0) break
      done += count
    }
    return done
  }

  async read(
    target: Buffer,
    targetStart: number,
    length: number,
    position: number,
  ): Promise<number> {
    let done = 0
    while (done < length) {
      const count = await readOnce(
        this.#open(),
        target,
        targetStart + done,
        length - done,
        position + done,
      )
      if (count === 0) break
      done += count
    }
    return done
  }

  writeSync(source: Buffer, start: number, length: number, position: number): void {
    const descriptor = this.#open()
    let done = 0
    while (done < length) {
      done += fs.writeSync(descriptor, source, start + done, length - done, position + done)
    }
  }

  async write(source: Buffer, start: number, length: number, position: number): Promise<void> {
    let done = 0
    while (done < length) {
      done += await writeOnce(this.#open(), source, start + done, length - done, position + done)
    }
  }

  datasync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#open(), (error) => {
        if (error === null) resolve()
        else reject(error)
      })
    })
  }

  datasyncSync(): void {
    fs.fdatasyncSync(this.#open())
  }

  truncateSync(size: number): void {
    fs.ftruncateSync(this.#open(), size)
  }

  closeSync(): void {
    if (this.#descriptor === null) return
    const descriptor = this.#descriptor
    this.#descriptor = null
    fs.closeSync(descriptor)
  }

  #open(): number {
    assert(this.#descriptor !== null, `${this.path} is closed`)
    return this.#descriptor
  }
}

function readOnce(
  descriptor: number,
  target: Buffer,
  targetStart: number,
  length: number,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(descriptor, target, targetStart, length, position, (error, count) => {
      if (error === null) resolve(count)
      else reject(error)
    })
  })
}

function writeOnce(
  descriptor: number,
  source: Buffer,
  start: number,
  length: number,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(descriptor, source, start, length, position, (error, count) => {
      if (error === null) resolve(count)
      else reject(error)
    })
  })
}

/** Messages and users' passwords are for the broker's user, and for the group that its administrators may be given. */
const FILE_MODE = 0o640

const realDisk: Disk = {
  openSync(filePath, mode) {
    const flags =
      mode === 'read' ? fs.constants.O_RDONLY : fs.constants.O_RDWR | fs.constants.O_CREAT
    return new RealFile(filePath, fs.openSync(filePath, flags, FILE_MODE))
  },
  listSync(directory) {
    const entries = unlessMissing(() => fs.readdirSync(directory, { withFileTypes: true })) ?? []
    return entries
      .map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }))
      .sort((left, right) => Buffer.compare(Buffer.from(left.name), Buffer.from(right.name)))
  },
  statusSync(filePath) {
    const status = unlessMissing(() => fs.statSync(filePath))
    if (status === null) return null
    return { size: status.size, modifiedMs: status.mtimeMs, isDirectory: status.isDirectory() }
  },
  readFileSync: (filePath) => unlessMissing(() => fs.readFileSync(filePath)),
  makeDirectorySync(directory) {
    fs.mkdirSync(directory, { recursive: true })
  },
  renameSync(from, to) {
    fs.renameSync(from, to)
  },
  removeSync(filePath) {
    fs.rmSync(filePath, { recursive: true, force: true })
  },
  syncDirectorySync(directory) {
    const descriptor = fs.openSync(directory, fs.constants.O_RDONLY)
    try {
      fs.fsyncSync(descriptor)
    } finally {
      fs.closeSync(descriptor)
    }
  },
  async syncDirectory(directory) {
    const handle = await fs.promises.open(directory, fs.constants.O_RDONLY)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  async createFile(filePath, size) {
    const flags = fs.constants.O_RDWR | fs.constants.O_CREAT
    const handle = await fs.promises.open(filePath, flags, FILE_MODE)
    try {
      await handle.truncate(size)
      await handle.datasync()
    } finally {
      await handle.close()
    }
  },
  removeFile: (filePath) => fs.promises.rm(filePath, { force: true }),
  removeTree,
  spaceSync(filePath) {
    const space = fs.statfsSync(filePath)
    return {
      totalBytes: (space.blocks - space.bfree + space.bavail) * space.bsize,
      availableBytes: space.bavail * space.bsize,
    }
  },
  lockSync: takeLock,
}

/**
 * In a thread of its own: `fs.promises.rm` calls back for each name, which is seconds of the event loop for a hundred thousand.
 * The path travels as data.
 */
function removeTree(directory: string): Promise<void> {
  const script = `require('node:fs').rmSync(require('node:worker_threads').workerData, { recursive: true, force: true })`
  return new Promise((resolve, reject) => {
    const worker = new Worker(script, { eval: true, workerData: directory, execArgv: [] })
    worker.unref()
    worker.once('error', reject)
    worker.once('exit', () => resolve())
  })
}

/** `read()`, or null when the file or a directory above it does not exist. */
function unlessMissing<Result>(read: () => Result): Result | null {
  try {
    return read()
  } catch (error) {
    const code = systemCodeOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw error
  }
}

const SQLITE_BUSY = 5
const SQLITE_NOT_A_DATABASE = 26

/**
 * A kernel lock that dies with the process: SQLite's exclusive lock on an (always empty) database file.
 *
 * Node has no `flock`. These are POSIX record locks, so the file must not be opened by anything else in this process: closing any
 * descriptor of it would drop the lock. A store taken over from Java brings a lock file that holds the word `lock`; it is emptied.
 */
function takeLock(filePath: string): DiskLock | null {
  fs.mkdirSync(path.dirname(filePath), { recursive: true })
  const first = tryLock(filePath)
  if (first !== 'notADatabase') return first
  const content = fs.readFileSync(filePath, 'latin1')
  if (content !== 'lock') throw new Error(`${filePath} is not a lock file of RocketMQ or Gantry`)
  fs.truncateSync(filePath, 0)
  const second = tryLock(filePath)
  assert(second !== 'notADatabase', 'an empty file is a database')
  return second
}

function tryLock(filePath: string): DiskLock | null | 'notADatabase' {
  const database = new DatabaseSync(filePath, { timeout: 0 })
  try {
    database.exec('PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    const code = error instanceof Error && 'errcode' in error ? error.errcode : null
    if (code === SQLITE_BUSY) return null
    if (code === SQLITE_NOT_A_DATABASE) return 'notADatabase'
    throw error
  }
  return {
    release: () => {
      if (database.isOpen) database.close()
    },
  }
}

/** Above this many bytes waiting for the kernel, `write` answers false. */
const SOCKET_HIGH_WATER_MARK = 256 * 1024

const SOCKET_OPTIONS = {
  noDelay: true,
  keepAlive: true,
  highWaterMark: SOCKET_HIGH_WATER_MARK,
} as const

class RealSocket implements Socket {
  readonly remoteHost: string
  readonly remotePort: number
  readonly localHost: string
  readonly localPort: number
  readonly #socket: net.Socket

  constructor(socket: net.Socket) {
    this.#socket = socket
    // A socket that died before it was handed over has no addresses any more; its close event follows.
    this.remoteHost = plainAddress(socket.remoteAddress)
    this.remotePort = socket.remotePort ?? 0
    this.localHost = plainAddress(socket.localAddress)
    this.localPort = socket.localPort ?? 0
  }

  get pendingBytes(): number {
    return this.#socket.writableLength
  }

  write(bytes: Buffer): boolean {
    return this.#socket.writable && this.#socket.write(bytes)
  }

  writeAll(buffers: readonly Buffer[]): boolean {
    if (!this.#socket.writable) return false
    let hasRoom = true
    this.#socket.cork()
    for (const bytes of buffers) hasRoom = this.#socket.write(bytes)
    this.#socket.uncork()
    return hasRoom
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

/** IPv4 addresses of dual-stack sockets without their IPv6 wrapping. */
function plainAddress(address: string | undefined): string {
  if (address === undefined) return ''
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** What one read of an accepted socket brings at most. */
const READ_BUFFER_SIZE = 256 * 1024

/**
 * The connection of an accepted socket as a socket that reads into what `target` says, which is asked before each read; null when this Node
 * does not let it.
 *
 * Otherwise Node allocates 64 KiB for each read, and at 100 MB/s collecting those takes a fifth of the CPU time. It offers a buffer of one's
 * own (`onread`) only to sockets that are made from options, so the accepted one is made anew around its handle.
 */
function readingInto(
  target: () => Buffer,
  accepted: net.Socket,
  onData: (bytes: Buffer) => void,
): net.Socket | null {
  const handle: unknown = Reflect.get(accepted, '_handle')
  if (typeof handle !== 'object' || handle === null || !('useUserBuffer' in handle)) return null
  // The accepted one must not close a handle that it no longer owns.
  Reflect.set(accepted, '_handle', null)
  let reading = target()
  const buffer = () => {
    reading = target()
    return reading
  }
  const callback = (size: number) => {
    onData(reading.subarray(0, size))
    return true
  }
  const onread = { buffer, callback }
  const options = { writableHighWaterMark: SOCKET_HIGH_WATER_MARK, onread }
  Reflect.set(options, 'handle', handle)
  return new net.Socket(options)
}

/** Takes an accepted socket over; `buffer` is shared by all of a listener. */
function accept(
  accepted: net.Socket,
  buffer: Buffer,
  onSocket: (socket: Socket) => SocketHandler,
): void {
  let handler: SocketHandler | null = null
  const onData = (bytes: Buffer) => handler?.onData(bytes)
  const reading = readingInto(() => handler?.readTarget ?? buffer, accepted, onData)
  handler = onSocket(new RealSocket(reading ?? accepted))
  watch(reading ?? accepted, handler)
  if (reading !== null) return
  accepted.on('data', onData)
  accepted.resume()
}

function watch(socket: net.Socket, handler: SocketHandler): void {
  let failure: Error | null = null
  socket.on('error', (error) => {
    failure ??= error
  })
  socket.on('drain', () => handler.onDrain())
  socket.on('close', () => handler.onClose(failure))
}

function attach(socket: net.Socket, onSocket: (socket: Socket) => SocketHandler): Socket {
  const wrapped = new RealSocket(socket)
  const handler = onSocket(wrapped)
  watch(socket, handler)
  socket.on('data', (bytes: Buffer) => handler.onData(bytes))
  return wrapped
}

const realNetwork: Network = {
  listen(host, port, onSocket) {
    return new Promise<Listener>((resolve, reject) => {
      const buffer = Buffer.allocUnsafeSlow(READ_BUFFER_SIZE)
      const options = { ...SOCKET_OPTIONS, pauseOnConnect: true }
      const server = net.createServer(options, (socket) => accept(socket, buffer, onSocket))
      server.once('error', reject)
      server.listen({ host, port, backlog: 1024 }, () => {
        server.removeListener('error', reject)
        // Accepting can fail later on (EMFILE): the listener lives on, and Node tries again with the next connection.
        server.on('error', () => undefined)
        const address = server.address()
        assert(address !== null && typeof address === 'object')
        resolve({
          host: address.address,
          port: address.port,
          close: () => {
            server.close()
            return Promise.resolve()
          },
        })
      })
    })
  },
  connect(options) {
    return new Promise<Socket>((resolve, reject) => {
      const { host, port } = options
      // In a variable, since the types of `connect` do not list `highWaterMark`.
      const socketOptions = { host, port, ...SOCKET_OPTIONS }
      const socket = net.connect(socketOptions)
      const timer = setTimeout(() => {
        socket.destroy(
          new Error(`no connection to ${options.host}:${options.port} in ${options.timeoutMs} ms`),
        )
      }, options.timeoutMs)
      socket.once('error', (error) => {
        clearTimeout(timer)
        reject(error)
      })
      socket.once('connect', () => {
        clearTimeout(timer)
        resolve(attach(socket, options.onSocket))
      })
    })
  },
  async resolve(name) {
    const addresses = await dns.lookup(name, { all: true })
    return addresses.map((entry) => entry.address)
  },
  localAddresses() {
    const addresses = Object.values(os.networkInterfaces()).flatMap((entries) => entries ?? [])
    const external = addresses.filter((entry) => !entry.internal)
    return [
      ...external.filter((entry) => entry.family === 'IPv4'),
      ...external.filter((entry) => entry.family !== 'IPv4'),
    ].map((entry) => entry.address)
  },
}
