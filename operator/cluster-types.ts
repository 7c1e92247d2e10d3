/** What a RocketMQCluster says (spec, with every default in its place) and what the operator answers (status). */

export type PullPolicy = 'Always' | 'IfNotPresent' | 'Never'
export type RetentionPolicy = 'Retain' | 'Delete'

export interface Resources {
  readonly requests: Readonly<Record<string, string>>
  readonly limits: Readonly<Record<string, string>>
}

export interface PodTemplateOverlay {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>
    readonly annotations: Readonly<Record<string, string>>
  }
  /** A PodSpec, merged under ours. */
  readonly spec: Readonly<Record<string, unknown>>
}

export interface ImageSpec {
  readonly repository: string
  readonly digest: string | null
  readonly pullPolicy: PullPolicy
  readonly pullSecrets: readonly string[]
}

export interface NameServerStorage {
  readonly size: string
  readonly storageClassName: string
}

export interface NameServerSpec {
  readonly replicas: number
  readonly storage: NameServerStorage | null
  readonly resources: Resources
  readonly podTemplate: PodTemplateOverlay
}

export interface BrokerStorage {
  readonly size: string
  readonly storageClassName: string
  readonly retention: {
    readonly whenDeleted: RetentionPolicy
    readonly whenScaled: RetentionPolicy
  }
}

export interface RolloutSpec {
  readonly maxUnavailableGroups: number
  readonly podTimeoutSeconds: number
}

export interface DrainSpec {
  readonly timeoutSeconds: number
  readonly onTimeout: 'Block' | 'Force'
  readonly unconsumed: 'Wait' | 'Ignore'
  readonly settleSeconds: number
}

export interface VolumeRecoverySpec {
  readonly enabled: boolean
  readonly nodeGoneAfterSeconds: number
}

export interface BrokerSpec {
  readonly groups: number
  readonly replicasPerGroup: 1 | 3 | 5
  readonly config: Readonly<Record<string, string>>
  readonly flush: 'Async' | 'Sync'
  readonly retentionHours: number
  readonly diskMaxUsedPercent: number
  readonly resources: Resources
  readonly storage: BrokerStorage
  readonly rollout: RolloutSpec
  readonly drain: DrainSpec
  readonly pvcRecovery: VolumeRecoverySpec
  readonly podTemplate: PodTemplateOverlay
}

export interface AccessControlSpec {
  readonly enabled: boolean
  /** Null: the operator makes one. */
  readonly secretName: string | null
}

export interface ClusterSpec {
  readonly version: string | null
  readonly image: ImageSpec
  readonly paused: boolean
  readonly hibernate: boolean
  readonly accessControl: AccessControlSpec
  readonly nameServer: NameServerSpec
  readonly broker: BrokerSpec
}

/** A parsed RocketMQCluster: who it is, and what it says. */
export interface Cluster {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly generation: number
  readonly annotations: Readonly<Record<string, string>>
  readonly spec: ClusterSpec
}

export const CONDITION_TYPES = [
  'Ready',
  'Available',
  'Progressing',
  'Degraded',
  'Paused',
  'Hibernated',
  'ScalingDown',
  'StorageResizing',
] as const
export type ConditionType = (typeof CONDITION_TYPES)[number]

export interface Condition {
  readonly type: ConditionType
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly observedGeneration: number
  readonly lastTransitionTime: string
}

export const GROUP_PHASES = [
  'Pending',
  'Joining',
  'Serving',
  'Rolling',
  'Expanding',
  'WriteDisabled',
  'Draining',
  'Drained',
  'Removing',
  'Unhealthy',
  'Lost',
] as const
export type GroupPhase = (typeof GROUP_PHASES)[number]

export interface DrainStatus {
  readonly startedAt: string
  readonly remainingMessages: number | null
  readonly etaSeconds: number | null
  /** What keeps the group from going: topic, consumer group and lag. */
  readonly blockedBy: readonly string[]
  /** Broadcast groups keep their offsets at the clients and cannot be measured. */
  readonly broadcastGroups: readonly string[]
}

export interface MemberStatus {
  /** The pod's ordinal. */
  readonly id: number
  readonly pod: string
  /** `leader`, `follower`, `candidate`, `learner`, `joining`; null: it does not say. */
  readonly role: string | null
  readonly ready: boolean
  /** Of the leader's log; null: unknown. */
  readonly lagBytes: number | null
}

export interface GroupStatus {
  readonly name: string
  readonly phase: GroupPhase
  readonly message: string
  readonly leader: string | null
  readonly term: number | null
  readonly replicas: number
  readonly ready: number
  readonly caughtUp: number
  /** `caughtUp/replicas`. */
  readonly inSync: string
  readonly members: readonly MemberStatus[]
  readonly revision: string | null
  readonly desiredRevision: string
  readonly storage: {
    readonly requested: string
    readonly actual: string | null
    readonly usedPercent: number | null
  }
  readonly drain: DrainStatus | null
}

export interface ClusterStatus {
  readonly observedGeneration: number
  readonly conditions: readonly Condition[]
  readonly version: string | null
  readonly brokerGroups: number
  /** Members in sync of all groups, of those that there shall be, as `5/6`. */
  readonly membersInSync: string
  readonly selector: string
  readonly nameServers: readonly string[]
  /** Ready of wanted, as `3/3`. */
  readonly nameServersReady: string
  /** The fullest volume. */
  readonly usedPercent: number | null
  readonly groups: readonly GroupStatus[]
  readonly plan: readonly string[]
}
