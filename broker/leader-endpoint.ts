/**
 * On Kubernetes the leader writes its pod into the group's EndpointSlice, so that the leader Service leads to it.
 *
 * The term stands in an annotation: an older term never overwrites a newer one, which the precondition on `resourceVersion` makes safe.
 * The slice is looked at again every 30 s, and whatever fails is tried again for ever.
 */
import assert from 'node:assert/strict'
import process from 'node:process'
import { GantryError, messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Disk, Random, Timer, Timers } from '../common/ports.ts'

const TERM_ANNOTATION = 'rocketmq.gantry.dev/term'
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'
const RECHECK_MS = 30_000
const RETRY_MIN_MS = 200
const RETRY_MAX_MS = 10_000
const REQUEST_TIMEOUT_MS = 5000
const CLEAR_TIMEOUT_MS = 1000
const MAX_ANSWER_BYTES = 1024 * 1024
const CONFLICT = 409

/** What the pod knows of itself. */
export interface PodIdentity {
  /** `<service>.<namespace>.svc`; the slice has the Service's name. */
  readonly leaderService: string
  readonly podIP: string
  readonly podName: string
  readonly namespace: string
  /** Of the API server. */
  readonly apiHost: string
  readonly apiPort: number
}

export class KubernetesError extends GantryError<'refused' | 'unreachable'> {
  readonly status: number | null

  constructor(
    code: 'refused' | 'unreachable',
    message: string,
    status: number | null = null,
    cause?: unknown,
  ) {
    super(code, message, cause)
    this.status = status
  }
}

/** One request to the API server; resolves with the parsed answer, rejects with `KubernetesError`. */
export type KubernetesRequest = (request: {
  readonly method: 'GET' | 'PATCH'
  readonly path: string
  readonly body: unknown
  readonly timeoutMs: number
}) => Promise<unknown>

export interface LeaderEndpointOptions {
  readonly pod: PodIdentity
  readonly request: KubernetesRequest
  readonly timers: Timers
  readonly random: Random
  readonly logger: Logger
  readonly term: () => number
  /** The slice has a term that is not older than ours: the member's own term must pass it before it may write, if it may. */
  readonly onNewerTerm: (term: number) => void
}

export class LeaderEndpoint {
  readonly #options: LeaderEndpointOptions
  #timer: Timer | null = null
  #failures = 0
  #isClosed = false
  #isWritten = false

  constructor(options: LeaderEndpointOptions) {
    this.#options = options
  }

  /** True once the slice leads to this pod. */
  get isWritten(): boolean {
    return this.#isWritten
  }

  start(): void {
    void this.#run()
  }

