/** Sessions in memory: a restart of the console ends them. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Clock, Random } from '../../common/ports.ts'
import type { Role } from '../api-types.ts'
import type { User, Users } from './users.ts'

const TOKEN_BYTES = 32
export const SESSIONS_MAX = 10_000
/** However busy a session is, it ends then. */
const LIFETIME_MS = 12 * 60 * 60_000

export interface Session {
  readonly userName: string
  readonly role: Role
  /** Proves that a request comes from our page. */
  readonly csrf: string
}

interface Held {
  /** As it was at login: each change of a user makes another, and ends the sessions of this one. */
  readonly user: User
  readonly csrf: string
  readonly startedAt: number
  seenAt: number
}

export class Sessions {
  readonly #clock: Clock
  readonly #random: Random
  readonly #users: Pick<Users, 'get'>
  readonly #idleMs: number
  /** By the hash of the token, which itself is nowhere kept; the one that was used longest ago first. */
  readonly #held = new Map<string, Held>()

  constructor(options: {
    readonly clock: Clock
    readonly random: Random
    readonly users: Pick<Users, 'get'>
    readonly idleMs: number
  }) {
    this.#clock = options.clock
    this.#random = options.random
    this.#users = options.users
    this.#idleMs = options.idleMs
  }

  /** A new session; the token is for the cookie only. */
  begin(user: User): { readonly token: string; readonly session: Session } {
    const token = this.#random.bytes(TOKEN_BYTES).toString('base64url')
    const csrf = this.#random.bytes(TOKEN_BYTES).toString('base64url')
    const now = this.#clock.monotonic()
    this.#held.set(keyOf(token), {
      user,
      csrf,
      startedAt: now,
      seenAt: now,
    })
    for (const key of this.#held.keys()) {
      if (this.#held.size <= SESSIONS_MAX) break
      this.#held.delete(key)
    }
    return { token, session: { userName: user.name, role: user.role, csrf } }
  }

  /** The session of a token, which is thereby used; null when there is none or it has ended. */
  find(token: string): Session | null {
    const key = keyOf(token)
    const held = this.#held.get(key)
    if (held === undefined) return null
    const now = this.#clock.monotonic()
    const { user } = held
    const isOver = now - held.seenAt > this.#idleMs || now - held.startedAt > LIFETIME_MS
    this.#held.delete(key)
    if (isOver || this.#users.get(user.name) !== user) return null
    held.seenAt = now
    this.#held.set(key, held)
    return { userName: user.name, role: user.role, csrf: held.csrf }
  }

  end(token: string): void {
    this.#held.delete(keyOf(token))
  }
}

export function isSameToken(left: string, right: string): boolean {
  const a = createHash('sha256').update(left).digest()
  const b = createHash('sha256').update(right).digest()
  return timingSafeEqual(a, b)
}

function keyOf(token: string): string {
  return createHash('sha256').update(token).digest('base64')
}
