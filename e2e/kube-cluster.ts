/** The operator and RocketMQ clusters of the Kubernetes suites: installing, waiting, looking. */
import { setTimeout as delay } from 'node:timers/promises'
import { environmentVariable, run } from './environment.ts'
import { images } from './kube-images.ts'
import type { Images } from './kube-images.ts'
import { Kube, eventually, holds } from './kube.ts'
import type { KubeObject } from './kube.ts'
import { at, listAt, numberAt, textAt } from './json.ts'

export const OPERATOR_NAMESPACE = 'gantry-system'
export const OPERATOR_RELEASE = 'gantry-operator'

export interface Fixture {
  readonly kube: Kube
  readonly images: Images
}

/** Another suite that runs beside this one is at the same release; helm says no meanwhile. */
const HELM_BUSY = /another operation|release: already exists/
const HELM_BUSY_MS = 180_000

/** The cluster with this checkout's operator in it: two replicas, watching every namespace. */
export async function withOperator(): Promise<Fixture> {
  const kube = new Kube()
  const built = await images(kube)
  await installOperator(built)
  return { kube, images: built }
}

export async function installOperator(
  built: Images,
  values: readonly string[] = [],
): Promise<void> {
  const command = `upgrade --install ${OPERATOR_RELEASE} charts/gantry-operator --namespace ${OPERATOR_NAMESPACE} --create-namespace --wait --timeout 120s`
  // Other content under the same tag: the pods are to be replaced.
  const image = [
    `image.repository=${built.repository}`,
    `image.tag=${built.tag}`,
    `podAnnotations.image-id=${built.id}`,
  ]
  const deadline = performance.now() + HELM_BUSY_MS
  for (;;) {
    try {
      await helm(command, [...image, ...values])
      return
    } catch (error) {
      const isBusy = error instanceof Error && HELM_BUSY.test(error.message)
      if (!isBusy || performance.now() > deadline) throw error
      await delay(2000)
    }
  }
}

/** Runs helm with the words of `command`, and `--set` for each of `values`. */
export async function helm(command: string, values: readonly string[] = []): Promise<string> {
  const sets = values.flatMap((value) => ['--set', value])
  const { stdout } = await run('helm', [...command.split(' '), ...sets])
  return stdout
}

/** A new namespace under the restricted Pod Security Standard: what does not hold it cannot run there. */
export async function createNamespace(kube: Kube, name: string): Promise<void> {
  await deleteNamespace(kube, name)
  await kube.apply({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  })
}

/** Resolves when it is gone, with the milliseconds that took. */
export async function deleteNamespace(
  kube: Kube,
  name: string,
  timeoutMs = 120_000,
): Promise<number> {
  await kube.delete('Namespace', '', name)
  const { elapsedMs } = await eventually(`namespace ${name} is gone`, timeoutMs, async () =>
    (await kube.get('Namespace', '', name)) === null ? true : null,
  )
  return elapsedMs
}

export interface ClusterOptions {
  readonly name: string
  readonly namespace: string
  readonly version: string
  readonly nameServers?: number
  readonly groups?: number
  /** Of each group; GANTRY_E2E_MEMBERS, else 1. */
  readonly members?: number
  readonly storage?: Readonly<Record<string, unknown>>
  readonly config?: Readonly<Record<string, string>>
  readonly drain?: Readonly<Record<string, unknown>>
}

/** Members of each group where a scenario does not ask for a number: the suites run with 1 and with 3. */
export const MEMBERS: number = Number(environmentVariable('GANTRY_E2E_MEMBERS') || '1')

/** A small cluster, as a person would write it. */
export function clusterManifest(options: ClusterOptions): KubeObject {
  return {
    apiVersion: 'rocketmq.gantry.dev/v1alpha1',
    kind: 'RocketMQCluster',
    metadata: { name: options.name, namespace: options.namespace },
    spec: {
      version: options.version,
      nameServer: {
        replicas: options.nameServers ?? 3,
        resources: { requests: { cpu: '20m', memory: '128Mi' }, limits: { memory: '256Mi' } },
      },
      broker: {
        groups: options.groups ?? 2,
        replicasPerGroup: options.members ?? MEMBERS,
        config: options.config ?? {},
        resources: { requests: { cpu: '50m', memory: '256Mi' }, limits: { memory: '768Mi' } },
        storage: options.storage ?? { size: '1Gi' },
        ...(options.drain === undefined ? {} : { drain: options.drain }),
      },
    },
  }
}

