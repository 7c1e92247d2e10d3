/** The base of all expected failures (conventions §5): a code for programs, a message for people, the cause kept. */
export class GantryError<Code extends string = string> extends Error {
  readonly code: Code

  constructor(code: Code, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = new.target.name
    this.code = code
  }
}

/** Exit codes of every `gantry` command. */
export const ExitCode = {
  DONE: 0,
  FAILED: 1,
  /** Wrong usage or configuration. */
  USAGE: 2,
  NOT_FOUND: 3,
  DENIED: 4,
  UNAVAILABLE: 5,
  TIMED_OUT: 6,
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The system's error code (`ENOENT`, `EADDRINUSE` …) of whatever was thrown, or null. */
export function systemCodeOf(error: unknown): string | null {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  return null
}

/** What a disk answers that takes no writes now and may take them later: no damage was done. */
const NO_ROOM: ReadonlySet<string | null> = new Set(['ENOSPC', 'EDQUOT', 'EROFS'])

/** True when a write was refused because the volume is full or read-only. Never asked of a failed sync. */
export function isNoRoom(error: unknown): boolean {
  return NO_ROOM.has(systemCodeOf(error))
}
