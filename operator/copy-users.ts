/** Users and policies for a broker group that is new: each group has its own, and clients come to all of them. */
import { AuthAdmin } from '../client/auth-admin.ts'
import { ClientError } from '../client/errors.ts'
import { canonicalJson } from './json.ts'
import type { AdminClient } from '../client/admin.ts'
import type { UserStatus, UserType } from '../common/access-names.ts'

type User = Awaited<ReturnType<AuthAdmin['users']>>[number]
type Acl = Awaited<ReturnType<AuthAdmin['acls']>>[number]

interface MissingUsers {
  readonly users: readonly User[]
  readonly acls: readonly Acl[]
}

/** What `target` lacks of the users of `source`; nothing where users cannot be asked for. */
export async function missingUsers(
  admin: Pick<AdminClient, 'ask'>,
  source: string,
  target: string,
): Promise<MissingUsers> {
  const auth = new AuthAdmin(admin)
  const [users, present] = await Promise.all([usersOf(auth, source), usersOf(auth, target)])
  const [acls, presentAcls] = await Promise.all([aclsOf(auth, source), aclsOf(auth, target)])
  return {
    // Without their passwords, which only a super user is told, they cannot be made.
    users: users.filter(
      (user) =>
        user.password !== null &&
        !present.some(
          (other) => other.username === user.username && canonical(other) === canonical(user),
        ),
    ),
    acls: acls.filter((acl) => {
      const known = new Set(presentAcls.flatMap(entriesOf))
      return entriesOf(acl).some((entry) => !known.has(entry))
    }),
  }
}

export async function copyUsers(
  admin: Pick<AdminClient, 'ask'>,
  source: string,
  target: string,
): Promise<void> {
  const auth = new AuthAdmin(admin)
  const { users, acls } = await missingUsers(admin, source, target)
  for (const { username, password, userType, userStatus } of users) {
    if (username === null || password === null) continue
    const user = { password, userType: typeOf(userType), userStatus: statusOf(userStatus) }
    if ((await auth.user(target, username)) === null) await auth.createUser(target, username, user)
    else await auth.updateUser(target, username, user)
  }
  for (const { subject, policies } of acls) {
    if (subject !== null) await auth.putAcl(target, subject, policies)
  }
}

function canonical(value: unknown): string {
  const plain: unknown = JSON.parse(JSON.stringify(value))
  return canonicalJson(plain)
}

/** What the target has besides is no reason to wait for ever. */
function entriesOf({ subject, policies }: Acl): readonly string[] {
  return policies.flatMap(({ policyType, entries }) =>
    entries.map((entry) => canonical({ subject, policyType, entry })),
  )
}

function typeOf(text: string | null): UserType {
  return text === 'Super' ? 'Super' : 'Normal'
}

function statusOf(text: string | null): UserStatus {
  return text === 'disable' ? 'disable' : 'enable'
}

function usersOf(auth: AuthAdmin, broker: string): Promise<readonly User[]> {
  return unlessRejected(auth.users(broker))
}

function aclsOf(auth: AuthAdmin, broker: string): Promise<readonly Acl[]> {
  return unlessRejected(auth.acls(broker))
}

/** A broker of a former release has no users; one that does not tell them refuses topics too. */
async function unlessRejected<Item>(call: Promise<readonly Item[]>): Promise<readonly Item[]> {
  try {
    return await call
  } catch (error) {
    if (error instanceof ClientError && error.code === 'rejected') return []
    throw error
  }
}