/** Resolves when `Ready` is True for the spec as it is now. */
export async function untilReady(
  kube: Kube,
  namespace: string,
  name: string,
  timeoutMs = 180_000,
): Promise<{ readonly cluster: KubeObject; readonly elapsedMs: number }> {
  try {
    const { answer, elapsedMs } = await eventually(`${name} is Ready`, timeoutMs, async () => {
      const cluster = await kube.need('RocketMQCluster', namespace, name)
      return holds(cluster, 'Ready') ? cluster : null
    })
    return { cluster: answer, elapsedMs }
  } catch (error) {
    throw new Error(await diagnosis(kube, namespace, name), { cause: error })
  }
}

/** What a person would look at first when a cluster is not as it should be. */
export async function diagnosis(kube: Kube, namespace: string, name: string): Promise<string> {
  const cluster = await kube.get('RocketMQCluster', namespace, name)
  const pods = await kube.list('Pod', namespace)
  const states = pods.map(
    (pod) =>
      `${pod.metadata.name} ${textAt(pod, 'status', 'phase')} ${JSON.stringify(
        listAt(pod, 'status', 'containerStatuses').map((one) => [
          at(one, 'ready'),
          at(one, 'restartCount'),
          at(one, 'state'),
        ]),
      )}`,
  )
  return [
    `cluster ${namespace}/${name} did not become what was asked for`,
    `status: ${JSON.stringify(at(cluster, 'status'))}`,
    ...states,
  ].join('\n')
}

export function groupName(cluster: string, group: number): string {
  return `${cluster}-broker-${group}`
}

/** The status of group `index`, or undefined when the cluster has none of that name. */
export function groupStatus(cluster: KubeObject, index: number): unknown {
  return listAt(cluster, 'status', 'groups').find(
    (group) => textAt(group, 'name') === groupName(cluster.metadata.name, index),
  )
}

export function phaseOf(cluster: KubeObject, index: number): string {
  return textAt(groupStatus(cluster, index), 'phase')
}

/** Resolves when group `index` is in one of `phases`. */
export async function untilPhase(
  kube: Kube,
  cluster: { readonly namespace: string; readonly name: string },
  index: number,
  phases: readonly string[],
  timeoutMs: number,
): Promise<{ readonly cluster: KubeObject; readonly elapsedMs: number }> {
  const { answer, elapsedMs } = await eventually(
    `group ${index} of ${cluster.name} is ${phases.join(' or ')}`,
    timeoutMs,
    async () => {
      const current = await kube.need('RocketMQCluster', cluster.namespace, cluster.name)
      return phases.includes(phaseOf(current, index)) ? current : null
    },
  )
  return { cluster: answer, elapsedMs }
}

const ROLE_LABEL = 'rocketmq.gantry.dev/role'
const CLUSTER_LABEL = 'rocketmq.gantry.dev/cluster'

/** Pods of one cluster and role, by name. */
export async function podsOf(
  kube: Kube,
  namespace: string,
  cluster: string,
  role: 'namesrv' | 'broker',
): Promise<ReadonlyMap<string, KubeObject>> {
  const pods = await kube.list(
    'Pod',
    namespace,
    `${CLUSTER_LABEL}=${cluster},${ROLE_LABEL}=${role}`,
  )
  return new Map(pods.map((pod) => [pod.metadata.name, pod]))
}

/** What changes when a pod is replaced or its container restarts: pod name -> uid and restarts. */
export async function incarnations(
  kube: Kube,
  namespace: string,
  cluster: string,
  role: 'namesrv' | 'broker',
): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {}
  for (const [name, pod] of await podsOf(kube, namespace, cluster, role)) {
    const restarts = numberAt(pod, 'status', 'containerStatuses', 0, 'restartCount')
    found[name] = `${pod.metadata.uid ?? ''}/${restarts}`
  }
  return found
}

/** Container restarts of each operator's pod, by the pod's name. */
export async function operatorRestarts(kube: Kube): Promise<ReadonlyMap<string, number>> {
  const pods = await kube.list(
    'Pod',
    OPERATOR_NAMESPACE,
    `app.kubernetes.io/instance=${OPERATOR_RELEASE}`,
  )
  return new Map(
    pods.map((pod) => [
      pod.metadata.name ?? '',
      numberAt(pod, 'status', 'containerStatuses', 0, 'restartCount'),
    ]),
  )
}
