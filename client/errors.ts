/** Expected failures of the client library. */
import { GantryError } from '../common/errors.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import { ResponseCode, responseCodeName } from '../remoting/response-code.ts'

export type ClientErrorCode =
  /** No name server answers. */
  | 'noNameServer'
  /** The name servers know no such topic, or no broker that takes part in it. */
  | 'noRoute'
  /** A server answered with an error: see `responseCode`. */
  | 'rejected'
  /** An answer that is not what its code demands. */
  | 'badAnswer'
  | 'closed'

export class ClientError extends GantryError<ClientErrorCode> {
  /** The code of the answer, for `rejected`. */
  readonly responseCode: number | null

  constructor(
    code: ClientErrorCode,
    message: string,
    details: { readonly responseCode?: number; readonly cause?: unknown } = {},
  ) {
    super(code, message, details.cause)
    this.responseCode = details.responseCode ?? null
  }
}

/** The error of an answer whose code is not SUCCESS; `what` says who was asked for what. */
export function rejection(what: string, { code, remark }: RemotingCommand): ClientError {
  const name = responseCodeName(code) ?? 'unknown code'
  return new ClientError('rejected', `${what}: ${name} (${code}): ${remark ?? 'no remark'}`, {
    responseCode: code,
  })
}

/** A server answered that whoever asks may not. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ClientError && error.responseCode === ResponseCode.NO_PERMISSION
}
