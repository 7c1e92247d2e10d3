/** Users, and what they may do: policies of entries, each about a resource. Text from outside becomes these types here, or is refused. */
import { GantryError } from '../../common/errors.ts'
import {
  ACTIONS,
  DECISIONS,
  POLICY_TYPES,
  subjectOf,
  USER_STATUSES,
  USER_TYPES,
} from '../../common/access-names.ts'
import type {
  Action,
  Decision,
  PolicyType,
  UserChange,
  UserStatus,
  UserType,
} from '../../common/access-names.ts'
import { parseIpRange } from './ip-range.ts'
import type { IpRange } from './ip-range.ts'
import type { AclInfo, PolicyEntryInfo, UserInfo } from '../../remoting/bodies/auth-bodies.ts'

export const RESOURCE_TYPES = ['Any', 'Cluster', 'Namespace', 'Topic', 'Group'] as const
export type ResourceType = (typeof RESOURCE_TYPES)[number]

const NAME_MAX = 255
const PASSWORD_MAX = 1024
/** Of one subject, and of one entry. */
const ENTRIES_MAX = 1000
const SOURCE_IPS_MAX = 100

export interface User {
  readonly username: string
  /** As it was given: with it the signatures of requests are checked. */
  readonly password: string
  readonly userType: UserType
  readonly userStatus: UserStatus
}

/** `LITERAL`: the resource of that name; `PREFIXED`: all whose name begins so; `ANY`: all of the type. */
export interface Resource {
  readonly type: ResourceType
  readonly pattern: 'LITERAL' | 'PREFIXED' | 'ANY'
  readonly name: string
  /** How policies write it; equal for equal resources. */
  readonly key: string
}

export interface PolicyEntry {
  readonly resource: Resource
  readonly actions: readonly Action[]
  /** None: from everywhere. */
  readonly sourceIps: readonly IpRange[]
  readonly decision: Decision
}

export interface Policy {
  readonly type: PolicyType
  readonly entries: readonly PolicyEntry[]
}

/** What a request would change cannot be: answered with NO_PERMISSION and the text, as Java does. */
export class AuthError extends GantryError<'refused'> {
  constructor(message: string) {
    super('refused', message)
  }
}

/** A new user; throws `AuthError`. */
export function newUser(info: UserInfo): User {
  const { username, password } = info
  if (isBlank(username)) throw new AuthError('username can not be blank')
  if (isBlank(password)) throw new AuthError('password can not be blank')
  if (username.length > NAME_MAX) throw new AuthError(`username is over ${NAME_MAX} characters`)
  if (hasControls(username)) throw new AuthError('username has control characters')
  const { userType = 'Normal', userStatus = 'enable' } = userChange(info)
  return { username, password, userType, userStatus }
}

/** What a request says of a user; a blank password says nothing. Throws `AuthError`. */
export function userChange({ password, userType, userStatus }: UserInfo): UserChange {
  if (password !== null && password.length > PASSWORD_MAX) {
    throw new AuthError(`password is over ${PASSWORD_MAX} characters`)
  }
  return {
    ...(isBlank(password) ? {} : { password }),
    ...(isBlank(userType) ? {} : { userType: nameIn(USER_TYPES, userType, 'user type') }),
    ...(isBlank(userStatus)
      ? {}
      : { userStatus: nameIn(USER_STATUSES, userStatus, 'user status') }),
  }
}

/** The policies of a request; throws `AuthError` with Java's text where it has one. */
export function policiesOf({ policies }: AclInfo): readonly Policy[] {
  if (policies.length === 0) throw new AuthError('The policies is empty.')
  return policies.map(({ policyType, entries }) => {
    if (entries.length === 0) throw new AuthError('The policy entries is empty.')
    if (entries.length > ENTRIES_MAX) throw tooMany()
    return { type: policyTypeOf(policyType), entries: entries.map(entryOf) }
  })
}

export function policyTypeOf(text: string | null): PolicyType {
  return isBlank(text) ? 'Custom' : nameIn(POLICY_TYPES, text, 'policy type')
}

