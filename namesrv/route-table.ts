/**
 * What a name server knows: which brokers live, and on which of them each topic has queues (protocol §6).
 *
 * A pure core: the caller passes the time, performs the returned notifications, and closes connections. What it answers follows
 * RocketMQ's RouteInfoManager, and adds the `term` of a registration, by which a deposed leader of a broker group is told from
 * the present one even when both advertise the same address.
 */
import { isSameDataVersion } from '../remoting/bodies/data-version.ts'
import type { DataVersion } from '../remoting/bodies/data-version.ts'
import type { BrokerMemberGroup, ClusterInfo } from '../remoting/bodies/cluster-info.ts'
import { Permission } from '../remoting/bodies/topic-config.ts'
import type { TopicConfigTable, TopicQueueMapping } from '../remoting/bodies/topic-config.ts'
import type { BrokerData, QueueData, TopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import {
  MASTER_ID,
  brokerDataOf,
  lowestId,
  minBrokerIdChange,
  sortedAddresses,
  withActingMaster,
  withoutWrite,
} from './broker-group.ts'
import type { BrokerGroup, MinBrokerIdChange } from './broker-group.ts'

/** How long a broker counts as alive after its last sign when it names no time of its own. */
export const DEFAULT_HEARTBEAT_TIMEOUT_MS = 120_000

// Brokers exchange their addresses through this topic, which therefore shows them as they are.
const SYNC_BROKER_MEMBER_PREFIX = 'rmq_sys_SYNC_BROKER_MEMBER_'

const TopicSysFlag = { UNIT: 1, UNIT_SUB: 2 } as const

export interface RouteTableOptions {
  /** The lowest surviving member of a group without master is shown as its master (`supportActingMaster`). */
  readonly supportActingMaster: boolean
  /** Topics that a registration no longer has are removed (`deleteTopicWithBrokerRegistration`). */
  readonly deleteTopicWithBrokerRegistration: boolean
  readonly notifyMinBrokerIdChanged: boolean
}

/** What a registration tells of the broker's topics: all, a part of all of them, or some that have changed. */
export const REGISTRATION_PARTS = ['whole', 'first', 'middle', 'last', 'some'] as const

export interface Registration {
  readonly clusterName: string
  readonly brokerName: string
  readonly brokerId: number
  readonly brokerAddr: string
  readonly haServerAddr: string
  readonly zoneName: string | null
  /** Null: the broker says nothing of it, as those of 4.x do. */
  readonly heartbeatTimeoutMs: number | null
  readonly enableActingMaster: boolean | null
  /** The Raft term of a leader of Gantry; 0 for brokers that know none. */
  readonly term: number
  readonly topicTable: TopicConfigTable
  /** The connection over which it came: its end takes the broker away. */
  readonly connectionId: number
  readonly part: (typeof REGISTRATION_PARTS)[number]
}

export type RegisterResult =
  | {
      readonly type: 'registered'
      readonly isNew: boolean
      /** The master's addresses, told to slaves. */
      readonly masterAddr: string | null
      readonly haServerAddr: string | null
      readonly notifications: readonly MinBrokerIdChange[]
    }
  /** An older term or state version than the present broker's: nothing has changed. */
  | { readonly type: 'outdated'; readonly term: number }
  /** A single topic, or a later part, of a broker that has not registered yet. */
  | { readonly type: 'refused' }

export interface Unregistration {
  readonly brokerName: string
  readonly brokerAddr: string
  /** Null (Java brokers, administrators): whoever is there goes. Else a newer term stays. */
  readonly term: number | null
}

export interface LiveBroker {
  readonly clusterName: string
  readonly brokerName: string
  readonly brokerId: number
  readonly brokerAddr: string
  readonly haServerAddr: string
  readonly term: number
  readonly dataVersion: DataVersion
  readonly heartbeatTimeoutMs: number
  readonly lastUpdate: number
  readonly connectionId: number
}

export class RouteTable {
  readonly #options: () => RouteTableOptions
  readonly #groups = new Map<string, BrokerGroup>()
  readonly #clusters = new Map<string, Set<string>>()
  /** By address, which stands for one broker only; the addresses of all groups are exactly these. */
  readonly #live = new Map<string, LiveBroker>()
  /** Queues by topic and broker name. */
  readonly #topics = new Map<string, Map<string, QueueData>>()
  readonly #mappings = new Map<string, Map<string, TopicQueueMapping>>()
  /** By broker name: what the parts of a registration have told so far, while topics may have to be removed. */
  readonly #toldTopics = new Map<string, Set<string>>()
  #version = 0

  /** `options` is asked at each use, so that they may change while running. */
  constructor(options: () => RouteTableOptions) {
    this.#options = options
  }

  get brokerCount(): number {
    return this.#live.size
  }

  /** Differs after everything that may have changed a route. */
  get version(): number {
    return this.#version
  }

  get topicCount(): number {
    return this.#topics.size
  }

  register(registration: Registration, now: number): RegisterResult {
    const { clusterName, brokerName, brokerId, brokerAddr, topicTable } = registration
    const present = this.#groups.get(brokerName)?.addresses.get(brokerId)
    const presentLive = present === undefined ? undefined : this.#live.get(present)
    if (presentLive !== undefined && isOutdated(registration, presentLive)) {
      return { type: 'outdated', term: presentLive.term }
    }
    const isBeginning = registration.part === 'whole' || registration.part === 'first'
    if (present === undefined && (topicTable.topics.size === 1 || !isBeginning)) {
      return { type: 'refused' }
    }

    this.#version++
    const notifications = [...this.#displace(registration)]
    const group = this.#groupOf(clusterName, brokerName)
    const minBrokerIdChanged = brokerId < (lowestId(group) ?? MASTER_ID)
    group.enableActingMaster = registration.enableActingMaster ?? false
    group.zoneName = registration.zoneName
    this.#setAddress(group, registration)
    // A broker which is new or has moved brings all its topics anew.
    const unchanged =
      present === brokerAddr &&
      presentLive !== undefined &&
      isSameDataVersion(presentLive.dataVersion, topicTable.dataVersion)
    this.#takeTopics(group, registration, unchanged)
    const isNew = !this.#live.has(brokerAddr)
    this.#live.set(brokerAddr, liveBroker(registration, now))

    if (minBrokerIdChanged && this.#options().notifyMinBrokerIdChanged) {
      notifications.push(minBrokerIdChange(group, null, registration.haServerAddr))
    }
    const master = brokerId === MASTER_ID ? undefined : this.#masterOf(group)
    return {
      type: 'registered',
      isNew,
      masterAddr: master?.brokerAddr ?? null,
      haServerAddr: master?.haServerAddr ?? null,
      notifications,
    }
  }

  /** Takes brokers away; returns whom to tell. */
  unregister(brokers: readonly Unregistration[]): readonly MinBrokerIdChange[] {
    this.#version++
    const notifications: MinBrokerIdChange[] = []
    for (const broker of brokers) {
      const live = this.#live.get(broker.brokerAddr)
      const group = this.#groups.get(broker.brokerName)
      if (group === undefined || live?.brokerName !== broker.brokerName) continue
      if (broker.term !== null && broker.term < live.term) continue
      this.#live.delete(broker.brokerAddr)
      const wasLowest = live.brokerId === lowestId(group)
      for (const [id, address] of group.addresses) {
        if (address === broker.brokerAddr) group.addresses.delete(id)
      }
      if (group.addresses.size === 0) {
        this.#removeGroup(group)
        continue
      }
      if (!group.enableActingMaster) continue
      if (!group.addresses.has(MASTER_ID)) this.#changePermission(group.brokerName, withoutWrite)
      if (wasLowest && this.#options().notifyMinBrokerIdChanged) {
        notifications.push(minBrokerIdChange(group, broker.brokerAddr, null))
      }
    }
    return notifications
  }

  /** A sign of life: heartbeat or version query. */
  touch(brokerAddr: string, now: number): void {
    const live = this.#live.get(brokerAddr)
    if (live !== undefined) this.#live.set(brokerAddr, { ...live, lastUpdate: now })
  }

  dataVersionOf(brokerAddr: string): DataVersion | null {
    return this.#live.get(brokerAddr)?.dataVersion ?? null
  }

  /** Brokers whose last sign of life is longer ago than their time-out. */
  expired(now: number): readonly LiveBroker[] {
    return [...this.#live.values()].filter(
      ({ lastUpdate, heartbeatTimeoutMs }) => lastUpdate + heartbeatTimeoutMs < now,
    )
  }

  /** Brokers that live by this connection. */
  brokersOf(connectionId: number): readonly LiveBroker[] {
    return [...this.#live.values()].filter((live) => live.connectionId === connectionId)
  }

  route(topic: string): TopicRouteData | null {
    const queues = this.#topics.get(topic)
    if (queues === undefined) return null
    const queueDatas = sortedValues(queues)
    const brokerDatas: BrokerData[] = []
    const mayAct =
      this.#options().supportActingMaster && !topic.startsWith(SYNC_BROKER_MEMBER_PREFIX)
    for (const queueData of queueDatas) {
      const group = this.#groups.get(queueData.brokerName)
      if (group === undefined) continue
      brokerDatas.push(mayAct ? withActingMaster(group, queueData) : brokerDataOf(group))
    }
    if (brokerDatas.length === 0) return null
    return {
      orderTopicConf: null,
      queueDatas,
      brokerDatas,
      topicQueueMappingByBroker: this.#mappings.get(topic) ?? null,
    }
  }

  clusterInfo(): ClusterInfo {
    return {
      brokers: new Map(
        sortedValues(this.#groups).map((group) => [group.brokerName, brokerDataOf(group)]),
      ),
      clusters: new Map(
        sortedEntries(this.#clusters).map(([cluster, names]) => [cluster, [...names].sort()]),
      ),
    }
  }

  /** Empty when the group is not known, as RocketMQ answers. */
  memberGroup(cluster: string, brokerName: string): BrokerMemberGroup {
    const group = this.#groups.get(brokerName)
    return { cluster, brokerName, brokerAddrs: new Map(group?.addresses) }
  }

  /** Clears the write bit of every topic of a group; returns how many topics it has. */
  wipeWritePermission(brokerName: string): number {
    return this.#changePermission(brokerName, withoutWrite)
  }

  addWritePermission(brokerName: string): number {
    return this.#changePermission(brokerName, () => Permission.READ_WRITE)
  }

  /** Adds queues by hand (217). Nothing happens when one of the groups is not known. */
  registerTopic(topic: string, queueDatas: readonly QueueData[]): void {
    if (!queueDatas.every(({ brokerName }) => this.#groups.has(brokerName))) return
    this.#version++
    for (const queueData of queueDatas) this.#putQueues(topic, queueData)
  }

  /** Forgets a topic, or only its queues in one cluster. */
  deleteTopic(topic: string, clusterName: string | null): void {
    this.#version++
    if (clusterName === null) {
      this.#topics.delete(topic)
      return
    }
    for (const brokerName of this.#clusters.get(clusterName) ?? []) {
      this.#removeQueues(topic, brokerName)
    }
  }

  topics(): readonly string[] {
    return [...this.#topics.keys()].sort()
  }

  topicsOfCluster(cluster: string): readonly string[] {
    const names = this.#clusters.get(cluster) ?? new Set<string>()
    return this.topics().filter((topic) =>
      [...(this.#topics.get(topic)?.keys() ?? [])].some((brokerName) => names.has(brokerName)),
    )
  }

  /** The names of clusters and groups, which are topics of their brokers, and one broker that knows the rest of the system topics. */
  systemTopics(): { readonly topics: readonly string[]; readonly brokerAddr: string | null } {
    const topics: string[] = []
    for (const [cluster, names] of sortedEntries(this.#clusters)) {
      topics.push(cluster, ...[...names].sort())
    }
    const [first] = sortedValues(this.#groups)
    const [brokerAddr] = first === undefined ? [] : sortedAddresses(first).values()
    return { topics: [...new Set(topics)], brokerAddr: brokerAddr ?? null }
  }

  unitTopics(): readonly string[] {
    return this.#topicsWithFlag((flag) => (flag & TopicSysFlag.UNIT) !== 0)
  }

  unitSubscribedTopics(): readonly string[] {
    return this.#topicsWithFlag((flag) => (flag & TopicSysFlag.UNIT_SUB) !== 0)
  }

  unitSubscribedOrdinaryTopics(): readonly string[] {
    return this.#topicsWithFlag(
      (flag) => (flag & (TopicSysFlag.UNIT | TopicSysFlag.UNIT_SUB)) === TopicSysFlag.UNIT_SUB,
    )
  }

  #topicsWithFlag(matches: (topicSysFlag: number) => boolean): readonly string[] {
    return this.topics().filter((topic) => {
      const [first] = sortedValues(this.#topics.get(topic) ?? new Map<string, QueueData>())
      return first !== undefined && matches(first.topicSysFlag)
    })
  }

  /** An address that another group had: that broker is gone. */
  #displace({ brokerName, brokerAddr }: Registration): readonly MinBrokerIdChange[] {
    const live = this.#live.get(brokerAddr)
    if (live === undefined || live.brokerName === brokerName) return []
    return this.unregister([{ brokerName: live.brokerName, brokerAddr, term: null }])
  }

  /** The group of this name, which belongs to the cluster that it named last. */
  #groupOf(cluster: string, brokerName: string): BrokerGroup {
    const known = this.#groups.get(brokerName)
    const group = known ?? {
      brokerName,
      cluster,
      addresses: new Map<number, string>(),
      zoneName: null,
      enableActingMaster: false,
    }
    if (group.cluster !== cluster) this.#leaveCluster(group)
    group.cluster = cluster
    this.#groups.set(brokerName, group)
    const names = this.#clusters.get(cluster) ?? new Set<string>()
    this.#clusters.set(cluster, names.add(brokerName))
    return group
  }

  #leaveCluster({ cluster, brokerName }: BrokerGroup): void {
    const names = this.#clusters.get(cluster)
    names?.delete(brokerName)
    if (names?.size === 0) this.#clusters.delete(cluster)
  }

  #removeGroup(group: BrokerGroup): void {
    const { brokerName } = group
    this.#groups.delete(brokerName)
    this.#toldTopics.delete(brokerName)
    this.#leaveCluster(group)
    for (const topic of this.#topics.keys()) this.#removeQueues(topic, brokerName)
    for (const [topic, byBroker] of this.#mappings) {
      byBroker.delete(brokerName)
      if (byBroker.size === 0) this.#mappings.delete(topic)
    }
  }

  /** A slave that becomes master gives up its old id; the broker whose id it takes is gone. */
  #setAddress(group: BrokerGroup, { brokerId, brokerAddr }: Registration): void {
    for (const [id, address] of group.addresses) {
      if (address === brokerAddr && id !== brokerId) group.addresses.delete(id)
    }
    const replaced = group.addresses.get(brokerId)
    if (replaced !== undefined && replaced !== brokerAddr) this.#live.delete(replaced)
    group.addresses.set(brokerId, brokerAddr)
  }

  /** Only the master speaks for its group, or, in its absence, the lowest slave of 5.x. */
  #takeTopics(group: BrokerGroup, registration: Registration, unchanged: boolean): void {
    const { brokerName, brokerId, enableActingMaster, topicTable } = registration
    const isMaster = brokerId === MASTER_ID
    const isPrimeSlave = !isMaster && enableActingMaster !== null && brokerId === lowestId(group)
    if (!isMaster && !isPrimeSlave) return
    const options = this.#options()
    if (options.deleteTopicWithBrokerRegistration && topicTable.mappings.size === 0) {
      this.#removeMissing(registration)
    }
    for (const {
      topicName,
      readQueueNums,
      writeQueueNums,
      perm,
      topicSysFlag,
    } of topicTable.topics.values()) {
      if (unchanged && this.#topics.get(topicName)?.has(brokerName) === true) continue
      this.#putQueues(topicName, {
        brokerName,
        readQueueNums,
        writeQueueNums,
        perm: isPrimeSlave && group.enableActingMaster ? withoutWrite(perm) : perm,
        topicSysFlag,
      })
    }
    if (unchanged) return
    for (const [topic, mapping] of topicTable.mappings) {
      const byBroker = this.#mappings.get(topic) ?? new Map<string, TopicQueueMapping>()
      const owner = mapping.get('bname')
      byBroker.set(typeof owner === 'string' ? owner : brokerName, mapping)
      this.#mappings.set(topic, byBroker)
    }
  }

  /** Removes the topics which a registration, with all its parts, no longer has. */
  #removeMissing({ brokerName, part, topicTable }: Registration): void {
    if (part === 'some') return
    if (part === 'first') this.#toldTopics.set(brokerName, new Set())
    let told: ReadonlySet<string> | undefined = new Set(topicTable.topics.keys())
    if (part !== 'whole') {
      const parts = this.#toldTopics.get(brokerName)
      for (const topic of told) parts?.add(topic)
      told = parts
      if (part !== 'last') return
    }
    this.#toldTopics.delete(brokerName)
    if (told === undefined) return
    for (const topic of this.#topics.keys()) {
      if (!told.has(topic)) this.#removeQueues(topic, brokerName)
    }
  }

  #putQueues(topic: string, queueData: QueueData): void {
    const queues = this.#topics.get(topic) ?? new Map<string, QueueData>()
    queues.set(queueData.brokerName, queueData)
    this.#topics.set(topic, queues)
  }

  #removeQueues(topic: string, brokerName: string): void {
    const queues = this.#topics.get(topic)
    if (queues?.delete(brokerName) === true && queues.size === 0) this.#topics.delete(topic)
  }

  #changePermission(brokerName: string, change: (perm: number) => number): number {
    this.#version++
    let count = 0
    for (const queues of this.#topics.values()) {
      const queueData = queues.get(brokerName)
      if (queueData === undefined) continue
      queues.set(brokerName, { ...queueData, perm: change(queueData.perm) })
      count++
    }
    return count
  }

  #masterOf(group: BrokerGroup): LiveBroker | undefined {
    const address = group.addresses.get(MASTER_ID)
    return address === undefined ? undefined : this.#live.get(address)
  }
}

/** The larger term wins; among different addresses of one term the larger state version. */
function isOutdated(registration: Registration, present: LiveBroker): boolean {
  if (registration.term !== present.term) return registration.term < present.term
  return (
    registration.brokerAddr !== present.brokerAddr &&
    registration.topicTable.dataVersion.stateVersion < present.dataVersion.stateVersion
  )
}

function liveBroker(registration: Registration, now: number): LiveBroker {
  const { clusterName, brokerName, brokerId, brokerAddr, haServerAddr, term } = registration
  return {
    clusterName,
    brokerName,
    brokerId,
    brokerAddr,
    haServerAddr,
    term,
    dataVersion: registration.topicTable.dataVersion,
    heartbeatTimeoutMs: registration.heartbeatTimeoutMs ?? DEFAULT_HEARTBEAT_TIMEOUT_MS,
    lastUpdate: now,
    connectionId: registration.connectionId,
  }
}

function sortedEntries<Value>(
  map: ReadonlyMap<string, Value>,
): readonly (readonly [string, Value])[] {
  return [...map].sort(([left], [right]) => (left < right ? -1 : 1))
}

function sortedValues<Value>(map: ReadonlyMap<string, Value>): readonly Value[] {
  return sortedEntries(map).map(([, value]) => value)
}
