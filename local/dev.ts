/**
 * `gantry dev`: the operator's controller on an API server of its own, whose pods are processes of this machine. This file wires the parts,
 * follows the manifest, and says when a send would succeed.
 */
import { readFileSync, statSync } from 'node:fs'
import { messageOf } from '../common/errors.ts'
import type { Runtime, Timer } from '../common/ports.ts'
import { openAdmin } from '../client/open-admin.ts'
import type { OpenAdmin } from '../client/open-admin.ts'
import { writeQueues } from '../client/route.ts'
import { environmentWith } from '../common/credentials.ts'
import { createController } from '../operator/controller.ts'
import type { ClusterSpec } from '../operator/cluster-types.ts'
import { parseCluster } from '../operator/crd.ts'
import { createDataPlanes } from '../operator/data-plane.ts'
import { listAt, textAt } from '../operator/json.ts'
import { referenceOf } from '../operator/kube-api.ts'
import { clusterKeyOf } from '../operator/object-cache.ts'
import type { EventRecorder, KubeObject } from '../operator/ports.ts'
import { findSuperUsers } from '../operator/super-users.ts'
import type { SuperUsers } from '../operator/super-users.ts'
import { WorkQueue } from '../operator/work-queue.ts'
import type { WorkResult } from '../operator/work-queue.ts'
import type { Console } from './console.ts'
import { DashboardProcess } from './dashboard-process.ts'
import type { DataFolder } from './data-folder.ts'
import type { FileLogger } from './file-logger.ts'
import { LocalKube } from './local-kube.ts'
import { GroupAddresses } from './group-addresses.ts'
import { defaultManifest, ManifestError, readManifest } from './manifest.ts'
import type { Manifest } from './manifest.ts'
import { assignSlots, podsOf } from './manifest-pods.ts'
import { httpGet } from './pod-process.ts'
import { LocalPods } from './pods.ts'
import type { LocalPod } from './pods.ts'
import { boundPortsOf, createLocalAddressing, portsOf, relayPortsOf } from './ports.ts'
import type { PodSlot, Role } from './ports.ts'
import type { DevPodStatus, DevStatus } from './status.ts'

export interface DevOptions {
  /** Null: the default manifest. */
  readonly file: string | null
  readonly folder: DataFolder
  /** What the processes listen on. */
  readonly bindHost: string
  /** What brokers register and clients dial. */
  readonly advertisedHost: string
  readonly portOffset: number
  readonly runtime: Runtime
  readonly logger: FileLogger
  readonly console: Console
  /** Shown as the data folder. */
  readonly shownFolder: string
  /** The console runs beside the pods. */
  readonly withDashboard: boolean
}

const SAVED_KINDS = [
  'RocketMQCluster',
  'StatefulSet',
  'PersistentVolumeClaim',
  'Service',
  'ConfigMap',
  'ServiceAccount',
  'PodDisruptionBudget',
  'EndpointSlice',
  'Role',
  'RoleBinding',
  'Secret',
] as const
const SAVE_DELAY_MS = 100
const FILE_POLL_MS = 400
const READY_POLL_MS = 50
const REFRESH_MS = 1_000
/** The data plane tells nothing by itself: while there is something to do, it is asked this often. */
const BUSY_REQUEUE_MS = 400
/** Every broker has it from the start, also one that makes no topics by itself. */
const ANY_TOPIC = 'SELF_TEST_TOPIC'

export class Dev {
  readonly #options: DevOptions
  readonly #kube: LocalKube
  readonly #pods: LocalPods
  readonly #addresses: GroupAddresses
  readonly #dashboard: DashboardProcess | null
  readonly #queue: WorkQueue
  readonly #admin: OpenAdmin
  readonly #dataPlanes: ReturnType<typeof createDataPlanes>
  readonly #roles: Map<string, string> = new Map()
  readonly #problems: Map<string, string> = new Map()
  readonly #timers: Timer[] = []
  readonly #said: Set<string> = new Set()
  #manifest: Manifest
  #fileStamp = ''
  #saveTimer: Timer | null = null
  #isReady = false
  #isClosed = false

