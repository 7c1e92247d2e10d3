/** Users and permissions of the brokers: whoever may look sees them, administrators change them. Secrets go in, never out. */
import {
  ACTIONS,
  DECISIONS,
  POLICY_TYPES,
  subjectOf,
  USER_STATUSES,
  USER_TYPES,
} from '../../common/access-names.ts'
import type { AccessRow, BrokerUserAnswer, BrokerUserRow } from '../access-types.ts'
import { ApiError } from '../api-error.ts'
import type { ListAnswer } from '../api-types.ts'
import type { Access } from '../broker-users.ts'
import type { Fields } from '../fields.ts'
import { listAnswer } from '../list-query.ts'
import { anyPictureOf, leadersOf, onEach, param, pictureOf } from './api.ts'
import type { Api, ApiRequest, ApiRoute, Leader } from './api.ts'

const NAME_MAX = 255
const SECRET_MAX = 1_024
const RESOURCE_MAX = 300
const SOURCE_IPS_MAX = 100

export const accessRoutes: readonly ApiRoute[] = [
  { method: 'GET', path: '/broker-access', role: 'viewer', handle: brokers },
  { method: 'GET', path: '/access', role: 'viewer', handle: list },
  { method: 'GET', path: '/access/:user', role: 'viewer', handle: one },
  {
    method: 'POST',
    path: '/access',
    role: 'admin',
    what: ({ body }) => `create broker user ${body.text('name')} (${body.text('type')})`,
    handle: create,
  },
  {
    method: 'PUT',
    path: '/access/:user',
    role: 'admin',
    what: (request) => {
      const { body } = request
      return `make broker user ${param(request, 'user')} ${body.text('type')}, ${body.text('status')}`
    },
    handle: change,
  },
  {
    method: 'POST',
    path: '/access/:user/secret',
    role: 'admin',
    what: (request) => `set a new secret for broker user ${param(request, 'user')}`,
    handle: renew,
  },
  {
    method: 'DELETE',
    path: '/access/:user',
    role: 'admin',
    what: (request) => `delete broker user ${param(request, 'user')}`,
    handle: remove,
  },
  {
    method: 'PUT',
    path: '/access/:user/permissions',
    role: 'admin',
    what: (request) => {
      const { resource, actions, decision } = permissionIn(request.body)
      return `${decision} ${param(request, 'user')} ${actions.join(', ')} on ${resource}`
    },
    handle: allow,
  },
  {
    method: 'DELETE',
    path: '/access/:user/permissions',
    role: 'admin',
    what: (request) =>
      `take the permission on ${request.body.text('resource')} from ${param(request, 'user')}`,
    handle: takeAway,
  },
]

async function brokers(api: Api): Promise<readonly AccessRow[]> {
  return (await accessOf(api)).brokers
}

async function list(api: Api, { query }: ApiRequest): Promise<ListAnswer<BrokerUserRow>> {
  const { users } = await accessOf(api)
  return listAnswer(users, query, {
    texts: ({ name, type, status }) => [name, type, status],
    columns: {
      name: ({ name }) => name,
      type: ({ type }) => type,
      status: ({ status }) => status,
      permissions: ({ permissions }) => permissions,
    },
    defaultSort: 'name',
    defaultOrder: 'asc',
  })
}

async function one(api: Api, request: ApiRequest): Promise<BrokerUserAnswer> {
  const name = param(request, 'user')
  const { users, permissions } = await accessOf(api)
  const user = users.find((each) => each.name === name)
  if (user === undefined) throw new ApiError('notFound', `the brokers know no user ${name}`)
  return {
    user,
    permissions: permissions.filter((permission) => permission.user === name),
  }
}

