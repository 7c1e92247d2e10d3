/**
 * GANTRY_BROKER_PICTURE: what a console shows of a broker, some hundred entries an answer.
 *
 * A console of a large cluster cannot ask for each topic and group by itself. Each answer has one section from a name on (`after`), in the order of
 * names; `next` is where to go on, null at the end. Offsets are told as arrays of numbers, because most of an answer is made of them.
 */
import { formatFastjson, malformedBody, parseFastjson } from './fastjson.ts'
import {
  asObject,
  booleanMember,
  integerMember,
  listMember,
  optionalInteger,
  optionalObject,
  optionalText,
  textMap,
  textMember,
} from './json-members.ts'
import type { BodyRecord, JsonObject, JsonValue } from './fastjson.ts'
import { isJsonArray } from './json-members.ts'
import type { ClientConnection } from './client-connections.ts'

export const PICTURE_SECTIONS = ['broker', 'topics', 'groups', 'producers'] as const
export type PictureSection = (typeof PICTURE_SECTIONS)[number]

/** Clients that are told by name of one group; `clientCount` has them all. */
export const PICTURE_CLIENTS_MAX = 64

export interface PictureMember {
  readonly id: number
  readonly role: string
  readonly address: string
  /** Null: not known, because the member that answers does not lead. */
  readonly lagBytes: number | null
  /** Heard of by the leader in the last seconds. */
  readonly isAlive: boolean
}

/** Section `broker`. */
export interface PictureBroker {
  readonly cluster: string
  readonly brokerName: string
  readonly address: string
  /** MQVersion ordinal. */
  readonly version: number
  /** The broker's clock. */
  readonly now: number
  readonly bootTimestamp: number
  readonly memberId: number
  readonly role: string
  readonly term: number
  readonly commitOffset: number
  readonly endOffset: number
  readonly members: readonly PictureMember[]
  readonly diskUsedBytes: number
  /** 0: not known. */
  readonly diskTotalBytes: number
  readonly commitLogBytes: number
  readonly oldestMessageTimestamp: number | null
  readonly readOnlyReason: string | null
  readonly dispatchBehindBytes: number
  readonly brokerPermission: number
  /** Since the process started. */
  readonly putTotal: number
  readonly putBytesTotal: number
  readonly getTotal: number
  readonly cpuMicros: number
  readonly residentBytes: number
  readonly topics: number
  readonly groups: number
}

/** Section `topics`. */
export interface PictureTopic {
  readonly topic: string
  readonly readQueueNums: number
  readonly writeQueueNums: number
  readonly perm: number
  readonly order: boolean
  readonly isSystem: boolean
  readonly attributes: ReadonlyMap<string, string>
  /** Messages and bytes per second over the last minute. */
  readonly inTps: number
  readonly inBytesTps: number
  /** Least and next offset of each queue. */
  readonly queues: readonly (readonly [min: number, max: number])[]
}

export interface PictureProgress {
  readonly topic: string
  readonly consumeTps: number
  /** When the oldest message that the group has not read was stored, in the queue that is furthest behind; null when there is none. */
  readonly oldestUnread: number | null
  /** Committed -1: the group has not committed in this queue. */
  readonly queues: readonly (readonly [queueId: number, committed: number, max: number])[]
}

/** Section `groups`: groups that are configured, connected, or have offsets. */
export interface PictureGroup {
  readonly group: string
  /** Null: it has no configuration on this broker. */
  readonly config: {
    readonly consumeEnable: boolean
    readonly consumeMessageOrderly: boolean
    readonly consumeBroadcastEnable: boolean
    readonly retryQueueNums: number
    readonly retryMaxTimes: number
  } | null
  /** Null: nobody is connected. */
  readonly online: {
    readonly consumeType: string
    readonly messageModel: string
    readonly consumeFromWhere: string
    readonly subscriptions: readonly { readonly topic: string; readonly expression: string }[]
    readonly clientCount: number
    readonly clients: readonly ClientConnection[]
  } | null
  readonly progress: readonly PictureProgress[]
}

