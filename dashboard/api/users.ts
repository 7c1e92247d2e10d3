/** Users of the console, and everybody's own password. */
import { ApiError } from '../api-error.ts'
import { ROLES } from '../api-types.ts'
import type { UserRow } from '../api-types.ts'
import { param } from './api.ts'
import type { Api, ApiRequest, ApiRoute } from './api.ts'

export const userRoutes: readonly ApiRoute[] = [
  {
    method: 'GET',
    path: '/users',
    role: 'admin',
    handle: ({ users }): readonly UserRow[] => users.all.map(({ name, role }) => ({ name, role })),
  },
  {
    method: 'POST',
    path: '/users',
    role: 'admin',
    what: ({ body }) => `add user ${body.text('name')} as ${body.text('role')}`,
    handle: async ({ users }, { body }) => ({
      password: await users.add(body.text('name'), body.choice('role', ROLES)),
    }),
  },
  {
    method: 'PUT',
    path: '/users/:user',
    role: 'admin',
    what: (request) => `make ${param(request, 'user')} ${request.body.text('role')}`,
    handle: ({ users }, request) => {
      users.setRole(param(request, 'user'), request.body.choice('role', ROLES))
      return {}
    },
  },
  {
    method: 'POST',
    path: '/users/:user/password',
    role: 'admin',
    what: (request) => `make a new password for ${param(request, 'user')}`,
    handle: async ({ users }, request) => ({
      password: await users.resetPassword(param(request, 'user')),
    }),
  },
  {
    method: 'DELETE',
    path: '/users/:user',
    role: 'admin',
    what: (request) => `remove user ${param(request, 'user')}`,
    handle: ({ users }, request) => {
      users.remove(param(request, 'user'))
      return {}
    },
  },
  {
    method: 'POST',
    path: '/password',
    role: 'viewer',
    what: () => 'change the own password',
    handle: changeOwn,
  },
]

async function changeOwn(
  { users, passwords }: Api,
  { body, userName, address }: ApiRequest,
): Promise<unknown> {
  const user = await passwords.check(userName, body.text('current'), address)
  if (user === null) throw new ApiError('denied', 'the current password is wrong')
  await users.setPassword(userName, body.text('password'))
  return {}
}
