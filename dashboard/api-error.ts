/** Why a request of the page is refused; the status is the answer's. */
import { GantryError } from '../common/errors.ts'
import { ClientError, isRefusal } from '../client/errors.ts'
import { RemotingError } from '../remoting/errors.ts'
import { messageOf } from '../common/errors.ts'

export type ApiErrorCode =
  | 'badRequest'
  | 'notLoggedIn'
  | 'denied'
  | 'notFound'
  | 'conflict'
  | 'tooMany'
  | 'unavailable'

export class ApiError extends GantryError<ApiErrorCode> {}

const STATUS: Readonly<Record<ApiErrorCode, number>> = {
  badRequest: 400,
  notLoggedIn: 401,
  denied: 403,
  notFound: 404,
  conflict: 409,
  tooMany: 429,
  unavailable: 503,
}

/** Status and sentence of whatever was thrown; null for a fault of ours. */
export function refusalOf(
  error: unknown,
): { readonly status: number; readonly sentence: string } | null {
  if (error instanceof ApiError) return { status: STATUS[error.code], sentence: error.message }
  if (error instanceof RemotingError) return { status: 502, sentence: messageOf(error) }
  if (error instanceof ClientError) {
    if (isRefusal(error)) return { status: 403, sentence: error.message }
    if (error.code === 'noRoute') return { status: 404, sentence: error.message }
    return { status: error.code === 'rejected' ? 409 : 502, sentence: error.message }
  }
  return null
}
