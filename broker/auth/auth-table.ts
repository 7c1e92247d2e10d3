/**
 * The users of this broker group and what they may: a table in the log, `config/auth.json`, and whoever asks.
 *
 * Changes are made where they are applied, on what the log has by then, so that two that come at once both count. Passwords stand in the
 * file and in the log as they were given, as in the database of a Java broker: without them no signature could be checked.
 */
import { aclInfoOf, aclRecord, userOf, userRecord } from '../../remoting/bodies/auth-bodies.ts'
import { formatFastjson } from '../../remoting/bodies/fastjson.ts'
import {
  asObject,
  listMember,
  optionalObject,
  optionalText,
  textMember,
} from '../../remoting/bodies/json-members.ts'
import { subjectOf, usernameIn } from '../../common/access-names.ts'
import { tablePieces } from '../persisted-table.ts'
import {
  AuthError,
  aclInfo,
  areTooMany,
  newUser,
  policiesOf,
  policyTypeOf,
  resourceOf,
  tooMany,
  userChange,
} from './model.ts'
import type { GroupTables, TableHandle } from '../group-tables.ts'
import type { BodyRecord, JsonObject, JsonValue } from '../../remoting/bodies/fastjson.ts'
import type { PolicyType, UserChange } from '../../common/access-names.ts'
import type { Policy, PolicyEntry, Resource, User } from './model.ts'

const USERS_MAX = 10_000

export class AuthTable {
  readonly #table: TableHandle
  readonly #users = new Map<string, User>()
  /** By username; none are empty. */
  readonly #policies = new Map<string, readonly Policy[]>()
  /** One change after the other, so that each is checked against what the former has left. */
  #last: Promise<void> = Promise.resolve()

