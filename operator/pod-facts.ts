/** A Pod object, read for what decides. Pure. */
import { listAt, textAt, valueAt } from './json.ts'
import { ADMIN_PORT, REVISION_ANNOTATION } from './names.ts'
import type { KubeObject, PodEndpoint } from './ports.ts'
import { parseConfigHashes } from './restart-need.ts'
import type { PodFacts } from './snapshot.ts'

const MAX_MESSAGE_CHARS = 300
/** States of a container that is merely on its way. */
const HARMLESS = ['ContainerCreating', 'PodInitializing', '']

export function podFacts(pod: KubeObject): PodFacts {
  const { metadata } = pod
  const annotations = metadata.annotations ?? {}
  const isTerminating = metadata.deletionTimestamp !== undefined
  return {
    name: metadata.name,
    uid: metadata.uid ?? '',
    ordinal: Number(metadata.name.slice(metadata.name.lastIndexOf('-') + 1)),
    isReady: !isTerminating && isReady(pod),
    isTerminating,
    createdAt: Date.parse(metadata.creationTimestamp ?? '') || 0,
    dueAt: isTerminating ? Date.parse(metadata.deletionTimestamp ?? '') || 0 : null,
    unscheduled: unscheduledOf(pod),
    node: textAt(pod.spec, 'nodeName'),
    revision: annotations[REVISION_ANNOTATION] ?? null,
    configHashes: parseConfigHashes(annotations),
    problem: problemOf(pod),
    endpoint: endpointOf(pod),
  }
}

function isReady(pod: KubeObject): boolean {
  return listAt(pod.status, 'conditions').some(
    (condition) => textAt(condition, 'type') === 'Ready' && textAt(condition, 'status') === 'True',
  )
}

function unscheduledOf(pod: KubeObject): PodFacts['unscheduled'] {
  const condition = listAt(pod.status, 'conditions').find(
    (one) => textAt(one, 'type') === 'PodScheduled' && textAt(one, 'status') === 'False',
  )
  if (condition === undefined) return null
  const since = Date.parse(textAt(condition, 'lastTransitionTime') ?? '')
  return {
    since: Number.isNaN(since) ? Date.parse(pod.metadata.creationTimestamp ?? '') || 0 : since,
    message: shortened(textAt(condition, 'message') ?? 'no node takes it'),
  }
}

function endpointOf(pod: KubeObject): PodEndpoint | null {
  const host = textAt(pod.status, 'podIP')
  if (host === null || host === '') return null
  const ports = listAt(pod.spec, 'containers').flatMap((container) => listAt(container, 'ports'))
  const portOf = (name: string): number | null => {
    const found = ports.find((port) => textAt(port, 'name') === name)
    const number = valueAt(found, 'containerPort')
    return typeof number === 'number' ? number : null
  }
  const remotingPort = portOf('remoting')
  if (remotingPort === null) return null
  return { pod: pod.metadata.name, host, remotingPort, adminPort: portOf('admin') ?? ADMIN_PORT }
}

/** The first container that fails, init containers first: they say what is wrong with the configuration. */
function problemOf(pod: KubeObject): PodFacts['problem'] {
  const statuses = [
    ...listAt(pod.status, 'initContainerStatuses'),
    ...listAt(pod.status, 'containerStatuses'),
  ]
  for (const status of statuses) {
    const waiting = textAt(status, 'state', 'waiting', 'reason') ?? ''
    const ended = valueAt(status, 'state', 'terminated', 'exitCode')
    if (!HARMLESS.includes(waiting)) {
      const message =
        textAt(status, 'lastState', 'terminated', 'message') ??
        textAt(status, 'state', 'waiting', 'message') ??
        ''
      return { reason: waiting, message: shortened(message) }
    }
    if (typeof ended === 'number' && ended !== 0) {
      const message = textAt(status, 'state', 'terminated', 'message') ?? ''
      return { reason: 'Error', message: shortened(message) }
    }
  }
  return null
}

/** One line, the end of it where it is long: the last words of a process say why it ended. */
function shortened(message: string): string {
  const line = message.trim().replaceAll(/\s+/g, ' ')
  return line.length <= MAX_MESSAGE_CHARS ? line : `…${line.slice(-MAX_MESSAGE_CHARS)}`
}
