/** Limits of the remoting layer against hostile or broken peers (conventions §2: everything has a limit). */

export interface RemotingLimits {
  /** Bytes after the length field; `com.rocketmq.remoting.frameMaxLength`. */
  readonly frameMaxLength: number
  readonly maxConnections: number
  /** Requests of one connection that wait for their answer; reading pauses there. */
  readonly maxInFlightPerConnection: number
  /** Frame bytes of those requests; reading pauses there. */
  readonly maxInFlightBytesPerConnection: number
  /** Requests of ours that wait for an answer of one peer. */
  readonly maxPendingInvocations: number
  /** Output that a peer has not taken; above it the connection is closed. */
  readonly maxOutputBytes: number
  /** A frame whose first byte came this long ago must be complete. */
  readonly halfFrameTimeoutMs: number
  /** Neither read nor written for this long: closed. */
  readonly idleTimeoutMs: number
  /** How long `close` waits for accepted requests. */
  readonly closeTimeoutMs: number
}

export const DEFAULT_LIMITS: RemotingLimits = {
  frameMaxLength: 16_777_216,
  maxConnections: 20_000,
  maxInFlightPerConnection: 16_384,
  maxInFlightBytesPerConnection: 64 * 1024 * 1024,
  maxPendingInvocations: 65_535,
  maxOutputBytes: 128 * 1024 * 1024,
  halfFrameTimeoutMs: 30_000,
  idleTimeoutMs: 120_000,
  closeTimeoutMs: 5_000,
}

/** Longest header of a frame in bytes. */
export const HEADER_MAX_BYTES: number = 1024 * 1024
/** Most ext fields of a header, and most members of one JSON object in a header. */
export const HEADER_MAX_FIELDS = 1_000
/** Deepest nesting of a JSON header or body. */
export const JSON_MAX_DEPTH = 64
