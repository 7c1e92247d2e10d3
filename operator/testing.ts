/**
 * A small world for tests of the reconciler: an API server with a StatefulSet controller and a kubelet, and brokers and name servers that hold what
 * the data plane asks for. Time stands still until `advance`; a call can be made to fail, and after `crashAfter` calls everything does.
 */
import type { Clock, Random } from '../common/ports.ts'
import { silentLogger } from '../common/log.ts'
import { parseJavaProperties } from '../common/java-properties.ts'
import type { DrainLag } from '../common/admin-contract.ts'
import { createKubeAddressing } from './addressing.ts'
import { createController } from './controller.ts'
import type { Controller } from './controller.ts'
import { API_VERSION, KIND } from './crd.ts'
import { listAt, textAt, valueAt } from './json.ts'
import { deepFreeze, referenceOf } from './kube-api.ts'
import { KubeError } from './kube-error.ts'
import { CLUSTER_LABEL } from './names.ts'
import { MemoryObjectCache } from './object-cache.ts'
import type {
  BrokerRegistration,
  DataPlane,
  EventRecorder,
  KubeApi,
  KubeObject,
  ObjectReference,
  PodEndpoint,
} from './ports.ts'

export const NAMESPACE = 'shop'
export const START_MS = 1_700_000_000_000
/** How long a pod takes from its creation until it is ready. */
const POD_START_MS = 3_000
/** A broker that was unregistered comes back with its next heartbeat. */
const REGISTER_MS = 30_000
const LIVE_KEYS = ['brokerPermission', 'namesrvAddr', 'shortPollingTimeMills', 'fileReservedTime']

/** What a broker process holds. */
export interface FakeBroker {
  readonly config: Map<string, string>
  readonly topics: Set<string>
  readonly consumerGroups: Set<string>
  /** brokerName -> nothing; what name servers were told lives there. */
  lags: DrainLag[]
}

export interface RecordedEvent {
  readonly reason: string
  readonly action: string
  readonly note: string
}

export class CrashError extends Error {}

export class World implements KubeApi, DataPlane {
  readonly cache: MemoryObjectCache = new MemoryObjectCache()
  readonly events: RecordedEvent[] = []
  /** Every call that changes something, as `verb subject`. */
  readonly calls: string[] = []
  /** What the volumes hold, by claim name. */
  readonly volumes: Map<string, FakeBroker> = new Map()
  readonly brokers: Map<string, FakeBroker> = new Map()
  /** Name server pod -> brokerName -> writable. */
  readonly routes: Map<string, Map<string, boolean>> = new Map()
  /** Pods that never get ready, by name, and why; while their image is one of these. */
  readonly brokenImages: Set<string> = new Set()
  /** Names of data plane calls that answer null or fail. */
  readonly unreachable: Set<string> = new Set()
  /** Called before each change; may throw, and may look. */
  onCall: (call: string) => void = () => undefined
  /** Called when a pass begins. */
  onPass: () => void = () => undefined
  mayAct = true
  controller: Controller
  #now = START_MS
  readonly #silentUntil: Map<string, number> = new Map()
  #version = 0
  #uid = 0

  constructor() {
    this.controller = this.#newController()
  }

