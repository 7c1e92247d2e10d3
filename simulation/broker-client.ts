/** A remoting client in a simulated world: it asks one member until that does not answer, and then the next one. */
import { silentLogger } from '../common/log.ts'
import { RemotingClient } from '../remoting/client.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { WALL_MS } from './member.ts'
import { CLIENT_PORT } from './store-program.ts'
import type { Timer, Timers } from '../common/ports.ts'
import type { RemotingCommand, RequestContent } from '../remoting/command.ts'
import type { Engine } from './engine.ts'
import type { Member } from './member.ts'
import type { WorkloadOptions } from './workload.ts'

const TIMEOUT_MS = 3000
/** What a held request may take on top. */
const PATIENCE_MS = 2000

export class BrokerClient {
  readonly id: string
  readonly remoting: RemotingClient
  readonly #options: WorkloadOptions
  #target: number

  constructor(options: WorkloadOptions, id: string) {
    const { engine, network, random, members } = options
    this.#options = options
    this.id = id
    this.#target = random.integer(members.length)
    this.remoting = new RemotingClient({
      network: network.of(id),
      clock: { now: () => WALL_MS + Math.floor(engine.now), monotonic: () => engine.now },
      timers: clientTimers(engine),
      logger: silentLogger,
    })
  }

  /** Null when there is no answer, or one that says nothing but that another member may know more. */
  async ask(request: RequestContent, heldMs = 0): Promise<RemotingCommand | null> {
    const timeoutMs = heldMs === 0 ? TIMEOUT_MS : heldMs + PATIENCE_MS
    try {
      const answer = await this.remoting.invoke(this.#address, request, timeoutMs)
      const { code } = answer
      const isElsewhere =
        code === ResponseCode.SYSTEM_BUSY || code === ResponseCode.SERVICE_NOT_AVAILABLE
      if (!isElsewhere && code !== ResponseCode.SYSTEM_ERROR) return answer
    } catch {
      // Not there, not in time, or gone.
    }
    this.#target++
    return null
  }

  /** Asks whoever leads, as clients do that have just asked a name server; null when nobody does. */
  async askLeader(request: RequestContent): Promise<RemotingCommand | null> {
    this.followLeader()
    return this.ask(request)
  }

  followLeader(): void {
    const leader = this.#options.members.find(({ isReady }) => isReady)
    if (leader !== undefined) this.follow(leader)
  }

  follow(member: Member): void {
    this.#target = member.id
  }

  async tell(request: RequestContent): Promise<void> {
    try {
      await this.remoting.invokeOneway(this.#address, request, TIMEOUT_MS)
    } catch {
      this.#target++
    }
  }

  /** Wall clock. */
  get now(): number {
    return WALL_MS + Math.floor(this.#options.engine.now)
  }

  /** Lets virtual time pass. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.engine.schedule(ms, null, 'client', resolve)
    })
  }

  /** Whom it asks next. */
  get host(): string {
    return `n${this.#target % this.#options.members.length}`
  }

  get #address(): string {
    return `${this.host}:${CLIENT_PORT}`
  }
}

/** Clients never die and have exact clocks. */
function clientTimers(engine: Engine): Timers {
  const after = (delayMs: number, callback: () => void): Timer =>
    engine.schedule(Math.max(1, delayMs), null, 'client timer', callback)
  return {
    after,
    every: (intervalMs, callback) => {
      let current: Timer | null = null
      const again = (): void => {
        current = after(intervalMs, () => {
          again()
          callback()
        })
      }
      again()
      return { cancel: () => current?.cancel() }
    },
    soon: (callback) => {
      engine.schedule(0, null, 'client', callback)
    },
  }
}
