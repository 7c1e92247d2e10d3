/** Whether a password is a user's, asked as often as may be: for a login, and for a change of the own password. */
import { ApiError } from '../api-error.ts'
import type { LoginThrottle } from './throttle.ts'
import type { User, Users } from './users.ts'

/** Passwords that are compared at a time: each takes 19 MiB. */
const AT_ONCE = 4

/** Who asked has to wait. */
export class TooManyAttempts extends ApiError {
  readonly seconds: number

  constructor(seconds: number) {
    super('tooMany', `too many attempts: try again in ${seconds} seconds`)
    this.seconds = seconds
  }
}

export class PasswordChecks {
  readonly #users: Users
  readonly #throttle: LoginThrottle
  #running = 0

  constructor({ users, throttle }: { readonly users: Users; readonly throttle: LoginThrottle }) {
    this.#users = users
    this.#throttle = throttle
  }

  /** The user whose password this is; null when the name or the password is wrong. Throws `TooManyAttempts`. */
  async check(name: string, password: string, address: string): Promise<User | null> {
    const keys = [`name ${name}`, `address ${address}`]
    const waitMs = Math.max(...keys.map((key) => this.#throttle.waitMs(key)))
    if (waitMs > 0 || this.#running >= AT_ONCE) {
      throw new TooManyAttempts(Math.max(1, Math.ceil(waitMs / 1000)))
    }
    // Counted before it is known, so that many at once are not all let in.
    for (const key of keys) this.#throttle.failed(key)
    this.#running++
    const user = await this.#users.check(name, password).finally(() => this.#running--)
    if (user !== null) for (const key of keys) this.#throttle.succeeded(key)
    return user
  }
}
