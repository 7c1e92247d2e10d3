/**
 * What the StatefulSet controller and the kubelet do, for `gantry dev`: pods are made from StatefulSets and become processes, claims become
 * folders, ConfigMaps become files that follow every change.
 */
import { isDeepStrictEqual } from 'node:util'
import { messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Clock, Timers } from '../common/ports.ts'
import { hashOf, listAt, textAt, valueAt } from '../operator/json.ts'
import type { KubeObject, ObjectReference, OwnerReference } from '../operator/ports.ts'
import type { DataFolder } from './data-folder.ts'
import { isReady } from './disruption-budget.ts'
import { ORPHAN_ANNOTATION } from './local-kube.ts'
import type { LocalKube } from './local-kube.ts'
import { planPod } from './pod-plan.ts'
import type { PodPlan } from './pod-plan.ts'
import { PodProcess } from './pod-process.ts'
import type { PodState } from './pod-process.ts'
import { podStatus } from './pod-status.ts'
import { boundPortsOf, nextSlot, portsOf } from './ports.ts'
import type { PodPorts, PodSlot, Role } from './ports.ts'

export interface LocalPodsOptions {
  readonly kube: LocalKube
  readonly folder: DataFolder
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  /** What the processes listen on. */
  readonly bindHost: string
  /** What others dial. */
  readonly podIp: string
  readonly portOffset: number
  readonly slots: Readonly<Record<string, PodSlot>>
  /** A process came, went, or changed its readiness. */
  readonly onChange: (pod: LocalPod) => void
  /** A pod cannot be made; it is tried again when its StatefulSet changes. */
  readonly onProblem: (sentence: string) => void
}

/** A pod and the process behind it. */
export interface LocalPod {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly group: string | null
  readonly role: Role
  readonly ports: PodPorts
  readonly dataFolder: string
  readonly state: PodState
}

interface RunningPod {
  readonly reference: ObjectReference
  readonly uid: string
  readonly statefulSet: string
  readonly group: string | null
  readonly plan: PodPlan
  readonly ports: PodPorts
  readonly process: PodProcess
  /** To be removed when the process has ended. */
  readonly deletedFolders: string[]
}

const GROUP_LABEL = 'rocketmq.gantry.dev/group'

export class LocalPods {
  readonly #options: LocalPodsOptions
  readonly #pods: Map<string, RunningPod> = new Map()
  readonly #slots: Map<string, PodSlot>
  /** StatefulSets and ConfigMaps to look at when the events at hand have been handled. */
  readonly #pending: Set<string> = new Set()
  #isClosed = false