  readonly clock: Clock = { now: () => this.#now, monotonic: () => this.#now - START_MS }
  readonly random: Random = {
    next: () => 0.5,
    integer: () => 0,
    bytes: (size) => Buffer.alloc(size),
  }

  /** A new operator process: nothing remembered. */
  restartOperator(): void {
    this.controller = this.#newController()
  }

  /** Creates or replaces the cluster `prod`. */
  put(
    spec: Readonly<Record<string, unknown>>,
    annotations: Readonly<Record<string, string>> = {},
  ): void {
    const reference = { apiVersion: API_VERSION, kind: KIND, namespace: NAMESPACE, name: 'prod' }
    const before = this.cache.get(reference)
    const generation = (before?.metadata.generation ?? 0) + 1
    const metadata = {
      name: 'prod',
      namespace: NAMESPACE,
      uid: 'cluster-uid',
      generation,
      annotations,
    }
    this.#store({ ...before, ...reference, metadata, spec })
  }

  get cluster(): KubeObject {
    return this.need(KIND, 'prod')
  }

  need(kind: string, name: string): KubeObject {
    const found = this.find(kind, name)
    if (found === null) throw new Error(`${kind} ${name} is not there`)
    return found
  }

  find(kind: string, name: string): KubeObject | null {
    return this.cache.get({ apiVersion: '', kind, namespace: NAMESPACE, name })
  }

  conditionOf(type: string): string {
    const found = listAt(this.cluster.status, 'conditions').find(
      (condition) => textAt(condition, 'type') === type,
    )
    return textAt(found, 'status') ?? ''
  }

  phaseOf(group: number): string {
    const found = listAt(this.cluster.status, 'groups').find(
      (one) => textAt(one, 'name') === `prod-broker-${group}`,
    )
    return textAt(found, 'phase') ?? 'absent'
  }

  /** One pass and what follows from it; resolves with the pause that was asked for. */
  async pass(): Promise<number> {
    this.onPass()
    const { requeueAfterMs } = await this.controller.reconcile(`${NAMESPACE}/prod`)
    this.settle()
    return requeueAfterMs ?? 300_000
  }

  /** Passes, with time going by as they ask for, until `isDone` or the limit. */
  async until(isDone: () => boolean, limitMs = 900_000): Promise<boolean> {
    const end = this.#now + limitMs
    while (this.#now < end) {
      const pause = await this.pass()
      if (isDone()) return true
      this.advance(Math.min(pause, 2_000))
    }
    return false
  }

  advance(ms: number): void {
    this.#now += ms
    this.settle()
  }

  /** A pod dies; its StatefulSet makes it anew. */
  kill(pod: KubeObject): void {
    this.#removePod(pod)
  }

  /** The StatefulSet controller, the kubelet and the brokers do what is due. */
  settle(): void {
    for (const statefulSet of this.cache.list('StatefulSet', NAMESPACE, {}))
      this.#makePods(statefulSet)
    for (const pod of this.cache.list('Pod', NAMESPACE, {})) this.#runPod(pod)
    for (const pod of this.cache.list('Pod', NAMESPACE, {})) {
      if (this.brokers.has(pod.metadata.name)) this.#registerMissing(pod.metadata.name)
    }
  }

  // --- KubeApi ---

  get(reference: ObjectReference): Promise<KubeObject | null> {
    return Promise.resolve(this.cache.get(reference))
  }

  list(): Promise<readonly KubeObject[]> {
    return Promise.resolve([])
  }

  apply(object: KubeObject): Promise<KubeObject> {
    return this.#change(`apply ${object.kind} ${object.metadata.name}`, () => {
      const before = this.cache.get(referenceOf(object))
      const { uid } = object.metadata
      if (uid !== undefined && uid !== before?.metadata.uid) {
        throw new KubeError('conflict', 'uid differs')
      }
      const status = before?.status === undefined ? {} : { status: before.status }
      return this.#store({ ...object, ...status })
    })
  }

  applyStatus(object: KubeObject): Promise<KubeObject> {
    return this.#change(`applyStatus ${object.metadata.name}`, () =>
      this.#store({ ...this.cluster, status: object.status ?? {} }),
    )
  }

  patchMetadata(reference: ObjectReference): Promise<KubeObject> {
    return Promise.resolve(this.need(reference.kind, reference.name))
  }

  delete(reference: ObjectReference, { uid }: { readonly uid: string }): Promise<void> {
    return this.#change(`delete ${reference.kind} ${reference.name}`, () => {
      const object = this.cache.get(reference)
      if (object === null) return
      if (object.metadata.uid !== uid) throw new KubeError('conflict', 'uid differs')
      this.cache.remove(object)
      if (reference.kind !== 'StatefulSet') return
      for (const pod of this.#podsOf(reference.name)) this.#removePod(pod)
      const policy = ['persistentVolumeClaimRetentionPolicy', 'whenDeleted'] as const
      if (textAt(object.spec, ...policy) !== 'Delete') return
      const claim = this.find('PersistentVolumeClaim', `data-${reference.name}-0`)
      if (claim !== null) this.cache.remove(claim)
      this.volumes.delete(`data-${reference.name}-0`)
    })
  }

  evict(pod: ObjectReference, { uid }: { readonly uid: string }): Promise<void> {
    return this.#change(`evict ${pod.name}`, () => {
      const object = this.cache.get(pod)
      if (object !== null && object.metadata.uid === uid) this.#removePod(object)
    })
  }

  // --- DataPlane ---

  raft(pod: PodEndpoint): ReturnType<DataPlane['raft']> {
    const peers: [] = []
    const offsets = { commitOffset: 0, endOffset: 0, peers }
    return this.#fact('raft', pod, {
      group: '',
      member: pod.pod,
      term: 1,
      leader: pod.pod,
      role: 'leader',
      ...offsets,
    })
  }

  drain(pod: PodEndpoint): ReturnType<DataPlane['drain']> {
    const broker = this.#broker(pod)
    return this.#fact('drain', pod, {
      group: pod.pod,
      brokerPermission: Number(broker.config.get('brokerPermission')),
      inFlightSends: 0,
      lags: broker.lags,
      popInFlight: 0,
      delayedMessages: 0,
      halfMessages: 0,
      consumedPerMinute: 60,
      broadcastGroups: [],
    })
  }

  store(pod: PodEndpoint): ReturnType<DataPlane['store']> {
    return this.#fact('store', pod, {
      usedBytes: 10,
      capacityBytes: 100,
      minPhysicalOffset: 0,
      maxPhysicalOffset: 0,
      oldestMessageTimestamp: null,
      readOnlyReason: null,
      topics: 0,
      consumerGroups: 0,
    })
  }

  config(pod: PodEndpoint): ReturnType<DataPlane['config']> {
    const entries = [...this.#broker(pod).config].map(([key, value]) => [
      key,
      { value, live: LIVE_KEYS.includes(key) },
    ])
    return this.#fact('config', pod, { entries: Object.fromEntries(entries) })
  }

  registrations(namesrv: PodEndpoint): ReturnType<DataPlane['registrations']> {
    const known = this.routes.get(namesrv.pod) ?? new Map<string, boolean>()
    const found = new Map<string, BrokerRegistration>(
      [...known].map(([brokerName, writable]) => [
        brokerName,
        { clusterName: 'prod', address: '', topics: 1, writableTopics: writable ? 1 : 0 },
      ]),
    )
    return this.#fact('registrations', namesrv, found)
  }

  updateBrokerConfig(
    broker: PodEndpoint,
    entries: Readonly<Record<string, string>>,
  ): Promise<void> {
    return this.#change(`configure ${broker.pod} ${Object.keys(entries).join('+')}`, () => {
      const { config } = this.#broker(broker)
      for (const [key, value] of Object.entries(entries)) config.set(key, value)
      if ('brokerPermission' in entries) this.#register(broker.pod)
    })
  }

  copyMetadata(from: PodEndpoint, to: PodEndpoint): ReturnType<DataPlane['copyMetadata']> {
    return this.#change(`copy ${from.pod} ${to.pod}`, () => {
      const [source, target] = [this.#broker(from), this.#broker(to)]
      for (const topic of source.topics) target.topics.add(topic)
      for (const group of source.consumerGroups) target.consumerGroups.add(group)
      return { topics: source.topics.size, consumerGroups: source.consumerGroups.size }
    })
  }

  hasMetadataOf(from: PodEndpoint, to: PodEndpoint): Promise<boolean | null> {
    const target = this.#broker(to)
    return this.#fact(
      'metadata',
      to,
      [...this.#broker(from).topics].every((topic) => target.topics.has(topic)),
    )
  }

  setWritePermission(namesrv: PodEndpoint, brokerName: string, writable: boolean): Promise<void> {
    return this.#change(`${writable ? 'open' : 'wipe'} ${brokerName} ${namesrv.pod}`, () => {
      const routes = this.routes.get(namesrv.pod)
      if (routes?.has(brokerName) === true) routes.set(brokerName, writable)
    })
  }

  unregisterBroker(namesrv: PodEndpoint, _cluster: string, brokerName: string): Promise<void> {
    return this.#change(`unregister ${brokerName} ${namesrv.pod}`, () => {
      this.routes.get(namesrv.pod)?.delete(brokerName)
      this.#silentUntil.set(`${brokerName} ${namesrv.pod}`, this.#now + REGISTER_MS)
    })
  }

  transferLeadership(): Promise<number> {
    return Promise.reject(new Error('groups of one member have nobody to hand over to'))
  }

  // --- what happens by itself ---

  #makePods(statefulSet: KubeObject): void {
    const { name, labels = {} } = statefulSet.metadata
    const replicas = Number(valueAt(statefulSet.spec, 'replicas'))
    for (const pod of this.#podsOf(name)) {
      if (Number(pod.metadata.name.slice(name.length + 1)) >= replicas) this.#removePod(pod)
    }
    for (let ordinal = 0; ordinal < replicas; ordinal++) {
      const podName = `${name}-${ordinal}`
      if (this.find('Pod', podName) !== null) continue
      if (labels['rocketmq.gantry.dev/role'] === 'broker')
        this.#makeClaim(`data-${podName}`, labels)
      const template = valueAt(statefulSet.spec, 'template', 'metadata', 'annotations')
      this.#store({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name: podName,
          namespace: NAMESPACE,
          labels,
          annotations: { ...Object.fromEntries(Object.entries(template ?? {})) },
          ownerReferences: [
            {
              apiVersion: 'apps/v1',
              kind: 'StatefulSet',
              name,
              uid: statefulSet.metadata.uid ?? '',
            },
          ],
        },
        spec: {
          ...Object.fromEntries(
            Object.entries(valueAt(statefulSet.spec, 'template', 'spec') ?? {}),
          ),
        },
        status: { podIP: podName },
      })
    }
  }

  #makeClaim(name: string, labels: Readonly<Record<string, string>>): void {
    if (this.find('PersistentVolumeClaim', name) !== null) return
    this.#store({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name, namespace: NAMESPACE, labels },
      status: { capacity: { storage: '1Gi' } },
    })
  }

  #runPod(pod: KubeObject): void {
    const { name, creationTimestamp = '', annotations = {} } = pod.metadata
    const wasReady = listAt(pod.status, 'conditions').length > 0
    const image = textAt(pod.spec, 'containers', 0, 'image') ?? ''
    if (this.brokenImages.has(image)) {
      if (listAt(pod.status, 'containerStatuses').length > 0) return
      const containerStatuses = [
        { state: { waiting: { reason: 'ImagePullBackOff', message: image } } },
      ]
      this.#store({ ...pod, status: { podIP: name, containerStatuses } })
      return
    }
    if (wasReady || this.#now < Date.parse(creationTimestamp) + POD_START_MS) return
    const conditions = [{ type: 'Ready', status: 'True' }]
    this.#store({
      ...pod,
      metadata: { ...pod.metadata, annotations },
      status: { podIP: name, conditions },
    })
    if (name.includes('-namesrv-')) this.routes.set(name, new Map())
    else this.#startBroker(name)
  }

  #startBroker(pod: string): void {
    const statefulSet = pod.slice(0, pod.lastIndexOf('-'))
    const file = this.need('ConfigMap', `${statefulSet}-config`).data?.['broker.conf'] ?? ''
    const config = new Map(parseJavaProperties(file).map(({ key, value }) => [key, value]))
    const volume = this.volumes.get(`data-${pod}`)
    const broker: FakeBroker = {
      config,
      topics: volume?.topics ?? new Set(),
      consumerGroups: volume?.consumerGroups ?? new Set(),
      lags: volume?.lags ?? [],
    }
    this.volumes.set(`data-${pod}`, broker)
    this.brokers.set(pod, broker)
    this.#register(pod)
  }

  /** A registration sets the routes to the broker's own permission. */
  #register(pod: string, onlyMissing = false): void {
    const broker = this.brokers.get(pod)
    const name = pod.slice(0, pod.lastIndexOf('-'))
    const writable = broker?.config.get('brokerPermission') === '6'
    for (const address of (broker?.config.get('namesrvAddr') ?? '').split(';')) {
      const nameServer = address.slice(0, address.indexOf('.'))
      const routes = this.routes.get(nameServer)
      const isSilent = this.#now < (this.#silentUntil.get(`${name} ${nameServer}`) ?? 0)
      if (routes === undefined || (onlyMissing && (isSilent || routes.has(name)))) continue
      routes.set(name, writable)
    }
  }

  #registerMissing(pod: string): void {
    this.#register(pod, true)
  }

  #removePod(pod: KubeObject): void {
    const { name } = pod.metadata
    this.cache.remove(pod)
    this.brokers.delete(name)
    this.routes.delete(name)
    for (const routes of this.routes.values()) routes.delete(name.slice(0, name.lastIndexOf('-')))
  }

  #podsOf(statefulSet: string): readonly KubeObject[] {
    return this.cache
      .list('Pod', NAMESPACE, {})
      .filter(({ metadata }) => metadata.ownerReferences?.[0]?.name === statefulSet)
  }

  #broker(pod: PodEndpoint): FakeBroker {
    return (
      this.brokers.get(pod.pod) ?? {
        config: new Map(),
        topics: new Set(),
        consumerGroups: new Set(),
        lags: [],
      }
    )
  }

  #fact<Value>(kind: string, pod: PodEndpoint, value: Value): Promise<Value | null> {
    const isGone = !this.brokers.has(pod.pod) && !this.routes.has(pod.pod)
    return Promise.resolve(isGone || this.unreachable.has(kind) ? null : value)
  }

  #change<Result>(call: string, work: () => Result): Promise<Result> {
    return new Promise((resolve) => {
      this.onCall(call)
      this.calls.push(call)
      resolve(work())
    })
  }

  #store(object: KubeObject): KubeObject {
    this.#version += 1
    const before = this.cache.get(referenceOf(object))
    const { metadata } = object
    this.#uid += before === null ? 1 : 0
    const stored = deepFreeze({
      ...structuredClone(object),
      metadata: {
        ...structuredClone(metadata),
        uid: before?.metadata.uid ?? metadata.uid ?? `uid-${this.#uid}`,
        resourceVersion: String(this.#version),
        creationTimestamp: before?.metadata.creationTimestamp ?? new Date(this.#now).toISOString(),
      },
    })
    this.cache.put(stored)
    return stored
  }

  #newController(): Controller {
    const events: EventRecorder = {
      record: (_regarding, { reason, action, note }) => this.events.push({ reason, action, note }),
    }
    return createController({
      api: this,
      cache: this.cache,
      dataPlane: this,
      events,
      clock: this.clock,
      random: this.random,
      addressing: createKubeAddressing(),
      logger: silentLogger,
      mayAct: () => this.mayAct,
      operandImage: 'gantry:0.1.0',
    })
  }
}

/** The smallest spec, with changes for `broker` and others. */
export function specOf(
  broker: Readonly<Record<string, unknown>> = {},
  others: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  return {
    version: '0.1.0',
    nameServer: { replicas: 2 },
    broker: { groups: 2, storage: { size: '1Gi' }, ...broker },
    ...others,
  }
}

/** Objects of the cluster, by kind and name. */
export function objectNames(world: World, kind: string): readonly string[] {
  return world.cache
    .list(kind, NAMESPACE, { [CLUSTER_LABEL]: 'prod' })
    .map(({ metadata }) => metadata.name)
}
