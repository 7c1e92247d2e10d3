/** One pass over one cluster: observe, decide, apply, at most one act, status. It keeps nothing that matters from one pass to the next. */
import { messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Clock, Random } from '../common/ports.ts'
import { actKey } from './act.ts'
import type { Act } from './act.ts'
import { applyAll } from './apply.ts'
import type { Cluster, ClusterStatus, Condition } from './cluster-types.ts'
import { API_VERSION, KIND, parseCluster } from './crd.ts'
import type { EventReason } from './events.ts'
import { canonicalJson } from './json.ts'
import { referenceOf } from './kube-api.ts'
import { KubeError } from './kube-error.ts'
import { isOwnedBy, observe, statusOf } from './observe.ts'
import { perform } from './perform.ts'
import { decide } from './plan.ts'
import type { Decision } from './plan.ts'
import type {
  Addressing,
  DataPlane,
  DataPlanes,
  EventRecorder,
  KubeApi,
  KubeObject,
  ObjectCache,
} from './ports.ts'
import type { ConditionReason } from './reasons.ts'
import type { Failure, Snapshot } from './snapshot.ts'
import { refusedStatus } from './status.ts'
import type { Refusal } from './status.ts'
import { findSuperUsers } from './super-users.ts'

export interface ControllerOptions {
  readonly api: KubeApi
  readonly cache: ObjectCache
  readonly dataPlanes: DataPlanes
  readonly events: EventRecorder
  readonly clock: Clock
  readonly random: Random
  readonly addressing: Addressing
  readonly logger: Logger
  /** Whether there is enough of the Lease left for an act. */
  readonly mayAct: () => boolean
  readonly operandImage: string
  /** An upper limit for `drain.settleSeconds`; for one machine, where clients may be told of a shorter time. */
  readonly maxSettleSeconds?: number
}

export interface Controller {
  /** `key` is `namespace/name`. Rejects when the API server fails; then the caller tries again later. */
  reconcile(key: string): Promise<{ readonly requeueAfterMs: number | null }>
}

/** What is remembered of a cluster, to be polite: losing it only means that something is tried again sooner. */
interface Memory {
  generation: number
  failures: Map<string, Failure>
  performedAt: Map<string, number>
  /** The newest version that the server answered, by `objectKey`. */
  versions: Map<string, { readonly version: string; readonly at: number }>
  /** brokerName -> the pod that led when it was last known. */
  leaders: Map<string, string>
}

const REQUEUE_ACTED_MS = 150
const REQUEUE_STALE_MS = 100
const REQUEUE_WAITING_MS = 2_000
/** A cache that stays behind for longer is no longer waited for. */
const STALE_LIMIT_MS = 10_000
const FAILURE_MIN_MS = 1_000
const FAILURE_MAX_MS = 300_000
/** Jitter of the long pauses, so that clusters do not come all at once. */
const JITTER = 0.1
const STEADY_MS = 60_000
/** Secrets are not watched, since that would take the right to list them all. */
const SECRET_RETRY_MS = 5_000

export function createController(options: ControllerOptions): Controller {
  const memories = new Map<string, Memory>()
  return {
    async reconcile(key) {
      const separator = key.indexOf('/')
      const namespace = key.slice(0, separator)
      const name = key.slice(separator + 1)
      const object = options.cache.get({ apiVersion: API_VERSION, kind: KIND, namespace, name })
      // Everything that a cluster owns goes with it by garbage collection, volumes as their StatefulSet says.
      if (object === null || object.metadata.deletionTimestamp !== undefined) {
        memories.delete(key)
        return { requeueAfterMs: null }
      }
      const memory = memories.get(key) ?? newMemory()
      memories.set(key, memory)
      const requeueAfterMs = await pass(object, memory, options)
      const isLong = requeueAfterMs >= STEADY_MS
      const jitter = isLong ? 1 - JITTER + 2 * JITTER * options.random.next() : 1
      return { requeueAfterMs: Math.round(requeueAfterMs * jitter) }
    },
  }
}

