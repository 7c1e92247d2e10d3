/** Frames of the official clients and servers, as recorded in `testdata/` (its README tells how). */
import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { messageOf } from '../common/errors.ts'
import { decodeBatchBody, iterateRecords } from '../common/message-codec.ts'
import {
  decodeConsumerConnection,
  decodeConsumerIdList,
  decodeProducerConnection,
} from './bodies/client-connections.ts'
import { decodeClusterInfo } from './bodies/cluster-info.ts'
import { decodeConsumeStats } from './bodies/consume-stats.ts'
import { decodeDataVersion } from './bodies/data-version.ts'
import { parseFastjson } from './bodies/fastjson.ts'
import type { JsonObject } from './bodies/fastjson.ts'
import { decodeHeartbeatData } from './bodies/heartbeat-data.ts'
import { decodeLockBatchBody, decodeLockedQueues } from './bodies/lock-batch-body.ts'
import { decodeRegisterBrokerBody } from './bodies/register-broker-body.ts'
import {
  asObject,
  integerMember,
  optionalObject,
  optionalText,
  textMap,
  textMember,
} from './bodies/json-members.ts'
import { decodeResetOffsetBody } from './bodies/reset-offset-body.ts'
import { decodeGroupList, decodeKvTable, decodeTopicList } from './bodies/simple-bodies.ts'
import {
  decodeSubscriptionGroupConfig,
  decodeSubscriptionGroupTable,
} from './bodies/subscription-group-config.ts'
import { decodeTopicConfigTable } from './bodies/topic-config.ts'
import { decodeTopicRouteData } from './bodies/topic-route-data.ts'
import { decodeTopicStatsTable } from './bodies/topic-stats-table.ts'
import { decodeCommand, encodeCommand } from './command-codec.ts'
import { LanguageCode, SerializeType } from './command.ts'
import type { RemotingCommand } from './command.ts'
import { RequestCode } from './request-code.ts'

const FOLDER = path.join(import.meta.dirname, 'testdata')

const LANGUAGE_NAMES = Object.keys(LanguageCode)
const TYPE_NAMES = Object.keys(SerializeType)

const names = fs
  .readdirSync(FOLDER)
  .filter((name) => name.endsWith('.bin'))
  .map((name) => name.slice(0, -4))

/** A recorded frame and the description made by whoever recorded it. */
function load(name: string) {
  const bytes = fs.readFileSync(path.join(FOLDER, `${name}.bin`))
  const description: unknown = JSON.parse(
    fs.readFileSync(path.join(FOLDER, `${name}.json`), 'utf8'),
  )
  const expected = asObject(parseFastjson(JSON.stringify(description)), name)
  return {
    bytes,
    header: asObject(expected.get('header'), 'header'),
    bodyLength: integerMember(expected, 'bodyLength'),
    requestCode: integerMember(expected, 'requestCode'),
    isRequest: textMember(expected, 'direction') === 'request',
    serialization: textMember(expected, 'serialization'),
    command: decodeCommand(bytes, 4, bytes.length),
  }
}

type BodyDecoder = (command: RemotingCommand) => unknown
const ofBody =
  (decode: (body: Buffer) => unknown): BodyDecoder =>
  ({ body }) =>
    decode(body)
const records: BodyDecoder = ({ body }) => [...iterateRecords(body)]
const registration: BodyDecoder = ({ body, extFields, version }) =>
  decodeRegisterBrokerBody(body, {
    compressed: extFields.get('compressed') === 'true',
    withMappings: version >= 413,
  })

const REQUEST_BODIES: ReadonlyMap<number, BodyDecoder> = new Map([
  [RequestCode.HEART_BEAT, ofBody(decodeHeartbeatData)],
  [RequestCode.LOCK_BATCH_MQ, ofBody(decodeLockBatchBody)],
  [RequestCode.UNLOCK_BATCH_MQ, ofBody(decodeLockBatchBody)],
  [RequestCode.REGISTER_BROKER, registration],
  [RequestCode.QUERY_DATA_VERSION, ofBody(decodeDataVersion)],
  [RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, ofBody(decodeSubscriptionGroupConfig)],
  [RequestCode.SEND_BATCH_MESSAGE, ofBody(decodeBatchBody)],
])