  private constructor(
    options: DevOptions,
    manifest: Manifest,
    kube: LocalKube,
    slots: Readonly<Record<string, PodSlot>>,
  ) {
    this.#options = options
    this.#manifest = manifest
    this.#kube = kube
    const { runtime, folder, logger, bindHost, advertisedHost, portOffset } = options
    this.#dataPlanes = createDataPlanes({ runtime, logger })
    this.#admin = openAdmin(runtime, logger, { timeoutMs: 1_000 })
    this.#pods = new LocalPods({
      ...runtime,
      kube,
      folder,
      logger,
      bindHost,
      podIp: advertisedHost,
      portOffset,
      slots,
      onChange: (pod) => this.#podChanged(pod),
      onProblem: (sentence) => this.#sayOnce(sentence),
    })
    this.#addresses = new GroupAddresses({
      bindHost,
      portOffset,
      timers: runtime.timers,
      logger,
      pods: () => this.#pods.list(),
      onChange: () => void this.#refresh(),
      onProblem: (sentence) => this.#sayOnce(sentence),
    })
    this.#dashboard = options.withDashboard
      ? new DashboardProcess({
          ...runtime,
          folder,
          bindHost,
          advertisedHost,
          portOffset,
          onChange: () => this.#publish(),
          onProblem: (sentence) => this.#sayOnce(sentence),
        })
      : null
    const slotOf = (pod: string, role: Role, ordinal: number): PodSlot =>
      this.#pods.slotOf(pod, role, ordinal)
    const controller = createController({
      ...runtime,
      api: kube,
      cache: kube.cache,
      dataPlanes: this.#dataPlanes,
      events: this.#events(),
      addressing: createLocalAddressing(advertisedHost, portOffset, slotOf),
      logger,
      mayAct: () => !this.#isClosed,
      operandImage: 'gantry',
    })
    this.#queue = new WorkQueue({
      ...runtime,
      logger,
      workers: 1,
      work: async (key) => this.#paced(await controller.reconcile(key)),
    })
  }

  /** Reads manifest and saved state; throws `ManifestError` and `DataFolderError`. Nothing runs yet. */
  static async prepare(options: DevOptions): Promise<Dev> {
    const { folder, runtime, file } = options
    const state = folder.loadState()
    const kube = new LocalKube(runtime.clock, state?.kube ?? null)
    const running = kube.cache.all('RocketMQCluster')[0] ?? null
    const manifest = await loadManifest(file, specOf(running))
    if (running !== null) checkSameCluster(running, manifest, file, options.shownFolder)
    const dev = new Dev(options, manifest, kube, assignSlots(manifest, state?.slots ?? {}))
    dev.#fileStamp = stampOf(file)
    return dev
  }

  /** The ports that the pods of the manifest, and those that ran before, will bind. */
  get ports(): readonly number[] {
    const former = this.#kube.cache.all('StatefulSet').flatMap((statefulSet) => {
      const { name } = statefulSet.metadata
      return Object.keys(this.#pods.slots).filter((pod) => pod.replace(/-\d+$/, '') === name)
    })
    const names = new Set([...former, ...podsOf(this.#manifest).map(({ name }) => name)])
    return Object.entries(this.#pods.slots)
      .filter(([name]) => names.has(name))
      .flatMap(([, slot]) => boundPortsOf(slot.role, portsOf(slot, this.#options.portOffset)))
      .concat(this.#relayPorts())
  }

  #relayPorts(): readonly number[] {
    const { groups, replicasPerGroup } = this.#manifest.cluster.spec.broker
    if (replicasPerGroup === 1) return []
    return Array.from({ length: groups }, (_, group) => {
      const { remoting, vip } = relayPortsOf(group, this.#options.portOffset)
      return [remoting, vip]
    }).flat()
  }

  async start(): Promise<void> {
    const { runtime, console } = this.#options
    this.#kube.cache.subscribe((object) => {
      this.#saveSoon()
      this.#addresses.note(object)
      const key = clusterKeyOf(object)
      if (key !== null) this.#queue.add(key)
    })
    // Who gave no manifest has nothing to compare with.
    const notes = this.#options.file === null ? [] : this.#manifest.notes
    for (const note of notes) console.say(`note: ${note}`)
    for (const statefulSet of this.#kube.cache.all('StatefulSet')) this.#addresses.note(statefulSet)
    await this.#applyManifest()
    this.#pods.start()
    this.#queue.start()
    this.#addKey()
    this.#timers.push(runtime.timers.every(REFRESH_MS, () => void this.#refresh()))
    if (this.#options.file !== null) {
      this.#timers.push(runtime.timers.every(FILE_POLL_MS, () => void this.#lookAtFile()))
    }
    this.#checkReadySoon()
  }

  /** Stops all processes in good order. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const timer of this.#timers) timer.cancel()
    this.#saveTimer?.cancel()
    await this.#dashboard?.close()
    await this.#queue.close()
    await this.#pods.close()
    await this.#addresses.close()
    await this.#admin[Symbol.asyncDispose]()
    await this.#dataPlanes[Symbol.asyncDispose]()
    this.#save()
  }

  /** Ends all processes at once. */
  kill(): void {
    this.#dashboard?.kill()
    this.#pods.kill()
  }

  /** False when all was there as it is. */
  async #applyManifest(): Promise<boolean> {
    const { secrets, object } = this.#manifest
    let isChanged = false
    for (const wanted of [...secrets, object]) {
      const before = this.#kube.cache.get(referenceOf(wanted))
      isChanged = (await this.#kube.apply(wanted)) !== before || isChanged
    }
    return isChanged
  }

  #addKey(): void {
    const { namespace = '', name } = this.#manifest.object.metadata
    this.#queue.add(`${namespace}/${name}`)
  }

  #paced(result: WorkResult): WorkResult {
    const { requeueAfterMs } = result
    const isIdle = this.#conditionOf('Ready') === 'True'
    if (requeueAfterMs === null || isIdle) return result
    return { requeueAfterMs: Math.min(requeueAfterMs, BUSY_REQUEUE_MS) }
  }

  #cluster(): KubeObject | null {
    const { apiVersion, kind, metadata } = this.#manifest.object
    const { name, namespace = '' } = metadata
    return this.#kube.cache.get({ apiVersion, kind, namespace, name })
  }

  #conditionOf(type: string): string | null {
    const found = listAt(this.#cluster()?.status, 'conditions').find(
      (condition) => textAt(condition, 'type') === type,
    )
    return textAt(found, 'status')
  }

  #podChanged(pod: LocalPod): void {
    const { console } = this.#options
    const { problem, isReady, phase } = pod.state
    const former = this.#problems.get(pod.name) ?? ''
    if (problem !== '' && problem !== former) console.say(problem)
    if (isReady && former !== '') console.say(`${pod.name} is ready again`)
    if (problem !== '') this.#problems.set(pod.name, problem)
    else if (isReady || phase === 'stopped') this.#problems.delete(pod.name)
    if (!isReady) this.#roles.delete(pod.name)
    this.#addresses.podChanged(pod)
    this.#publish()
    if (isReady) void this.#refresh()
  }

  /** Asks the brokers for their roles, and tells the terminal and the status file. */
  async #refresh(): Promise<void> {
    const { bindHost } = this.#options
    const brokers = this.#pods
      .list()
      .filter((pod) => pod.role === 'broker' && pod.state.phase === 'running')
    for (const pod of brokers) {
      const { status, body } = await httpGet(bindHost, pod.ports.admin, '/admin/v1/raft')
      const role = status === 200 ? textAt(parsed(body), 'role') : null
      if (role === null) this.#roles.delete(pod.name)
      else this.#roles.set(pod.name, role)
    }
    if (this.#isReady) {
      const superUsers = await this.#superUsers()
      await this.#dashboard?.follow(this.#status().namesrv, superUsers?.inner ?? null)
    }
    this.#publish()
  }

  #publish(): void {
    if (this.#isClosed) return
    const { console, folder, shownFolder } = this.#options
    const status = this.#status()
    try {
      folder.writeStatus({ pid: process.pid, ...status })
    } catch (error) {
      // A full disk is no reason to stop what still runs.
      this.#sayOnce(`the status file cannot be written: ${messageOf(error)}`)
    }
    const cluster = this.#cluster()
    const { name } = this.#manifest.object.metadata
    console.show({
      cluster: name,
      isReady: this.#isReady && this.#conditionOf('Ready') === 'True',
      summary: summaryOf(cluster),
      namesrv: status.namesrv,
      dataFolder: shownFolder,
      pods: this.#pods.list().map((pod) => ({
        name: pod.name,
        kind: pod.role,
        role: this.#roles.get(pod.name) ?? null,
        address: this.#addressOf(pod),
        pid: pod.state.pid,
        state: pod.state.isReady ? 'ready' : pod.state.phase,
        isReady: pod.state.isReady,
      })),
      plan: listAt(cluster?.status, 'plan').map(String),
    })
  }

  #status(): DevStatus {
    const pods = this.#pods.list()
    const nameServers = pods.filter((pod) => pod.role === 'namesrv')
    const dashboard = this.#dashboard?.status ?? null
    return {
      namesrv: nameServers.map((pod) => this.#addressOf(pod)).join(';'),
      pods: [
        ...pods.map((pod): DevPodStatus => ({
          name: pod.name,
          kind: pod.role,
          group: pod.group,
          role: this.#roles.get(pod.name) ?? null,
          pid: pod.state.pid,
          address: this.#addressOf(pod),
          dataDir: pod.dataFolder,
          ready: pod.state.isReady,
        })),
        ...(dashboard === null ? [] : [dashboard]),
      ],
      groups: this.#groups(),
    }
  }

  /** What clients are told of each broker group. */
  #groups(): DevStatus['groups'] {
    const brokers = this.#pods.list().filter((pod) => pod.role === 'broker')
    const names = [...new Set(brokers.flatMap(({ group }) => group ?? []))]
    return names.map((name) => {
      const relay = this.#addresses.portOf(name)
      const only = brokers.find(({ group }) => group === name)
      const alone = only === undefined ? '' : this.#addressOf(only)
      const address = relay === null ? alone : `${this.#options.advertisedHost}:${relay}`
      const leader = relay === null ? (only?.name ?? null) : this.#addresses.leaderOf(name)
      return { name, address, leader }
    })
  }

  #addressOf(pod: LocalPod): string {
    return `${this.#options.advertisedHost}:${pod.ports.remoting}`
  }

  #checkReadySoon(): void {
    if (this.#isClosed) return
    this.#options.runtime.timers.after(READY_POLL_MS, () => {
      void this.#isServing().then((isServing) => {
        if (isServing) void this.#sayReady()
        else this.#checkReadySoon()
      })
    })
  }

  /** All pods answer, and a producer would find a queue at every name server. */
  async #isServing(): Promise<boolean> {
    const pods = this.#pods.list()
    const { nameServer, broker } = this.#manifest.cluster.spec
    const nameServers = pods.filter((pod) => pod.role === 'namesrv')
    const brokers = pods.filter((pod) => pod.role === 'broker')
    if (
      nameServers.length < nameServer.replicas ||
      brokers.length < broker.groups * broker.replicasPerGroup
    )
      return false
    if (pods.some((pod) => !pod.state.isReady)) return false
    try {
      for (const pod of nameServers) {
        const route = await this.#admin.admin.route(this.#addressOf(pod), ANY_TOPIC)
        if (route === null || writeQueues(ANY_TOPIC, route).length === 0) return false
      }
      return true
    } catch {
      // Not reachable yet: asked again in a moment.
      return false
    }
  }

  async #superUsers(): Promise<SuperUsers | null> {
    const { runtime } = this.#options
    const found = await findSuperUsers(this.#manifest.cluster, { ...runtime, api: this.#kube })
    return found.type === 'found' ? found.superUsers : null
  }

  async #sayReady(): Promise<void> {
    const { console, shownFolder, folder } = this.#options
    this.#isReady = true
    const superUsers = await this.#superUsers()
    if (superUsers !== null) {
      const file = folder.writeAdministrator(environmentWith(superUsers.administrator))
      console.say(
        `administrator of the brokers: ${superUsers.administrator.accessKey}, see ${file}`,
      )
    }
    const { namesrv, groups } = this.#status()
    const brokers = groups.map(({ address }) => address)
    const page = this.#dashboard === null ? '' : ` dashboard=${this.#dashboard.url}`
    console.say(`ready namesrv=${namesrv} brokers=${brokers.join(';')}${page} data=${shownFolder}`)
    void this.#refresh()
    this.#publish()
  }

  #events(): EventRecorder {
    const { console, logger } = this.#options
    let last = ''
    return {
      record: (regarding, { type, reason, action, note }) => {
        logger.info({ regarding: regarding.metadata.name, type, reason, action, note }, 'event')
        const line = `${type === 'Warning' ? 'warning: ' : ''}${reason}: ${note}`
        // Before it is ready, groups come up; that is told by the ready line alone.
        if (reason === 'GroupPhaseChanged' && !this.#isReady) return
        // What is tried again and again is said once.
        if (line !== last) console.say(line)
        last = line
      },
    }
  }

  async #lookAtFile(): Promise<void> {
    const { file, console } = this.#options
    const stamp = stampOf(file)
    if (stamp === this.#fileStamp || this.#isClosed) return
    this.#fileStamp = stamp
    try {
      const cluster = this.#cluster()
      const manifest = await loadManifest(file, specOf(cluster))
      if (cluster !== null) checkSameCluster(cluster, manifest, file, this.#options.shownFolder)
      this.#manifest = manifest
      if (await this.#applyManifest()) console.say(`applied ${file ?? ''}`)
      this.#addKey()
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error
      console.say(`${error.message}\nnothing is changed: the cluster runs as before`)
    }
  }

  #saveSoon(): void {
    if (this.#saveTimer !== null || this.#isClosed) return
    this.#saveTimer = this.#options.runtime.timers.after(SAVE_DELAY_MS, () => {
      this.#saveTimer = null
      this.#save()
    })
  }

  #save(): void {
    const { folder } = this.#options
    const kube = this.#kube.snapshot(SAVED_KINDS)
    try {
      folder.saveState({ format: 1, kube, slots: this.#pods.slots })
    } catch (error) {
      this.#sayOnce(`the state cannot be saved: ${messageOf(error)}`)
    }
  }

  /** What would be repeated at every turn is said once. */
  #sayOnce(sentence: string): void {
    if (this.#said.has(sentence)) return
    this.#said.add(sentence)
    this.#options.console.say(sentence)
  }
}

