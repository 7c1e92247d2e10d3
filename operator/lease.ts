/**
 * Leader election by a Lease of coordination.k8s.io: of several operators one acts.
 *
 * Only this process's monotonic clock decides; the times written into the Lease are for people. A holder that has not renewed for the
 * renew deadline is told to end at once, well before another may take over.
 */
import { messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Clock, Random, Timer, Timers } from '../common/ports.ts'
import { textAt, valueAt } from './json.ts'
import type { KubeTransport } from './kube-api.ts'
import { KubeError } from './kube-error.ts'
import { pathOf } from './kube-kinds.ts'

export interface LeaseOptions {
  readonly transport: KubeTransport
  readonly namespace: string
  readonly name: string
  /** Of this process: no two share it. */
  readonly identity: string
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly logger: Logger
  readonly durations?: LeaseDurations
  readonly onLeading: () => void
  /** The lease is lost or may be: end the process at once. */
  readonly onLost: (reason: string) => void
}

export interface LeaseDurations {
  readonly leaseMs: number
  readonly renewDeadlineMs: number
  readonly retryMs: number
}

export const LEASE_DURATIONS: LeaseDurations = {
  leaseMs: 15_000,
  renewDeadlineMs: 10_000,
  retryMs: 2_000,
}
/** No act begins with less of the lease than this. */
export const ACT_MARGIN_MS = 5_000

interface LeaseRecord {
  readonly resourceVersion: string
  readonly holder: string
  readonly leaseMs: number
  readonly acquireTime: string
  readonly transitions: number
  /** What changes with each renewal. */
  readonly renewTime: string
}

export class LeaseElector implements AsyncDisposable {
  readonly #options: LeaseOptions
  readonly #durations: LeaseDurations
  /** When the last successful renewal was sent, by the monotonic clock; null: not leading. */
  #renewedAt: number | null = null
  #seen: { readonly record: LeaseRecord; readonly at: number } | null = null
  #timer: Timer | null = null
  #deadline: Timer | null = null
  #isClosed = false
  #attempt: Promise<void> | null = null

  constructor(options: LeaseOptions) {
    this.#options = options
    this.#durations = options.durations ?? LEASE_DURATIONS
  }

  get isLeading(): boolean {
    return this.#renewedAt !== null
  }

  /** True while this process leads and enough of its lease is left to finish an act. */
  mayAct(): boolean {
    if (this.#renewedAt === null) return false
    const age = this.#options.clock.monotonic() - this.#renewedAt
    return age <= this.#durations.leaseMs - ACT_MARGIN_MS
  }

  start(): void {
    this.#tick()
  }

  /** Gives the lease up, so that another need not wait for its end. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer?.cancel()
    this.#deadline?.cancel()
    await this.#attempt
    if (this.#renewedAt === null || this.#seen === null) return
    this.#renewedAt = null
    try {
      const { record } = this.#seen
      await this.#write({ ...record, holder: '', leaseMs: 1_000, renewTime: this.#timestamp() })
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'the lease could not be released; it will expire')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #tick(): void {
    if (this.#isClosed) return
    const { timers, random } = this.#options
    this.#attempt = this.#tryOnce().finally(() => {
      if (this.#isClosed) return
      const delayMs = Math.round(this.#durations.retryMs * (1 + 0.2 * random.next()))
      this.#timer = timers.after(delayMs, () => this.#tick())
    })
  }

  async #tryOnce(): Promise<void> {
    const { clock, logger, identity } = this.#options
    const startedAt = clock.monotonic()
    try {
      const record = await this.#read()
      this.#observe(record)
      if (record !== null && record.holder !== identity) {
        if (this.#renewedAt !== null) {
          this.#lose(`${record.holder === '' ? 'nobody' : record.holder} holds the lease now`)
          return
        }
        if (!this.#isOver(record)) return
      }
      const written = await this.#write(this.#next(record))
      this.#observe(written)
      this.#renewed(startedAt)
    } catch (error) {
      // Somebody else was faster, or the server is away: the next try will tell.
      const isRace = error instanceof KubeError && error.code === 'conflict'
      if (!isRace) logger.warn({ err: error }, `lease: ${messageOf(error)}`)
    }
  }

  /** Over, for us, is a lease that has not changed for its whole duration since we saw it change last. */
  #isOver(record: LeaseRecord): boolean {
    if (record.holder === '') return true
    const seenAt = this.#seen?.at ?? this.#options.clock.monotonic()
    return this.#options.clock.monotonic() - seenAt >= record.leaseMs
  }

