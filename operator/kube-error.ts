/** What a `KubeApi` rejects with: the API server's refusals, as codes that callers decide by. */
import { GantryError } from '../common/errors.ts'
import type { KubeErrorCode } from './ports.ts'

export class KubeError extends GantryError<KubeErrorCode> {
  /** Milliseconds the server asked to wait (`Retry-After`), or null. */
  readonly retryAfterMs: number | null
  /** The `reason` of the server's Status (`AlreadyExists`, `FieldManagerConflict` …), empty when there was none. */
  readonly reason: string

  constructor(
    code: KubeErrorCode,
    message: string,
    details: {
      readonly retryAfterMs?: number | null
      readonly reason?: string
      readonly cause?: unknown
    } = {},
  ) {
    super(code, message, details.cause)
    this.retryAfterMs = details.retryAfterMs ?? null
    this.reason = details.reason ?? ''
  }
}

/** The code for an HTTP status of the API server; everything that may pass by itself is `unavailable`. */
export function kubeErrorCodeOf(status: number): KubeErrorCode {
  switch (status) {
    case 401:
    case 403:
      return 'forbidden'
    case 404:
      return 'notFound'
    case 409:
      return 'conflict'
    case 410:
      return 'expired'
    case 429:
      return 'tooManyRequests'
    default:
      return status >= 400 && status < 500 && status !== 408 ? 'invalid' : 'unavailable'
  }
}
