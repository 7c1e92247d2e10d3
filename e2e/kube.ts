/** A plain client of the Kubernetes API for the end-to-end suites: any object, no cache, no types but `unknown`. */
import { request } from 'node:https'
import type { RequestOptions } from 'node:https'
import { setTimeout as delay } from 'node:timers/promises'
import { KubeConfig } from '@kubernetes/client-node'
import { kubeconfig } from './environment.ts'
import { at, listAt, textAt } from './json.ts'

export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly resourceVersion?: string
    readonly generation?: number
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly [member: string]: unknown
}

const KINDS = {
  ConfigMap: ['v1', 'configmaps'],
  CustomResourceDefinition: ['apiextensions.k8s.io/v1', 'customresourcedefinitions'],
  Deployment: ['apps/v1', 'deployments'],
  EndpointSlice: ['discovery.k8s.io/v1', 'endpointslices'],
  Event: ['events.k8s.io/v1', 'events'],
  Lease: ['coordination.k8s.io/v1', 'leases'],
  Namespace: ['v1', 'namespaces'],
  PersistentVolumeClaim: ['v1', 'persistentvolumeclaims'],
  Pod: ['v1', 'pods'],
  PodDisruptionBudget: ['policy/v1', 'poddisruptionbudgets'],
  RocketMQCluster: ['rocketmq.gantry.dev/v1alpha1', 'rocketmqclusters'],
  Secret: ['v1', 'secrets'],
  Service: ['v1', 'services'],
  StatefulSet: ['apps/v1', 'statefulsets'],
} as const

export type Kind = keyof typeof KINDS
const CLUSTER_SCOPED: readonly Kind[] = ['Namespace', 'CustomResourceDefinition']

/** An answer of the API server that is not 2xx. */
export class KubeRequestError extends Error {
  readonly status: number
  readonly body: string

  constructor(what: string, status: number, body: string) {
    super(`${what}: ${status} ${textAt(parsed(body), 'message') || body.slice(0, 500)}`)
    this.status = status
    this.body = body
  }
}

export class Kube {
  readonly #config: KubeConfig

  constructor() {
    this.#config = new KubeConfig()
    this.#config.loadFromFile(kubeconfig())
  }

  async get(kind: Kind, namespace: string, name: string): Promise<KubeObject | null> {
    try {
      return asObject(await this.#json('GET', pathOf(kind, namespace, name)))
    } catch (error) {
      if (error instanceof KubeRequestError && error.status === 404) return null
      throw error
    }
  }

  /** Like `get`; rejects when it is not there. */
  async need(kind: Kind, namespace: string, name: string): Promise<KubeObject> {
    return asObject(await this.#json('GET', pathOf(kind, namespace, name)))
  }

  async list(kind: Kind, namespace: string, labelSelector = ''): Promise<readonly KubeObject[]> {
    const query = labelSelector === '' ? '' : `?labelSelector=${encodeURIComponent(labelSelector)}`
    const answer = await this.#json('GET', `${pathOf(kind, namespace, '')}${query}`)
    const [apiVersion] = KINDS[kind]
    return listAt(answer, 'items').map((item) => asObject({ apiVersion, kind, ...objectOf(item) }))
  }

  /** Server-side apply, forced, as `kubectl apply --server-side` does it. */
  async apply(object: KubeObject): Promise<KubeObject> {
    const kind = kindOf(object)
    const path = pathOf(kind, object.metadata.namespace ?? '', object.metadata.name)
    return asObject(
      await this.#json('PATCH', `${path}?fieldManager=gantry-e2e&force=true`, {
        type: 'application/apply-patch+yaml',
        body: object,
      }),
    )
  }

  /** JSON merge patch, as a person's edit; `subresource` as `/scale`. */
  async patch(
    kind: Kind,
    namespace: string,
    name: string,
    change: unknown,
    subresource = '',
  ): Promise<KubeObject> {
    const path = `${pathOf(kind, namespace, name)}${subresource}?fieldManager=gantry-e2e-edit`
    return asObject(
      await this.#json('PATCH', path, { type: 'application/merge-patch+json', body: change }),
    )
  }

  /** Absent is fine. */
  async delete(
    kind: Kind,
    namespace: string,
    name: string,
    options: Readonly<Record<string, unknown>> = {},
  ): Promise<void> {
    try {
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', ...options }
      await this.#json('DELETE', pathOf(kind, namespace, name), { type: 'application/json', body })
    } catch (error) {
      if (!(error instanceof KubeRequestError && error.status === 404)) throw error
    }
  }