/** Section `producers`. */
export interface PictureProducer {
  readonly group: string
  readonly clientCount: number
  readonly clients: readonly ClientConnection[]
}

export interface PicturePage<Entry> {
  readonly entries: readonly Entry[]
  /** The name after which the next page begins; null: this was the last. */
  readonly next: string | null
}

export function encodePictureBroker(broker: PictureBroker): Buffer {
  return formatFastjson({ ...broker, members: broker.members.map((member) => ({ ...member })) })
}

export function encodePictureTopics({ entries, next }: PicturePage<PictureTopic>): Buffer {
  return pageOf(
    entries.map(({ attributes, queues, ...rest }) => ({ ...rest, attributes, queues })),
    next,
  )
}

export function encodePictureGroups({ entries, next }: PicturePage<PictureGroup>): Buffer {
  return pageOf(
    entries.map(({ group, config, online, progress }) => ({
      group,
      config: config === null ? null : { ...config },
      online:
        online === null
          ? null
          : {
              ...online,
              subscriptions: online.subscriptions.map((each) => ({ ...each })),
              clients: online.clients.map((client) => ({ ...client })),
            },
      progress: progress.map((each) => ({ ...each })),
    })),
    next,
  )
}

export function encodePictureProducers({ entries, next }: PicturePage<PictureProducer>): Buffer {
  return pageOf(
    entries.map(({ clients, ...rest }) => ({
      ...rest,
      clients: clients.map((client) => ({ ...client })),
    })),
    next,
  )
}

function pageOf(entries: readonly BodyRecord[], next: string | null): Buffer {
  return formatFastjson({ entries, next })
}

export function decodePictureBroker(body: Buffer): PictureBroker {
  const json = asObject(parseFastjson(body), 'PictureBroker')
  const text = (name: string): string => textMember(json, name)
  const integer = (name: string): number => integerMember(json, name)
  return {
    cluster: text('cluster'),
    brokerName: text('brokerName'),
    address: text('address'),
    version: integer('version'),
    now: integer('now'),
    bootTimestamp: integer('bootTimestamp'),
    memberId: integer('memberId'),
    role: text('role'),
    term: integer('term'),
    commitOffset: integer('commitOffset'),
    endOffset: integer('endOffset'),
    members: listMember(json, 'members').map(memberOf),
    diskUsedBytes: integer('diskUsedBytes'),
    diskTotalBytes: integer('diskTotalBytes'),
    commitLogBytes: integer('commitLogBytes'),
    oldestMessageTimestamp: optionalInteger(json, 'oldestMessageTimestamp'),
    readOnlyReason: optionalText(json, 'readOnlyReason'),
    dispatchBehindBytes: integer('dispatchBehindBytes'),
    brokerPermission: integer('brokerPermission'),
    putTotal: integer('putTotal'),
    putBytesTotal: integer('putBytesTotal'),
    getTotal: integer('getTotal'),
    cpuMicros: integer('cpuMicros'),
    residentBytes: integer('residentBytes'),
    topics: integer('topics'),
    groups: integer('groups'),
  }
}

function memberOf(value: JsonValue): PictureMember {
  const json = asObject(value, 'members')
  return {
    id: integerMember(json, 'id'),
    role: textMember(json, 'role'),
    address: textMember(json, 'address'),
    lagBytes: optionalInteger(json, 'lagBytes'),
    isAlive: booleanMember(json, 'isAlive', false),
  }
}

