/** Who may use the console: names, roles and password hashes, in `users.json` of the data folder (mode 0600). */
import type { Logger } from '../../common/log.ts'
import type { Disk, Random } from '../../common/ports.ts'
import { GantryError } from '../../common/errors.ts'
import { ApiError } from '../api-error.ts'
import { ROLES } from '../api-types.ts'
import type { Role } from '../api-types.ts'
import { memberOf } from '../stored-json.ts'
import {
  PASSWORD_MAX_LENGTH,
  PASSWORD_MIN_LENGTH,
  hashPassword,
  isPassword,
  makePassword,
} from './passwords.ts'
import type { PasswordHash } from './passwords.ts'
import { writeSecretFile } from './secret-file.ts'

/** Made anew with each change of it. */
export interface User {
  readonly name: string
  readonly role: Role
  readonly hash: PasswordHash
}

export class UsersError extends GantryError<'corrupt'> {}

export const USERS_MAX = 1_000
const NAME = /^[A-Za-z0-9._@-]{1,64}$/u
const FIRST_USER = 'admin'

export interface UsersOptions {
  readonly disk: Disk
  readonly random: Random
  readonly logger: Logger
  readonly folder: string
  /** The first password of `admin`; null: one is made and written to `initial-password`. */
  readonly firstPassword: string | null
}

export class Users {
  readonly #options: UsersOptions
  readonly #users = new Map<string, User>()
  /** Compared with when there is no such user, so that an answer takes as long. */
  readonly #nobody: PasswordHash

  private constructor(options: UsersOptions, nobody: PasswordHash) {
    this.#options = options
    this.#nobody = nobody
  }

  /** Reads the file, or makes the first user. `madeAt`: where a password that was made stands. */
  static async open(
    options: UsersOptions,
  ): Promise<{ readonly users: Users; readonly madeAt: string | null }> {
    const { disk, random, folder, firstPassword } = options
    const users = new Users(options, await hashPassword(makePassword(random), random))
    const file = disk.readFileSync(users.#path)
    if (file !== null) {
      for (const user of usersIn(file, users.#path)) users.#users.set(user.name, user)
      return { users, madeAt: null }
    }
    const password = firstPassword ?? makePassword(random)
    const madeAt = `${folder}/initial-password`
    if (firstPassword === null) writeSecretFile(disk, madeAt, `${password}\n`)
    await users.#put(FIRST_USER, 'admin', password)
    return { users, madeAt: firstPassword === null ? madeAt : null }
  }

  get all(): readonly User[] {
    return [...this.#users.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  get(name: string): User | null {
    return this.#users.get(name) ?? null
  }

  /** The user whose password this is; null when the name or the password is wrong. */
  async check(name: string, password: string): Promise<User | null> {
    const user = this.#users.get(name) ?? null
    if (password.length > PASSWORD_MAX_LENGTH) return null
    const isRight = await isPassword(password, user?.hash ?? this.#nobody)
    return isRight ? user : null
  }

  /** A new user with a made password, which is told once. */
  async add(name: string, role: Role): Promise<string> {
    if (!NAME.test(name)) {
      const rule = 'a name has 1 to 64 letters, digits, dots, dashes, underscores or @'
      throw new ApiError('badRequest', rule)
    }
    if (this.#users.has(name)) throw new ApiError('conflict', `there is a user ${name} already`)
    if (this.#users.size >= USERS_MAX) {
      throw new ApiError('conflict', `there are ${USERS_MAX} users, which is the most`)
    }
    const password = makePassword(this.#options.random)
    await this.#put(name, role, password)
    return password
  }

  async setPassword(name: string, password: string): Promise<void> {
    const user = this.#existing(name)
    if (password.length < PASSWORD_MIN_LENGTH || password.length > PASSWORD_MAX_LENGTH) {
      const rule = `a password has ${PASSWORD_MIN_LENGTH} to ${PASSWORD_MAX_LENGTH} characters`
      throw new ApiError('badRequest', rule)
    }
    await this.#put(name, user.role, password)
    // It opens nothing any more.
    if (name === FIRST_USER) {
      this.#options.disk.removeSync(`${this.#options.folder}/initial-password`)
    }
  }

  /** Makes another password, which is told once. */
  async resetPassword(name: string): Promise<string> {
    const password = makePassword(this.#options.random)
    await this.setPassword(name, password)
    return password
  }

  setRole(name: string, role: Role): void {
    const user = this.#existing(name)
    if (role !== 'admin') this.#keepAnAdmin(name)
    this.#users.set(name, { ...user, role })
    this.#save()
  }

  remove(name: string): void {
    this.#existing(name)
    this.#keepAnAdmin(name)
    this.#users.delete(name)
    this.#save()
  }

  get #path(): string {
    return `${this.#options.folder}/users.json`
  }

  #existing(name: string): User {
    const user = this.#users.get(name)
    if (user === undefined) throw new ApiError('notFound', `there is no user ${name}`)
    return user
  }

  #keepAnAdmin(name: string): void {
    const others = [...this.#users.values()].filter((user) => user.name !== name)
    if (others.some(({ role }) => role === 'admin')) return
    throw new ApiError('conflict', `${name} is the only administrator`)
  }

  async #put(name: string, role: Role, password: string): Promise<void> {
    const hash = await hashPassword(password, this.#options.random)
    this.#users.set(name, { name, role, hash })
    this.#save()
  }

  #save(): void {
    const content = `${JSON.stringify({ users: this.all }, null, 2)}\n`
    writeSecretFile(this.#options.disk, this.#path, content)
  }
}

function usersIn(file: Buffer, path: string): readonly User[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(file.toString('utf8'))
  } catch (error) {
    throw new UsersError('corrupt', `${path} is no JSON`, error)
  }
  const list = memberOf(parsed, 'users')
  if (!Array.isArray(list)) throw new UsersError('corrupt', `${path} has no users`)
  return list.map((entry: unknown, at) => userOf(entry, `${path}, users[${at}]`))
}

function userOf(entry: unknown, where: string): User {
  const hash = memberOf(entry, 'hash')
  const text = (of: unknown, name: string): string => {
    const value = memberOf(of, name)
    if (typeof value === 'string') return value
    throw new UsersError('corrupt', `${where} has no ${name}`)
  }
  const integer = (of: unknown, name: string, max: number): number => {
    const value = memberOf(of, name)
    if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= max) {
      return value
    }
    throw new UsersError('corrupt', `${where} has no good ${name}`)
  }
  const role = ROLES.find((known) => known === text(entry, 'role'))
  if (role === undefined) throw new UsersError('corrupt', `${where} has no known role`)
  return {
    name: text(entry, 'name'),
    role,
    hash: {
      algorithm: 'argon2id',
      memory: integer(hash, 'memory', 1_048_576),
      passes: integer(hash, 'passes', 100),
      nonce: text(hash, 'nonce'),
      tag: text(hash, 'tag'),
    },
  }
}
