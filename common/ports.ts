/**
 * The ports through which Gantry meets the world: time, randomness, disk and network.
 *
 * Everything else takes them by constructor. `common/runtime.ts` has the real ones, the simulator its own,
 * so that a whole cluster can run in one process from a seed.
 */

export interface Clock {
  /** Wall-clock time in milliseconds since 1970; may jump. */
  now(): number
  /** Milliseconds since an arbitrary start; never goes back. Deadlines and elections use this one. */
  monotonic(): number
}

export interface Timer {
  /** Idempotent; the callback is not called after it. */
  cancel(): void
}

export interface Timers {
  /** Calls `callback` once after `delayMs`. */
  after(delayMs: number, callback: () => void): Timer
  /** Calls `callback` every `intervalMs`, first after one interval. */
  every(intervalMs: number, callback: () => void): Timer
  /** Calls `callback` when the events at hand have been handled (Node: `setImmediate`). */
  soon(callback: () => void): void
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number
  /** Uniform integer in [0, bound); `bound` below 2^48. */
  integer(bound: number): number
  bytes(size: number): Buffer
}

export interface DiskFile {
  readonly path: string
  sizeSync(): number
  /** Reads up to `length` bytes from `position` into `target` at `targetStart`; returns the bytes read (short at the end of the file). */
  readSync(target: Buffer, targetStart: number, length: number, position: number): number
  /** Like `readSync`, without blocking the event loop. */
  read(target: Buffer, targetStart: number, length: number, position: number): Promise<number>
  /** Writes all of `source[start, start+length)` at `position`, or throws. */
  writeSync(source: Buffer, start: number, length: number, position: number): void
  /** Like `writeSync`, without blocking the event loop; the source must stay as it is until then. */
  write(source: Buffer, start: number, length: number, position: number): Promise<void>
  /** fdatasync off the event loop. A rejection means that what was written may be lost: never retry (reliability D1). */
  datasync(): Promise<void>
  datasyncSync(): void
  truncateSync(size: number): void
  /** Idempotent. */
  closeSync(): void
}

export interface DiskEntry {
  readonly name: string
  readonly isDirectory: boolean
}

export interface DiskStatus {
  readonly size: number
  readonly modifiedMs: number
  readonly isDirectory: boolean
}

export interface DiskSpace {
  /** Without what the file system keeps for the superuser: the rest is used or available. */
  readonly totalBytes: number
  readonly availableBytes: number
}

export type DiskOpenMode =
  /** Must exist; read only. */
  | 'read'
  /** Created when missing; read and write. */
  | 'write'

/** Paths are absolute or relative to the process; a missing file is `null`, never an exception, where the signature says so. */
export interface Disk {
  openSync(path: string, mode: DiskOpenMode): DiskFile
  /** Names in byte order; an absent directory is empty. */
  listSync(path: string): readonly DiskEntry[]
  statusSync(path: string): DiskStatus | null
  readFileSync(path: string): Buffer | null
  /** Creates missing parents too. */
  makeDirectorySync(path: string): void
  /** Files and folders. */
  renameSync(from: string, to: string): void
  /** Recursive; absent is fine. */
  removeSync(path: string): void
  /** fsync of a directory, so that creations and renames in it survive a power cut (reliability D2). */
  syncDirectorySync(path: string): void
  /** Like `syncDirectorySync`, without blocking the event loop. */
  syncDirectory(path: string): Promise<void>
  /** Makes a file of `size` bytes (zeroes where there was nothing) and syncs it, off the event loop; its name is not synced. */
  createFile(path: string, size: number): Promise<void>
  /** Removes one file off the event loop: freeing the blocks of a large one takes long. Absent is fine. */
  removeFile(path: string): Promise<void>
  /**
   * Removes a folder with all that is in it, which may be hundreds of thousands of files, off the event loop; a process that ends does not
   * wait for it. Absent is fine.
   */
  removeTree(path: string): Promise<void>
  spaceSync(path: string): DiskSpace
  /** Takes an exclusive lock bound to this process (released by the kernel when it dies); `null` when another holds it. */
  lockSync(path: string): DiskLock | null
}

export interface DiskLock {
  release(): void
}

/** One TCP connection. Data and end are told through the handler, in order. */
export interface Socket {
  readonly remoteHost: string
  readonly remotePort: number
  readonly localHost: string
  readonly localPort: number
  /** Queues bytes; the caller must not change them afterwards. False: more than the high-water mark waits; wait for `onDrain`. */
  write(bytes: Buffer): boolean
  /** Like `write` for several buffers in order, handed to the kernel together (`writev`). */
  writeAll(buffers: readonly Buffer[]): boolean
  /** Bytes accepted by `write` which the kernel has not taken yet. */
  readonly pendingBytes: number
  pause(): void
  resume(): void
  /** Sends what is queued, then FIN. */
  end(): void
  /** Drops the connection at once. */
  destroy(): void
}

export interface SocketHandler {
  onData(bytes: Buffer): void
  /** Of an accepted socket, asked before each read: where the bytes are best put, instead of in the buffer that all share. `onData` gets them there. */
  readonly readTarget?: Buffer
  onDrain(): void
  /** Called exactly once, whatever the cause; `error` is null for an orderly end. */
  onClose(error: Error | null): void
}

export interface Listener {
  readonly host: string
  readonly port: number
  /** Stops accepting; open connections stay. */
  close(): Promise<void>
}

export interface Network {
  /**
   * Rejects with the system's error (`EADDRINUSE` …). `onSocket` returns the handler of an accepted socket. Port 0: any free one.
   * Accepted sockets share a buffer: what their `onData` is given is valid during the call only.
   */
  listen(host: string, port: number, onSocket: (socket: Socket) => SocketHandler): Promise<Listener>
  /** Rejects when no connection stands within `timeoutMs`. */
  connect(options: {
    readonly host: string
    readonly port: number
    readonly timeoutMs: number
    readonly onSocket: (socket: Socket) => SocketHandler
  }): Promise<Socket>
  /** Addresses of a name (A and AAAA); the name itself when it is an address; rejects when unknown. */
  resolve(name: string): Promise<readonly string[]>
  /** Addresses of this machine's interfaces, loopback excluded, IPv4 first. */
  localAddresses(): readonly string[]
}

/** What most components take. */
export interface Runtime {
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly disk: Disk
  readonly network: Network
}
