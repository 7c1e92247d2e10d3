/** Whether a pod must be restarted to be what is wanted, and which live keys can be set without. Pure. */
import type { ConfigFacts } from '../common/admin-contract.ts'
import { hashOf, textAt } from './json.ts'
import { CONFIG_ANNOTATION, RESTART_AT_ANNOTATION, REVISION_ANNOTATION } from './names.ts'
import type { KubeObject } from './ports.ts'
import { PEERS_KEY } from './resources/broker.ts'
import { configHashes } from './resources/common.ts'
import type { ConfigEntries } from './resources/common.ts'
import type { PodFacts } from './snapshot.ts'
import type { Cluster } from './cluster-types.ts'

export type RestartNeed =
  | { readonly type: 'none' }
  /** Which keys are live is not known: nothing is done. */
  | { readonly type: 'unknown' }
  | { readonly type: 'needed'; readonly reason: string }

export interface WantedPod {
  readonly revision: string
  readonly config: ConfigEntries
  /** Pods created before are restarted; null: nobody asked. Milliseconds since 1970. */
  readonly restartAt: number | null
}

/** What the pods of a StatefulSet shall be. */
export function wantedPod(
  cluster: Cluster,
  statefulSet: KubeObject,
  config: ConfigEntries,
): WantedPod {
  const annotations = ['spec', 'template', 'metadata', 'annotations'] as const
  const restartAt = Date.parse(cluster.annotations[RESTART_AT_ANNOTATION] ?? '')
  return {
    revision: textAt(statefulSet, ...annotations, REVISION_ANNOTATION) ?? '',
    config,
    restartAt: Number.isNaN(restartAt) ? null : restartAt,
  }
}

/** One hash for all that makes a pod. */
export function revisionOf(wanted: WantedPod): string {
  return hashOf([wanted.revision, configHashes(wanted.config)]).slice(0, 7)
}

/** The same of a pod that there is; null when it does not say. */
export function revisionOfPod(pod: PodFacts): string | null {
  if (pod.revision === null || pod.configHashes === null) return null
  return hashOf([pod.revision, pod.configHashes]).slice(0, 7)
}

/** `facts` null: the pod does not answer. A name server has no live keys of ours: give `NOTHING_IS_LIVE`. */
export function restartNeed(
  pod: PodFacts,
  wanted: WantedPod,
  facts: ConfigFacts | null,
): RestartNeed {
  if (pod.revision !== wanted.revision) return { type: 'needed', reason: 'pod template' }
  if (wanted.restartAt !== null && pod.createdAt < wanted.restartAt) {
    return { type: 'needed', reason: 'restart-at' }
  }
  const changed = changedKeys(pod, wanted.config)
  if (changed.length === 0) return { type: 'none' }
  if (facts === null) return { type: 'unknown' }
  const forRestart = changed.filter((key) => needsRestart(key, wanted.config, facts))
  if (forRestart.length === 0) return { type: 'none' }
  return { type: 'needed', reason: `configuration ${forRestart.slice(0, 3).join(', ')}` }
}

/** Whether a pod differs in anything at all: what counts for one that does not run. */
export function differs(pod: PodFacts, wanted: WantedPod): boolean {
  if (pod.revision !== wanted.revision) return true
  if (wanted.restartAt !== null && pod.createdAt < wanted.restartAt) return true
  return changedKeys(pod, wanted.config).length > 0
}

export const NOTHING_IS_LIVE: ConfigFacts = { entries: {} }

/** Live keys whose value is not the wanted one; `except` are looked after elsewhere. */
export function liveChanges(
  config: ConfigEntries,
  pod: PodFacts,
  facts: ConfigFacts,
  except: readonly string[],
): Readonly<Record<string, string>> {
  const changes: Record<string, string> = {}
  for (const [key, value] of Object.entries(config)) {
    const entry = entryOf(facts, key)
    if (entry === undefined || !entry.live || except.includes(key)) continue
    if (!isSameValue(entry.value, value)) changes[key] = value
  }
  for (const key of Object.keys(pod.configHashes ?? {})) {
    const entry = entryOf(facts, key)
    if (Object.hasOwn(config, key) || entry?.default === undefined || !entry.live) continue
    if (!isSameValue(entry.value, entry.default)) changes[key] = entry.default
  }
  return changes
}

/** Keys that the pod was made with another value of, with or without. */
function changedKeys(pod: PodFacts, config: ConfigEntries): readonly string[] {
  const had = pod.configHashes ?? {}
  const wanted = configHashes(config)
  const keys = new Set([...Object.keys(had), ...Object.keys(wanted)])
  return (
    [...keys]
      .filter((key) => had[key] !== wanted[key])
      // Members learn of others from their group.
      .filter((key) => key !== PEERS_KEY || had[key] === undefined)
      .sort()
  )
}

function needsRestart(key: string, config: ConfigEntries, facts: ConfigFacts): boolean {
  const entry = entryOf(facts, key)
  // Without live keys at all these are the facts of a name server.
  if (entry === undefined) return facts === NOTHING_IS_LIVE
  if (!entry.live) return true
  // A live key that is no longer set goes back to its default, if the broker says what that is.
  return !Object.hasOwn(config, key) && entry.default === undefined
}

function entryOf(facts: ConfigFacts, key: string): ConfigFacts['entries'][string] | undefined {
  return Object.hasOwn(facts.entries, key) ? facts.entries[key] : undefined
}

/** The broker answers values as it parsed them: `06` as 6, `TRUE` as true. */
function isSameValue(left: string, right: string): boolean {
  const [a, b] = [left.trim(), right.trim()]
  if (a === b) return true
  if (/^(true|false)$/i.test(a)) return a.toLowerCase() === b.toLowerCase()
  return a !== '' && b !== '' && Number(a) === Number(b)
}

/** The annotation of a pod, as hashes. */
export function parseConfigHashes(
  annotations: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> | null {
  const text = annotations[CONFIG_ANNOTATION]
  if (text === undefined) return null
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return null
    return Object.fromEntries(Object.entries(value).map(([key, hash]) => [key, String(hash)]))
  } catch {
    return null
  }
}
