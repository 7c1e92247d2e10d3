/** What is still to be done on one broker group for it to have what a file of definitions has. */
import {
  allOffsets,
  groupConfigAt,
  resetOffsets,
  topicConfigAt,
} from '../../../client/admin-questions.ts'
import { AuthAdmin } from '../../../client/auth-admin.ts'
import { mergePermissions } from '../../../client/cluster-users.ts'
import type { ClusterUser } from '../../../client/cluster-users.ts'
import { subjectOf } from '../../../common/access-names.ts'
import { formatFastjson } from '../../../remoting/bodies/fastjson.ts'
import { subscriptionGroupConfigRecord } from '../../../remoting/bodies/subscription-group-config.ts'
import { topicConfigRecord } from '../../../remoting/bodies/topic-config.ts'
import { AdminError } from '../session.ts'
import type { Leader, Session } from '../session.ts'
import type {
  DefinedOffset,
  DefinedPermission,
  DefinedUser,
  Definitions,
} from './definition-file.ts'
import { newSecret } from './user.ts'

export interface Change {
  /** `create topic Orders` */
  readonly what: string
  readonly make: () => Promise<void>
}

/** Secrets of users that a broker group lacks. */
export interface Secrets {
  readonly of: (username: string) => Promise<string>
  /** Those that no broker group had. */
  readonly made: ReadonlyMap<string, string>
}

/** A user that another broker group has gets the same secret; one that is new everywhere a new one. */
export function makeSecret(session: Session, known: readonly ClusterUser[]): Secrets {
  const auth = new AuthAdmin(session.admin)
  const made = new Map<string, string>()
  const of = async (username: string): Promise<string> => {
    const [holder] = known.find(({ name }) => name === username)?.on ?? []
    if (holder === undefined) {
      const secret = made.get(username) ?? newSecret(session)
      made.set(username, secret)
      return secret
    }
    const { address } = await session.leaderNamed(holder)
    const password = (await auth.user(address, username))?.password ?? null
    if (password !== null) return password
    const who = 'secrets are told to super users only'
    throw new AdminError('denied', `the secret of ${username} is on ${holder}: ${who}`)
  }
  return { of, made }
}

export async function* changesTo(
  session: Session,
  { address, brokerName }: Leader,
  { topics, groups, users, permissions, offsets }: Definitions,
  secrets: Secrets,
): AsyncGenerator<Change, void> {
  const { admin } = session
  for (const topic of topics) {
    const present = await topicConfigAt(admin, address, topic.topicName)
    const is = present === null ? null : topicConfigRecord(present)
    if (isSame(is, topicConfigRecord(topic))) continue
    const what = `${present === null ? 'create' : 'change'} topic ${topic.topicName}`
    yield { what, make: () => admin.createTopic(address, topic) }
  }
  for (const group of groups) {
    const present = await groupConfigAt(admin, address, group.groupName)
    const is = present === null ? null : subscriptionGroupConfigRecord(present)
    if (isSame(is, subscriptionGroupConfigRecord(group))) continue
    const what = `${present === null ? 'create' : 'change'} group ${group.groupName}`
    yield { what, make: () => admin.createGroup(address, group) }
  }
  if (users.length > 0) yield* userChanges(session, address, users, secrets)
  if (permissions.length > 0) yield* permissionChanges(session, address, permissions)
  const own = offsets.filter((offset) => offset.brokerName === brokerName)
  if (own.length > 0) yield* offsetChanges(session, address, own)
}

type JsonRecord = Parameters<typeof formatFastjson>[0]

function isSame(left: JsonRecord, right: JsonRecord): boolean {
  return formatFastjson(left).equals(formatFastjson(right))
}

async function* userChanges(
  session: Session,
  broker: string,
  users: readonly DefinedUser[],
  secrets: Secrets,
): AsyncGenerator<Change, void> {
  const auth = new AuthAdmin(session.admin)
  const present = new Map((await auth.users(broker)).map((user) => [user.username, user]))
  for (const { username, ...wanted } of users) {
    const known = present.get(username)
    if (known === undefined) {
      const make = async () => {
        await auth.createUser(broker, username, {
          ...wanted,
          password: await secrets.of(username),
        })
      }
      yield { what: `create user ${username}`, make }
    } else if (known.userType !== wanted.userType || known.userStatus !== wanted.userStatus) {
      yield {
        what: `change user ${username}`,
        make: () => auth.updateUser(broker, username, wanted),
      }
    }
  }
}

async function* permissionChanges(
  session: Session,
  broker: string,
  permissions: readonly DefinedPermission[],
): AsyncGenerator<Change, void> {
  const auth = new AuthAdmin(session.admin)
  const present = mergePermissions([{ brokerName: '', entries: await auth.acls(broker) }])
  const says = ({ user, policyType, resource, actions, sourceIps, decision }: DefinedPermission) =>
    JSON.stringify([
      ...[user, policyType, resource, decision],
      ...[actions.toSorted(), sourceIps.toSorted()],
    ])
  const said = new Set(present.map(says))
  for (const permission of permissions) {
    if (said.has(says(permission))) continue
    const { user, policyType, ...entry } = permission
    yield {
      what: `set what ${user} may do with ${entry.resource}`,
      make: () => auth.putAcl(broker, subjectOf(user), [{ policyType, entries: [entry] }]),
    }
  }
}

async function* offsetChanges(
  session: Session,
  broker: string,
  offsets: readonly DefinedOffset[],
): AsyncGenerator<Change, void> {
  const { admin } = session
  const place = ({ group, topic, queueId }: Omit<DefinedOffset, 'brokerName' | 'queueOffset'>) =>
    `${group} ${topic} ${queueId}`
  const present = new Map(
    (await allOffsets(admin, broker)).map((offset) => [place(offset), offset.queueOffset]),
  )
  for (const offset of offsets) {
    const { group, topic, queueId, queueOffset } = offset
    if (present.get(place(offset)) === queueOffset) continue
    const make = async () => {
      // As a reset: members that are online go on from there.
      await resetOffsets(admin, broker, { group, topic, timestamp: 0, queueId, queueOffset })
    }
    yield { what: `move ${group} to ${queueOffset} in queue ${queueId} of ${topic}`, make }
  }
}