const ANSWER_BODIES: ReadonlyMap<number, BodyDecoder> = new Map([
  [RequestCode.GET_ROUTEINFO_BY_TOPIC, ofBody(decodeTopicRouteData)],
  [RequestCode.GET_BROKER_CLUSTER_INFO, ofBody(decodeClusterInfo)],
  [RequestCode.QUERY_DATA_VERSION, ofBody(decodeDataVersion)],
  [RequestCode.LOCK_BATCH_MQ, ofBody(decodeLockedQueues)],
  [RequestCode.GET_CONSUMER_LIST_BY_GROUP, ofBody(decodeConsumerIdList)],
  [RequestCode.GET_ALL_TOPIC_CONFIG, ofBody(decodeTopicConfigTable)],
  [RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, ofBody(decodeSubscriptionGroupTable)],
  [RequestCode.GET_CONSUME_STATS, ofBody(decodeConsumeStats)],
  [RequestCode.GET_TOPIC_STATS_INFO, ofBody(decodeTopicStatsTable)],
  [RequestCode.GET_CONSUMER_CONNECTION_LIST, ofBody(decodeConsumerConnection)],
  [RequestCode.GET_PRODUCER_CONNECTION_LIST, ofBody(decodeProducerConnection)],
  [RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER, ofBody(decodeTopicList)],
  [RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS, ofBody(decodeTopicList)],
  [RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER, ofBody(decodeTopicList)],
  [RequestCode.GET_TOPICS_BY_CLUSTER, ofBody(decodeTopicList)],
  [RequestCode.QUERY_TOPICS_BY_CONSUMER, ofBody(decodeTopicList)],
  [RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, ofBody(decodeGroupList)],
  [RequestCode.GET_BROKER_RUNTIME_INFO, ofBody(decodeKvTable)],
  [RequestCode.GET_KVLIST_BY_NAMESPACE, ofBody(decodeKvTable)],
  [RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, ofBody(decodeResetOffsetBody)],
  [RequestCode.PULL_MESSAGE, records],
  [RequestCode.LITE_PULL_MESSAGE, records],
  [RequestCode.QUERY_MESSAGE, records],
  [RequestCode.VIEW_MESSAGE_BY_ID, records],
])

/** The recorder shows empty values of binary headers, which Java and we read as absent. */
function recordedFields(header: JsonObject, serialization: string): ReadonlyMap<string, string> {
  const fields = textMap(optionalObject(header, 'extFields') ?? new Map())
  const isKept = (value: string) => value !== '' || serialization === 'JSON'
  return new Map([...fields].filter(([, value]) => isKept(value)))
}

/** Whether the body of a frame is what its code promises. */
function readBody(name: string): string {
  const { isRequest, requestCode, command } = load(name)
  if (command.body.length === 0 || (!isRequest && command.code !== 0)) return 'nothing to read'
  const decode = (isRequest ? REQUEST_BODIES : ANSWER_BODIES).get(requestCode)
  try {
    decode?.(command)
    if (/^[[{]/.test(String(command.body))) parseFastjson(command.body)
    return 'understood'
  } catch (error) {
    return messageOf(error)
  }
}

test('frames of many kinds in both serializations are recorded', () => {
  const recorded = names.map(load)

  expect(new Set(recorded.map(({ requestCode }) => requestCode)).size).toBeGreaterThan(30)
  expect(new Set(recorded.map(({ serialization }) => serialization)).size).toBe(2)
})

test.each(names)('%s is decoded to what was recorded', (name) => {
  const { bytes, header, bodyLength, serialization, command } = load(name)

  expect(bytes.readInt32BE(0)).toBe(bytes.length - 4)
  expect(LANGUAGE_NAMES[command.language]).toBe(textMember(header, 'language'))
  expect(TYPE_NAMES[command.serializeType]).toBe(serialization)
  expect(command).toMatchObject({
    code: integerMember(header, 'code'),
    version: integerMember(header, 'version'),
    opaque: integerMember(header, 'opaque'),
    flag: integerMember(header, 'flag'),
    remark: optionalText(header, 'remark'),
  })
  expect(command.extFields).toEqual(recordedFields(header, serialization))
  expect(command.body).toHaveLength(bodyLength)
})

test.each(names)('%s means the same after encoding it again', (name) => {
  const { command } = load(name)

  const again = encodeCommand(command)

  expect(decodeCommand(again, 4, again.length)).toEqual(command)
})

test.each(names)('the body of %s is understood', (name) => {
  expect(readBody(name)).toMatch(/^(understood|nothing to read)$/)
})
