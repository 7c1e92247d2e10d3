/** `gantry definitions`: topics, consumer groups, users and permissions as one file, which can be kept in a repository and applied anywhere. */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { allOffsets } from '../../../client/admin-questions.ts'
import { USER_STATUSES } from '../../../common/access-names.ts'
import type { SubscriptionGroupConfig } from '../../../remoting/bodies/subscription-group-config.ts'
import type { TopicConfig } from '../../../remoting/bodies/topic-config.ts'
import { groupOverview } from '../group-progress.ts'
import { Progress, acting, changingVerb, isMeant, verb } from '../modern.ts'
import type { CommonFlags } from '../modern.ts'
import { makeCommand } from '../program.ts'
import type { Session } from '../session.ts'
import { permissionsIn } from './acl.ts'
import { changesTo, makeSecret } from './definition-changes.ts'
import { formatDefinitions, parseDefinitions } from './definition-file.ts'
import type { DefinedOffset, DefinedPermission, DefinedUser } from './definition-file.ts'
import { userTopics } from './topic.ts'
import { usersOf } from './user.ts'

interface DefinitionFlags extends CommonFlags {
  readonly offsets?: boolean
}

/** Of the first broker group that has each: groups of one cluster have the same. */
async function exportAll(session: Session, flags: DefinitionFlags): Promise<void> {
  const names = new Set(await userTopics(session))
  const groupNames = new Set((await groupOverview(session)).map(({ name }) => name))
  const topics = new Map<string, TopicConfig>()
  const groups = new Map<string, SubscriptionGroupConfig>()
  const offsets: DefinedOffset[] = []
  for (const { address, brokerName } of await session.leaders()) {
    const topicTable = await session.admin.getAllTopicConfig(address)
    for (const [name, config] of topicTable.topics) {
      if (names.has(name) && !topics.has(name)) topics.set(name, config)
    }
    const groupTable = await session.admin.getAllSubscriptionGroup(address)
    for (const [name, config] of groupTable.groups) {
      if (groupNames.has(name) && !groups.has(name)) groups.set(name, config)
    }
    if (flags.offsets !== true) continue
    const known = await allOffsets(session.admin, address)
    offsets.push(
      ...known
        .filter(({ group, topic }) => groupNames.has(group) && names.has(topic))
        .map((offset) => ({ ...offset, brokerName })),
    )
  }
  const users = await normalUsers(session)
  const definitions = {
    topics: sorted(topics),
    groups: sorted(groups),
    users,
    permissions: await permissionsOf(session, users),
    offsets,
  }
  session.options.print(formatDefinitions(definitions, flags.output === 'json' ? 'json' : 'yaml'))
}

/** Super users belong to the cluster that they administer. */
async function normalUsers(session: Session): Promise<readonly DefinedUser[]> {
  return (await usersOf(session))
    .filter(({ type }) => type !== 'Super')
    .map(({ name, status }) => ({
      username: name,
      userType: 'Normal',
      userStatus: USER_STATUSES.find((known) => known === status) ?? 'enable',
    }))
}

async function permissionsOf(
  session: Session,
  users: readonly DefinedUser[],
): Promise<readonly DefinedPermission[]> {
  const names = new Set(users.map(({ username }) => username))
  return (await permissionsIn(session))
    .filter(({ user }) => names.has(user))
    .map(({ on: _on, isSame: _isSame, ...permission }) => permission)
}

function sorted<Config>(byName: ReadonlyMap<string, Config>): readonly Config[] {
  return [...byName].toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([, each]) => each)
}

/** Makes what is missing and changes what differs; nothing is deleted. */
async function importAll(
  session: Session,
  flags: DefinitionFlags,
  [path = '-']: readonly string[],
): Promise<void> {
  const definitions = parseDefinitions(readFileSync(path === '-' ? 0 : path, 'utf8'))
  const { topics, groups, users, permissions, offsets } = definitions
  const leaders = await session.leaders()
  const secret = makeSecret(session, await usersOf(session))
  const progress = new Progress(session, 'import')
  let changed = 0
  try {
    for (const [index, leader] of leaders.entries()) {
      progress.at(index, leaders.length)
      const wanted = flags.offsets === true ? definitions : { ...definitions, offsets: [] }
      for await (const change of changesTo(session, leader, wanted, secret)) {
        changed++
        if (isMeant(session, flags, `${change.what} on ${leader.brokerName}`)) await change.make()
      }
    }
  } finally {
    progress.end()
  }
  for (const [username, made] of secret.made) session.line(`${username} ${made}`)
  const counts = `${topics.length} topics, ${groups.length} groups, ${users.length} users and ${permissions.length} permissions`
  session.options.warn(`${counts} on ${leaders.length} broker groups: ${changed} changes`)
  if (offsets.length > 0 && flags.offsets !== true) {
    session.options.warn(`${offsets.length} offsets are left alone without --offsets`)
  }
}

export function definitionsCommand(): Command {
  const noun = makeCommand(
    'definitions',
    'topics, groups, users and permissions as a file: export, import',
  )
  noun.addCommand(
    acting<DefinitionFlags>(
      verb('export', 'to standard output, as YAML; no secrets, no super users').option(
        '--offsets',
        'how far each group has come, too',
      ),
      exportAll,
    ),
  )
  noun.addCommand(
    acting<DefinitionFlags>(
      changingVerb('import', 'make and change what the file has; nothing is deleted')
        .argument('[file]', '- or none: standard input')
        .option('--offsets', 'move groups to where the file has them, where the same messages are'),
      importAll,
    ),
  )
  return noun
}
