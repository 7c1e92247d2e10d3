/** SubscriptionGroupConfig (protocol §13.9): the request body of 200, the answer of 352, and the table of 201 and `subscriptionGroup.json`. */
import { ZERO_DATA_VERSION, dataVersionOf, dataVersionRecord } from './data-version.ts'
import { formatFastjson, parseFastjson } from './fastjson.ts'
import {
  EMPTY_OBJECT,
  asObject,
  booleanMember,
  integerMember,
  listMember,
  optionalObject,
  optionalText,
  textEntries,
  textMap,
  textMember,
} from './json-members.ts'
import type { DataVersion } from './data-version.ts'
import type { BodyRecord, JsonObject } from './fastjson.ts'

export interface ExponentialRetryPolicy {
  /** Milliseconds. */
  readonly initial: number
  readonly max: number
  readonly multiplier: number
}

export interface GroupRetryPolicy {
  readonly type: 'CUSTOMIZED' | 'EXPONENTIAL'
  readonly exponentialRetryPolicy: ExponentialRetryPolicy | null
  /** Milliseconds before each attempt; null: RocketMQ's own list. */
  readonly customizedRetryPolicy: { readonly next: readonly number[] } | null
}

export interface SubscriptionGroupConfig {
  readonly groupName: string
  readonly consumeEnable: boolean
  readonly consumeFromMinEnable: boolean
  readonly consumeBroadcastEnable: boolean
  readonly consumeMessageOrderly: boolean
  readonly retryQueueNums: number
  readonly retryMaxTimes: number
  readonly groupRetryPolicy: GroupRetryPolicy
  readonly brokerId: number
  readonly whichBrokerWhenConsumeSlowly: number
  readonly notifyConsumerIdsChangedEnable: boolean
  readonly groupSysFlag: number
  readonly consumeTimeoutMinute: number
  readonly attributes: ReadonlyMap<string, string>
}

/** Bits of what a group may not do with a topic, by group and topic (`1 << PermName.INDEX_PERM_*`). */
export type ForbiddenTable = ReadonlyMap<string, ReadonlyMap<string, number>>

export interface SubscriptionGroupTable {
  readonly dataVersion: DataVersion
  readonly forbidden: ForbiddenTable
  readonly groups: ReadonlyMap<string, SubscriptionGroupConfig>
}

/** A group as RocketMQ's defaults make it. */
export function subscriptionGroupConfig(
  groupName: string,
  given: Partial<Omit<SubscriptionGroupConfig, 'groupName'>> = {},
): SubscriptionGroupConfig {
  return {
    groupName,
    consumeEnable: true,
    consumeFromMinEnable: true,
    consumeBroadcastEnable: true,
    consumeMessageOrderly: false,
    retryQueueNums: 1,
    retryMaxTimes: 16,
    groupRetryPolicy: {
      type: 'CUSTOMIZED',
      exponentialRetryPolicy: null,
      customizedRetryPolicy: null,
    },
    brokerId: 0,
    whichBrokerWhenConsumeSlowly: 1,
    notifyConsumerIdsChangedEnable: true,
    groupSysFlag: 0,
    consumeTimeoutMinute: 15,
    attributes: new Map<string, string>(),
    ...given,
  }
}

export function subscriptionGroupConfigRecord(config: SubscriptionGroupConfig): BodyRecord {
  const { exponentialRetryPolicy, customizedRetryPolicy, type } = config.groupRetryPolicy
  return {
    ...config,
    groupRetryPolicy: {
      type,
      exponentialRetryPolicy: exponentialRetryPolicy && { ...exponentialRetryPolicy },
      customizedRetryPolicy: customizedRetryPolicy && { next: customizedRetryPolicy.next },
    },
  }
}

/** Reads one group; absent members have RocketMQ's defaults. */
export function subscriptionGroupConfigOf(json: JsonObject): SubscriptionGroupConfig {
  const defaults = subscriptionGroupConfig(textMember(json, 'groupName'))
  const flag = (name: string, absent: boolean) => booleanMember(json, name, absent)
  const integer = (name: string, absent: number) => integerMember(json, name, absent)
  const attributes = optionalObject(json, 'attributes')
  return {
    groupName: defaults.groupName,
    consumeEnable: flag('consumeEnable', defaults.consumeEnable),
    consumeFromMinEnable: flag('consumeFromMinEnable', defaults.consumeFromMinEnable),
    consumeBroadcastEnable: flag('consumeBroadcastEnable', defaults.consumeBroadcastEnable),
    consumeMessageOrderly: flag('consumeMessageOrderly', defaults.consumeMessageOrderly),
    retryQueueNums: integer('retryQueueNums', defaults.retryQueueNums),
    retryMaxTimes: integer('retryMaxTimes', defaults.retryMaxTimes),
    groupRetryPolicy: groupRetryPolicyOf(optionalObject(json, 'groupRetryPolicy')),
    brokerId: integer('brokerId', defaults.brokerId),
    whichBrokerWhenConsumeSlowly: integer(
      'whichBrokerWhenConsumeSlowly',
      defaults.whichBrokerWhenConsumeSlowly,
    ),
    notifyConsumerIdsChangedEnable: flag(
      'notifyConsumerIdsChangedEnable',
      defaults.notifyConsumerIdsChangedEnable,
    ),
    groupSysFlag: integer('groupSysFlag', defaults.groupSysFlag),
    consumeTimeoutMinute: integer('consumeTimeoutMinute', defaults.consumeTimeoutMinute),
    attributes: attributes === null ? defaults.attributes : textMap(attributes),
  }
}

