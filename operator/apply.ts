/** Makes wanted objects real: applies what differs, puts right what others changed, never touches what is not ours. */
import type { Logger } from '../common/log.ts'
import { messageOf } from '../common/errors.ts'
import type { Cluster } from './cluster-types.ts'
import type { EventReason } from './events.ts'
import { takenOver } from './field-ownership.ts'
import { canonicalJson, covers } from './json.ts'
import { referenceOf } from './kube-api.ts'
import { KubeError } from './kube-error.ts'
import { APPLIED_ANNOTATION } from './names.ts'
import { isOwnedBy } from './observe.ts'
import type { KubeApi, KubeObject } from './ports.ts'
import type { ConditionReason } from './reasons.ts'
import { objectKey } from './snapshot.ts'
import type { Snapshot } from './snapshot.ts'

export interface ApplyResult {
  /** False when an object is not as it shall be. */
  readonly isWhole: boolean
  /** Versions that the server answered, by `objectKey`. */
  readonly versions: ReadonlyMap<string, string>
  readonly repaired: readonly { readonly key: string; readonly how: string }[]
  readonly failures: readonly {
    readonly key: string
    readonly reason: ConditionReason
    readonly event: EventReason
    readonly message: string
  }[]
}

export interface ApplyOptions {
  readonly api: KubeApi
  readonly logger: Logger
  readonly cluster: Cluster
  readonly snapshot: Snapshot
}

/** Rejects when the API server cannot be reached; what it refuses is among the failures. */
export async function applyAll(
  objects: readonly KubeObject[],
  options: ApplyOptions,
): Promise<ApplyResult> {
  const versions = new Map<string, string>()
  const repaired: { key: string; how: string }[] = []
  const failures: ApplyResult['failures'][number][] = []
  let isWhole = true
  for (const object of objects) {
    const key = objectKey(object)
    const present = options.snapshot.owned.get(key) ?? null
    if (present !== null && coversObject(present, object)) continue
    if (isPostponed(key, options.snapshot)) {
      isWhole = false
      continue
    }
    try {
      if (present === null) await refuseForeign(object, options)
      const result = await applyOne(object, present, options)
      const version = result.metadata.resourceVersion
      if (version !== undefined) versions.set(key, version)
      const how = repairOf(object, present, result, options)
      if (how !== null) repaired.push({ key, how })
    } catch (error) {
      isWhole = false
      // A namespace that goes takes nothing new; what is in it goes too.
      if (isOfEndingNamespace(error)) break
      const failure = failureOf(key, error)
      if (failure === null) throw error
      failures.push(failure)
    }
  }
  return { isWhole, versions, repaired, failures }
}

/** What was refused lately is not tried at every turn. */
function isPostponed(key: string, { failures, now }: Snapshot): boolean {
  return failures.some((failure) => failure.key === key && failure.until > now)
}

function isOfEndingNamespace(error: unknown): boolean {
  return (
    error instanceof KubeError &&
    error.code === 'forbidden' &&
    error.message.includes('because it is being terminated')
  )
}

class NameConflict extends Error {}

/** The cache holds only what bears our label: that an object is not in it does not say that its name is free. */
async function refuseForeign(object: KubeObject, { api, cluster }: ApplyOptions): Promise<void> {
  const live = await api.get(referenceOf(object))
  if (live === null || isOwnedBy(live, cluster.uid)) return
  throw new NameConflict(
    `${live.kind} ${live.metadata.name} exists and does not belong to this cluster: rename or delete it`,
  )
}

async function applyOne(
  object: KubeObject,
  present: KubeObject | null,
  { api, logger }: ApplyOptions,
): Promise<KubeObject> {
  let refusal: unknown
  try {
    const result = await api.apply(object)
    if (present === null || coversObject(result, object)) return result
  } catch (error) {
    if (present === null || !(error instanceof KubeError) || error.code !== 'invalid') throw error
    refusal = error
  }
  const live = await api.get(referenceOf(object))
  const managedFields = live === null ? null : takenOver(live)
  if (live === null || managedFields === null || object.kind === 'EndpointSlice') {
    if (refusal !== undefined) throw refusal
    return live ?? object
  }
  logger.info({ object: objectKey(object) }, 'takes over fields that others have set')
  const { resourceVersion = '' } = live.metadata
  await api.patchMetadata(referenceOf(object), { managedFields, resourceVersion })
  return await api.apply(object)
}

/** Members, labels, annotations and owners; what the server or others add besides does not matter. */
function coversObject(present: KubeObject, wanted: KubeObject): boolean {
  const { metadata, ...members } = wanted
  const { labels, annotations, ownerReferences } = metadata
  return (
    covers(present, members) && covers(present.metadata, { labels, annotations, ownerReferences })
  )
}

/** How drift was put right, or null when the apply did something else: created, or followed a changed wish. */
function repairOf(
  wanted: KubeObject,
  present: KubeObject | null,
  result: KubeObject,
  { snapshot, cluster }: ApplyOptions,
): string | null {
  if (present === null) {
    // Before the first whole pass over a generation things are missing because they are new.
    const isKnown = snapshot.formerStatus?.observedGeneration === cluster.generation
    const label = wanted.metadata.labels?.['rocketmq.gantry.dev/group']
    const anchor = label === undefined ? 'namesrv' : `broker-${label}`
    return isKnown && snapshot.owned.has(`StatefulSet/${cluster.name}-${anchor}`)
      ? 'was deleted and is there again'
      : null
  }
  const isSameWish =
    present.metadata.annotations?.[APPLIED_ANNOTATION] ===
    wanted.metadata.annotations?.[APPLIED_ANNOTATION]
  if (!isSameWish || essence(present) === essence(result)) return null
  return 'was changed and is as it should be again'
}

function essence(object: KubeObject): string {
  return canonicalJson({ ...object, status: null, metadata: { labels: object.metadata.labels } })
}

function failureOf(key: string, error: unknown): ApplyResult['failures'][number] | null {
  if (error instanceof NameConflict) {
    return { key, reason: 'NameConflict', event: 'NameConflict', message: error.message }
  }
  if (!(error instanceof KubeError)) return null
  switch (error.code) {
    case 'invalid':
    case 'forbidden':
    case 'notFound':
    case 'conflict': {
      const message = `${key}: ${messageOf(error)}`
      return { key, reason: 'ApplyFailed', event: 'ApplyFailed', message }
    }
    case 'tooManyRequests':
    case 'expired':
    case 'unavailable':
      return null
  }
}