  constructor(options: LocalPodsOptions) {
    this.#options = options
    this.#slots = new Map(Object.entries(options.slots))
    options.kube.cache.subscribe((object) => this.#note(object))
  }

  get slots(): Readonly<Record<string, PodSlot>> {
    return Object.fromEntries(this.#slots)
  }

  /** The slot of a pod, for ever; it need not be there yet. */
  slotOf(pod: string, role: Role, ordinal: number): PodSlot {
    const slot = this.#slots.get(pod) ?? nextSlot(role, ordinal, [...this.#slots.values()])
    this.#slots.set(pod, slot)
    return slot
  }

  /** In the order of their names. */
  list(): readonly LocalPod[] {
    const pods = [...this.#pods.values()].map((pod) => describe(pod))
    return pods.sort((left, right) => (left.name < right.name ? -1 : 1))
  }

  /** Starts the pods of what was there before. */
  start(): void {
    for (const statefulSet of this.#options.kube.cache.all('StatefulSet')) this.#note(statefulSet)
  }

  /** Stops every process, the name servers last, so that brokers can still sign off. */
  async close(): Promise<void> {
    this.#isClosed = true
    const all = [...this.#pods.values()]
    const others = all.filter((pod) => pod.plan.role !== 'namesrv')
    await Promise.all(others.map((pod) => pod.process.stop()))
    await Promise.all(all.map((pod) => pod.process.stop()))
  }

  /** SIGKILL to every process at once. */
  kill(): void {
    for (const pod of this.#pods.values()) pod.process.kill()
  }

  #note(object: KubeObject): void {
    if (this.#isClosed) return
    const { kind, metadata } = object
    if (kind === 'Pod') {
      this.#podChanged(object)
      return
    }
    // Removed without its pods: they wait for a set of the same name.
    if (metadata.annotations?.[ORPHAN_ANNOTATION] !== undefined) return
    if (kind === 'PersistentVolumeClaim') this.#claimChanged(object)
    if (kind === 'StatefulSet') this.#applyRetention(object)
    if (kind === 'StatefulSet' || kind === 'ConfigMap') {
      this.#look(`${kind}/${metadata.namespace ?? ''}/${metadata.name}`)
    }
  }

  #look(key: string): void {
    if (this.#pending.size === 0) this.#options.timers.soon(() => this.#lookAtAll())
    this.#pending.add(key)
  }

  #lookAtAll(): void {
    const keys = [...this.#pending]
    this.#pending.clear()
    if (this.#isClosed) return
    // Files first: a pod that is started now shall find what it is to find.
    if (keys.some((key) => key.startsWith('ConfigMap/'))) this.#rewriteFiles()
    for (const key of keys.filter((candidate) => candidate.startsWith('StatefulSet/'))) {
      const [, namespace = '', name = ''] = key.split('/')
      this.#syncStatefulSet({ apiVersion: 'apps/v1', kind: 'StatefulSet', namespace, name })
    }
  }

  #podChanged(pod: KubeObject): void {
    const running = this.#pods.get(podKey(pod))
    if (running === undefined || pod.metadata.deletionTimestamp === undefined) return
    if (pod.metadata.uid !== running.uid || running.process.state.phase === 'stopping') return
    this.#stop(running)
  }

  #stop(running: RunningPod): void {
    const { reference, statefulSet } = running
    void running.process.stop().then(() => {
      this.#pods.delete(`${reference.namespace}/${reference.name}`)
      for (const folder of running.deletedFolders) this.#options.folder.removeFolder(folder)
      this.#options.kube.forget(reference)
      this.#options.onChange(describe(running))
      this.#look(`StatefulSet/${reference.namespace}/${statefulSet}`)
    })
  }

  /** A claim that is deleted takes its folder along, but not from under a process. */
  #claimChanged(claim: KubeObject): void {
    const { kube, folder } = this.#options
    const present = kube.cache.get(referenceTo(claim))
    if (present !== null) {
      // A folder is as large as it is asked to be.
      const capacity = valueAt(present.spec, 'resources', 'requests')
      const known = valueAt(present.status, 'capacity')
      if (isDeepStrictEqual(capacity, known)) return
      kube.setStatus(referenceTo(claim), { ...present.status, capacity })
      return
    }
    const relative = claim.metadata.annotations?.[FOLDER_ANNOTATION]
    if (relative === undefined) return
    const dataFolder = `${folder.root}/${relative}`
    const user = [...this.#pods.values()].find(({ plan }) => plan.dataFolders.includes(dataFolder))
    if (user === undefined) folder.removeFolder(dataFolder)
    else user.deletedFolders.push(dataFolder)
  }

  /** `persistentVolumeClaimRetentionPolicy`: claims of a deleted set, or of ordinals that it no longer has. */
  #applyRetention(statefulSet: KubeObject): void {
    const { kube } = this.#options
    const isDeleted = kube.cache.get(referenceTo(statefulSet)) === null
    const policy = valueAt(statefulSet.spec, 'persistentVolumeClaimRetentionPolicy')
    if (textAt(policy, isDeleted ? 'whenDeleted' : 'whenScaled') !== 'Delete') return
    const { namespace = '', name } = statefulSet.metadata
    for (const claim of kube.cache.list('PersistentVolumeClaim', namespace, {})) {
      const pod = claim.metadata.annotations?.[POD_ANNOTATION] ?? ''
      if (pod !== `${name}-${ordinalOf(pod)}`) continue
      if (!isDeleted && ordinalOf(pod) < replicasOf(statefulSet)) continue
      void kube.delete(referenceTo(claim), { uid: claim.metadata.uid ?? '' })
    }
  }

  #syncStatefulSet(reference: ObjectReference): void {
    const { kube } = this.#options
    const statefulSet = kube.cache.get(reference)
    const running = [...this.#pods.values()].filter(
      (pod) =>
        pod.statefulSet === reference.name && pod.reference.namespace === reference.namespace,
    )
    const replicas = statefulSet === null ? 0 : replicasOf(statefulSet)
    for (const pod of running) {
      if (ordinalOf(pod.reference.name) < replicas) continue
      const object = kube.cache.get(pod.reference)
      if (object === null) this.#stop(pod)
      else void kube.delete(pod.reference, { uid: pod.uid })
    }
    if (statefulSet === null) return
    const owner = ownerOf(statefulSet)
    for (const { reference: pod } of running) {
      const uid = kube.cache.get(pod)?.metadata.ownerReferences?.[0]?.uid
      if (uid !== undefined && uid !== owner.uid) kube.adopt(pod, owner)
    }
    for (let ordinal = 0; ordinal < replicas; ordinal += 1) {
      const name = `${reference.name}-${ordinal}`
      if (!this.#pods.has(`${reference.namespace}/${name}`)) this.#create(statefulSet, ordinal)
    }
    this.#updateStatefulSet(statefulSet)
  }

  #create(statefulSet: KubeObject, ordinal: number): void {
    const { kube, logger, onProblem } = this.#options
    const { namespace = '', name: setName } = statefulSet.metadata
    const name = `${setName}-${ordinal}`
    try {
      const pod = this.#prepare(statefulSet, name, ordinal)
      const object = kube.add(podObject(statefulSet, name, pod.ports, this.#options.podIp))
      const reference = referenceTo(object)
      const process = this.#processOf(name, reference, pod)
      const running: RunningPod = {
        ...pod,
        reference,
        uid: object.metadata.uid ?? '',
        statefulSet: setName,
        group: statefulSet.metadata.labels?.[GROUP_LABEL] === undefined ? null : setName,
        process,
        deletedFolders: [],
      }
      this.#pods.set(`${namespace}/${name}`, running)
      process.start()
    } catch (error) {
      logger.error({ err: error, pod: name }, 'the pod cannot be made')
      onProblem(messageOf(error))
    }
  }

  /** Slot, folders and files of a new pod. */
  #prepare(
    statefulSet: KubeObject,
    name: string,
    ordinal: number,
  ): { readonly plan: PodPlan; readonly ports: PodPorts } {
    const { folder } = this.#options
    // The role is in the arguments, and the ports are too: plan once to know the one, again with the other.
    const { role } = this.#plan(statefulSet, name, { remoting: 0, admin: 0 })
    const ports = portsOf(this.slotOf(name, role, ordinal), this.#options.portOffset)
    const plan = this.#plan(statefulSet, name, ports)
    for (const scratch of plan.scratchFolders) {
      folder.removeFolder(scratch)
      folder.makeFolder(scratch)
    }
    for (const data of plan.dataFolders) folder.makeFolder(data)
    for (const file of plan.files) folder.writeFile(file.path, file.content)
    this.#claim(statefulSet, name)
    return { plan, ports }
  }

  #plan(statefulSet: KubeObject, name: string, ports: PodPorts): PodPlan {
    const { folder, kube, bindHost, podIp } = this.#options
    const { namespace = '' } = statefulSet.metadata
    return planPod({
      podName: name,
      namespace,
      template: statefulSet.spec?.['template'],
      claims: claimsOf(statefulSet).map((claim) => textAt(claim, 'metadata', 'name') ?? ''),
      configMap: (configMap) =>
        kube.cache.get({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name: configMap }),
      secret: (secret) =>
        kube.cache.get({ apiVersion: 'v1', kind: 'Secret', namespace, name: secret }),
      layout: {
        claimFolder: (claim) => folder.claimFolder(name, claim),
        scratchFolder: (volume) => folder.scratchFolder(name, volume),
        configFolder: (volume) => folder.configFolder(name, volume),
      },
      ports,
      bindHost,
      podIp,
    })
  }

  /** The claims of a pod, as objects: their deletion deletes the folders. */
  #claim(statefulSet: KubeObject, pod: string): void {
    const { kube, folder } = this.#options
    const { namespace = '' } = statefulSet.metadata
    for (const template of claimsOf(statefulSet)) {
      const claim = textAt(template, 'metadata', 'name') ?? ''
      const name = `${claim}-${pod}`
      const reference = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name }
      if (kube.cache.get(reference) !== null) continue
      const relative = folder.claimFolder(pod, claim).slice(folder.root.length + 1)
      const resources = valueAt(template, 'spec', 'resources')
      const labels = labelsAt(template, 'metadata', 'labels')
      kube.add({
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: {
          name,
          namespace,
          labels: { ...labelsAt(statefulSet.spec, 'selector', 'matchLabels'), ...labels },
          annotations: { [FOLDER_ANNOTATION]: relative, [POD_ANNOTATION]: pod },
        },
        spec: { resources },
        status: { phase: 'Bound', capacity: valueAt(resources, 'requests') },
      })
    }
  }

  #processOf(
    name: string,
    reference: ObjectReference,
    { plan, ports }: { readonly plan: PodPlan; readonly ports: PodPorts },
  ): PodProcess {
    const { folder, clock, timers, bindHost } = this.#options
    return new PodProcess({
      name,
      argv: plan.argv,
      environment: plan.environment,
      logFile: folder.logFile(name),
      host: bindHost,
      adminPort: ports.admin,
      ports: boundPortsOf(plan.role, ports),
      stopGraceMs: plan.stopGraceMs,
      clock,
      timers,
      onChange: (state) => this.#processChanged(reference, state),
    })
  }

  #processChanged(reference: ObjectReference, state: PodState): void {
    const { kube, clock, podIp, onChange } = this.#options
    const running = this.#pods.get(`${reference.namespace}/${reference.name}`)
    const object = kube.cache.get(reference)
    if (running === undefined || object === null || object.metadata.uid !== running.uid) return
    kube.setStatus(reference, podStatus(object, state, podIp, new Date(clock.now()).toISOString()))
    onChange(describe(running))
    this.#look(`StatefulSet/${reference.namespace}/${running.statefulSet}`)
  }