async function pass(
  object: KubeObject,
  memory: Memory,
  options: ControllerOptions,
): Promise<number> {
  const { clock } = options
  const parsed = parseCluster(object)
  if (parsed.type === 'invalid') {
    const message = parsed.problems.map(({ path, message }) => `${path}: ${message}`).join('; ')
    await refuse(object, { reason: 'InvalidSpec', message }, options)
    return STEADY_MS
  }
  const cluster = withSettleLimit(parsed.cluster, options.maxSettleSeconds)
  const found = await findSuperUsers(cluster, options)
  if (found.type === 'refused') {
    await refuse(object, { reason: 'SecretNotUsable', message: found.message }, options)
    return SECRET_RETRY_MS
  }
  if (found.type === 'made') record(object, 'SecretMade', 'reconcile', found.note, options)
  forgetOld(memory, cluster.generation, clock.now())
  const failures = [...memory.failures.values()]
  const { superUsers } = found
  const dataPlane = options.dataPlanes.as(superUsers?.inner ?? null)
  const now = clock.now()
  const snapshot = await observe(cluster, object, { ...options, dataPlane, now, failures })
  if (isStale(snapshot, memory)) return REQUEUE_STALE_MS

  const { performedAt } = memory
  const decision = decide(cluster, snapshot, { ...options, superUsers, performedAt })
  const current: Pass = { object, cluster, snapshot, decision, memory, dataPlane }
  const isApplied = await applyDecision(current, options)
  const acted = isApplied ? await act(current, options) : 'none'
  if (await writeStatus(object, decision.status, options)) {
    recordPhases(object, snapshot.formerStatus, decision.status, options)
    recordLeaders(object, memory, decision.status, options)
  }
  if (acted === 'done') return REQUEUE_ACTED_MS
  if (!isApplied) return pauseOf(memory, clock.now())
  if (acted === 'waiting') return Math.min(REQUEUE_WAITING_MS, decision.requeueAfterMs)
  return decision.requeueAfterMs
}

interface Pass {
  readonly object: KubeObject
  readonly cluster: Cluster
  readonly snapshot: Snapshot
  readonly decision: Decision
  readonly memory: Memory
  readonly dataPlane: DataPlane
}

/** Nothing is done; the status and an Event say why. */
async function refuse(
  object: KubeObject,
  refusal: Refusal,
  options: ControllerOptions,
): Promise<void> {
  const { generation = 1 } = object.metadata
  const status = refusedStatus(statusOf(object), generation, refusal, options.clock.now())
  if (!(await writeStatus(object, status, options))) return
  record(object, refusal.reason, 'reconcile', refusal.message, options)
}

/** True when everything is as decided: only then may an act build on it. */
async function applyDecision(current: Pass, options: ControllerOptions): Promise<boolean> {
  const { object, cluster, snapshot, decision, memory } = current
  const { api, logger, clock } = options
  const result = await applyAll(decision.apply, { api, logger, cluster, snapshot })
  const at = clock.now()
  for (const [key, version] of result.versions) {
    memory.versions.set(key, { version, at })
    memory.failures.delete(key)
  }
  for (const { key, how } of result.repaired) {
    record(object, 'DriftRepaired', 'apply', `${key.replace('/', ' ')} ${how}`, options)
  }
  for (const { key, reason, event, message } of result.failures) {
    remember(memory, { key, reason, message }, at)
    record(object, event, 'apply', message, options)
    logger.warn(
      { cluster: cluster.name, object: key, problem: message },
      'an object cannot be applied',
    )
  }
  for (const surplus of decision.delete) await prune(object, surplus, cluster, options)
  return result.isWhole
}

async function prune(
  object: KubeObject,
  surplus: KubeObject,
  cluster: Cluster,
  options: ControllerOptions,
): Promise<void> {
  const { api } = options
  const reference = referenceOf(surplus)
  const live = await api.get(reference)
  const uid = live?.metadata.uid
  if (live === null || uid === undefined || uid !== surplus.metadata.uid) return
  if (!isOwnedBy(live, cluster.uid)) return
  await api.delete(reference, { uid })
  record(object, 'ObjectPruned', 'delete', `${surplus.kind} ${surplus.metadata.name}`, options)
}

