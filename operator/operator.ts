/** Wires the operator: reflectors fill the cache, its changes fill the work queue, and the holder of the Lease works it off. */
import type { Logger } from '../common/log.ts'
import type { Runtime } from '../common/ports.ts'
import { createKubeAddressing } from './addressing.ts'
import { createController } from './controller.ts'
import type { DataPlanes } from './ports.ts'
import { KubeEventRecorder } from './event-recorder.ts'
import { createKubeApi, createKubeWatcher } from './kube-api.ts'
import type { KubeTransport } from './kube-api.ts'
import { WATCHED_KINDS } from './kube-kinds.ts'
import { LeaseElector } from './lease.ts'
import type { LeaseDurations } from './lease.ts'
import { countActs, createOperatorMetrics } from './metrics.ts'
import type { OperatorMetrics } from './metrics.ts'
import { clusterKeyOf, MemoryObjectCache } from './object-cache.ts'
import { Reflector } from './reflector.ts'
import { WorkQueue } from './work-queue.ts'

export interface OperatorOptions {
  /** Namespaces to watch; null: all of them. */
  readonly namespaces: readonly string[] | null
  /** Null: act without a Lease, for an operator that is surely alone. */
  readonly lease: {
    readonly namespace: string
    readonly name: string
    readonly durations: LeaseDurations
  } | null
  /** The pod's name, or what else names this process. */
  readonly identity: string
  /** Image of the pods of clusters that name no repository. */
  readonly operandImage: string
  readonly workers: number
}

export interface OperatorParts extends OperatorOptions {
  readonly runtime: Runtime
  readonly logger: Logger
  readonly createTransport: (onCall: OperatorMetrics['apiCalled']) => KubeTransport
  readonly dataPlanes: DataPlanes
  /** The process must end now: the Lease is lost. */
  readonly onFatal: (reason: string) => void
}

const RESYNC_MS = 300_000
/** Nothing at all from the API server for this long: not ready. */
const STALE_MS = 600_000
const CLUSTER_LABEL = 'rocketmq.gantry.dev/cluster'

export class Operator implements AsyncDisposable {
  readonly metrics: OperatorMetrics
  readonly #parts: OperatorParts
  readonly #transport: KubeTransport
  readonly #cache: MemoryObjectCache = new MemoryObjectCache()
  readonly #reflectors: readonly { readonly kind: string; readonly reflector: Reflector }[]
  readonly #events: KubeEventRecorder
  readonly #elector: LeaseElector | null
  readonly #queue: WorkQueue
  #isWorking = false
  #closed: Promise<void> | null = null

  constructor(parts: OperatorParts) {
    this.#parts = parts
    const { runtime, logger, identity, onFatal, lease } = parts
    this.metrics = this.#createMetrics()
    this.#transport = parts.createTransport((call) => this.metrics.apiCalled(call))
    const shared = { ...runtime, logger, transport: this.#transport }
    this.#events = new KubeEventRecorder({ ...shared, instance: identity })
    this.#elector =
      lease === null
        ? null
        : new LeaseElector({
            ...shared,
            ...lease,
            identity,
            onLeading: () => this.#work(),
            onLost: onFatal,
          })
    this.#reflectors = this.#createReflectors()
    const controller = createController({
      api: createKubeApi(this.#transport),
      cache: this.#cache,
      dataPlanes: parts.dataPlanes,
      events: countActs(this.#events, this.metrics),
      clock: runtime.clock,
      random: runtime.random,
      addressing: createKubeAddressing(),
      logger,
      mayAct: () => this.#elector?.mayAct() ?? true,
      operandImage: parts.operandImage,
    })
    this.#queue = new WorkQueue({
      ...shared,
      workers: parts.workers,
      work: (key) => controller.reconcile(key),
      onDone: (pass) => this.metrics.passDone(pass),
    })
  }

  /** Null when every watch has its first list and none is stale. */
  notReady(): string | null {
    const stale = this.#reflectors.find(({ reflector }) => reflector.quietMs > STALE_MS)
    if (stale !== undefined) return `no word from the API server on ${stale.kind}`
    return this.notStarted()
  }

  /** Null once every watch has its first list. */
  notStarted(): string | null {
    const missing = this.#reflectors.filter(({ reflector }) => !reflector.hasSynced)
    const kinds = [...new Set(missing.map(({ kind }) => kind))]
    return kinds.length === 0 ? null : `listing ${kinds.join(', ')}`
  }

  start(): void {
    this.#cache.subscribe((object) => {
      const key = clusterKeyOf(object)
      if (key !== null) this.#queue.add(key)
    })
    for (const { reflector } of this.#reflectors) reflector.start()
    if (this.#elector === null) this.#work()
    else this.#elector.start()
  }

  /** Finishes the passes at hand, then gives the Lease up. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    await this.#queue.close()
    await this.#elector?.close()
    await this.#events.close()
    await Promise.all(this.#reflectors.map(({ reflector }) => reflector.close()))
    this.#transport.close()
  }

  /** Begins to reconcile, once leading and synced: a half-filled cache would make things look missing. */
  #work(): void {
    if (this.#isWorking || this.#closed !== null) return
    if (this.notStarted() !== null) {
      this.#parts.runtime.timers.after(100, () => this.#work())
      return
    }
    this.#isWorking = true
    this.#parts.logger.info({ clusters: this.#cache.all('RocketMQCluster').length }, 'reconciling')
    this.#queue.start()
    this.#resync()
  }

  #resync(): void {
    if (this.#closed !== null) return
    for (const cluster of this.#cache.all('RocketMQCluster')) {
      const key = clusterKeyOf(cluster)
      if (key !== null) this.#queue.add(key)
    }
    const { timers, random } = this.#parts.runtime
    timers.after(RESYNC_MS * (0.9 + 0.2 * random.next()), () => this.#resync())
  }

  #createMetrics(): OperatorMetrics {
    return createOperatorMetrics({
      queueDepth: () => this.#queue.depth,
      isLeading: () => this.#elector?.isLeading ?? true,
      droppedEvents: () => this.#events.dropped,
      watchQuietMs: () => {
        const quiet = new Map<string, number>()
        for (const { kind, reflector } of this.#reflectors) {
          quiet.set(kind, Math.max(quiet.get(kind) ?? 0, reflector.quietMs))
        }
        return quiet
      },
      clusters: () => this.#cache.all('RocketMQCluster'),
    })
  }

  #createReflectors(): readonly { readonly kind: string; readonly reflector: Reflector }[] {
    const { runtime, logger, namespaces } = this.#parts
    const watcher = createKubeWatcher(this.#transport)
    const places = namespaces === null ? [{}] : namespaces.map((namespace) => ({ namespace }))
    return WATCHED_KINDS.flatMap(({ apiVersion, kind }) =>
      places.map((place) => {
        const selector = kind === 'RocketMQCluster' ? {} : { labelSelector: CLUSTER_LABEL }
        const collection = { apiVersion, kind, ...place, ...selector }
        const reflector = new Reflector({
          ...runtime,
          watcher,
          collection,
          handler: this.#cache.handlerOf(collection),
          logger,
          onRestart: (cause) => this.metrics.watchRestarted(kind, cause),
        })
        return { kind, reflector }
      }),
    )
  }
}