export function groupRetryPolicyOf(json: JsonObject | null): GroupRetryPolicy {
  const exponential = json && optionalObject(json, 'exponentialRetryPolicy')
  const customized = json && optionalObject(json, 'customizedRetryPolicy')
  return {
    type: json && optionalText(json, 'type') === 'EXPONENTIAL' ? 'EXPONENTIAL' : 'CUSTOMIZED',
    exponentialRetryPolicy: exponential && {
      initial: integerMember(exponential, 'initial', 5000),
      max: integerMember(exponential, 'max', 7_200_000),
      multiplier: integerMember(exponential, 'multiplier', 2),
    },
    customizedRetryPolicy: customized && {
      next: listMember(customized, 'next').map(Number).filter(Number.isSafeInteger),
    },
  }
}

export function encodeSubscriptionGroupConfig(config: SubscriptionGroupConfig): Buffer {
  return formatFastjson(subscriptionGroupConfigRecord(config))
}

export function decodeSubscriptionGroupConfig(body: Buffer): SubscriptionGroupConfig {
  return subscriptionGroupConfigOf(asObject(parseFastjson(body), 'SubscriptionGroupConfig'))
}

/** The request body of UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST (225). */
export function encodeSubscriptionGroupList(groups: readonly SubscriptionGroupConfig[]): Buffer {
  return formatFastjson({ groupConfigList: groups.map(subscriptionGroupConfigRecord) })
}

export function decodeSubscriptionGroupList(body: Buffer): readonly SubscriptionGroupConfig[] {
  const json = asObject(parseFastjson(body), 'SubscriptionGroupList')
  return listMember(json, 'groupConfigList').map((item) =>
    subscriptionGroupConfigOf(asObject(item, 'groupConfigList')),
  )
}

/** SubscriptionGroupWrapper: the answer body of 201, and the content of `subscriptionGroup.json`. */
export function encodeSubscriptionGroupTable(table: SubscriptionGroupTable): Buffer {
  return formatFastjson({
    dataVersion: dataVersionRecord(table.dataVersion),
    forbiddenTable: table.forbidden,
    subscriptionGroupTable: new Map(
      [...table.groups].map(([name, config]) => [name, subscriptionGroupConfigRecord(config)]),
    ),
  })
}

export function decodeSubscriptionGroupTable(body: Buffer | string): SubscriptionGroupTable {
  return subscriptionGroupTableOf(asObject(parseFastjson(body), 'SubscriptionGroupWrapper'))
}

export function subscriptionGroupTableOf(json: JsonObject): SubscriptionGroupTable {
  const groups = new Map<string, SubscriptionGroupConfig>()
  const table = optionalObject(json, 'subscriptionGroupTable')
  for (const [name, value] of table === null ? [] : textEntries(table)) {
    groups.set(name, subscriptionGroupConfigOf(asObject(value, name)))
  }
  const version = optionalObject(json, 'dataVersion')
  return {
    dataVersion: version === null ? ZERO_DATA_VERSION : dataVersionOf(version),
    forbidden: forbiddenTableOf(optionalObject(json, 'forbiddenTable') ?? EMPTY_OBJECT),
    groups,
  }
}

function forbiddenTableOf(json: JsonObject): ForbiddenTable {
  return new Map(
    textEntries(json).map(([group, value]) => {
      const topics = asObject(value, group)
      return [
        group,
        new Map(textEntries(topics).map(([topic]) => [topic, integerMember(topics, topic)])),
      ]
    }),
  )
}

/** The answer of UPDATE_AND_GET_GROUP_FORBIDDEN (353). */
export interface GroupForbidden {
  readonly group: string
  readonly topic: string
  readonly readable: boolean
}

export function encodeGroupForbidden({ group, topic, readable }: GroupForbidden): Buffer {
  return formatFastjson({ group, readable, topic })
}
