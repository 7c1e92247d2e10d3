/**
 * A small world for tests of the reconciler: an API server with a StatefulSet controller and a kubelet, and brokers and name servers that hold what
 * the data plane asks for. Time stands still until `advance`; a call can be made to fail, and after `crashAfter` calls everything does.
 */
import type { Clock, Random } from '../common/ports.ts'
import type { Credentials } from '../common/credentials.ts'
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
import { FakeGroup } from './testing-group.ts'

const CLAIM_SIZE = ['volumeClaimTemplates', 0, 'spec', 'resources', 'requests', 'storage'] as const
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
  /** Of its disk. */
  readonly incarnation: number
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

export class World implements KubeApi, DataPlane {
  readonly cache: MemoryObjectCache = new MemoryObjectCache()
  readonly events: RecordedEvent[] = []
  /** Every call that changes something, as `verb subject`. */
  readonly calls: string[] = []
  /** What the volumes hold, by claim name. */
  readonly volumes: Map<string, FakeBroker> = new Map()
  readonly brokers: Map<string, FakeBroker> = new Map()
  /** brokerName -> its members. */
  readonly groups: Map<string, FakeGroup> = new Map()
  /** What went against a rule that the world itself knows. */
  readonly broken: string[] = []
  /** Pods for whose volume there is no node, by name. */
  readonly unschedulable: Set<string> = new Set()
  /** False: the StorageClass refuses to let volumes grow. */
  isExpandable = true
  /** True: volumes stay as they are until `finishGrowing`. */
  isSlowToGrow = false
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
  /** Who asked the servers last. */
  signedBy: Credentials | null = null
  controller: Controller
  #now = START_MS
  /** brokerName -> member and term of the leader that has registered. */
  readonly #registered: Map<string, string | null> = new Map()
  readonly #silentUntil: Map<string, number> = new Map()
  #version = 0
  #uid = 0
  #incarnation = 0

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

  /** A Secret, its values in plain text. */
  putSecret(name: string, values: Readonly<Record<string, string>>): void {
    const data = Object.entries(values).map(([key, value]) => [key, btoa(value)])
    const metadata = { name, namespace: NAMESPACE }
    this.#store({ apiVersion: 'v1', kind: 'Secret', metadata, data: Object.fromEntries(data) })
  }