  #updateStatefulSet(statefulSet: KubeObject): void {
    const { kube } = this.#options
    const { namespace = '', name } = statefulSet.metadata
    const updateRevision = revisionOf(statefulSet)
    const pods = kube.cache
      .list('Pod', namespace, labelsAt(statefulSet.spec, 'selector', 'matchLabels'))
      .filter((pod) => pod.metadata.ownerReferences?.[0]?.uid === statefulSet.metadata.uid)
    const updated = pods.filter((pod) => pod.metadata.labels?.[REVISION_LABEL] === updateRevision)
    const ready = pods.filter((pod) => isReady(pod))
    const isAllNew = updated.length === pods.length
    const former = textAt(statefulSet.status, 'currentRevision')
    kube.setStatus(
      { apiVersion: 'apps/v1', kind: 'StatefulSet', namespace, name },
      {
        observedGeneration: statefulSet.metadata.generation,
        replicas: pods.length,
        currentReplicas: pods.length - updated.length,
        readyReplicas: ready.length,
        availableReplicas: ready.length,
        updatedReplicas: updated.length,
        currentRevision: isAllNew ? updateRevision : (former ?? updateRevision),
        updateRevision,
      },
    )
  }

  #rewriteFiles(): void {
    for (const running of this.#pods.values()) {
      const { namespace } = running.reference
      const statefulSet = this.#options.kube.cache.get({
        apiVersion: 'apps/v1',
        kind: 'StatefulSet',
        namespace,
        name: running.statefulSet,
      })
      if (statefulSet === null) continue
      const { files } = this.#plan(statefulSet, running.reference.name, running.ports)
      for (const file of files) this.#options.folder.writeFile(file.path, file.content)
    }
  }
}

