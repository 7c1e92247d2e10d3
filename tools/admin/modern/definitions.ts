/** `gantry definitions`: topics and consumer groups as one file, which can be kept in a repository and applied anywhere. */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { parse, stringify } from 'yaml'
import { groupConfigAt, topicConfigAt } from '../../../client/admin-questions.ts'
import { messageOf } from '../../../common/errors.ts'
import { formatFastjson, parseFastjson } from '../../../remoting/bodies/fastjson.ts'
import { asObject, listMember } from '../../../remoting/bodies/json-members.ts'
import {
  subscriptionGroupConfigOf,
  subscriptionGroupConfigRecord,
} from '../../../remoting/bodies/subscription-group-config.ts'
import type { SubscriptionGroupConfig } from '../../../remoting/bodies/subscription-group-config.ts'
import { topicConfigOf, topicConfigRecord } from '../../../remoting/bodies/topic-config.ts'
import type { TopicConfig } from '../../../remoting/bodies/topic-config.ts'
import { groupOverview } from '../group-progress.ts'
import { Progress, acting, changingVerb, isMeant, verb } from '../modern.ts'
import type { CommonFlags } from '../modern.ts'
import { makeCommand } from '../program.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { userTopics } from './topic.ts'

const VERSION = 1

export interface Definitions {
  readonly topics: readonly TopicConfig[]
  readonly groups: readonly SubscriptionGroupConfig[]
}

/** RocketMQ's own member names; the topics and groups in the order of their names. */
export function formatDefinitions(
  { topics, groups }: Definitions,
  format: 'json' | 'yaml',
): string {
  const text = formatFastjson({
    version: VERSION,
    topics: topics.map(topicConfigRecord),
    groups: groups.map(subscriptionGroupConfigRecord),
  }).toString()
  const value: unknown = JSON.parse(text)
  return format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : stringify(value)
}

/** JSON or YAML; throws `AdminError` (`usage`) with what is wrong. */
export function parseDefinitions(text: string): Definitions {
  let json: unknown
  try {
    json = parse(text)
  } catch (error) {
    throw new AdminError('usage', `the definitions are neither JSON nor YAML: ${messageOf(error)}`)
  }
  try {
    const root = asObject(parseFastjson(JSON.stringify(json ?? null)), 'definitions')
    if (root.get('version') !== VERSION) {
      throw new AdminError('usage', `version: only ${VERSION} is known`)
    }
    return {
      topics: listMember(root, 'topics').map((each) => topicConfigOf(asObject(each, 'topics'))),
      groups: listMember(root, 'groups').map((each) =>
        subscriptionGroupConfigOf(asObject(each, 'groups')),
      ),
    }
  } catch (error) {
    if (error instanceof AdminError) throw error
    throw new AdminError('usage', `the definitions: ${messageOf(error)}`)
  }
}

/** Of the first broker group that has each: groups of one cluster have the same topics. */
async function exportAll(session: Session, flags: CommonFlags): Promise<void> {
  const names = new Set(await userTopics(session))
  const groupNames = new Set((await groupOverview(session)).map(({ name }) => name))
  const topics = new Map<string, TopicConfig>()
  const groups = new Map<string, SubscriptionGroupConfig>()
  for (const { address } of await session.leaders()) {
    const topicTable = await session.admin.getAllTopicConfig(address)
    for (const [name, config] of topicTable.topics) {
      if (names.has(name) && !topics.has(name)) topics.set(name, config)
    }
    const groupTable = await session.admin.getAllSubscriptionGroup(address)
    for (const [name, config] of groupTable.groups) {
      if (groupNames.has(name) && !groups.has(name)) groups.set(name, config)
    }
  }
  const definitions = { topics: sorted(topics), groups: sorted(groups) }
  session.options.print(formatDefinitions(definitions, flags.output === 'json' ? 'json' : 'yaml'))
}

function sorted<Config>(byName: ReadonlyMap<string, Config>): readonly Config[] {
  return [...byName].toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([, each]) => each)
}

/** Makes what is missing and changes what differs; nothing is deleted. */
async function importAll(
  session: Session,
  flags: CommonFlags,
  [path = '-']: readonly string[],
): Promise<void> {
  const { topics, groups } = parseDefinitions(readFileSync(path === '-' ? 0 : path, 'utf8'))
  const leaders = await session.leaders()
  const progress = new Progress(session, 'import')
  const total = (topics.length + groups.length) * leaders.length
  let done = 0
  let changed = 0
  try {
    for (const { address, brokerName } of leaders) {
      for (const topic of topics) {
        progress.at(done++, total)
        const present = await topicConfigAt(session.admin, address, topic.topicName)
        if (isSame(present, topic, topicConfigRecord)) continue
        changed++
        const verbOf = present === null ? 'create' : 'change'
        if (!isMeant(session, flags, `${verbOf} topic ${topic.topicName} on ${brokerName}`))
          continue
        await session.admin.createTopic(address, topic)
      }
      for (const group of groups) {
        progress.at(done++, total)
        const present = await groupConfigAt(session.admin, address, group.groupName)
        if (isSame(present, group, subscriptionGroupConfigRecord)) continue
        changed++
        const verbOf = present === null ? 'create' : 'change'
        if (!isMeant(session, flags, `${verbOf} group ${group.groupName} on ${brokerName}`))
          continue
        await session.admin.createGroup(address, group)
      }
    }
  } finally {
    progress.end()
  }
  const what = `${topics.length} topics and ${groups.length} groups on ${leaders.length} broker groups`
  session.options.warn(`${what}: ${changed} changes`)
}

function isSame<Config>(
  left: Config | null,
  right: Config,
  recordOf: (config: Config) => Parameters<typeof formatFastjson>[0],
): boolean {
  return left !== null && formatFastjson(recordOf(left)).equals(formatFastjson(recordOf(right)))
}

export function definitionsCommand(): Command {
  const noun = makeCommand('definitions', 'topics and groups as a file: export, import')
  noun.addCommand(acting<CommonFlags>(verb('export', 'to standard output, as YAML'), exportAll))
  noun.addCommand(
    acting<CommonFlags>(
      changingVerb('import', 'make and change what the file has; nothing is deleted').argument(
        '[file]',
        '- or none: standard input',
      ),
      importAll,
    ),
  )
  return noun
}
