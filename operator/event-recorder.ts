/**
 * Events of events.k8s.io/v1. Equal ones within ten minutes become one Event with a series, written at most every half minute; the queue has a
 * limit, and what does not fit is dropped and counted: Events are for people, reconciling does not wait for them.
 */
import type { Logger } from '../common/log.ts'
import type { Clock, Random, Timer, Timers } from '../common/ports.ts'
import type { KubeTransport } from './kube-api.ts'
import { KubeError } from './kube-error.ts'
import { pathOf } from './kube-kinds.ts'
import { microTime } from './lease.ts'
import type { EventRecorder, KubeObject } from './ports.ts'

export interface EventRecorderOptions {
  readonly transport: KubeTransport
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly logger: Logger
  /** The pod that reports. */
  readonly instance: string
}

export const REPORTING_CONTROLLER = 'rocketmq.gantry.dev/operator'
const API_VERSION = 'events.k8s.io/v1'
const SERIES_WINDOW_MS = 600_000
const SERIES_WRITE_EVERY_MS = 30_000
const MAX_KNOWN = 1_000
const MAX_WAITING = 256
const MAX_NOTE_CHARS = 1_024
/** Tries of one write; after that the Event is dropped. */
const MAX_TRIES = 4
const RETRY_MS = 1_000

type Happening = Parameters<EventRecorder['record']>[1]

interface Known {
  readonly namespace: string
  readonly name: string
  readonly body: Readonly<Record<string, unknown>>
  count: number
  lastAt: number
  /** What the server has been told. */
  writtenCount: number
  isWaiting: boolean
  timer: Timer | null
}

export class KubeEventRecorder implements EventRecorder, AsyncDisposable {
  readonly #options: EventRecorderOptions
  readonly #known: Map<string, Known> = new Map()
  readonly #waiting: Known[] = []
  #sending: Promise<void> | null = null
  #wake: (() => void) | null = null
  #isClosed = false
  #dropped = 0

  constructor(options: EventRecorderOptions) {
    this.#options = options
  }

  /** Events that were not written: the queue was full or the server refused. */
  get dropped(): number {
    return this.#dropped
  }

  record(regarding: KubeObject, event: Happening): void {
    if (this.#isClosed) return
    const { clock } = this.#options
    const key = keyOf(regarding, event)
    const known = this.#known.get(key)
    const now = clock.monotonic()
    if (known !== undefined && now - known.lastAt < SERIES_WINDOW_MS) {
      known.count += 1
      known.lastAt = now
      this.#writeSeriesSoon(known)
      return
    }
    this.#forgetOld(now)
    const created = this.#create(regarding, event)
    this.#known.set(key, created)
    this.#enqueue(created)
  }

  /** Writes what waits, but for no longer than its tries last. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const known of this.#known.values()) known.timer?.cancel()
    this.#wake?.()
    await this.#sending
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #create(regarding: KubeObject, event: Happening): Known {
    const { clock, random, instance } = this.#options
    const { name: regardedName, namespace = 'default', uid, resourceVersion } = regarding.metadata
    const name = `${regardedName}.${clock.now().toString(16)}${random.bytes(4).toString('hex')}`
    return {
      namespace,
      name,
      count: 1,
      writtenCount: 0,
      lastAt: clock.monotonic(),
      isWaiting: false,
      timer: null,
      body: {
        apiVersion: API_VERSION,
        kind: 'Event',
        metadata: { name, namespace },
        eventTime: microTime(clock),
        reportingController: REPORTING_CONTROLLER,
        reportingInstance: instance.slice(0, 128),
        type: event.type,
        reason: event.reason,
        action: event.action.slice(0, 128),
        note: shorten(event.note),
        regarding: {
          apiVersion: regarding.apiVersion,
          kind: regarding.kind,
          name: regardedName,
          namespace,
          ...(uid === undefined ? {} : { uid }),
          ...(resourceVersion === undefined ? {} : { resourceVersion }),
        },
      },
    }
  }

  #writeSeriesSoon(known: Known): void {
    if (known.timer !== null || known.isWaiting) return
    known.timer = this.#options.timers.after(SERIES_WRITE_EVERY_MS, () => {
      known.timer = null
      this.#enqueue(known)
    })
  }

  #enqueue(known: Known): void {
    if (this.#isClosed) return
    if (this.#waiting.length >= MAX_WAITING) {
      this.#dropped += 1
      return
    }
    known.isWaiting = true
    this.#waiting.push(known)
    this.#sending ??= this.#send()
  }

  async #send(): Promise<void> {
    for (;;) {
      const known = this.#waiting.shift()
      if (known === undefined) break
      known.isWaiting = false
      await this.#write(known)
    }
    this.#sending = null
  }

  async #write(known: Known): Promise<void> {
    const { logger } = this.#options
    for (let attempt = 1; ; attempt += 1) {
      const count = known.count
      try {
        await this.#writeOnce(known, count)
        known.writtenCount = count
        return
      } catch (error) {
        // A terminating namespace refuses; so does a missing right: trying again changes nothing.
        const passes = error instanceof KubeError && error.code !== 'unavailable'
        const isThrottled = error instanceof KubeError && error.code === 'tooManyRequests'
        if ((passes && !isThrottled) || attempt === MAX_TRIES || this.#isClosed) {
          this.#dropped += 1
          logger.debug({ err: error, event: known.name }, 'an event was dropped')
          return
        }
        await this.#sleep(RETRY_MS * 2 ** (attempt - 1))
      }
    }
  }

  async #writeOnce(known: Known, count: number): Promise<void> {
    const { transport } = this.#options
    const collection = { apiVersion: API_VERSION, kind: 'Event', namespace: known.namespace }
    if (known.writtenCount === 0) {
      const series = count > 1 ? { series: this.#series(count) } : {}
      const body = { ...known.body, ...series }
      await transport.request({ method: 'POST', path: pathOf(collection), body })
      return
    }
    await transport.request({
      method: 'PATCH',
      path: pathOf({ ...collection, name: known.name }),
      contentType: 'application/merge-patch+json',
      body: { series: this.#series(count) },
    })
  }

  #series(count: number): Readonly<Record<string, unknown>> {
    return { count, lastObservedTime: microTime(this.#options.clock) }
  }

  #forgetOld(now: number): void {
    for (const [key, known] of this.#known) {
      const isOld = now - known.lastAt >= SERIES_WINDOW_MS
      if (!isOld && this.#known.size < MAX_KNOWN) continue
      known.timer?.cancel()
      this.#known.delete(key)
    }
  }

  async #sleep(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = this.#options.timers.after(delayMs, resolve)
    this.#wake = resolve
    await promise
    timer.cancel()
    this.#wake = null
  }
}

function keyOf(regarding: KubeObject, event: Happening): string {
  const { namespace, name, uid } = regarding.metadata
  return JSON.stringify([
    regarding.kind,
    namespace,
    name,
    uid,
    event.type,
    event.reason,
    event.action,
    event.note,
  ])
}

function shorten(note: string): string {
  return note.length <= MAX_NOTE_CHARS ? note : `${note.slice(0, MAX_NOTE_CHARS - 1)}…`
}
