/** Users and permissions over the wire: 3001 to 3010, with the codes and remarks of Java's AdminBrokerProcessor. */
import {
  decodeAclInfo,
  decodeUserInfo,
  encodeAclInfo,
  encodeAclList,
  encodeUserInfo,
  encodeUserList,
} from '../../remoting/bodies/auth-bodies.ts'
import { RemotingError } from '../../remoting/errors.ts'
import { optionalString } from '../../remoting/header-fields.ts'
import { subjectOf, usernameIn } from '../../common/access-names.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { answer, success } from '../processors/answers.ts'
import {
  AuthError,
  aclInfo,
  newUser,
  policiesOf,
  policyTypeOf,
  resourceOf,
  userChange,
} from './model.ts'
import type { AuthTable } from './auth-table.ts'
import type { Policy, User } from './model.ts'
import type { UserType } from '../../common/access-names.ts'
import type { AclInfo, UserInfo } from '../../remoting/bodies/auth-bodies.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'

export interface AuthProcessorsOptions {
  readonly users: AuthTable
  /** Null while nobody has to prove who he is. */
  readonly askerOf: (request: RemotingRequest) => User | null
}

type Handle = (
  options: AuthProcessorsOptions,
  request: RemotingRequest,
) => ResponseContent | Promise<ResponseContent>

const HANDLERS: readonly (readonly [RequestCode, Handle])[] = [
  [RequestCode.AUTH_CREATE_USER, createUser],
  [RequestCode.AUTH_UPDATE_USER, updateUser],
  [RequestCode.AUTH_DELETE_USER, deleteUser],
  [RequestCode.AUTH_GET_USER, getUser],
  [RequestCode.AUTH_LIST_USER, listUsers],
  [RequestCode.AUTH_CREATE_ACL, putAcl],
  [RequestCode.AUTH_UPDATE_ACL, putAcl],
  [RequestCode.AUTH_DELETE_ACL, deleteAcl],
  [RequestCode.AUTH_GET_ACL, getAcl],
  [RequestCode.AUTH_LIST_ACL, listAcls],
]

/** The processors of this family by code. */
export function authProcessors(options: AuthProcessorsOptions): ReadonlyMap<number, Processor> {
  return new Map(
    HANDLERS.map(([code, handle]) => [
      code,
      async (request: RemotingRequest) => request.respond(await answered(options, request, handle)),
    ]),
  )
}

async function answered(
  options: AuthProcessorsOptions,
  request: RemotingRequest,
  handle: Handle,
): Promise<ResponseContent> {
  try {
    return await handle(options, request)
  } catch (error) {
    if (error instanceof AuthError) return answer(ResponseCode.NO_PERMISSION, error.message)
    throw error
  }
}

async function createUser(
  options: AuthProcessorsOptions,
  request: RemotingRequest,
): Promise<ResponseContent> {
  const username = nameOf(request)
  if (username === null) return blankName()
  const user = newUser({ ...userInfoIn(request), username })
  if (user.userType === 'Super' && !mayBeSuper(options, request)) {
    const remark = 'The super user can only be create by super user'
    return answer(ResponseCode.SYSTEM_ERROR, remark)
  }
  await options.users.create(user)
  return success()
}

async function updateUser(
  options: AuthProcessorsOptions,
  request: RemotingRequest,
): Promise<ResponseContent> {
  const username = nameOf(request)
  if (username === null) return blankName()
  const change = userChange(userInfoIn(request))
  if (change.userType === 'Super' && !mayBeSuper(options, request)) {
    return answer(ResponseCode.SYSTEM_ERROR, ONLY_SUPER)
  }
  const old = options.users.user(username)
  if (old === null) throw new AuthError('The user is not exist')
  requireSuper(options, request, old.userType)
  await options.users.update(username, change)
  return success()
}

async function deleteUser(
  options: AuthProcessorsOptions,
  request: RemotingRequest,
): Promise<ResponseContent> {
  const username = nameOf(request)
  if (username === null) throw new AuthError('username can not be blank')
  const old = options.users.user(username)
  if (old === null) return success()
  requireSuper(options, request, old.userType)
  await options.users.delete(username)
  return success()
}

function getUser(options: AuthProcessorsOptions, request: RemotingRequest): ResponseContent {
  const username = nameOf(request)
  if (username === null) return blankName()
  const user = options.users.user(username)
  if (user === null) return success()
  return success(undefined, encodeUserInfo(shownUser(user, mayBeSuper(options, request))))
}

