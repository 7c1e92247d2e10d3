/**
 * A network in memory on virtual time: connections between named hosts, with latency, cut links and broken connections.
 *
 * Bytes of one direction of a connection arrive in order, as with TCP, whole or in pieces; a cut link holds them until it heals or the
 * connection breaks. Whoever loses its power says no goodbye: the others find out when they hear from its next life, if ever.
 */
import assert from 'node:assert/strict'
import type { Listener, Network, Random, Socket, SocketHandler, Timers } from '../common/ports.ts'

export interface SimulatedNetworkOptions {
  readonly timers: Timers
  readonly random: Random
  /** One way, in milliseconds; each chunk takes between half of it and all. */
  readonly latencyMs: number
  /** Timers that stop and die with the process on a host; absent: `timers` for all. */
  readonly timersOf?: (host: string) => Timers
  /** One chunk in so many arrives in two pieces; 0: none does. */
  readonly splitOneIn?: number
}

type Accept = (socket: Socket) => SocketHandler

interface ConnectOptions {
  readonly host: string
  readonly port: number
  readonly timeoutMs: number
  readonly onSocket: Accept
}

export class SimulatedNetwork {
  readonly options: SimulatedNetworkOptions
  readonly #listeners = new Map<string, { readonly host: string; readonly accept: Accept }>()
  readonly #cut = new Set<string>()
  /** Added to the latency of a link, in milliseconds. */
  readonly #slow = new Map<string, number>()
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
    for (const socket of [...this.#sockets]) socket.deliverHeld()
  }

  /** Everything passes again, at its usual pace. */
  healAll(): void {
    this.#cut.clear()
    this.#slow.clear()
    for (const socket of [...this.#sockets]) socket.deliverHeld()
  }

  isCut(from: string, to: string): boolean {
    return this.#cut.size > 0 && this.#cut.has(`${from}>${to}`)
  }

  /** Everything from one host to the other takes `byMs` longer; 0: no longer. */
  slow(from: string, to: string, byMs: number): void {
    if (byMs === 0) this.#slow.delete(`${from}>${to}`)
    else this.#slow.set(`${from}>${to}`, byMs)
  }

  /** The process on `host` has died: its listeners and connections go with it; the others learn of it after the latency. */
  killHost(host: string): void {
    this.#closeListeners(host)
    for (const socket of [...this.#sockets]) if (socket.localHost === host) socket.die()
  }

  /** The machine has lost its power: nobody is told. */
  cutPower(host: string): void {
    this.#closeListeners(host)
    for (const socket of [...this.#sockets]) if (socket.localHost === host) socket.vanish()
  }

  /** The machine is back under its old address, and refuses what belongs to connections of before. */
  restorePower(host: string): void {
    for (const socket of [...this.#sockets]) if (socket.remoteHost === host) socket.resend()
  }

  /** Breaks every `oneIn`th connection, by chance; both ends are told. */
  breakConnections(oneIn: number): number {
    let count = 0
    for (const socket of [...this.#sockets]) {
      if (this.options.random.integer(oneIn) !== 0) continue
      socket.reset()
      count++
    }
    return count
  }

  forget(socket: SimulatedSocket): void {
    this.#sockets = this.#sockets.filter((other) => other !== socket)
  }

  timersOf(host: string): Timers {
    return this.options.timersOf?.(host) ?? this.options.timers
  }

  delay(from: string, to: string): number {
    const { latencyMs, random } = this.options
    const slow = this.#slow.size === 0 ? 0 : (this.#slow.get(`${from}>${to}`) ?? 0)
    return latencyMs / 2 + (random.next() * latencyMs) / 2 + slow
  }

  #closeListeners(host: string): void {
    for (const [key, listener] of this.#listeners) {
      if (listener.host === host) this.#listeners.delete(key)
    }
  }

  #listen(host: string, port: number, accept: Accept): Promise<Listener> {
    const actual = port === 0 ? this.#nextPort++ : port
    const key = `${host}:${actual}`
    if (this.#listeners.has(key)) {
      return Promise.reject(Object.assign(new Error(`EADDRINUSE: ${key}`), { code: 'EADDRINUSE' }))
    }
    const listener = { host, accept }
    this.#listeners.set(key, listener)
    const close = (): Promise<void> => {
      if (this.#listeners.get(key) === listener) this.#listeners.delete(key)
      return Promise.resolve()
    }
    return Promise.resolve({ host, port: actual, close })
  }

  #connect(from: string, options: ConnectOptions): Promise<Socket> {
    const { host, port, timeoutMs } = options
    const timers = this.timersOf(from)
    return new Promise((resolve, reject) => {
      const fail = (code: string): void => {
        reject(Object.assign(new Error(`${code}: ${host}:${port}`), { code }))
      }
      if (this.isCut(from, host) || this.isCut(host, from)) {
        timers.after(timeoutMs, () => fail('ETIMEDOUT'))
        return
      }
      const roundTrip = this.delay(from, host) + this.delay(host, from)
      timers.after(Math.min(timeoutMs, roundTrip), () => {
        const listener = this.#listeners.get(`${host}:${port}`)
        if (roundTrip > timeoutMs) fail('ETIMEDOUT')
        else if (listener === undefined) fail('ECONNREFUSED')
        else resolve(this.#open(from, options, listener.accept))
      })
    })
  }

  #open(from: string, { host, port, onSocket }: ConnectOptions, accept: Accept): Socket {
    const localPort = this.#nextPort++
    const near = new SimulatedSocket(this, { from, to: host, localPort, remotePort: port })
    const far = new SimulatedSocket(this, {
      from: host,
      to: from,
      localPort: port,
      remotePort: localPort,
    })
    near.other = far
    far.other = near
    this.#sockets.push(near, far)
    // The accepting process takes it in its own time, which may be later when it is stopped.
    this.timersOf(host).soon(() => far.begin(accept))
    near.begin(onSocket)
    return near
  }
}

class SimulatedSocket implements Socket {
  readonly localHost: string
  readonly remoteHost: string
  readonly localPort: number
  readonly remotePort: number
  readonly #network: SimulatedNetwork
  #handler: SocketHandler | null = null
  other: SimulatedSocket | null = null
  #hasBegun = false
  #isClosed = false
  #isPaused = false
  /** What the other side is to see, in order, still in the sender's memory: it must not change before. Null stands for the end. */
  #toDeliver: (readonly Buffer[] | null)[] = []
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
    let bytes = 0
    for (const buffers of this.#toDeliver) {
      for (const buffer of buffers ?? []) bytes += buffer.length
    }
    return bytes
  }

  /** Hands the socket to its process. */
  begin(accept: Accept): void {
    if (this.#isClosed) return
    this.#hasBegun = true
    this.#handler = accept(this)
    this.other?.deliverHeld()
  }

  write(bytes: Buffer): boolean {
    return this.writeAll([bytes])
  }

  writeAll(buffers: readonly Buffer[]): boolean {
    if (this.#isClosed) return false
    this.#toDeliver.push(buffers.slice())
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
    this.#handler = null
    this.destroy()
  }

  /** The machine is gone: nobody is told anywhere. */
  vanish(): void {
    this.#handler = null
    this.#isClosed = true
    this.#toDeliver = []
    this.#network.forget(this)
  }

  /** What was under way is lost, and both ends are told. */
  reset(): void {
    const { other } = this
    this.#toDeliver = []
    if (other !== null) other.#toDeliver = []
    const error = Object.assign(new Error('ECONNRESET'), { code: 'ECONNRESET' })
    this.#close(error)
    if (other !== null) other.#close(error)
  }

  /** What waits for a machine that was away goes on its way again, to be refused there. */
  resend(): void {
    this.#isDelivering = false
    this.deliverHeld()
  }

  deliverHeld(): void {
    if (this.#toDeliver.length > 0) this.#deliverLater()
  }

  #deliverLater(): void {
    if (this.#isDelivering) return
    this.#isDelivering = true
    const delay = this.#network.delay(this.localHost, this.remoteHost)
    this.#network.timersOf(this.remoteHost).after(delay, () => {
      this.#isDelivering = false
      this.#deliver()
    })
  }

  #deliver(): void {
    const { other } = this
    assert(other !== null)
    if (this.#network.isCut(this.localHost, this.remoteHost)) return
    if (other.#isClosed && !this.#isClosed) {
      this.reset()
      return
    }
    if (other.#isPaused || !other.#hasBegun) return
    const chunks = this.#toDeliver.map((buffers) => buffers && Buffer.concat(buffers))
    this.#toDeliver = []
    for (const chunk of chunks) {
      if (other.#isClosed) break
      if (chunk === null) other.#close(null)
      else this.#hand(other, chunk)
    }
    if (this.#isClosed) this.#network.forget(this)
  }

  #hand(other: SimulatedSocket, chunk: Buffer): void {
    const { random, splitOneIn = 0 } = this.#network.options
    if (splitOneIn === 0 || chunk.length < 2 || random.integer(splitOneIn) !== 0) {
      other.#handler?.onData(chunk)
      return
    }
    const at = 1 + random.integer(chunk.length - 1)
    other.#handler?.onData(chunk.subarray(0, at))
    if (!other.#isClosed) other.#handler?.onData(chunk.subarray(at))
  }

  #close(error: Error | null): void {
    if (this.#isClosed) return
    this.#isClosed = true
    // One whose end the other side has yet to hear of stays until it has.
    if (this.#toDeliver.length === 0) this.#network.forget(this)
    const handler = this.#handler
    this.#handler = null
    // As with Node, after whoever closed it has returned.
    this.#network.timersOf(this.localHost).soon(() => handler?.onClose(error))
  }
}
