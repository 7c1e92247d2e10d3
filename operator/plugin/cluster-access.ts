/** What the plugin asks of an API server: clusters, their pods, and the admin ports of these, through the server's proxy. */
import { KubeError } from '../kube-error.ts'
import { pathOf } from '../kube-kinds.ts'
import { createKubeApi } from '../kube-api.ts'
import { API_VERSION, KIND } from '../crd.ts'
import { ADMIN_PORT, CLUSTER_LABEL } from '../names.ts'
import { statusOf } from '../observe.ts'
import type { KubeTransport } from '../kube-api.ts'
import type { KubeApi, KubeObject } from '../ports.ts'
import type { ClusterView } from './status-text.ts'

const MERGE_PATCH = 'application/merge-patch+json'
const MANAGER = 'kubectl-gantry'
const ADMIN_TIMEOUT_MS = 10_000

export class ClusterAccess {
  readonly api: KubeApi
  readonly namespace: string
  readonly #transport: KubeTransport

  constructor(transport: KubeTransport, namespace: string) {
    this.api = createKubeApi(transport)
    this.namespace = namespace
    this.#transport = transport
  }

  /** Of this namespace, or of all. */
  async clusters(isEverywhere: boolean): Promise<readonly ClusterView[]> {
    const place = isEverywhere ? {} : { namespace: this.namespace }
    return (await this.api.list({ apiVersion: API_VERSION, kind: KIND, ...place })).map(viewOf)
  }

  /** Throws `KubeError` (`notFound`) when there is none. */
  async cluster(name: string): Promise<KubeObject> {
    const found = await this.api.get(this.#reference(name))
    if (found !== null) return found
    throw new KubeError('notFound', `there is no cluster ${name} in namespace ${this.namespace}`)
  }

  async annotate(name: string, annotation: string, value: string): Promise<void> {
    await this.#patch(name, { metadata: { annotations: { [annotation]: value } } })
  }

  async patchSpec(name: string, spec: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#patch(name, { spec })
  }

  /** Of a cluster, sorted by name. */
  async pods(cluster: string): Promise<readonly KubeObject[]> {
    const labelSelector = `${CLUSTER_LABEL}=${cluster}`
    const { namespace } = this
    const pods = await this.api.list({ apiVersion: 'v1', kind: 'Pod', namespace, labelSelector })
    return pods
      .filter(({ metadata }) => metadata.labels?.[CLUSTER_LABEL] === cluster)
      .toSorted((left, right) => (left.metadata.name < right.metadata.name ? -1 : 1))
  }

  /** The answer of a pod's admin port. */
  async admin(pod: string, path: string): Promise<unknown> {
    return await this.#transport.request({
      method: 'GET',
      path: this.#proxied(pod, path),
      timeoutMs: ADMIN_TIMEOUT_MS,
    })
  }

  /** The same of one that answers with text. */
  async adminLines(pod: string, path: string): Promise<readonly string[]> {
    const lines: string[] = []
    await this.#transport.stream({
      path: this.#proxied(pod, path),
      query: {},
      signal: AbortSignal.timeout(ADMIN_TIMEOUT_MS),
      onLine: (line) => lines.push(line),
    })
    return lines
  }

  async adminPost(pod: string, path: string, body: unknown): Promise<void> {
    await this.#transport.request({
      method: 'POST',
      path: this.#proxied(pod, path),
      body,
      timeoutMs: ADMIN_TIMEOUT_MS,
    })
  }

  /** Tells the lines of a pod's log; resolves at its end, or when `signal` ends it. */
  async log(
    pod: string,
    options: {
      readonly tailLines: number
      readonly isFollowed: boolean
      readonly isPrevious: boolean
      readonly signal: AbortSignal
      readonly onLine: (line: string) => void
    },
  ): Promise<void> {
    const { tailLines, isFollowed, isPrevious, signal, onLine } = options
    await this.#transport.stream({
      path: `${pathOf({ apiVersion: 'v1', kind: 'Pod', namespace: this.namespace, name: pod })}/log`,
      query: {
        tailLines: String(tailLines),
        ...(isFollowed ? { follow: 'true' } : {}),
        ...(isPrevious ? { previous: 'true' } : {}),
      },
      signal,
      onLine,
    })
  }

  async #patch(name: string, body: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#transport.request({
      method: 'PATCH',
      path: pathOf(this.#reference(name)),
      query: { fieldManager: MANAGER },
      contentType: MERGE_PATCH,
      body,
    })
  }

  #reference(name: string) {
    return { apiVersion: API_VERSION, kind: KIND, namespace: this.namespace, name }
  }

  #proxied(pod: string, path: string): string {
    const place = pathOf({ apiVersion: 'v1', kind: 'Pod', namespace: this.namespace, name: pod })
    return `${place}:${ADMIN_PORT}/proxy${path}`
  }
}

export function viewOf(object: KubeObject): ClusterView {
  const { name, namespace = '' } = object.metadata
  return { name, namespace, status: statusOf(object) }
}
