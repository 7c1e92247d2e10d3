/** Performs one act. What destroys something reads it live first. */
import type { Act } from './act.ts'
import type { Cluster } from './cluster-types.ts'
import type { EventReason } from './events.ts'
import { isOwnedBy } from './observe.ts'
import type { DataPlane, KubeApi, KubeObject, ObjectReference } from './ports.ts'

export interface Performed {
  readonly reason: EventReason
  readonly note: string
}

export interface PerformOptions {
  readonly api: KubeApi
  readonly dataPlane: DataPlane
  readonly cluster: Cluster
}

/** Null: there was nothing to do any more. Rejects when it failed; then nothing is known to have changed. */
export async function perform(act: Act, options: PerformOptions): Promise<Performed | null> {
  const { dataPlane, cluster } = options
  switch (act.type) {
    case 'configure': {
      await Promise.all(
        act.targets.map(({ broker, entries }) => dataPlane.updateBrokerConfig(broker, entries)),
      )
      const what = act.targets.map(
        ({ broker, entries }) => `${broker.pod}: ${entriesText(entries)}`,
      )
      return { reason: 'ConfigPushed', note: what.join('; ') }
    }
    case 'setWritePermission': {
      const { brokerName, writable, nameServers } = act
      await Promise.all(
        nameServers.map((namesrv) => dataPlane.setWritePermission(namesrv, brokerName, writable)),
      )
      return writable
        ? { reason: 'WritesEnabled', note: `${brokerName} takes messages again` }
        : { reason: 'WritesDisabled', note: `clients are led away from ${brokerName}` }
    }
    case 'copyMetadata': {
      const { topics, consumerGroups } = await dataPlane.copyMetadata(act.from, act.to)
      const note = `${topics} topics and ${consumerGroups} consumer groups from ${act.from.pod} to ${act.to.pod}`
      return { reason: 'MetadataCopied', note }
    }
    case 'transferLeadership': {
      await dataPlane.transferLeadership(act.from, act.to)
      const note = `${act.from.pod} hands over to member ${act.to}`
      return { reason: 'LeadershipTransferred', note }
    }
    case 'removeMember': {
      await dataPlane.removeMember(act.leader, act.id)
      return { reason: 'MemberRemoved', note: `member ${act.id} leaves ${act.name}` }
    }
    case 'unregister': {
      await Promise.all(
        act.nameServers.map((namesrv) =>
          dataPlane.unregisterBroker(namesrv, cluster.name, act.brokerName),
        ),
      )
      return { reason: 'GroupUnregistered', note: `${act.brokerName} is no longer in the routes` }
    }
    case 'evict':
      return await evict(act, options)
    case 'deleteStatefulSet':
      return await deleteStatefulSet(act, options)
    case 'renewStatefulSet':
      return await renewStatefulSet(act, options)
    case 'expandClaims':
      return await expandClaims(act, options)
    case 'deleteClaim':
      return await deleteClaim(act, options)
  }
}

async function evict(
  act: Extract<Act, { type: 'evict' }>,
  { api, cluster }: PerformOptions,
): Promise<Performed | null> {
  const reference = { apiVersion: 'v1', kind: 'Pod', namespace: cluster.namespace, name: act.pod }
  const live = await api.get(reference)
  if (live === null || live.metadata.uid !== act.uid) return null
  if (live.metadata.deletionTimestamp !== undefined) return null
  await api.evict(reference, { uid: act.uid })
  return { reason: 'PodEvicted', note: `${act.pod} restarts: ${act.reason}` }
}

async function deleteStatefulSet(
  act: Extract<Act, { type: 'deleteStatefulSet' }>,
  options: PerformOptions,
): Promise<Performed | null> {
  if (!(await removeSet(act, false, options))) return null
  return { reason: 'GroupRemoved', note: `${act.name} was empty and is removed` }
}

async function renewStatefulSet(
  act: Extract<Act, { type: 'renewStatefulSet' }>,
  options: PerformOptions,
): Promise<Performed | null> {
  if (!(await removeSet(act, true, options))) return null
  return { reason: 'StatefulSetRenewed', note: `${act.name} comes back with larger volumes` }
}

/** False when it is not there any more. */
async function removeSet(
  { name, uid }: { readonly name: string; readonly uid: string },
  orphan: boolean,
  { api, cluster }: PerformOptions,
): Promise<boolean> {
  const { namespace } = cluster
  const reference: ObjectReference = { apiVersion: 'apps/v1', kind: 'StatefulSet', namespace, name }
  const live: KubeObject | null = await api.get(reference)
  if (live === null || live.metadata.uid !== uid || !isOwnedBy(live, cluster.uid)) return false
  const { resourceVersion } = live.metadata
  await api.delete(reference, {
    uid,
    orphan,
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  })
  return true
}

async function expandClaims(
  { claims, size, group }: Extract<Act, { type: 'expandClaims' }>,
  { api, cluster }: PerformOptions,
): Promise<Performed | null> {
  const { namespace } = cluster
  for (const name of claims) {
    const reference = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name }
    const live = await api.get(reference)
    const { uid } = live?.metadata ?? {}
    if (live === null || uid === undefined) continue
    await api.apply({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name, namespace, uid },
      spec: { resources: { requests: { storage: size } } },
    })
  }
  return { reason: 'VolumeExpanding', note: `${group}: ${claims.join(', ')} grow to ${size}` }
}

async function deleteClaim(
  act: Extract<Act, { type: 'deleteClaim' }>,
  { api, cluster }: PerformOptions,
): Promise<Performed | null> {
  const { namespace } = cluster
  const reference = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name: act.claim }
  const live = await api.get(reference)
  if (live === null || live.metadata.uid !== act.uid) return null
  await api.delete(reference, { uid: act.uid })
  if (act.pod === null) return { reason: 'VolumeDeleted', note: `${act.claim} of a former member` }
  const pod = { apiVersion: 'v1', kind: 'Pod', namespace, name: act.pod.name }
  await api.evict(pod, { uid: act.pod.uid })
  return { reason: 'VolumeDeleted', note: `${act.claim}: ${act.pod.name} starts with an empty one` }
}

function entriesText(entries: Readonly<Record<string, string>>): string {
  return Object.entries(entries)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ')
}
