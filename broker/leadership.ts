/** What a broker does only while its member leads the group: it begins all at once, and ends all at once. */
import type { Logger } from '../common/log.ts'
import type { Timer, Timers } from '../common/ports.ts'
import type { RemotingServer } from '../remoting/server.ts'
import type { GroupMember } from './group-member.ts'
import type { LeaderEndpoint } from './leader-endpoint.ts'
import type { LeaderService } from './leader-service.ts'
import type { OuterApi } from './outer-api.ts'
import type { BrokerParts } from './parts.ts'

/** A hand-over is given up by then. */
const HAND_OVER_MS = 2000
const HAND_OVER_CHECK_MS = 20
/**
 * When connections end after the time of leading: what clients have sent before they heard that their pulls are not held any more has been answered
 * by then; and once more, for those who came while the group's address still led here.
 */
const LEAVE_MS = [200, 2000] as const

export interface LeadershipOptions {
  readonly member: GroupMember
  readonly parts: Pick<BrokerParts, 'longPolling' | 'offsets' | 'locks'>
  readonly outerApi: Pick<OuterApi, 'hasRegistered' | 'start' | 'pause' | 'close'>
  /** In the order of their start; stopped in reverse. */
  readonly services: readonly LeaderService[]
  readonly servers: () => readonly Pick<RemotingServer, 'endConnections'>[]
  /** One for each time of leading; null outside Kubernetes. */
  readonly newEndpoint: () => LeaderEndpoint | null
  readonly timers: Pick<Timers, 'after'>
  readonly logger: Logger
}

export class Leadership {
  readonly #options: LeadershipOptions
  #isLeading = false
  #isHandingOver = false
  /** Ends a hand-over that comes to nothing. */
  #handOverTimer: Timer | null = null
  /** Until it fires, connections stand. */
  #leaveTimer: Timer | null = null
  /** The connections of the time that is over have not been told to end. */
  #hasToLeave = false
  /** Rounds of connections that end. */
  #leaves = 0
  #areServicesStarted = false
  /** The services have ended their work of the former term. */
  #servicesStopped: Promise<void> = Promise.resolve()
  #endpoint: LeaderEndpoint | null = null

  constructor(options: LeadershipOptions) {
    this.#options = options
  }

  get isLeading(): boolean {
    return this.#isLeading
  }

  /** Requests are answered: this member leads, all that only the leader does has begun, and no other is to lead. */
  get isOpen(): boolean {
    return this.#areServicesStarted && !this.#isHandingOver
  }

  /** It led a moment ago, and is going to end the connections of its clients. */
  get isLeaving(): boolean {
    return !this.#isLeading && (this.#leaveTimer !== null || this.#leaves > 0)
  }

  /** Why clients do not come here yet although this member leads; null when they do. */
  get notReached(): string | null {
    if (!this.#options.outerApi.hasRegistered) return 'no name server has taken the broker yet'
    const isReached = this.#endpoint === null || this.#endpoint.isWritten
    return isReached ? null : 'the leader Service does not lead here yet'
  }

  begin(): void {
    const { member, parts, outerApi, services, newEndpoint, logger } = this.#options
    const { term } = member
    logger.info({ term }, 'leading the group')
    this.#stopLeaving()
    // Those who come anew stay.
    if (this.#hasToLeave) this.#endConnections()
    this.#isLeading = true
    parts.longPolling.open()
    outerApi.start()
    this.#endpoint = newEndpoint()
    this.#endpoint?.start()
    const start = () => {
      if (!this.#isLeading || member.term !== term) return
      for (const service of services) service.startLeading()
      this.#areServicesStarted = true
    }
    void this.#servicesStopped.then(start)
  }

  /** Another member leads, or may. Messages that waited have been refused. */
  end(): void {
    if (!this.#isLeading) return
    const { member, parts, outerApi, logger } = this.#options
    logger.warn({ term: member.term }, 'leading the group no more')
    this.#isLeading = false
    this.#endHandOver()
    outerApi.pause()
    this.#endpoint?.stop()
    this.#endpoint = null
    this.#stopServices()
    parts.longPolling.close()
    parts.offsets.forgetAhead()
    parts.locks.clear()
    this.#hasToLeave = true
    this.#leave(0)
  }

  /**
   * Another member shall lead, the furthest when `to` is null; requests wait meanwhile, and the log has all offsets before. Resolves with
   * why that cannot be, or null when it has begun.
   *
   * A log that does not take the offsets is no reason to stay: a disk without room is one to go, and consumers that keep their queues
   * commit their offsets to the next leader themselves.
   */
  async handOver(to: number | null): Promise<string | null> {
    if (!this.#isLeading) return 'this member does not lead'
    if (this.#isHandingOver) return 'another transfer is under way'
    const { term } = this.#options.member
    this.#isHandingOver = true
    await this.flushOffsets()
    // Since then it may lead anew, and serve.
    if (!this.#isHandingOver || this.#options.member.term !== term) return 'the leader has changed'
    const refusal = this.#options.member.transfer(to)
    if (refusal !== null) this.#endHandOver()
    else this.#handOverTimer = this.#options.timers.after(HAND_OVER_MS, () => this.#endHandOver())
    return refusal
  }

  /** Before this member goes: resolves when another one leads, or none can. */
  async leave(): Promise<void> {
    if ((await this.handOver(null)) !== null) return
    while (this.#isLeading && this.#isHandingOver) {
      await new Promise<void>((resolve) => this.#options.timers.after(HAND_OVER_CHECK_MS, resolve))
    }
  }

  /** Takes the broker out of the name servers and the Service, if it leads still, and ends the services. */
  async close(): Promise<void> {
    this.#stopLeaving()
    // Who has handed over has nothing to take back.
    if (this.#isLeading) {
      await Promise.all([this.#endpoint?.close(), this.#options.outerApi.close()])
    }
    this.#stopServices()
    await this.#servicesStopped
  }

  /** Consumers' progress reaches the log. A disk that is full or a role that is lost: what the log does not take now is tried again. */
  async flushOffsets(): Promise<void> {
    try {
      await this.#options.parts.offsets.flush()
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'consumer offsets have not reached the log')
    }
  }

  #leave(round: number): void {
    const delayMs = LEAVE_MS[round]
    if (delayMs === undefined) return
    this.#leaveTimer = this.#options.timers.after(delayMs, () => {
      this.#leaveTimer = null
      this.#endConnections()
      this.#leave(round + 1)
    })
  }

  #stopLeaving(): void {
    this.#leaveTimer?.cancel()
    this.#leaveTimer = null
  }

  /** Clients come back by the group's address, which leads to the next leader. */
  #endConnections(): void {
    this.#hasToLeave = false
    this.#leaves++
    const ended = this.#options.servers().map((server) => server.endConnections())
    void Promise.all(ended).then(() => {
      this.#leaves--
    })
  }

  #endHandOver(): void {
    this.#isHandingOver = false
    this.#handOverTimer?.cancel()
    this.#handOverTimer = null
  }

  #stopServices(): void {
    if (!this.#areServicesStarted) return
    this.#areServicesStarted = false
    const services = this.#options.services.toReversed()
    this.#servicesStopped = (async () => {
      for (const service of services) await service.stopLeading()
    })()
  }
}