  constructor(tables: Pick<GroupTables, 'add'>) {
    this.#table = tables.add({
      name: 'auth',
      fileName: 'auth.json',
      saveAfterMs: 0,
      apply: (change) => this.#apply(change),
      render: () => this.#render(),
      restore: (file) => this.#restore(file),
    })
  }

  get users(): ReadonlyMap<string, User> {
    return this.#users
  }

  user(username: string): User | null {
    return this.#users.get(username) ?? null
  }

  policies(username: string): readonly Policy[] {
    return this.#policies.get(username) ?? []
  }

  /** By username. */
  get allPolicies(): ReadonlyMap<string, readonly Policy[]> {
    return this.#policies
  }

  /** Resolves when that is committed; rejects with `AuthError` when there is such a user, or `GroupTableError`. */
  create(user: User): Promise<void> {
    return this.#inTurn(() => {
      if (this.#users.has(user.username)) throw new AuthError('The user is existed')
      if (this.#users.size >= USERS_MAX) throw new AuthError(`There are ${USERS_MAX} users already`)
      return { createUser: userRecord(user) }
    })
  }

  update(username: string, change: UserChange): Promise<void> {
    return this.#inTurn(() => {
      if (!this.#users.has(username)) throw new AuthError('The user is not exist')
      return { updateUser: { username, ...change } }
    })
  }

  /** With the policies of the user; an unknown one is passed over. */
  delete(username: string): Promise<void> {
    return this.#inTurn(() => (this.#users.has(username) ? { deleteUser: username } : null))
  }

  /** Adds entries; one of a resource that has an entry replaces it. */
  putPolicies(username: string, policies: readonly Policy[]): Promise<void> {
    return this.#inTurn(() => {
      if (!this.#users.has(username)) {
        throw new AuthError(`The subject of ${subjectOf(username)} is not exist.`)
      }
      if (areTooMany(merged(this.policies(username), policies))) throw tooMany()
      return { putAcl: aclRecord(aclInfo(username, policies)) }
    })
  }

  /** All policies of the user, or the entry of one resource. */
  deletePolicies(username: string, type: PolicyType, resource: Resource | null): Promise<void> {
    return this.#inTurn(() => {
      if (!this.#users.has(username)) throw new AuthError('The subject is not exist.')
      if (!this.#policies.has(username)) throw new AuthError('The acl is not exist.')
      const entry = resource === null ? {} : { policyType: type, resource: resource.key }
      return { deleteAcl: { subject: subjectOf(username), ...entry } }
    })
  }

  #inTurn(changeOf: () => BodyRecord | null): Promise<void> {
    const done = this.#last.then(async () => {
      const change = changeOf()
      if (change !== null) await this.#table.propose(change)
    })
    // Whoever asked is told of its failure.
    this.#last = done.catch(() => undefined)
    return done
  }

  #apply(json: JsonValue): void {
    const change = asObject(json, 'a change of users')
    const created = optionalObject(change, 'createUser')
    if (created !== null) this.#created(newUser(userOf(created)))
    const updated = optionalObject(change, 'updateUser')
    if (updated !== null) this.#updated(updated)
    const deleted = optionalText(change, 'deleteUser')
    if (deleted !== null) {
      this.#users.delete(deleted)
      this.#policies.delete(deleted)
    }
    const acl = optionalObject(change, 'putAcl')
    if (acl !== null) this.#put(acl)
    const gone = optionalObject(change, 'deleteAcl')
    if (gone !== null) this.#deletePolicies(gone)
  }

  #created(user: User): void {
    if (!this.#users.has(user.username)) this.#users.set(user.username, user)
  }

  #updated(json: JsonObject): void {
    const user = this.#users.get(textMember(json, 'username'))
    if (user !== undefined) this.#users.set(user.username, { ...user, ...userChange(userOf(json)) })
  }

  #put(json: JsonObject): void {
    const username = ownerOf(json)
    if (!this.#users.has(username)) return
    const policies = merged(this.policies(username), policiesOf(aclInfoOf(json)))
    this.#policies.set(username, policies)
  }

  #deletePolicies(json: JsonObject): void {
    const username = ownerOf(json)
    const resource = optionalText(json, 'resource')
    if (resource === null) {
      this.#policies.delete(username)
      return
    }
    const { key } = resourceOf(resource)
    const type = policyTypeOf(optionalText(json, 'policyType'))
    const left = without(this.policies(username), type, key)
    if (left.length === 0) this.#policies.delete(username)
    else this.#policies.set(username, left)
  }

  #restore(file: JsonObject | null): void {
    const users = file === null ? [] : listMember(file, 'users')
    const acls = file === null ? [] : listMember(file, 'acls')
    const read = users.map((item) => newUser(userOf(asObject(item, 'users'))))
    const policies = acls.map((item) => {
      const json = asObject(item, 'acls')
      return [ownerOf(json), policiesOf(aclInfoOf(json))] as const
    })
    this.#users.clear()
    this.#policies.clear()
    for (const user of read) this.#users.set(user.username, user)
    for (const [username, list] of policies) this.#policies.set(username, list)
  }

  *#render(): Iterable<string> {
    yield* tablePieces('{"users":[', this.#userEntries(), ']')
    yield* tablePieces(',"acls":[', this.#policyEntries(), ']')
  }

  *#userEntries(): Iterable<string> {
    for (const user of this.#users.values()) yield formatFastjson(userRecord(user)).toString()
  }

  *#policyEntries(): Iterable<string> {
    for (const [username, policies] of this.#policies) {
      yield formatFastjson(aclRecord(aclInfo(username, policies))).toString()
    }
  }
}

function ownerOf(json: JsonObject): string {
  const username = usernameIn(textMember(json, 'subject'))
  if (username === null) throw new AuthError('The subject is no user.')
  return username
}

/** As Java: a policy of a new type is taken as it is; else each entry replaces the first one of its resource, or comes last. */
function merged(old: readonly Policy[], added: readonly Policy[]): readonly Policy[] {
  const result = new Map<PolicyType, PolicyEntry[]>(
    old.map(({ type, entries }) => [type, [...entries]]),
  )
  for (const { type, entries } of added) {
    const present = result.get(type)
    if (present === undefined) {
      result.set(type, [...entries])
      continue
    }
    for (const entry of entries) {
      const at = present.findIndex(({ resource }) => resource.key === entry.resource.key)
      if (at < 0) present.push(entry)
      else present[at] = entry
    }
  }
  return [...result].map(([type, entries]) => ({ type, entries }))
}

function without(policies: readonly Policy[], type: PolicyType, key: string): readonly Policy[] {
  return policies
    .map((policy) => {
      if (policy.type !== type) return policy
      const at = policy.entries.findIndex(({ resource }) => resource.key === key)
      return at < 0 ? policy : { type, entries: policy.entries.toSpliced(at, 1) }
    })
    .filter(({ entries }) => entries.length > 0)
}