  #observe(record: LeaseRecord | null): void {
    if (record === null) {
      this.#seen = null
      return
    }
    if (this.#seen?.record.resourceVersion === record.resourceVersion) return
    this.#seen = { record, at: this.#options.clock.monotonic() }
  }

  #next(record: LeaseRecord | null): LeaseRecord {
    const { identity } = this.#options
    const now = this.#timestamp()
    const isOurs = record?.holder === identity
    return {
      resourceVersion: record?.resourceVersion ?? '',
      holder: identity,
      leaseMs: this.#durations.leaseMs,
      acquireTime: isOurs ? record.acquireTime : now,
      transitions: (record?.transitions ?? 0) + (record === null || isOurs ? 0 : 1),
      renewTime: now,
    }
  }

  #renewed(startedAt: number): void {
    if (this.#isClosed) {
      this.#renewedAt = startedAt
      return
    }
    const isNew = this.#renewedAt === null
    this.#renewedAt = startedAt
    this.#deadline?.cancel()
    const { clock, timers, logger, onLeading } = this.#options
    const left = this.#durations.renewDeadlineMs - (clock.monotonic() - startedAt)
    this.#deadline = timers.after(Math.max(0, left), () => {
      this.#lose(`not renewed for ${this.#durations.renewDeadlineMs} ms`)
    })
    if (isNew) {
      logger.info({ lease: this.#options.name }, 'leading')
      onLeading()
    }
  }

  #lose(reason: string): void {
    if (this.#renewedAt === null || this.#isClosed) return
    this.#renewedAt = null
    this.#isClosed = true
    this.#timer?.cancel()
    this.#deadline?.cancel()
    this.#options.logger.error({ reason }, 'the lease is lost')
    this.#options.onLost(reason)
  }

  async #read(): Promise<LeaseRecord | null> {
    try {
      return parseLease(await this.#request('GET', this.#path(true)))
    } catch (error) {
      if (error instanceof KubeError && error.code === 'notFound') return null
      throw error
    }
  }

  /** With a resourceVersion it replaces exactly that Lease, without one it creates it. */
  async #write(record: LeaseRecord): Promise<LeaseRecord> {
    const isNew = record.resourceVersion === ''
    const { namespace, name } = this.#options
    const body = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace, ...(isNew ? {} : { resourceVersion: record.resourceVersion }) },
      spec: {
        holderIdentity: record.holder,
        leaseDurationSeconds: Math.round(record.leaseMs / 1000),
        acquireTime: record.acquireTime,
        renewTime: record.renewTime,
        leaseTransitions: record.transitions,
      },
    }
    const answer = await this.#request(isNew ? 'POST' : 'PUT', this.#path(!isNew), body)
    return parseLease(answer)
  }

  /** A call may not outlast the renew deadline, else it could succeed after we have given up. */
  async #request(method: 'GET' | 'POST' | 'PUT', path: string, body?: unknown): Promise<unknown> {
    const timeoutMs = this.#durations.renewDeadlineMs / 2
    const withBody = body === undefined ? {} : { body }
    return await this.#options.transport.request({ method, path, timeoutMs, ...withBody })
  }

  #path(named: boolean): string {
    const { namespace, name } = this.#options
    const base = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace }
    return pathOf(named ? { ...base, name } : base)
  }

  /** MicroTime: RFC 3339 with six digits. */
  #timestamp(): string {
    return microTime(this.#options.clock)
  }
}

/** The wall clock as Kubernetes' MicroTime. */
export function microTime(clock: Clock): string {
  return new Date(clock.now()).toISOString().replace('Z', '000Z')
}

function parseLease(body: unknown): LeaseRecord {
  const resourceVersion = textAt(body, 'metadata', 'resourceVersion')
  if (resourceVersion === null) throw new KubeError('unavailable', 'the answer is no Lease')
  return {
    resourceVersion,
    holder: textAt(body, 'spec', 'holderIdentity') ?? '',
    leaseMs: numberOf(valueAt(body, 'spec', 'leaseDurationSeconds')) * 1000,
    acquireTime: textAt(body, 'spec', 'acquireTime') ?? '',
    transitions: numberOf(valueAt(body, 'spec', 'leaseTransitions')),
    renewTime: textAt(body, 'spec', 'renewTime') ?? '',
  }
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
