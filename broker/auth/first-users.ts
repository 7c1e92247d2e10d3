/** The super users that the configuration names: the leader makes those that are not there, so that there is somebody to begin with. */
import { messageOf } from '../../common/errors.ts'
import { initialUserIn, innerUserIn } from '../../common/credentials.ts'
import { AuthError } from './model.ts'
import type { AuthTable } from './auth-table.ts'
import type { User } from './model.ts'
import type { BrokerConfig } from '../config.ts'
import type { LeaderService } from '../leader-service.ts'
import type { Logger } from '../../common/log.ts'
import type { Timer, Timers } from '../../common/ports.ts'

const RETRY_MS = 1000

export interface FirstUsersOptions {
  readonly config: Pick<BrokerConfig, 'values'>
  readonly users: AuthTable
  readonly timers: Pick<Timers, 'after'>
  readonly logger: Logger
}

export class FirstUsers implements LeaderService {
  readonly #options: FirstUsersOptions
  /** They count already, so that nobody is refused while the log takes them. */
  readonly #waiting = new Map<string, User>()
  #timer: Timer | null = null
  #running: Promise<void> = Promise.resolve()

  constructor(options: FirstUsersOptions) {
    this.#options = options
  }

  /** Users that are about to be made, by name. */
  get waiting(): ReadonlyMap<string, User> {
    return this.#waiting
  }

  startLeading(): void {
    for (const user of this.#configured()) {
      if (this.#options.users.user(user.username) === null) this.#waiting.set(user.username, user)
    }
    if (this.#waiting.size > 0) this.#running = this.#create()
  }

  async stopLeading(): Promise<void> {
    this.#waiting.clear()
    this.#timer?.cancel()
    this.#timer = null
    await this.#running
  }

  async #create(): Promise<void> {
    const { users, timers, logger } = this.#options
    for (const user of [...this.#waiting.values()]) {
      try {
        await users.create(user)
        logger.info({ username: user.username }, 'the first user was made')
        this.#waiting.delete(user.username)
      } catch (error) {
        // It is there meanwhile.
        if (error instanceof AuthError) this.#waiting.delete(user.username)
        else logger.warn({ reason: messageOf(error) }, 'the first user could not be made yet')
      }
    }
    if (this.#waiting.size === 0) return
    this.#timer = timers.after(RETRY_MS, () => {
      this.#running = this.#create()
    })
  }

  #configured(): readonly User[] {
    const { initAuthenticationUser, innerClientAuthenticationCredentials } =
      this.#options.config.values
    const found = [
      initialUserIn(initAuthenticationUser),
      innerUserIn(innerClientAuthenticationCredentials),
    ]
    const users: User[] = []
    for (const user of found) {
      // The configuration was checked when it was loaded.
      if (user === null || typeof user === 'string') continue
      const { accessKey: username, secretKey: password } = user
      users.push({ username, password, userType: 'Super', userStatus: 'enable' })
    }
    return users
  }
}
