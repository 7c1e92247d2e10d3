/** Expected failures of the remoting layer. */
import { GantryError } from '../common/errors.ts'

export type RemotingErrorCode =
  /** A frame, header or body that breaks the protocol. */
  | 'malformed'
  /** A frame, header, body or number of things over its limit. */
  | 'tooLarge'
  /** A required header field is absent or does not parse. */
  | 'invalidField'
  /** No connection could be made. */
  | 'connectFailed'
  /** The connection closed before the answer came, or is closed. */
  | 'closed'
  /** No answer in time. */
  | 'timeout'
  | 'tooManyInFlight'

export class RemotingError extends GantryError<RemotingErrorCode> {}
