/** mqadmin's commands about users and their permissions. */
import { AuthAdmin } from '../../../client/auth-admin.ts'
import { USER_STATUSES, USER_TYPES } from '../../../common/access-names.ts'
import type { UserChange } from '../../../common/access-names.ts'
import type { AclInfo, PolicyInfo, UserInfo } from '../../../remoting/bodies/auth-bodies.ts'
import { BROKER, CLUSTER, brokersOf, eachBroker, listOf, option } from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { javaLine } from '../table.ts'

const USER_WIDTHS = [16, 22, 22, 22]
const USER_HEAD = ['#UserName', '#Password', '#UserType', '#UserStatus']
const ACL_WIDTHS = [16, 10, 22, 20, 24, 10]
const ACL_HEAD = ['#Subject', '#PolicyType', '#Resource', '#Actions', '#SourceIp', '#Decision']

function printUsers(session: Session, users: readonly UserInfo[]): void {
  if (users.length === 0) return
  session.line(javaLine(USER_WIDTHS, USER_HEAD))
  for (const { username, password, userType, userStatus } of users) {
    session.line(javaLine(USER_WIDTHS, [username, password, userType, userStatus].map(String)))
  }
}

function printAcls(session: Session, acls: readonly AclInfo[]): void {
  if (acls.length === 0) return
  session.line(javaLine(ACL_WIDTHS, ACL_HEAD))
  for (const { subject, policies } of acls) {
    for (const { policyType, entries } of policies) {
      for (const { resource, actions, sourceIps, decision } of entries) {
        const sources = sourceIps.length === 0 ? 'null' : `[${sourceIps.join(', ')}]`
        const what = [`[${actions.join(', ')}]`, sources, String(decision)]
        const cells = [String(subject), String(policyType), String(resource), ...what]
        session.line(javaLine(ACL_WIDTHS, cells))
      }
    }
  }
}

/** What is asked of each broker of a cluster, of which the first that knows it is shown. */
async function firstKnown<Found>(
  session: Session,
  flags: LegacyFlags,
  ask: (auth: AuthAdmin, broker: string) => Promise<readonly Found[]>,
): Promise<readonly Found[]> {
  for (const broker of await brokersOf(session, flags)) {
    const found = await ask(new AuthAdmin(session.admin), broker)
    if (found.length > 0) return found
  }
  return []
}

async function getUser(session: Session, flags: LegacyFlags): Promise<void> {
  const username = flags.need('u')
  const found = await firstKnown(session, flags, async (auth, broker) => {
    const user = await auth.user(broker, username)
    return user === null ? [] : [user]
  })
  if (found.length === 0) throw new AdminError('notFound', `there is no user ${username}`)
  printUsers(session, found)
}

async function listUser(session: Session, flags: LegacyFlags): Promise<void> {
  const filter = flags.text('f') ?? ''
  printUsers(
    session,
    await firstKnown(session, flags, (auth, broker) => auth.users(broker, filter)),
  )
}

async function getAcl(session: Session, flags: LegacyFlags): Promise<void> {
  const subject = flags.need('s')
  const found = await firstKnown(session, flags, async (auth, broker) => {
    const acl = await auth.acl(broker, subject)
    return acl === null ? [] : [acl]
  })
  if (found.length === 0) throw new AdminError('notFound', `${subject} has no permissions`)
  printAcls(session, found)
}

async function listAcl(session: Session, flags: LegacyFlags): Promise<void> {
  const filters = { subjectFilter: flags.text('s') ?? '', resourceFilter: flags.text('r') ?? '' }
  printAcls(session, await firstKnown(session, flags, (auth, broker) => auth.acls(broker, filters)))
}

async function copyUser(session: Session, flags: LegacyFlags): Promise<void> {
  const [from, to] = [flags.need('f'), flags.need('t')]
  const auth = new AuthAdmin(session.admin)
  const wanted = listOf(flags, 'u')
  for (const { username, password, userType, userStatus } of await auth.users(from)) {
    if (username === null || (wanted.length > 0 && !wanted.includes(username))) continue
    if (password === null) {
      throw new AdminError(
        'denied',
        `${from} tells the password of ${username} to super users only`,
      )
    }
    const user = {
      password,
      ...oneOf('userType', userType, USER_TYPES),
      ...oneOf('userStatus', userStatus, USER_STATUSES),
    }
    const isNew = (await auth.user(to, username)) === null
    await (isNew ? auth.createUser(to, username, user) : auth.updateUser(to, username, user))
    session.line(`copy user of ${username} from ${from} to ${to} success.`)
  }
}

async function copyAcl(session: Session, flags: LegacyFlags): Promise<void> {
  const [from, to] = [flags.need('f'), flags.need('t')]
  const auth = new AuthAdmin(session.admin)
  const wanted = listOf(flags, 's')
  for (const { subject, policies } of await auth.acls(from)) {
    if (subject === null || (wanted.length > 0 && !wanted.includes(subject))) continue
    const isNew = (await auth.acl(to, subject)) === null
    await (isNew ? auth.createAcl(to, subject, policies) : auth.putAcl(to, subject, policies))
    session.line(`copy acl of ${subject} from ${from} to ${to} success.`)
  }
}

