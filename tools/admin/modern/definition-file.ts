/** The file of `gantry definitions`: what a cluster is told, without what it holds. */
import { parse, stringify } from 'yaml'
import { USER_STATUSES, USER_TYPES } from '../../../common/access-names.ts'
import type { UserStatus, UserType } from '../../../common/access-names.ts'
import type { ClusterPermission } from '../../../client/cluster-users.ts'
import { messageOf } from '../../../common/errors.ts'
import { formatFastjson, parseFastjson } from '../../../remoting/bodies/fastjson.ts'
import type { JsonObject } from '../../../remoting/bodies/fastjson.ts'
import {
  asObject,
  integerMember,
  listMember,
  optionalText,
  textList,
  textMember,
} from '../../../remoting/bodies/json-members.ts'
import {
  subscriptionGroupConfigOf,
  subscriptionGroupConfigRecord,
} from '../../../remoting/bodies/subscription-group-config.ts'
import type { SubscriptionGroupConfig } from '../../../remoting/bodies/subscription-group-config.ts'
import { topicConfigOf, topicConfigRecord } from '../../../remoting/bodies/topic-config.ts'
import type { TopicConfig } from '../../../remoting/bodies/topic-config.ts'
import { AdminError } from '../session.ts'

const VERSION = 1

/** Without the secret: the file is for repositories. */
export interface DefinedUser {
  readonly username: string
  readonly userType: UserType
  readonly userStatus: UserStatus
}

export type DefinedPermission = Omit<ClusterPermission, 'on' | 'isSame'>

export interface DefinedOffset {
  readonly group: string
  readonly topic: string
  readonly brokerName: string
  readonly queueId: number
  readonly queueOffset: number
}

export interface Definitions {
  readonly topics: readonly TopicConfig[]
  readonly groups: readonly SubscriptionGroupConfig[]
  readonly users: readonly DefinedUser[]
  readonly permissions: readonly DefinedPermission[]
  readonly offsets: readonly DefinedOffset[]
}

/** RocketMQ's own member names; each list in the order that it has. */
export function formatDefinitions(definitions: Definitions, format: 'json' | 'yaml'): string {
  const { topics, groups, users, permissions, offsets } = definitions
  const text = formatFastjson({
    version: VERSION,
    topics: topics.map(topicConfigRecord),
    groups: groups.map(subscriptionGroupConfigRecord),
    users: users.map((user) => ({ ...user })),
    permissions: permissions.map((permission) => ({ ...permission })),
    // They are of these brokers and their messages, and so not in each file.
    offsets: offsets.length === 0 ? null : offsets.map((offset) => ({ ...offset })),
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
    const list = <Item>(name: string, itemOf: (json: JsonObject) => Item): readonly Item[] =>
      listMember(root, name).map((each) => itemOf(asObject(each, name)))
    return {
      topics: list('topics', topicConfigOf),
      groups: list('groups', subscriptionGroupConfigOf),
      users: list('users', userOf),
      permissions: list('permissions', permissionOf),
      offsets: list('offsets', offsetOf),
    }
  } catch (error) {
    if (error instanceof AdminError) throw error
    throw new AdminError('usage', `the definitions: ${messageOf(error)}`)
  }
}

function userOf(json: JsonObject): DefinedUser {
  const username = textMember(json, 'username')
  if (json.has('password')) {
    throw new AdminError('usage', `users: the password of ${username} does not belong here`)
  }
  return {
    username,
    userType: wordOf(json, 'userType', USER_TYPES, 'Normal'),
    userStatus: wordOf(json, 'userStatus', USER_STATUSES, 'enable'),
  }
}

function wordOf<Word extends string>(
  json: JsonObject,
  name: string,
  words: readonly Word[],
  absent: Word,
): Word {
  const text = optionalText(json, name) ?? absent
  const found = words.find((word) => word === text)
  if (found === undefined) {
    throw new AdminError('usage', `users: ${name} ${text} is none of ${words.join(', ')}`)
  }
  return found
}

function permissionOf(json: JsonObject): DefinedPermission {
  return {
    user: textMember(json, 'user'),
    policyType: optionalText(json, 'policyType') ?? 'Custom',
    resource: textMember(json, 'resource'),
    actions: textList(json, 'actions'),
    sourceIps: textList(json, 'sourceIps'),
    decision: textMember(json, 'decision'),
  }
}

function offsetOf(json: JsonObject): DefinedOffset {
  return {
    group: textMember(json, 'group'),
    topic: textMember(json, 'topic'),
    brokerName: textMember(json, 'brokerName'),
    queueId: integerMember(json, 'queueId'),
    queueOffset: integerMember(json, 'queueOffset'),
  }
}