/** Also puts a user on broker groups that lack it; there and on the others it then has the new secret. */
async function create(api: Api, { body }: ApiRequest): Promise<unknown> {
  const name = body.text('name', NAME_MAX)
  const userType = body.choice('type', USER_TYPES)
  const { secret, isMade } = secretIn(api, body)
  const leaders = leadersNow(api)
  const { users } = await freshAccessOf(api)
  const known = users.find((user) => user.name === name)
  if (known !== undefined && known.on.length >= leaders.length) {
    throw new ApiError('conflict', `the brokers have a user ${name} already`)
  }
  const { auth } = api.brokerUsers
  await changing(api, leaders, async ({ address, brokerName }) => {
    const user = { password: secret, userType }
    if (known?.on.includes(brokerName) === true) await auth.updateUser(address, name, user)
    else await auth.createUser(address, name, user)
  })
  return { name, ...(isMade ? { secret } : {}) }
}

async function change(api: Api, request: ApiRequest): Promise<unknown> {
  const name = param(request, 'user')
  const { body } = request
  const userType = body.choice('type', USER_TYPES)
  const userStatus = body.choice('status', USER_STATUSES)
  await changing(api, leadersNow(api), ({ address }) =>
    api.brokerUsers.auth.updateUser(address, name, { userType, userStatus }),
  )
  return { name }
}

async function renew(api: Api, request: ApiRequest): Promise<unknown> {
  const name = param(request, 'user')
  const { secret, isMade } = secretIn(api, request.body)
  await changing(api, leadersNow(api), ({ address }) =>
    api.brokerUsers.auth.updateUser(address, name, { password: secret }),
  )
  return { name, ...(isMade ? { secret } : {}) }
}

async function remove(api: Api, request: ApiRequest): Promise<unknown> {
  const name = param(request, 'user')
  await changing(api, leadersNow(api), ({ address }) =>
    api.brokerUsers.auth.deleteUser(address, name),
  )
  return { name }
}

async function allow(api: Api, request: ApiRequest): Promise<unknown> {
  const subject = subjectOf(param(request, 'user'))
  const { policyType, ...entry } = permissionIn(request.body)
  await changing(api, leadersNow(api), ({ address }) =>
    api.brokerUsers.auth.putAcl(address, subject, [{ policyType, entries: [entry] }]),
  )
  return {}
}

async function takeAway(api: Api, request: ApiRequest): Promise<unknown> {
  const subject = subjectOf(param(request, 'user'))
  const resource = request.body.text('resource', RESOURCE_MAX)
  const policyType = request.body.choice('policyType', POLICY_TYPES)
  await changing(api, leadersNow(api), ({ address }) =>
    api.brokerUsers.auth.deleteAcl(address, subject, { resource, policyType }),
  )
  return {}
}

function accessOf(api: Api): Promise<Access> {
  return api.brokerUsers.read(anyPictureOf(api).brokers)
}

async function freshAccessOf(api: Api): Promise<Access> {
  api.brokerUsers.forget()
  return await accessOf(api)
}

/** Every broker group has users of its own: all of them have to be there. */
function leadersNow(api: Api): readonly Leader[] {
  return leadersOf(pictureOf(api).brokers)
}

async function changing(
  api: Api,
  leaders: readonly Leader[],
  act: (leader: Leader) => Promise<void>,
): Promise<void> {
  try {
    await onEach(leaders, act)
  } finally {
    api.brokerUsers.forget()
  }
}

function secretIn(api: Api, body: Fields): { readonly secret: string; readonly isMade: boolean } {
  const given = body.optionalText('secret', SECRET_MAX)
  return given === null
    ? { secret: api.brokerUsers.newSecret(), isMade: true }
    : { secret: given, isMade: false }
}

function permissionIn(body: Fields) {
  const actions = body.list('actions', ACTIONS.length).map((text) => {
    const found = ACTIONS.find((action) => action === text)
    if (found !== undefined) return found
    throw new ApiError('badRequest', `actions are not all of ${ACTIONS.join(', ')}`)
  })
  if (actions.length === 0) throw new ApiError('badRequest', 'actions are empty')
  const sourceIps = body.list('sourceIps', SOURCE_IPS_MAX).map((text) => {
    if (typeof text === 'string') return text
    throw new ApiError('badRequest', 'sourceIps are not all text')
  })
  return {
    policyType: body.choice('policyType', POLICY_TYPES),
    resource: body.text('resource', RESOURCE_MAX),
    actions,
    sourceIps,
    decision: body.choice('decision', DECISIONS),
  }
}