async function loadManifest(file: string | null, previous: ClusterSpec | null): Promise<Manifest> {
  if (file === null) return defaultManifest(previous)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ManifestError('unreadable', `${file}: cannot be read: ${messageOf(error)}`, error)
  }
  return await readManifest(file, text, previous)
}

function specOf(cluster: KubeObject | null): ClusterSpec | null {
  if (cluster === null) return null
  const result = parseCluster(cluster)
  return result.type === 'valid' ? result.cluster.spec : null
}

function checkSameCluster(
  running: KubeObject,
  manifest: Manifest,
  file: string | null,
  folder: string,
): void {
  const { name, namespace } = running.metadata
  const wanted = manifest.object.metadata
  if (wanted.name === name && wanted.namespace === namespace) return
  throw new ManifestError(
    'invalid',
    `${file ?? 'the default manifest'}: ${folder} holds the cluster ${namespace ?? ''}/${name}, not ` +
      `${wanted.namespace ?? ''}/${wanted.name}: name another folder with --data`,
  )
}

/** Changes whenever the file does; empty while it is not there. */
function stampOf(file: string | null): string {
  const status = file === null ? undefined : statSync(file, { throwIfNoEntry: false })
  return status === undefined ? '' : `${status.ino}/${status.mtimeMs}/${status.size}`
}

function summaryOf(cluster: KubeObject | null): string {
  const conditions = listAt(cluster?.status, 'conditions')
  const ready = conditions.find((condition) => textAt(condition, 'type') === 'Ready')
  if (ready === undefined) return 'starting'
  if (textAt(ready, 'status') === 'True') return 'Ready'
  return `${textAt(ready, 'reason') ?? 'not ready'}: ${textAt(ready, 'message') ?? ''}`
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return null
  }
}