export function decodePictureTopics(body: Buffer): PicturePage<PictureTopic> {
  return decodePage(body, (json) => ({
    topic: textMember(json, 'topic'),
    readQueueNums: integerMember(json, 'readQueueNums'),
    writeQueueNums: integerMember(json, 'writeQueueNums'),
    perm: integerMember(json, 'perm'),
    order: booleanMember(json, 'order', false),
    isSystem: booleanMember(json, 'isSystem', false),
    attributes: textMap(optionalObject(json, 'attributes') ?? new Map<string, JsonValue>()),
    inTps: numberMember(json, 'inTps'),
    inBytesTps: numberMember(json, 'inBytesTps'),
    queues: listMember(json, 'queues').map((queue) => {
      const [min, max] = numbersOf(queue, 2)
      return [min ?? 0, max ?? 0] as const
    }),
  }))
}

export function decodePictureGroups(body: Buffer): PicturePage<PictureGroup> {
  return decodePage(body, (json) => ({
    group: textMember(json, 'group'),
    config: configOf(optionalObject(json, 'config')),
    online: onlineOf(optionalObject(json, 'online')),
    progress: listMember(json, 'progress').map((value) => {
      const progress = asObject(value, 'progress')
      return {
        topic: textMember(progress, 'topic'),
        consumeTps: numberMember(progress, 'consumeTps'),
        oldestUnread: optionalInteger(progress, 'oldestUnread'),
        queues: listMember(progress, 'queues').map((queue) => {
          const [queueId, committed, max] = numbersOf(queue, 3)
          return [queueId ?? 0, committed ?? 0, max ?? 0] as const
        }),
      }
    }),
  }))
}

export function decodePictureProducers(body: Buffer): PicturePage<PictureProducer> {
  return decodePage(body, (json) => ({
    group: textMember(json, 'group'),
    clientCount: integerMember(json, 'clientCount'),
    clients: listMember(json, 'clients').map(clientOf),
  }))
}

function configOf(json: JsonObject | null): PictureGroup['config'] {
  if (json === null) return null
  return {
    consumeEnable: booleanMember(json, 'consumeEnable', true),
    consumeMessageOrderly: booleanMember(json, 'consumeMessageOrderly', false),
    consumeBroadcastEnable: booleanMember(json, 'consumeBroadcastEnable', true),
    retryQueueNums: integerMember(json, 'retryQueueNums'),
    retryMaxTimes: integerMember(json, 'retryMaxTimes'),
  }
}

function onlineOf(json: JsonObject | null): PictureGroup['online'] {
  if (json === null) return null
  return {
    consumeType: textMember(json, 'consumeType'),
    messageModel: textMember(json, 'messageModel'),
    consumeFromWhere: textMember(json, 'consumeFromWhere'),
    subscriptions: listMember(json, 'subscriptions').map((value) => {
      const each = asObject(value, 'subscriptions')
      return { topic: textMember(each, 'topic'), expression: textMember(each, 'expression') }
    }),
    clientCount: integerMember(json, 'clientCount'),
    clients: listMember(json, 'clients').map(clientOf),
  }
}

function clientOf(value: JsonValue): ClientConnection {
  const json = asObject(value, 'clients')
  return {
    clientId: textMember(json, 'clientId'),
    clientAddr: textMember(json, 'clientAddr'),
    language: textMember(json, 'language'),
    version: integerMember(json, 'version'),
  }
}

function decodePage<Entry>(body: Buffer, entryOf: (json: JsonObject) => Entry): PicturePage<Entry> {
  const json = asObject(parseFastjson(body), 'PicturePage')
  return {
    entries: listMember(json, 'entries').map((value) => entryOf(asObject(value, 'entries'))),
    next: optionalText(json, 'next'),
  }
}

function numberMember(json: JsonObject, name: string): number {
  const value = json.get(name)
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw malformedBody(`${name} is no number`)
}

function numbersOf(value: JsonValue, count: number): readonly number[] {
  if (!isJsonArray(value) || value.length !== count) throw malformedBody('queues is malformed')
  return value.map((each) => {
    if (typeof each === 'number' && Number.isSafeInteger(each)) return each
    throw malformedBody('queues holds something else than whole numbers')
  })
}
