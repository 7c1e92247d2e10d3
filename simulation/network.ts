/**
 * A network in memory on virtual time: connections between named hosts, with latency, cut links and broken connections.
 *
 * Bytes of one direction of a connection arrive in order, as with TCP; a cut link holds them until it heals or the connection breaks.
 */
import assert from 'node:assert/strict'
import type { Listener, Network, Random, Socket, SocketHandler, Timers } from '../common/ports.ts'

export interface SimulatedNetworkOptions {
  readonly timers: Timers
  readonly random: Random
  /** One way, in milliseconds; each chunk takes between half of it and all. */
  readonly latencyMs: number
}

type Accept = (socket: Socket) => SocketHandler

export class SimulatedNetwork {
  readonly options: SimulatedNetworkOptions
  readonly #listeners = new Map<string, { readonly host: string; readonly accept: Accept }>()
  readonly #cut = new Set<string>()
  #sockets: SimulatedSocket[] = []
  #nextPort = 40_000

  constructor(options: SimulatedNetworkOptions) {
    this.options = options
  }

  /** The network as a process on `host` sees it. */
  of(host: string): Network {
    return {
      listen: (_host, port, onSocket) => this.#listen(host, port, onSocket),
      connect: (options) => this.#connect(host, options),
      resolve: (name) => Promise.resolve([name]),
      localAddresses: () => [host],
    }
  }

  /** Nothing passes from one host to the other until `heal`. */
  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`)
  }

  heal(from: string, to: string): void {
    this.#cut.delete(`${from}>${to}`)
    for (const socket of this.#sockets) socket.deliverHeld()
  }

  healAll(): void {
    this.#cut.clear()
    for (const socket of this.#sockets) socket.deliverHeld()
  }

  isCut(from: string, to: string): boolean {
    return this.#cut.has(`${from}>${to}`)
  }

  /** The process on `host` has died: its listeners and connections go with it; the others learn of it after the latency. */
  killHost(host: string): void {
    for (const [key, listener] of this.#listeners) {
      if (listener.host === host) this.#listeners.delete(key)
    }
    for (const socket of [...this.#sockets]) if (socket.localHost === host) socket.die()
  }

  forget(socket: SimulatedSocket): void {
    this.#sockets = this.#sockets.filter((other) => other !== socket)
  }

  delay(): number {
    const { latencyMs, random } = this.options
    return latencyMs / 2 + (random.next() * latencyMs) / 2
  }

  #listen(host: string, port: number, accept: Accept): Promise<Listener> {
    const actual = port === 0 ? this.#nextPort++ : port
    const key = `${host}:${actual}`
    if (this.#listeners.has(key)) {
      return Promise.reject(Object.assign(new Error(`EADDRINUSE: ${key}`), { code: 'EADDRINUSE' }))
    }
    this.#listeners.set(key, { host, accept })
    const close = (): Promise<void> => {
      this.#listeners.delete(key)
      return Promise.resolve()
    }
    return Promise.resolve({ host, port: actual, close })
  }

  #connect(
    from: string,
    options: {
      readonly host: string
      readonly port: number
      readonly timeoutMs: number
      readonly onSocket: Accept
    },
  ): Promise<Socket> {
    const { timers } = this.options
    const { host, port, timeoutMs, onSocket } = options
    return new Promise((resolve, reject) => {
      const fail = (code: string): void => {
        reject(Object.assign(new Error(`${code}: ${host}:${port}`), { code }))
      }
      if (this.isCut(from, host) || this.isCut(host, from)) {
        timers.after(timeoutMs, () => fail('ETIMEDOUT'))
        return
      }
      timers.after(this.delay() * 2, () => {
        const listener = this.#listeners.get(`${host}:${port}`)
        if (listener === undefined) {
          fail('ECONNREFUSED')
          return
        }
        const near = new SimulatedSocket(this, {
          from,
          to: host,
          localPort: this.#nextPort++,
          remotePort: port,
        })
        const far = new SimulatedSocket(this, {
          from: host,
          to: from,
          localPort: port,
          remotePort: near.localPort,
        })
        near.other = far
        far.other = near
        this.#sockets.push(near, far)
        far.handler = listener.accept(far)
        near.handler = onSocket(near)
        resolve(near)
      })
    })
  }
}

class SimulatedSocket implements Socket {
  readonly localHost: string
  readonly remoteHost: string
  readonly localPort: number
  readonly remotePort: number
  readonly #network: SimulatedNetwork
  handler: SocketHandler | null = null
  other: SimulatedSocket | null = null
  #isClosed = false
  #isPaused = false
  /** What the other side is to see, in order; null stands for the end. */
  #toDeliver: (Buffer | null)[] = []
  #isDelivering = false

  constructor(
    network: SimulatedNetwork,
    ends: {
      readonly from: string
      readonly to: string
      readonly localPort: number
      readonly remotePort: number
    },
  ) {
    this.#network = network
    this.localHost = ends.from
    this.remoteHost = ends.to
    this.localPort = ends.localPort
    this.remotePort = ends.remotePort
  }

  get pendingBytes(): number {
    return 0
  }

  write(bytes: Buffer): boolean {
    return this.writeAll([bytes])
  }

  writeAll(buffers: readonly Buffer[]): boolean {
    if (this.#isClosed) return false
    this.#toDeliver.push(Buffer.concat(buffers))
    this.#deliverLater()
    return true
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.other?.deliverHeld()
  }

  end(): void {
    if (this.#isClosed) return
    this.#toDeliver.push(null)
    this.#deliverLater()
  }

  destroy(): void {
    if (this.#isClosed) return
    this.#toDeliver = [null]
    this.#close(null)
    this.#deliverLater()
  }

  /** The process is gone: nobody is told here, the other side sees the connection break. */
  die(): void {
    this.handler = null
    this.destroy()
  }

  deliverHeld(): void {
    if (this.#toDeliver.length > 0) this.#deliverLater()
  }

  #deliverLater(): void {
    if (this.#isDelivering) return
    this.#isDelivering = true
    this.#network.options.timers.after(this.#network.delay(), () => {
      this.#isDelivering = false
      this.#deliver()
    })
  }

  #deliver(): void {
    const { other } = this
    assert(other !== null)
    if (this.#network.isCut(this.localHost, this.remoteHost)) return
    if (other.#isPaused) return
    const chunks = this.#toDeliver
    this.#toDeliver = []
    for (const chunk of chunks) {
      if (other.#isClosed) return
      if (chunk !== null) other.handler?.onData(chunk)
      else other.#close(null)
    }
  }

  #close(error: Error | null): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#network.forget(this)
    const { handler } = this
    this.handler = null
    // As with Node, after whoever closed it has returned.
    this.#network.options.timers.soon(() => handler?.onClose(error))
  }
}
