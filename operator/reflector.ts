/**
 * Keeps a local copy of one collection: list, then watch from there, for ever.
 *
 * Whatever goes wrong is answered by going on from the last known version, or by a new list when the server has forgotten it
 * (410) or a handler has thrown. A watch that falls silent is cut: the server sends bookmarks about once a minute.
 */
import { messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Clock, Random, Timer, Timers } from '../common/ports.ts'
import type { KubeCollection, KubeWatcher, WatchEvent } from './kube-api.ts'
import { KubeError } from './kube-error.ts'
import type { KubeObject } from './ports.ts'

export interface ReflectorHandler {
  /** The whole collection as of now; what is not in it is gone. */
  onList(objects: readonly KubeObject[]): void
  onChange(object: KubeObject): void
  onDelete(object: KubeObject): void
}

export type RestartCause = 'expired' | 'silent' | 'error' | 'handler'

export interface ReflectorOptions {
  readonly watcher: KubeWatcher
  readonly collection: KubeCollection
  readonly handler: ReflectorHandler
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly logger: Logger
  /** Told of every restart of the watch that was not an orderly end. */
  readonly onRestart?: (cause: RestartCause) => void
}

const WATCH_TIMEOUT_MIN_SECONDS = 290
const WATCH_TIMEOUT_MAX_SECONDS = 580
/** Three bookmarks missed. */
export const SILENCE_LIMIT_MS = 180_000
export const RETRY_MIN_MS = 800
export const RETRY_MAX_MS = 30_000
/** A watch that ends sooner counts as a failure, so that a server which closes at once is not hammered. */
const WATCH_LIFE_MIN_MS = 1_000

export class Reflector implements AsyncDisposable {
  readonly #options: ReflectorOptions
  readonly #logger: Logger
  #version: string | null = null
  #hasListed = false
  #failures = 0
  #lastEventAt: number
  #isClosed = false
  #abort: AbortController = new AbortController()
  #wake: (() => void) | null = null
  #running: Promise<void> | null = null

  constructor(options: ReflectorOptions) {
    this.#options = options
    this.#lastEventAt = options.clock.monotonic()
    const { kind, namespace } = options.collection
    this.#logger = options.logger.child({ kind, ...(namespace === undefined ? {} : { namespace }) })
  }

  /** True once the first list has been handed over. */
  get hasSynced(): boolean {
    return this.#hasListed
  }

  /** Milliseconds since the server last said anything: an event, a bookmark or a list. */
  get quietMs(): number {
    return this.#options.clock.monotonic() - this.#lastEventAt
  }

  start(): void {
    this.#running ??= this.#run()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#abort.abort()
    this.#wake?.()
    await this.#running
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      try {
        if (this.#version === null) await this.#list()
        if (this.#isClosed) return
        await this.#watch(this.#version ?? '')
      } catch (error) {
        if (this.#isClosed) return
        await this.#recover(error)
      }
    }
  }

  async #list(): Promise<void> {
    const { watcher, collection, handler } = this.#options
    // The first list may come from the server's cache; one after a failure must not go back in time.
    const { items, resourceVersion } = await watcher.listAll(
      collection,
      this.#hasListed ? undefined : '0',
    )
    if (this.#isClosed) return
    this.#heard()
    handle(() => handler.onList(items))
    this.#version = resourceVersion
    this.#hasListed = true
  }

  async #watch(resourceVersion: string): Promise<void> {
    const { watcher, collection, clock, random } = this.#options
    this.#abort = new AbortController()
    const { signal } = this.#abort
    const started = clock.monotonic()
    let wasSilent = false
    let watchdog = this.#guard(() => (wasSilent = true))
    try {
      await watcher.watch(collection, {
        resourceVersion,
        timeoutSeconds:
          WATCH_TIMEOUT_MIN_SECONDS +
          random.integer(WATCH_TIMEOUT_MAX_SECONDS - WATCH_TIMEOUT_MIN_SECONDS + 1),
        signal,
        onEvent: (event) => {
          watchdog.cancel()
          if (signal.aborted) return
          watchdog = this.#guard(() => (wasSilent = true))
          this.#take(event)
        },
      })
    } finally {
      watchdog.cancel()
    }
    if (this.#isClosed) return
    if (wasSilent) {
      this.#restarted('silent')
      return
    }
    if (clock.monotonic() - started < WATCH_LIFE_MIN_MS) {
      throw new KubeError('unavailable', 'the server ended the watch at once')
    }
    this.#failures = 0
  }

  #take(event: WatchEvent): void {
    const { handler } = this.#options
    this.#heard()
    if (event.type === 'DELETED') handle(() => handler.onDelete(event.object))
    else if (event.type !== 'BOOKMARK') handle(() => handler.onChange(event.object))
    this.#failures = 0
    this.#version = event.object.metadata.resourceVersion ?? this.#version
  }

  #heard(): void {
    this.#lastEventAt = this.#options.clock.monotonic()
  }

  #guard(onSilence: () => void): Timer {
    return this.#options.timers.after(SILENCE_LIMIT_MS, () => {
      onSilence()
      this.#abort.abort()
    })
  }

  async #recover(error: unknown): Promise<void> {
    const cause = causeOf(error)
    if (cause !== 'error') this.#version = null
    this.#restarted(cause)
    const isFirstExpiry = cause === 'expired' && this.#failures === 0
    const asked = error instanceof KubeError ? (error.retryAfterMs ?? 0) : 0
    const delayMs = isFirstExpiry ? 0 : Math.max(this.#backOff(), asked)
    this.#failures += 1
    const fields = { err: error, cause, delayMs, failures: this.#failures }
    if (cause === 'handler') this.#logger.error(fields, 'a watch handler failed: listing again')
    else if (cause === 'expired') this.#logger.info(fields, 'watch expired: listing again')
    else this.#logger.warn(fields, `watch failed: ${messageOf(error)}`)
    if (delayMs > 0) await this.#sleep(delayMs)
  }

  #restarted(cause: RestartCause): void {
    this.#options.onRestart?.(cause)
  }

  /** Half of it fixed, half random. */
  #backOff(): number {
    const full = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(this.#failures, 16))
    return Math.round(full / 2 + (this.#options.random.next() * full) / 2)
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

/** Marks what a handler throws, so that it is told from a failure of the server. */
class HandlerError extends Error {}

function handle(work: () => void): void {
  try {
    work()
  } catch (error) {
    throw new HandlerError(messageOf(error), { cause: error })
  }
}

function causeOf(error: unknown): RestartCause {
  if (wasThrownByHandler(error)) return 'handler'
  return error instanceof KubeError && error.code === 'expired' ? 'expired' : 'error'
}

/** The transport wraps what its callback throws. */
function wasThrownByHandler(error: unknown): boolean {
  if (error instanceof HandlerError) return true
  return error instanceof KubeError && error.cause instanceof HandlerError
}
