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
      const term = await dataPlane.transferLeadership(act.from, act.to, act.expectTerm)
      return { reason: 'LeadershipTransferred', note: `${act.to} leads in term ${term}` }
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
  { api, cluster }: PerformOptions,
): Promise<Performed | null> {
  const reference: ObjectReference = {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    namespace: cluster.namespace,
    name: act.name,
  }
  const live: KubeObject | null = await api.get(reference)
  if (live === null || live.metadata.uid !== act.uid || !isOwnedBy(live, cluster.uid)) return null
  const { resourceVersion } = live.metadata
  await api.delete(reference, {
    uid: act.uid,
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  })
  return { reason: 'GroupRemoved', note: `${act.name} was empty and is removed` }
}

function entriesText(entries: Readonly<Record<string, string>>): string {
  return Object.entries(entries)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ')
}