function listUsers(options: AuthProcessorsOptions, request: RemotingRequest): ResponseContent {
  const filter = optionalString(request.command.extFields, 'filter') ?? ''
  const found = [...options.users.users.values()].filter(({ username }) =>
    username.includes(filter),
  )
  if (found.length === 0) return success()
  const isSuper = mayBeSuper(options, request)
  const shown = found.toSorted(byName).map((user) => shownUser(user, isSuper))
  return success(undefined, encodeUserList(shown))
}

async function putAcl(
  { users }: AuthProcessorsOptions,
  request: RemotingRequest,
): Promise<ResponseContent> {
  const info = request.command.body.length === 0 ? null : decodeAclInfo(request.command.body)
  if (info === null || info.policies.length === 0) {
    return answer(ResponseCode.SYSTEM_ERROR, 'The body of acl is null')
  }
  // As Java: the body's subject counts before that of the header.
  const username = subjectIn(info.subject ?? optionalString(request.command.extFields, 'subject'))
  await users.putPolicies(username, policiesOf(info))
  return success()
}

async function deleteAcl(
  { users }: AuthProcessorsOptions,
  request: RemotingRequest,
): Promise<ResponseContent> {
  const { extFields } = request.command
  const username = subjectIn(optionalString(extFields, 'subject'))
  const resource = optionalString(extFields, 'resource') ?? ''
  const type = policyTypeOf(optionalString(extFields, 'policyType'))
  await users.deletePolicies(username, type, resource === '' ? null : resourceOf(resource))
  return success()
}

function getAcl({ users }: AuthProcessorsOptions, request: RemotingRequest): ResponseContent {
  const username = subjectIn(optionalString(request.command.extFields, 'subject'))
  if (users.user(username) === null) throw new AuthError('The subject is not exist.')
  const policies = users.policies(username)
  return policies.length === 0
    ? success()
    : success(undefined, encodeAclInfo(aclInfo(username, policies)))
}

function listAcls({ users }: AuthProcessorsOptions, request: RemotingRequest): ResponseContent {
  const { extFields } = request.command
  const subjectFilter = optionalString(extFields, 'subjectFilter') ?? ''
  const resourceFilter = optionalString(extFields, 'resourceFilter') ?? ''
  const found: AclInfo[] = []
  for (const username of [...users.allPolicies.keys()].toSorted()) {
    const subject = subjectOf(username)
    if (!subject.includes(subjectFilter)) continue
    // Java lets a resource filter that the subject contains count for all of its entries.
    const filter = subject.includes(resourceFilter) ? '' : resourceFilter
    const policies = filtered(users.policies(username), filter)
    if (policies.length > 0) found.push(aclInfo(username, policies))
  }
  return found.length === 0 ? success() : success(undefined, encodeAclList(found))
}

function filtered(policies: readonly Policy[], filter: string): readonly Policy[] {
  return policies
    .map(({ type, entries }) => ({
      type,
      entries: entries.filter(({ resource }) => resource.key.includes(filter)),
    }))
    .filter(({ entries }) => entries.length > 0)
}

const ONLY_SUPER = 'The super user can only be update by super user'

/** Passwords are told to who could set them anyway. */
function mayBeSuper({ askerOf }: AuthProcessorsOptions, request: RemotingRequest): boolean {
  const asker = askerOf(request)
  return asker === null || asker.userType === 'Super'
}

function requireSuper(
  options: AuthProcessorsOptions,
  request: RemotingRequest,
  type: UserType,
): void {
  if (type === 'Super' && !mayBeSuper(options, request)) throw new AuthError(ONLY_SUPER)
}

function shownUser(user: User, isSuper: boolean): UserInfo {
  return { ...user, password: isSuper ? user.password : null }
}

function nameOf({ command }: RemotingRequest): string | null {
  const username = optionalString(command.extFields, 'username')
  return username === null || username.trim() === '' ? null : username
}

function blankName(): ResponseContent {
  return answer(ResponseCode.INVALID_PARAMETER, 'The username is blank')
}

function userInfoIn({ command }: RemotingRequest): UserInfo {
  if (command.body.length > 0) return decodeUserInfo(command.body)
  throw new RemotingError('malformed', 'the body of user is null')
}

function subjectIn(subject: string | null): string {
  const username = subject === null ? null : usernameIn(subject)
  if (username !== null) return username
  throw new RemotingError('invalidField', `the subject is not User:<username>: ${subject ?? ''}`)
}

function byName(left: User, right: User): number {
  return left.username < right.username ? -1 : 1
}