export function tooMany(): AuthError {
  return new AuthError(`The policies of a subject have more than ${ENTRIES_MAX} entries.`)
}

export function entryCount(policies: readonly Policy[]): number {
  return policies.reduce((sum, { entries }) => sum + entries.length, 0)
}

/** True when the policies are as many as a subject may have. */
export function areTooMany(policies: readonly Policy[]): boolean {
  return entryCount(policies) > ENTRIES_MAX
}

/** `*`, or `Type:name`, `Type:prefix*`, `Type:*`; throws `AuthError`. */
export function resourceOf(text: string | null): Resource {
  if (isBlank(text)) throw new AuthError('The resource is null.')
  if (text === '*') return { type: 'Any', pattern: 'ANY', name: '', key: '*' }
  const colon = text.indexOf(':')
  const type = nameIn(RESOURCE_TYPES, colon < 0 ? text : text.slice(0, colon), 'resource type')
  if (type === 'Any') return { type, pattern: 'ANY', name: '', key: '*' }
  const given = colon < 0 ? '' : text.slice(colon + 1)
  if (given === '*') return { type, pattern: 'ANY', name: '', key: `${type}:*` }
  const name = given.endsWith('*') ? given.slice(0, -1) : given
  if (name === '') throw new AuthError(`The resource ${shown(text)} has no name.`)
  if (name.length > NAME_MAX || hasControls(name)) {
    throw new AuthError(`The resource ${shown(text)} is no name.`)
  }
  // Java takes what stands before the first one, which is more than was meant.
  if (name.includes('*')) throw new AuthError(`The resource ${shown(text)} has a * inside.`)
  const pattern = given.endsWith('*') ? 'PREFIXED' : 'LITERAL'
  return { type, pattern, name, key: `${type}:${given}` }
}

export function aclInfo(username: string, policies: readonly Policy[]): AclInfo {
  return {
    subject: subjectOf(username),
    policies: policies.map(({ type, entries }) => ({
      policyType: type,
      entries: entries.map(({ resource, actions, sourceIps, decision }) => ({
        resource: resource.key,
        actions,
        sourceIps: sourceIps.map(({ text }) => text),
        decision,
      })),
    })),
  }
}

function entryOf(info: PolicyEntryInfo): PolicyEntry {
  const resource = resourceOf(info.resource)
  if (info.actions.length === 0) throw new AuthError('The actions is empty.')
  if (info.actions.some((action) => action.toLowerCase() === 'any')) {
    throw new AuthError('The actions can not be Any.')
  }
  const actions = new Set(info.actions.map((action) => nameIn(ACTIONS, action, 'action')))
  if (info.sourceIps.length > SOURCE_IPS_MAX) {
    throw new AuthError(`The source ips are more than ${SOURCE_IPS_MAX}.`)
  }
  const decision = DECISIONS.find((each) => each.toLowerCase() === info.decision?.toLowerCase())
  if (decision === undefined) throw new AuthError('The decision is null or illegal.')
  return { resource, actions: [...actions], sourceIps: info.sourceIps.map(sourceIpOf), decision }
}

function sourceIpOf(text: string): IpRange {
  if (isBlank(text)) throw new AuthError('The source ip is empty.')
  const range = parseIpRange(text)
  if (range === null) throw new AuthError(`The source ip is invalid: ${shown(text)}`)
  return range
}

/** The name as it is written, whatever the case in which it was given. */
function nameIn<Name extends string>(names: readonly Name[], text: string, what: string): Name {
  const found = names.find((name) => name.toLowerCase() === text.trim().toLowerCase())
  if (found === undefined) throw new AuthError(`The ${what} ${shown(text)} is unknown.`)
  return found
}

/** Narrows by its false: what is not blank is text. */
function isBlank(text: string | null): text is null | '' {
  return text === null || text.trim() === ''
}

function hasControls(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) < 0x20) return true
  return false
}

function shown(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}…` : text
}