  removeSecret(name: string): void {
    this.cache.remove(this.need('Secret', name))
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
    for (const group of this.groups.values()) this.#settleGroup(group)
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
      if (object.kind === 'PersistentVolumeClaim') return this.#expand(object, before)
      const status = before?.status === undefined ? {} : { status: before.status }
      return this.#store({ ...object, ...status })
    })
  }

  applyStatus(object: KubeObject): Promise<KubeObject> {
    return this.#change(`applyStatus ${object.metadata.name}`, () =>
      this.#store({ ...this.cluster, status: object.status ?? {} }),
    )
  }

  create(object: KubeObject): Promise<KubeObject> {
    return this.#change(`create ${object.kind} ${object.metadata.name}`, () => this.#store(object))
  }

  patchMetadata(reference: ObjectReference): Promise<KubeObject> {
    return Promise.resolve(this.need(reference.kind, reference.name))
  }

  delete(
    reference: ObjectReference,
    { uid, orphan = false }: { readonly uid: string; readonly orphan?: boolean },
  ): Promise<void> {
    const verb = orphan ? 'orphan' : 'delete'
    return this.#change(`${verb} ${reference.kind} ${reference.name}`, () => {
      const object = this.cache.get(reference)
      if (object === null) return
      if (object.metadata.uid !== uid) throw new KubeError('conflict', 'uid differs')
      this.cache.remove(object)
      if (reference.kind === 'PersistentVolumeClaim') this.#deleteVolume(reference.name)
      if (reference.kind !== 'StatefulSet' || orphan) return
      for (const pod of this.#podsOf(reference.name)) this.#removePod(pod)
      const policy = ['persistentVolumeClaimRetentionPolicy', 'whenDeleted'] as const
      if (textAt(object.spec, ...policy) !== 'Delete') return
      for (const claim of this.cache.list('PersistentVolumeClaim', NAMESPACE, {})) {
        const { name } = claim.metadata
        if (!name.startsWith(`data-${reference.name}-`)) continue
        this.cache.remove(claim)
        this.volumes.delete(name)
      }
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
    const facts = this.groupOf(pod.pod).facts(ordinalOf(pod.pod), this.#now)
    return this.#fact('raft', pod, facts)
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

  transferLeadership(leader: PodEndpoint, to: number | null): Promise<void> {
    return this.#change(`transfer ${leader.pod} ${to}`, () => {
      const group = this.groupOf(leader.pod)
      const refusal = group.transfer(ordinalOf(leader.pod), to, this.#now)
      if (refusal !== null) throw new Error(refusal)
      this.#settleGroup(group)
    })
  }

  removeMember(leader: PodEndpoint, id: number): Promise<void> {
    return this.#change(`remove ${leader.pod.slice(0, leader.pod.lastIndexOf('-'))} ${id}`, () => {
      const group = this.groupOf(leader.pod)
      const refusal = group.remove(ordinalOf(leader.pod), id, this.#now)
      if (refusal !== null) throw new Error(refusal)
    })
  }

  groupOf(pod: string): FakeGroup {
    const name = pod.slice(0, pod.lastIndexOf('-'))
    const group = this.groups.get(name) ?? new FakeGroup(name)
    this.groups.set(name, group)
    return group
  }

  // --- what happens by itself ---

  #makePods(statefulSet: KubeObject): void {
    const { name, labels = {} } = statefulSet.metadata
    const replicas = Number(valueAt(statefulSet.spec, 'replicas'))
    for (const pod of this.#podsOf(name)) {
      const ordinal = Number(pod.metadata.name.slice(name.length + 1))
      if (ordinal < replicas) continue
      const isMember = this.groups.get(name)?.members.some(({ id }) => id === ordinal) === true
      if (isMember && replicas > 0) this.broken.push(`${pod.metadata.name} goes, and is a member`)
      this.#removePod(pod)
    }
    for (let ordinal = 0; ordinal < replicas; ordinal++) {
      const podName = `${name}-${ordinal}`
      if (this.find('Pod', podName) !== null) continue
      if (labels['rocketmq.gantry.dev/role'] === 'broker')
        this.#makeClaim(`data-${podName}`, labels, textAt(statefulSet.spec, ...CLAIM_SIZE) ?? '1Gi')
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

  #makeClaim(name: string, labels: Readonly<Record<string, string>>, size: string): void {
    if (this.find('PersistentVolumeClaim', name) !== null) return
    this.#store({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name, namespace: NAMESPACE, labels },
      spec: { resources: { requests: { storage: size } } },
      status: { capacity: { storage: size } },
    })
  }

  /** The driver makes the volume as large as it is asked to. */
  #expand(claim: KubeObject, before: KubeObject | null): KubeObject {
    if (!this.isExpandable) throw new KubeError('forbidden', 'the storage class does not resize')
    const storage = valueAt(claim.spec, 'resources', 'requests', 'storage')
    const metadata = { ...before?.metadata, ...claim.metadata }
    const grown = { capacity: { storage } }
    const status = this.isSlowToGrow ? (before?.status ?? {}) : grown
    return this.#store({ ...before, ...claim, metadata, status })
  }

  /** Volumes are as large as they were asked to be. */
  finishGrowing(): void {
    for (const claim of this.cache.list('PersistentVolumeClaim', NAMESPACE, {})) {
      const storage = valueAt(claim.spec, 'resources', 'requests', 'storage')
      this.#store({ ...claim, status: { capacity: { storage } } })
    }
  }

  #deleteVolume(claim: string): void {
    this.volumes.delete(claim)
    const pod = claim.slice('data-'.length)
    this.unschedulable.delete(pod)
    const group = this.groups.get(pod.slice(0, pod.lastIndexOf('-')))
    if (group === undefined || !group.members.some(({ id }) => id === ordinalOf(pod))) return
    const others = group.voters.filter((id) => id !== ordinalOf(pod))
    if (others.every((id) => group.isReady(id, this.#now))) return
    this.broken.push(`${claim} is deleted while others have not caught up`)
  }

  #runPod(pod: KubeObject): void {
    const { name, creationTimestamp = '' } = pod.metadata
    const wasReady = listAt(pod.status, 'conditions').length > 0
    const image = textAt(pod.spec, 'containers', 0, 'image') ?? ''
    if (this.brokenImages.has(image) && !wasReady && !this.brokers.has(name)) {
      if (listAt(pod.status, 'containerStatuses').length > 0) return
      const containerStatuses = [
        { state: { waiting: { reason: 'ImagePullBackOff', message: image } } },
      ]
      this.#store({ ...pod, status: { podIP: name, containerStatuses } })
      return
    }
    if (this.unschedulable.has(name)) {
      const message = '0/3 nodes are available: 1 node(s) had volume node affinity conflict.'
      const since = new Date(this.#now).toISOString()
      const unscheduled = { type: 'PodScheduled', status: 'False', lastTransitionTime: since }
      if (listAt(pod.status, 'conditions').length > 0) return
      this.#store({ ...pod, status: { conditions: [{ ...unscheduled, message }] } })
      return
    }
    if (wasReady || this.#now < Date.parse(creationTimestamp) + POD_START_MS) return
    if (!name.includes('-namesrv-')) {
      if (!this.brokers.has(name)) this.#startBroker(name)
      return
    }
    this.#setReady(pod, true)
    this.routes.set(name, new Map())
  }

  #setReady(pod: KubeObject, isReady: boolean): void {
    const { name } = pod.metadata
    const conditions = isReady ? [{ type: 'Ready', status: 'True' }] : []
    this.#store({ ...pod, status: { podIP: name, conditions } })
  }

  #startBroker(pod: string): void {
    const statefulSet = pod.slice(0, pod.lastIndexOf('-'))
    const file = this.need('ConfigMap', `${statefulSet}-config`).data?.['broker.conf'] ?? ''
    const config = new Map(parseJavaProperties(file).map(({ key, value }) => [key, value]))
    const volume = this.volumes.get(`data-${pod}`)
    this.#incarnation += 1
    const broker: FakeBroker = {
      config,
      incarnation: volume?.incarnation ?? this.#incarnation,
      topics: volume?.topics ?? new Set(),
      consumerGroups: volume?.consumerGroups ?? new Set(),
      lags: volume?.lags ?? [],
    }
    this.volumes.set(`data-${pod}`, broker)
    this.brokers.set(pod, broker)
    const peers = (config.get('dLegerPeers') ?? '').split(';').map((peer) => {
      return Number(/^n(\d+)-/.exec(peer)?.[1] ?? -1)
    })
    const member = { id: ordinalOf(pod), incarnation: broker.incarnation, peers, syncedAt: 0 }
    this.groupOf(pod).start(member, this.#now)
  }

  /** Time goes by for the members; their pods are as ready as they say, and a new leader registers. */
  #settleGroup(group: FakeGroup): void {
    const before = this.#registered.get(group.name) ?? null
    group.settle(this.#now)
    for (const id of group.running.keys()) {
      const pod = this.find('Pod', `${group.name}-${id}`)
      if (pod === null) continue
      const isReady = group.isReady(id, this.#now)
      const wasReady = textAt(pod.status, 'conditions', 0, 'type') === 'Ready'
      if (isReady !== wasReady) this.#setReady(pod, isReady)
    }
    const now = group.leader === null ? null : `${group.leader} ${group.term}`
    if (now === before) return
    this.#registered.set(group.name, now)
    if (group.leader === null) return
    const leader = `${group.name}-${group.leader}`
    const former =
      before === null ? null : this.brokers.get(`${group.name}-${before.split(' ')[0]}`)
    const broker = this.brokers.get(leader)
    // Topics and the rest are in the log.
    if (broker !== undefined && former !== undefined && former !== null && former !== broker) {
      for (const topic of former.topics) broker.topics.add(topic)
      for (const name of former.consumerGroups) broker.consumerGroups.add(name)
      broker.lags = former.lags
    }
    this.#register(leader)
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
    if (this.groupOf(pod).leader === ordinalOf(pod)) this.#register(pod, true)
  }

  #removePod(pod: KubeObject): void {
    const { name } = pod.metadata
    this.cache.remove(pod)
    this.brokers.delete(name)
    this.routes.delete(name)
    const brokerName = name.slice(0, name.lastIndexOf('-'))
    const group = this.groups.get(brokerName)
    if (group === undefined) return
    const hasLed = group.leader === ordinalOf(name)
    group.stop(ordinalOf(name), this.#now)
    if (hasLed) for (const routes of this.routes.values()) routes.delete(brokerName)
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
        incarnation: 0,
        topics: new Set(),
        consumerGroups: new Set(),
        lags: [],
      }
    )
  }

  #fact<Value>(kind: string, pod: PodEndpoint, value: Value | null): Promise<Value | null> {
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
      dataPlanes: {
        as: (credentials) => {
          this.signedBy = credentials
          return this
        },
      },
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
    broker: { groups: 2, replicasPerGroup: 1, storage: { size: '1Gi' }, ...broker },
    ...others,
  }
}

/** Objects of the cluster, by kind and name. */
export function objectNames(world: World, kind: string): readonly string[] {
  return world.cache
    .list(kind, NAMESPACE, { [CLUSTER_LABEL]: 'prod' })
    .map(({ metadata }) => metadata.name)
}

function ordinalOf(pod: string): number {
  return Number(pod.slice(pod.lastIndexOf('-') + 1))
}