async function act(
  { object, cluster, decision, memory, dataPlane }: Pass,
  options: ControllerOptions,
): Promise<'done' | 'waiting' | 'none'> {
  if (decision.act === null) return 'none'
  if (!options.mayAct()) return 'waiting'
  const { clock, logger, api } = options
  const key = actKey(decision.act)
  const before = memory.performedAt.get(key)
  const now = clock.now()
  memory.performedAt.set(key, now)
  try {
    const performed = await perform(decision.act, { api, dataPlane, cluster })
    memory.failures.delete(key)
    if (performed !== null) {
      logger.info({ cluster: cluster.name, act: key, note: performed.note }, 'acted')
      record(object, performed.reason, decision.act.type, performed.note, options)
    }
    // What is done again and again is not done in a hurry.
    return before !== undefined && now - before < REQUEUE_WAITING_MS ? 'waiting' : 'done'
  } catch (error) {
    fail({ object, cluster, memory, key, act: decision.act, error }, options)
    return 'waiting'
  }
}

function fail(
  failed: {
    readonly object: KubeObject
    readonly cluster: Cluster
    readonly memory: Memory
    readonly key: string
    readonly act: Act
    readonly error: unknown
  },
  options: ControllerOptions,
): void {
  const { object, cluster, memory, key, act: failedAct, error } = failed
  const message = `${failedAct.type}: ${messageOf(error)}`
  // A disruption budget says "not now": that is an answer, not a fault.
  const isRefused = error instanceof KubeError && error.code === 'tooManyRequests'
  if (isRefused) memory.failures.delete(key)
  remember(memory, { key, reason: 'ActFailed', message }, options.clock.now())
  if (!isRefused) record(object, 'ActFailed', failedAct.type, message, options)
  options.logger.warn({ cluster: cluster.name, act: key, err: error }, 'an act failed')
}

function remember(
  memory: Memory,
  failure: { readonly key: string; readonly reason: ConditionReason; readonly message: string },
  now: number,
): void {
  const count = (memory.failures.get(failure.key)?.count ?? 0) + 1
  const pauseMs = Math.min(FAILURE_MAX_MS, FAILURE_MIN_MS * 2 ** Math.min(count - 1, 20))
  memory.failures.set(failure.key, { ...failure, count, until: now + pauseMs })
}

/** What the API server refuses is tried again with growing pauses. */
function pauseOf({ failures }: Memory, now: number): number {
  const pauses = [...failures.values()].map(({ until }) => until - now)
  if (pauses.length === 0) return STALE_LIMIT_MS
  return Math.max(REQUEUE_WAITING_MS, Math.min(...pauses, FAILURE_MAX_MS))
}

/** A changed spec deserves a fresh try; and what nobody tries any more is no failure. */
function forgetOld(memory: Memory, generation: number, now: number): void {
  if (memory.generation !== generation) {
    memory.generation = generation
    memory.failures.clear()
  }
  for (const [key, { until }] of memory.failures) {
    if (now > until + STEADY_MS) memory.failures.delete(key)
  }
  for (const [key, at] of memory.performedAt) {
    if (now > at + STEADY_MS) memory.performedAt.delete(key)
  }
  for (const [key, { at }] of memory.versions) {
    if (now > at + STALE_LIMIT_MS) memory.versions.delete(key)
  }
}

/** Whether the cache has not yet seen what we last applied: deciding on that would repeat or undo it. */
function isStale({ owned }: Snapshot, { versions }: Memory): boolean {
  for (const [key, { version }] of versions) {
    const seen = owned.get(key)?.metadata.resourceVersion
    if (seen === undefined || seen === version) {
      // A missing object may have been deleted since; one that is there and equal is current.
      if (seen === undefined) continue
      versions.delete(key)
      continue
    }
    if (isOlder(seen, version)) return true
    versions.delete(key)
  }
  return false
}

