/** Connections between the members of a group: one each way, opened by whoever sends on it, and frames on them. */
import { systemCodeOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Network, Socket, SocketHandler, Timer, Timers } from '../common/ports.ts'
import { FrameReader } from './frame-reader.ts'

const CONNECT_TIMEOUT_MS = 1000
/** The other side answers the first frame at once. A machine that lost its power before it could says nothing, not even that it is gone. */
const HELLO_TIMEOUT_MS = 3000
/** A member that is down is asked again after this long; doubled up to the maximum. */
const RETRY_MIN_MS = 50
const RETRY_MAX_MS = 1000
/** Frames are dropped while more than this waits: the other side does not read, and Raft repeats what matters. */
const MAX_PENDING_BYTES = 64 * 1024 * 1024

export interface PeerLinkOptions {
  readonly network: Network
  readonly timers: Timers
  readonly logger: Logger
  readonly address: { readonly host: string; readonly port: number }
  /** The first frame of every connection. */
  readonly hello: () => Buffer
  /** What the other side answers on this connection. */
  readonly onFrame: (frame: Buffer) => void
  readonly onLost: () => void
}

/** The sending side towards one member; connects for as long as it lives. */
export class PeerLink {
  readonly #options: PeerLinkOptions
  #socket: Socket | null = null
  #retry: Timer | null = null
  /** Until the other side has answered. */
  #helloTimer: Timer | null = null
  #retryMs = RETRY_MIN_MS
  #isOpen = true

  constructor(options: PeerLinkOptions) {
    this.#options = options
    this.#connect()
  }

  get isConnected(): boolean {
    return this.#socket !== null
  }

  /** Bytes of frames that the kernel has not taken yet: until it has, they must not change. */
  get pendingBytes(): number {
    return this.#socket?.pendingBytes ?? 0
  }

  /** Sends frames in order; false when they are dropped. */
  send(frames: readonly Buffer[]): boolean {
    const socket = this.#socket
    if (socket === null || socket.pendingBytes > MAX_PENDING_BYTES) return false
    socket.writeAll(frames)
    return true
  }

  /** The member has just been heard of: no need to wait until it is asked again. */
  wake(): void {
    if (this.#retry === null || !this.#isOpen) return
    this.#retry.cancel()
    this.#connect()
  }

  /** Leaves the connection, and opens another one. */
  reconnect(): void {
    const socket = this.#socket
    if (socket === null) return
    this.#lost(socket)
    socket.destroy()
  }

  close(): void {
    this.#isOpen = false
    this.#retry?.cancel()
    this.#helloTimer?.cancel()
    this.#socket?.destroy()
    this.#socket = null
  }

  #connect(): void {
    this.#retry = null
    const { network, address, logger } = this.#options
    network
      .connect({
        ...address,
        timeoutMs: CONNECT_TIMEOUT_MS,
        onSocket: (socket) => this.#opened(socket),
      })
      .then(undefined, (error: unknown) => {
        logger.debug({ ...address, code: systemCodeOf(error) }, 'no connection to a member')
        this.#connectLater()
      })
  }

  #opened(socket: Socket): SocketHandler {
    const { hello, onFrame, timers } = this.#options
    if (!this.#isOpen) {
      socket.destroy()
      return { onData: () => undefined, onDrain: () => undefined, onClose: () => undefined }
    }
    this.#socket = socket
    this.#retryMs = RETRY_MIN_MS
    socket.write(hello())
    const helloTimer = timers.after(HELLO_TIMEOUT_MS, () => this.reconnect())
    this.#helloTimer = helloTimer
    const reader = new FrameReader((frame) => {
      helloTimer.cancel()
      onFrame(frame)
    })
    return {
      onData: (bytes) => {
        if (!reader.push(bytes)) socket.destroy()
      },
      onDrain: () => undefined,
      onClose: () => this.#lost(socket),
    }
  }

  #lost(socket: Socket): void {
    if (this.#socket !== socket) return
    this.#socket = null
    this.#helloTimer?.cancel()
    if (!this.#isOpen) return
    this.#options.onLost()
    this.#connectLater()
  }

  #connectLater(): void {
    if (!this.#isOpen) return
    const delay = this.#retryMs
    this.#retryMs = Math.min(RETRY_MAX_MS, delay * 2)
    this.#retry = this.#options.timers.after(delay, () => this.#connect())
  }
}