/** A member of a change, when it is given: one of its words, in whatever case. */
function oneOf<Name extends string, Word extends string>(
  name: Name,
  text: string | null,
  words: readonly Word[],
): Partial<Record<Name, Word>> {
  if (text === null) return {}
  const found = words.find((word) => word.toLowerCase() === text.toLowerCase())
  if (found === undefined) {
    throw new AdminError('usage', `${name} ${text} is none of ${words.join(', ')}`)
  }
  const change: Partial<Record<Name, Word>> = {}
  change[name] = found
  return change
}

function changeOf(flags: LegacyFlags): UserChange {
  const password = flags.text('p')
  return {
    ...(password === null ? {} : { password }),
    ...oneOf('userType', flags.text('t'), USER_TYPES),
    ...oneOf('userStatus', flags.text('s'), USER_STATUSES),
  }
}

function policyOf(flags: LegacyFlags): readonly PolicyInfo[] {
  const rule = {
    actions: listOf(flags, 'a'),
    sourceIps: listOf(flags, 'i'),
    decision: flags.need('d'),
  }
  const entries = listOf(flags, 'r').map((resource) => ({ resource, ...rule }))
  return [{ policyType: null, entries }]
}

const USERNAME = option('u', 'username', 'user name', true)
const PASSWORD = 'its secret'
const USER_TYPE = option('t', 'userType', USER_TYPES.join('|'))
const SUBJECT = option('s', 'subject', 'User:NAME', true)
const RULE = [
  SUBJECT,
  option('r', 'resources', 'Topic:NAME,Group:NAME,Cluster:NAME; NAME* for a prefix', true),
  option('a', 'actions', 'All|Pub,Sub,Create,Update,Delete,Get,List', true),
  option('d', 'decision', 'Allow|Deny', true),
  option('i', 'sourceIp', 'addresses and ranges, separated by commas'),
]
const FROM = option('f', 'fromBroker', 'from this broker', true)
const TO = option('t', 'toBroker', 'to this broker', true)

const USER_COMMANDS: readonly LegacyCommand[] = [
  eachBroker(
    {
      name: 'createUser',
      description: 'Create user to cluster.',
      options: [USERNAME, option('p', 'password', PASSWORD, true), USER_TYPE],
    },
    async (session, broker, flags) => {
      const user = { ...changeOf(flags), password: flags.need('p') }
      await new AuthAdmin(session.admin).createUser(broker, flags.need('u'), user)
      return `create user to ${broker} success.`
    },
  ),
  eachBroker(
    {
      name: 'updateUser',
      description: 'Update user to cluster.',
      options: [
        USERNAME,
        option('p', 'password', PASSWORD),
        USER_TYPE,
        option('s', 'userStatus', USER_STATUSES.join('|')),
      ],
    },
    async (session, broker, flags) => {
      await new AuthAdmin(session.admin).updateUser(broker, flags.need('u'), changeOf(flags))
      return `update user to ${broker} success.`
    },
  ),
  eachBroker(
    { name: 'deleteUser', description: 'Delete user from cluster.', options: [USERNAME] },
    async (session, broker, flags) => {
      await new AuthAdmin(session.admin).deleteUser(broker, flags.need('u'))
      return `delete user to ${broker} success.`
    },
  ),
  {
    name: 'getUser',
    description: 'Get user from cluster.',
    options: [BROKER, CLUSTER, USERNAME],
    run: getUser,
  },
  {
    name: 'listUser',
    description: 'List user from cluster.',
    options: [BROKER, CLUSTER, option('f', 'filter', 'part of the names')],
    run: listUser,
  },
  {
    name: 'copyUser',
    description: 'Copy user to cluster.',
    options: [FROM, TO, option('u', 'usernames', 'these, separated by commas; else all')],
    run: copyUser,
  },
]

export const ACCESS_COMMANDS: readonly LegacyCommand[] = [
  ...USER_COMMANDS,
  eachBroker(
    { name: 'createAcl', description: 'Create acl to cluster.', options: RULE },
    async (session, broker, flags) => {
      await new AuthAdmin(session.admin).createAcl(broker, flags.need('s'), policyOf(flags))
      return `create acl to ${broker} success.`
    },
  ),
  eachBroker(
    { name: 'updateAcl', description: 'Update acl to cluster.', options: RULE },
    async (session, broker, flags) => {
      await new AuthAdmin(session.admin).putAcl(broker, flags.need('s'), policyOf(flags))
      return `update acl to ${broker} success.`
    },
  ),
  eachBroker(
    {
      name: 'deleteAcl',
      description: 'Delete acl from cluster.',
      options: [SUBJECT, option('r', 'resources', 'of this resource only')],
    },
    async (session, broker, flags) => {
      const resource = flags.text('r')
      const entry = resource === null ? {} : { resource }
      await new AuthAdmin(session.admin).deleteAcl(broker, flags.need('s'), entry)
      return `delete acl to ${broker} success.`
    },
  ),
  {
    name: 'getAcl',
    description: 'Get acl from cluster.',
    options: [BROKER, CLUSTER, SUBJECT],
    run: getAcl,
  },
  {
    name: 'listAcl',
    description: 'List acl from cluster.',
    options: [
      BROKER,
      CLUSTER,
      option('s', 'subject', 'part of the subjects'),
      option('r', 'resource', 'part of the resources'),
    ],
    run: listAcl,
  },
  {
    name: 'copyAcl',
    description: 'Copy acl to cluster.',
    options: [FROM, TO, option('s', 'subjects', 'these, separated by commas; else all')],
    run: copyAcl,
  },
]