/** Versions of one object are numbers that grow. */
function isOlder(seen: string, version: string): boolean {
  return seen.length === version.length ? seen < version : seen.length < version.length
}

/** True when the status has changed and was written. */
async function writeStatus(
  object: KubeObject,
  status: ClusterStatus,
  { api }: ControllerOptions,
): Promise<boolean> {
  const wanted = withoutNulls(status)
  if (canonicalJson(wanted) === canonicalJson(object.status)) return false
  const { name, namespace = '' } = object.metadata
  try {
    await api.applyStatus({
      apiVersion: API_VERSION,
      kind: KIND,
      metadata: { name, namespace },
      status: wanted,
    })
  } catch (error) {
    // Deleted meanwhile.
    if (error instanceof KubeError && error.code === 'notFound') return false
    throw error
  }
  return true
}

/** The schema knows absent members, not nulls. */
function withoutNulls(value: object): Readonly<Record<string, unknown>> {
  const clean: unknown = JSON.parse(
    JSON.stringify(value, (_name, member: unknown) => (member === null ? undefined : member)),
  )
  return typeof clean === 'object' && clean !== null ? { ...clean } : {}
}

function recordPhases(
  object: KubeObject,
  former: ClusterStatus | null,
  status: ClusterStatus,
  options: ControllerOptions,
): void {
  for (const { name, phase, message } of status.groups) {
    const before = former?.groups.find((group) => group.name === name)?.phase ?? 'Pending'
    if (before === phase) continue
    // A group that serves waits for nothing that would be worth an Event.
    const why = message === '' || phase === 'Serving' ? '' : `: ${message}`
    const note = `${name}: ${before} → ${phase}${why}`
    record(object, 'GroupPhaseChanged', 'reconcile', note, options)
    // In the orderly way a group is Drained before.
    if (phase === 'Removing' && before !== 'Drained') {
      record(
        object,
        'DataLossConfirmed',
        'reconcile',
        `${name} goes with what is left in it`,
        options,
      )
    }
  }
  const degraded = (from: ClusterStatus | null): Condition | undefined =>
    from?.conditions.find(({ type }) => type === 'Degraded')
  const now = degraded(status)
  for (const reason of ['RollStalled', 'QuorumLost', 'NodeGone'] as const) {
    if (now?.reason !== reason || degraded(former)?.reason === reason) continue
    record(object, reason, 'reconcile', now.message, options)
  }
}

/** While a group has no leader its status names none: the former one is remembered here. */
function recordLeaders(
  object: KubeObject,
  { leaders }: Memory,
  status: ClusterStatus,
  options: ControllerOptions,
): void {
  for (const { name, leader, term } of status.groups) {
    if (leader === null || term === null) continue
    const before = leaders.get(name)
    leaders.set(name, leader)
    if (before === undefined || before === leader) continue
    const note = `${name}: ${leader} leads in term ${term}, before ${before}`
    record(object, 'LeaderChanged', 'reconcile', note, options)
  }
}

const WARNINGS: readonly EventReason[] = [
  'ApplyFailed',
  'ActFailed',
  'NameConflict',
  'InvalidSpec',
  'SecretNotUsable',
  'RollStalled',
  'QuorumLost',
  'NodeGone',
  'DataLossConfirmed',
]

function record(
  object: KubeObject,
  reason: EventReason,
  action: string,
  note: string,
  { events }: ControllerOptions,
): void {
  const type = WARNINGS.includes(reason) ? 'Warning' : 'Normal'
  events.record(object, { type, reason, action, note })
}

function withSettleLimit(cluster: Cluster, limit: number | undefined): Cluster {
  if (limit === undefined) return cluster
  const { broker } = cluster.spec
  const settleSeconds = Math.min(limit, broker.drain.settleSeconds)
  return {
    ...cluster,
    spec: { ...cluster.spec, broker: { ...broker, drain: { ...broker.drain, settleSeconds } } },
  }
}

function newMemory(): Memory {
  return {
    generation: 0,
    failures: new Map(),
    performedAt: new Map(),
    versions: new Map(),
    leaders: new Map(),
  }
}
