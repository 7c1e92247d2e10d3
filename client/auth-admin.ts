/**
 * Users and permissions of one broker group at a time: each call names the broker that it asks (`host:port`).
 *
 * Every broker group has users of its own: whoever means a cluster asks each of its groups, as the official tool does.
 */
import {
  decodeAclInfo,
  decodeAclList,
  decodeUserInfo,
  decodeUserList,
  encodeAclInfo,
  encodeUserInfo,
} from '../remoting/bodies/auth-bodies.ts'
import type { PolicyType, UserChange } from '../common/access-names.ts'
import type { AclInfo, PolicyInfo, UserInfo } from '../remoting/bodies/auth-bodies.ts'
import { RequestCode } from '../remoting/request-code.ts'
import type { AdminClient } from './admin.ts'

/** Rejects as `AdminClient` does: `ClientError` (`rejected`) with NO_PERMISSION where the broker refuses. */
export class AuthAdmin {
  readonly #admin: Pick<AdminClient, 'ask'>

  constructor(admin: Pick<AdminClient, 'ask'>) {
    this.#admin = admin
  }

  /** A new user, `Normal` and enabled unless said otherwise. */
  async createUser(
    broker: string,
    username: string,
    user: UserChange & { readonly password: string },
  ): Promise<void> {
    const body = encodeUserInfo(infoOf(username, user))
    await this.#admin.ask(broker, {
      code: RequestCode.AUTH_CREATE_USER,
      extFields: { username },
      body,
    })
  }

  async updateUser(broker: string, username: string, change: UserChange): Promise<void> {
    const body = encodeUserInfo(infoOf(username, change))
    await this.#admin.ask(broker, {
      code: RequestCode.AUTH_UPDATE_USER,
      extFields: { username },
      body,
    })
  }

  /** And the policies of the user; one that is unknown is no error. */
  async deleteUser(broker: string, username: string): Promise<void> {
    await this.#admin.ask(broker, { code: RequestCode.AUTH_DELETE_USER, extFields: { username } })
  }

  /** Null when there is no such user. */
  async user(broker: string, username: string): Promise<UserInfo | null> {
    const code = RequestCode.AUTH_GET_USER
    const { body } = await this.#admin.ask(broker, { code, extFields: { username } })
    return body.length === 0 ? null : decodeUserInfo(body)
  }

  /** Users whose name contains `filter`; all without one. */
  async users(broker: string, filter: string = ''): Promise<readonly UserInfo[]> {
    const code = RequestCode.AUTH_LIST_USER
    return decodeUserList((await this.#admin.ask(broker, { code, extFields: { filter } })).body)
  }

  /** Refused when the user has policies. */
  async createAcl(broker: string, subject: string, policies: readonly PolicyInfo[]): Promise<void> {
    const body = encodeAclInfo({ subject, policies })
    await this.#admin.ask(broker, {
      code: RequestCode.AUTH_CREATE_ACL,
      extFields: { subject },
      body,
    })
  }

  /** Adds entries to what a user may; one for a resource that has an entry replaces it. `subject`: `User:<username>`. */
  async putAcl(broker: string, subject: string, policies: readonly PolicyInfo[]): Promise<void> {
    const body = encodeAclInfo({ subject, policies })
    await this.#admin.ask(broker, {
      code: RequestCode.AUTH_UPDATE_ACL,
      extFields: { subject },
      body,
    })
  }

  /** Takes the entry of one resource away, as it is written in the policy; without a resource everything. */
  async deleteAcl(
    broker: string,
    subject: string,
    entry: { readonly resource?: string; readonly policyType?: PolicyType } = {},
  ): Promise<void> {
    await this.#admin.ask(broker, {
      code: RequestCode.AUTH_DELETE_ACL,
      extFields: { subject, ...entry },
    })
  }

  /** Null when the user has no policies. */
  async acl(broker: string, subject: string): Promise<AclInfo | null> {
    const code = RequestCode.AUTH_GET_ACL
    const { body } = await this.#admin.ask(broker, { code, extFields: { subject } })
    return body.length === 0 ? null : decodeAclInfo(body)
  }

  /** Policies whose subject and resource contain the filters; all without. */
  async acls(
    broker: string,
    filters: { readonly subjectFilter?: string; readonly resourceFilter?: string } = {},
  ): Promise<readonly AclInfo[]> {
    const code = RequestCode.AUTH_LIST_ACL
    return decodeAclList((await this.#admin.ask(broker, { code, extFields: { ...filters } })).body)
  }
}

function infoOf(username: string, change: UserChange): UserInfo {
  return {
    username,
    password: change.password ?? null,
    userType: change.userType ?? null,
    userStatus: change.userStatus ?? null,
  }
}