const FOLDER_ANNOTATION = 'dev.gantry/folder'
const POD_ANNOTATION = 'dev.gantry/pod'
const REVISION_LABEL = 'controller-revision-hash'

function describe(pod: RunningPod): LocalPod {
  return {
    name: pod.reference.name,
    namespace: pod.reference.namespace,
    uid: pod.uid,
    group: pod.group,
    role: pod.plan.role,
    ports: pod.ports,
    dataFolder: pod.plan.dataFolder,
    state: pod.process.state,
  }
}

/** The pod as the API would have it; the ports of its template are those of this machine. */
function podObject(
  statefulSet: KubeObject,
  name: string,
  ports: PodPorts,
  podIp: string,
): KubeObject {
  const { namespace = '' } = statefulSet.metadata
  const template = statefulSet.spec?.['template']
  const spec = valueAt(template, 'spec')
  const containers = listAt(spec, 'containers').map((container) => ({
    ...Object(container),
    ports: [
      { name: 'remoting', containerPort: ports.remoting },
      { name: 'admin', containerPort: ports.admin },
    ],
  }))
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: {
        ...labelsAt(template, 'metadata', 'labels'),
        'statefulset.kubernetes.io/pod-name': name,
        'apps.kubernetes.io/pod-index': name.slice(name.lastIndexOf('-') + 1),
        [REVISION_LABEL]: revisionOf(statefulSet),
      },
      annotations: labelsAt(template, 'metadata', 'annotations'),
      ownerReferences: [ownerOf(statefulSet)],
    },
    spec: { ...Object(spec), containers },
    status: { phase: 'Pending', podIP: podIp },
  }
}

function ownerOf({ metadata }: KubeObject): OwnerReference {
  const { name, uid = '' } = metadata
  return { apiVersion: 'apps/v1', kind: 'StatefulSet', name, uid, controller: true }
}

function revisionOf(statefulSet: KubeObject): string {
  return `${statefulSet.metadata.name}-${hashOf(statefulSet.spec?.['template'])}`
}

function replicasOf(statefulSet: KubeObject): number {
  const replicas = statefulSet.spec?.['replicas']
  return typeof replicas === 'number' ? replicas : 1
}

function ordinalOf(podName: string): number {
  return Number(podName.slice(podName.lastIndexOf('-') + 1))
}

function claimsOf(statefulSet: KubeObject): readonly unknown[] {
  return listAt(statefulSet.spec, 'volumeClaimTemplates')
}

function labelsAt(value: unknown, ...path: readonly string[]): Readonly<Record<string, string>> {
  const labels = valueAt(value, ...path)
  if (typeof labels !== 'object' || labels === null) return {}
  return Object.fromEntries(Object.entries(labels).map(([key, text]) => [key, String(text)]))
}

function podKey(pod: KubeObject): string {
  return `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`
}

function referenceTo(object: KubeObject): ObjectReference {
  const { apiVersion, kind, metadata } = object
  return { apiVersion, kind, namespace: metadata.namespace ?? '', name: metadata.name }
}
