/** What processors and services see of a connection and of a request that came over it. */
import type { RemotingCommand, RequestContent, ResponseContent } from './command.ts'
import type { AnsweredRequests } from './request-frame.ts'

export interface Connection {
  /** Unique among the connections of one server or client, in order of arrival. */
  readonly id: number
  /** `host:port` of the peer. */
  readonly remoteAddress: string
  readonly remoteHost: string
  readonly remotePort: number
  /** The other end of the socket: a load balancer, where one tells by the PROXY protocol that `remoteHost` is its client. */
  readonly socketHost: string
  readonly localHost: string
  readonly isOpen: boolean
  /** Output that the peer has not taken yet. Who answers much at once waits until it is less. */
  readonly outputBytes: number
  /** Sends a request and resolves with the answer; rejects with `RemotingError` (`timeout`, `closed`, `tooManyInFlight`). */
  invoke(request: RequestContent, timeoutMs: number): Promise<RemotingCommand>
  /** Sends a one-way request; dropped (false) when the connection is closed or its output is over the limit. */
  invokeOneway(request: RequestContent): boolean
  /**
   * Answers requests that a frame processor has taken with `source[start, end)`: whole frames, one for each of them, none for one-way
   * requests. The bytes are copied; everything written in one turn leaves in one write at the end of the callback under way, not a
   * turn later. False when the connection is closed: the requests end all the same.
   */
  writeFrames(source: Buffer, start: number, end: number, answered: AnsweredRequests): boolean
  /**
   * The same without a copy: room for frames of at most `size` bytes, which the caller fills from `at` on and hands over with
   * `commitFrames`, telling where they end, within the same call. What is not handed over does not leave.
   */
  reserveFrames(size: number): { readonly buffer: Buffer; readonly at: number }
  commitFrames(end: number, answered: AnsweredRequests): boolean
  /** `listener` is called once when the connection has closed; at once if it already has. */
  onClose(listener: () => void): void
  close(): void
}

export interface RemotingRequest {
  readonly command: RemotingCommand
  readonly connection: Connection
  /**
   * Answers the request: at once, or later (a parked pull). The first call counts, further ones are ignored; nothing leaves for a
   * one-way request or a closed connection. All answers of one turn of the event loop leave in one write.
   */
  respond(response: ResponseContent): void
  /** When the request was read, `Clock.monotonic()`. */
  readonly receivedAt: number
}

/** The same request, answered by `respond`; with another command where one is given. */
export function answeredBy(
  { command: own, connection, receivedAt }: RemotingRequest,
  respond: RemotingRequest['respond'],
  command: RemotingCommand = own,
): RemotingRequest {
  return { command, connection, receivedAt, respond }
}

/** Handles requests of the codes it is registered for. What it throws or rejects with is answered as SYSTEM_ERROR with its text. */
export type Processor = (request: RemotingRequest) => void | Promise<void>