  /** What a pod answers on one of its ports, through the API server. */
  async podGet(namespace: string, pod: string, port: number, path: string): Promise<unknown> {
    return await this.#json('GET', `${pathOf('Pod', namespace, pod)}:${port}/proxy${path}`)
  }

  /** A finished or running container's output. */
  async logs(namespace: string, pod: string, options = ''): Promise<string> {
    return await this.#text('GET', `${pathOf('Pod', namespace, pod)}/log?${options}`)
  }

  async #json(
    method: string,
    path: string,
    content?: { readonly type: string; readonly body: unknown },
  ): Promise<unknown> {
    return parsed(await this.#text(method, path, content))
  }

  async #text(
    method: string,
    path: string,
    content?: { readonly type: string; readonly body: unknown },
  ): Promise<string> {
    const url = new URL(path, this.#config.getCurrentCluster()?.server ?? '')
    const options: RequestOptions = { method, headers: { Accept: 'application/json' } }
    await this.#config.applyToHTTPSOptions(options)
    if (content !== undefined) {
      options.headers = { ...objectOf(options.headers), 'Content-Type': content.type }
    }
    const { status, body } = await exchange(url, options, content?.body)
    if (status >= 200 && status < 300) return body
    throw new KubeRequestError(`${method} ${path}`, status, body)
  }
}

function exchange(
  url: URL,
  options: RequestOptions,
  body: unknown,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { ...options, timeout: 30_000 }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () => {
        resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') })
      })
      answer.on('error', reject)
    })
    outgoing.on('timeout', () =>
      outgoing.destroy(new Error(`no answer within 30 s: ${url.pathname}`)),
    )
    outgoing.on('error', reject)
    outgoing.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

/**
 * Asks `probe` until it answers something other than null, and resolves with that and the time it took; rejects with the
 * sentence `what` and the last reason when `timeoutMs` have passed. A probe that throws has no answer yet.
 */
export async function eventually<Answer>(
  what: string,
  timeoutMs: number,
  probe: () => Promise<Answer | null>,
): Promise<{ readonly answer: Answer; readonly elapsedMs: number }> {
  const start = performance.now()
  let last = 'no answer yet'
  while (performance.now() - start < timeoutMs) {
    try {
      const answer = await probe()
      if (answer !== null) return { answer, elapsedMs: Math.round(performance.now() - start) }
    } catch (error) {
      last = error instanceof Error ? error.message : String(error)
    }
    await delay(400)
  }
  throw new Error(`${what}: not within ${timeoutMs} ms (${last})`)
}

function pathOf(kind: Kind, namespace: string, name: string): string {
  const [apiVersion, plural] = KINDS[kind]
  const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`
  const place = CLUSTER_SCOPED.includes(kind) || namespace === '' ? '' : `/namespaces/${namespace}`
  return `${root}${place}/${plural}${name === '' ? '' : `/${name}`}`
}

function kindOf(object: KubeObject): Kind {
  for (const kind of Object.keys(KINDS)) if (kind === object.kind && isKind(kind)) return kind
  throw new Error(`the suites know no kind ${object.kind}`)
}

function isKind(name: string): name is Kind {
  return name in KINDS
}

function asObject(value: unknown): KubeObject {
  if (!isKubeObject(value)) throw new Error(`not a Kubernetes object: ${JSON.stringify(value)}`)
  return value
}

function isKubeObject(value: unknown): value is KubeObject {
  return textAt(value, 'kind') !== '' && textAt(value, 'metadata', 'name') !== ''
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    return text
  }
}

/** The condition `type` of an object: 'True', 'False', 'Unknown' or '' when it has none. */
export function conditionOf(object: unknown, type: string): string {
  const found = listAt(object, 'status', 'conditions').find(
    (condition) => textAt(condition, 'type') === type,
  )
  return textAt(found, 'status')
}

/** True when `type` is True for the spec as it is now. */
export function holds(object: unknown, type: string): boolean {
  const generation = at(object, 'metadata', 'generation')
  const condition = listAt(object, 'status', 'conditions').find(
    (candidate) => textAt(candidate, 'type') === type,
  )
  return (
    textAt(condition, 'status') === 'True' &&
    at(condition, 'observedGeneration') === generation &&
    at(object, 'status', 'observedGeneration') === generation
  )
}
