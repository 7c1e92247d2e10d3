/** Users and permissions of the brokers, asked when somebody looks, and then no more than once in a while, however many look. */
import type { AdminClient } from '../client/admin.ts'
import { AuthAdmin } from '../client/auth-admin.ts'
import { mergePermissions, mergeUsers } from '../client/cluster-users.ts'
import type { ClusterPermission, Told } from '../client/cluster-users.ts'
import { isRefusal } from '../client/errors.ts'
import { REFUSED_ADVICE } from '../client/health-verdicts.ts'
import { messageOf } from '../common/errors.ts'
import type { Clock, Random } from '../common/ports.ts'
import type { AclInfo, UserInfo } from '../remoting/bodies/auth-bodies.ts'
import type { AccessRow, BrokerUserRow } from './access-types.ts'

export interface BrokerUsersOptions {
  readonly admin: Pick<AdminClient, 'ask' | 'getBrokerConfig'>
  readonly clock: Pick<Clock, 'monotonic'>
  readonly random: Random
}

/** A broker group as it is asked; without an address it has no leader. */
export interface AskedBroker {
  readonly brokerName: string
  readonly address: string | null
}

export interface Access {
  readonly brokers: readonly AccessRow[]
  readonly users: readonly BrokerUserRow[]
  readonly permissions: readonly ClusterPermission[]
}

const FRESH_MS = 4_000
const ASKED_AT_ONCE = 8
const SECRET_BYTES = 18

interface Answered {
  readonly row: AccessRow
  readonly users: Told<UserInfo>
  readonly acls: Told<AclInfo>
}

export class BrokerUsers {
  readonly auth: AuthAdmin
  readonly #options: BrokerUsersOptions
  #known: { readonly at: number; readonly access: Promise<Access> } | null = null

  constructor(options: BrokerUsersOptions) {
    this.#options = options
    this.auth = new AuthAdmin(options.admin)
  }

  /** Never rejects: a broker that does not answer has a problem. */
  read(brokers: readonly AskedBroker[]): Promise<Access> {
    const now = this.#options.clock.monotonic()
    if (this.#known !== null && now - this.#known.at < FRESH_MS) return this.#known.access
    const access = this.#ask(brokers)
    this.#known = { at: now, access }
    return access
  }

  /** What is asked next comes from the brokers: something was changed. */
  forget(): void {
    this.#known = null
  }

  newSecret(): string {
    return this.#options.random.bytes(SECRET_BYTES).toString('base64url')
  }

  async #ask(brokers: readonly AskedBroker[]): Promise<Access> {
    const answers: Answered[] = []
    for (let at = 0; at < brokers.length; at += ASKED_AT_ONCE) {
      const some = brokers.slice(at, at + ASKED_AT_ONCE)
      answers.push(...(await Promise.all(some.map((broker) => this.#askBroker(broker)))))
    }
    const permissions = mergePermissions(answers.map(({ acls }) => acls))
    const counts = new Map<string, number>()
    for (const { user } of permissions) counts.set(user, (counts.get(user) ?? 0) + 1)
    const users = mergeUsers(answers.map((answer) => answer.users)).map((user) => ({
      ...user,
      permissions: counts.get(user.name) ?? 0,
    }))
    return { brokers: answers.map(({ row }) => row), users, permissions }
  }

  async #askBroker({ brokerName, address }: AskedBroker): Promise<Answered> {
    const nothing = { brokerName, entries: [] }
    const failed = (problem: string): Answered => ({
      row: { brokerName, authentication: null, authorization: null, problem },
      users: nothing,
      acls: nothing,
    })
    if (address === null) return failed('it has no leader now')
    try {
      const config = await this.#options.admin.getBrokerConfig(address)
      const users = await this.auth.users(address)
      const acls = await this.auth.acls(address)
      return {
        row: {
          brokerName,
          authentication: config.get('authenticationEnabled') === 'true',
          authorization: config.get('authorizationEnabled') === 'true',
          problem: null,
        },
        users: { brokerName, entries: users },
        acls: { brokerName, entries: acls },
      }
    } catch (error) {
      const advice = isRefusal(error) ? ` (${REFUSED_ADVICE})` : ''
      return failed(`${messageOf(error)}${advice}`)
    }
  }
}