  /** Another member leads: the slice is its to write. */
  stop(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  /** Takes the pod out of the slice, so that clients are refused at once instead of waiting for an address that is gone. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    if (!this.#isWritten) return
    try {
      await this.#write([], CLEAR_TIMEOUT_MS)
    } catch (error) {
      const fields = { reason: messageOf(error) }
      this.#options.logger.warn(fields, 'the leader endpoint could not be cleared')
    }
  }

  async #run(): Promise<void> {
    const { logger, pod, random, timers } = this.#options
    let waitMs = RECHECK_MS
    try {
      const isChange = await this.#write([endpointOf(pod)], REQUEST_TIMEOUT_MS)
      if (isChange) {
        const fields = { service: pod.leaderService, podIP: pod.podIP, term: this.#options.term() }
        logger.info(fields, 'the leader Service leads to this pod')
      }
      this.#isWritten = true
      this.#failures = 0
    } catch (error) {
      this.#failures++
      const isConflict = error instanceof KubernetesError && error.status === CONFLICT
      const backOffMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(this.#failures - 1, 10))
      waitMs = isConflict ? RETRY_MIN_MS : backOffMs * (0.5 + random.next() / 2)
      const fields = {
        service: pod.leaderService,
        reason: messageOf(error),
        attempt: this.#failures,
      }
      if (!isConflict) logger.warn(fields, 'the leader endpoint could not be written')
    }
    if (this.#isClosed) return
    this.#timer = timers.after(waitMs, () => void this.#run())
  }

  /** True when something had to be changed. */
  async #write(endpoints: readonly unknown[], timeoutMs: number): Promise<boolean> {
    const { pod, request } = this.#options
    const name = pod.leaderService.split('.')[0] ?? ''
    const path = `/apis/discovery.k8s.io/v1/namespaces/${pod.namespace}/endpointslices/${name}`
    const slice = sliceOf(await request({ method: 'GET', path, body: null, timeoutMs }))
    const isOurs = slice.term === this.#options.term() && slice.podIP === pod.podIP
    if (slice.term >= this.#options.term() && !isOurs) this.#options.onNewerTerm(slice.term)
    const term = this.#options.term()
    if (slice.term > term) {
      throw new KubernetesError(
        'refused',
        `the slice is of term ${slice.term}, this member of ${term}`,
      )
    }
    const addresses = endpoints.length === 0 ? null : pod.podIP
    if (slice.term === term && slice.podIP === addresses && slice.count === endpoints.length)
      return false
    const { resourceVersion } = slice
    const metadata = { resourceVersion, annotations: { [TERM_ANNOTATION]: String(term) } }
    await request({ method: 'PATCH', path, body: { metadata, endpoints }, timeoutMs })
    return true
  }
}

function endpointOf({ podIP, podName, namespace }: PodIdentity): unknown {
  return {
    addresses: [podIP],
    conditions: { ready: true, serving: true, terminating: false },
    targetRef: { kind: 'Pod', name: podName, namespace },
  }
}

interface Slice {
  readonly resourceVersion: string
  readonly term: number
  /** Address of the first endpoint, or null. */
  readonly podIP: string | null
  readonly count: number
}

function sliceOf(answer: unknown): Slice {
  const slice = recordOf(answer)
  const metadata = recordOf(slice['metadata'])
  const annotations = recordOf(metadata['annotations'])
  const endpoints: readonly unknown[] = Array.isArray(slice['endpoints']) ? slice['endpoints'] : []
  const addresses = recordOf(endpoints[0])['addresses']
  const address: unknown = Array.isArray(addresses) ? addresses[0] : null
  const { resourceVersion } = metadata
  const term = Number(annotations[TERM_ANNOTATION] ?? 0)
  return {
    resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : '',
    term: Number.isSafeInteger(term) ? term : 0,
    podIP: typeof address === 'string' ? address : null,
    count: endpoints.length,
  }
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

/** Requests with the pod's own service account; its token is read anew each time, since it is renewed. */
export function inClusterRequest(pod: PodIdentity, disk: Disk): KubernetesRequest {
  return ({ method, path, body, timeoutMs }) =>
    new Promise((resolve, reject) => {
      const token = disk.readFileSync(`${SERVICE_ACCOUNT}/token`)?.toString().trim() ?? ''
      const ca = disk.readFileSync(`${SERVICE_ACCOUNT}/ca.crt`) ?? undefined
      const unreachable = (error: unknown) =>
        reject(new KubernetesError('unreachable', messageOf(error), null, error))
      // Loaded with the first request, and not by an import, which brings Node's HTTP client and WebSocket along.
      const https = process.getBuiltinModule('node:https')
      assert(https !== undefined)
      const request = https.request(
        {
          host: pod.apiHost,
          port: pod.apiPort,
          method,
          path,
          ...(ca === undefined ? {} : { ca }),
          timeout: timeoutMs,
          headers: {
            authorization: `Bearer ${token}`,
            accept: 'application/json',
            ...(body === null ? {} : { 'content-type': 'application/merge-patch+json' }),
          },
        },
        (response) => {
          const chunks: Buffer[] = []
          let size = 0
          response.on('data', (chunk: Buffer) => {
            size += chunk.length
            if (size > MAX_ANSWER_BYTES) request.destroy(new Error('the answer is too large'))
            else chunks.push(chunk)
          })
          response.on('error', unreachable)
          response.on('end', () => {
            const status = response.statusCode ?? 0
            const text = Buffer.concat(chunks).toString()
            try {
              const parsed: unknown = JSON.parse(text)
              if (status >= 200 && status < 300) resolve(parsed)
              else reject(new KubernetesError('refused', refusal(status, parsed), status))
            } catch (error) {
              unreachable(error)
            }
          })
        },
      )
      request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)))
      request.on('error', unreachable)
      request.end(body === null ? undefined : JSON.stringify(body))
    })
}

function refusal(status: number, answer: unknown): string {
  const { message } = recordOf(answer)
  return `status ${status}: ${typeof message === 'string' ? message : 'no message'}`
}

/** True when the files of the service account are there. */
export function hasServiceAccount(disk: Disk): boolean {
  return disk.statusSync(`${SERVICE_ACCOUNT}/token`) !== null
}
