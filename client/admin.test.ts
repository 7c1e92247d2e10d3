import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { subscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'
import {
  decodeTopicConfigList,
  encodeTopicConfigTable,
  topicConfig,
} from '../remoting/bodies/topic-config.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { isSigned } from '../remoting/signature.ts'
import { AdminClient } from './admin.ts'
import { openAdmin } from './open-admin.ts'
import { startServer, testRuntime } from './testing.ts'
import type { Answer, ScriptedServer } from './testing.ts'

let client: RemotingClient
let admin: AdminClient
let server: ScriptedServer | null = null

beforeEach(() => {
  client = new RemotingClient({ ...testRuntime, logger: silentLogger })
  admin = new AdminClient(client, 2000)
})

afterEach(async () => {
  await client.close()
  await server?.close()
  server = null
})

async function serve(answers: Readonly<Record<number, Answer>>): Promise<string> {
  server = await startServer(answers)
  return server.address
}

function askedFields(): Readonly<Record<string, string>> {
  return Object.fromEntries(server?.requests[0]?.command.extFields ?? [])
}

const OK: Answer = () => ({ code: ResponseCode.SUCCESS })

test('a topic is created with all of its settings', async () => {
  const address = await serve({ [RequestCode.UPDATE_AND_CREATE_TOPIC]: OK })

  await admin.createTopic(
    address,
    topicConfig('T1', {
      readQueueNums: 4,
      writeQueueNums: 2,
      order: true,
      attributes: new Map([['message.type', 'FIFO']]),
    }),
  )

  expect(askedFields()).toEqual({
    topic: 'T1',
    defaultTopic: 'TBW102',
    readQueueNums: '4',
    writeQueueNums: '2',
    perm: '6',
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: '0',
    order: 'true',
    attributes: '+message.type=FIFO',
  })
})

test('the topics of one broker can be copied to another as they are', async () => {
  const config = topicConfig('T1', { perm: 4, attributes: new Map([['a', 'b']]) })
  const table = {
    dataVersion: { stateVersion: 1, timestamp: 2, counter: 3 },
    topics: new Map([['T1', config]]),
    mappings: new Map(),
  }
  const address = await serve({
    [RequestCode.GET_ALL_TOPIC_CONFIG]: () => ({ code: 0, body: encodeTopicConfigTable(table) }),
    [RequestCode.UPDATE_AND_CREATE_TOPIC_LIST]: OK,
  })

  const { topics } = await admin.getAllTopicConfig(address)
  await admin.createTopics(address, [...topics.values()])

  expect(decodeTopicConfigList(server?.requests[1]?.command.body ?? Buffer.alloc(0))).toEqual([
    config,
  ])
})

test('an error answer names request, address, code and remark', async () => {
  const address = await serve({
    [RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP]: () => ({
      code: ResponseCode.SYSTEM_ERROR,
      remark: 'not from a slave',
    }),
  })

  const failure: unknown = await admin
    .createGroup(address, subscriptionGroupConfig('g'))
    .catch((error: unknown) => error)

  expect(failure).toMatchObject({
    code: 'rejected',
    responseCode: 1,
    message: `UPDATE_AND_CREATE_SUBSCRIPTIONGROUP at ${address}: SYSTEM_ERROR (1): not from a slave`,
  })
})

test('what does not exist is null where the call says so', async () => {
  const address = await serve({
    [RequestCode.GET_ROUTEINFO_BY_TOPIC]: () => ({ code: ResponseCode.TOPIC_NOT_EXIST }),
    [RequestCode.QUERY_CONSUMER_OFFSET]: () => ({ code: ResponseCode.QUERY_NOT_FOUND }),
  })

  expect(await admin.route(address, 'T1')).toBeNull()
  expect(await admin.consumerOffset(address, { topic: 'T1', queueId: 0 }, 'g')).toBeNull()
})

test('configuration travels as lines, values with every character included', async () => {
  const received: string[] = []
  const address = await serve({
    [RequestCode.UPDATE_BROKER_CONFIG]: ({ command }) => {
      received.push(command.body.toString())
      return { code: ResponseCode.SUCCESS }
    },
    [RequestCode.GET_BROKER_CONFIG]: () => ({
      code: ResponseCode.SUCCESS,
      body: Buffer.from(received.join('')),
    }),
  })

  await admin.updateBrokerConfig(address, { namesrvAddr: 'a:1;b:2', other: 'c\\d=e' })

  expect(received).toEqual(['namesrvAddr=a:1;b:2\nother=c\\\\d=e\n'])
  expect(await admin.getBrokerConfig(address)).toEqual(
    new Map([
      ['namesrvAddr', 'a:1;b:2'],
      ['other', 'c\\d=e'],
    ]),
  )
})

test('a peer that is away rejects with the reason', async () => {
  const address = await serve({})
  await server?.close()

  await expect(admin.clusterInfo(address)).rejects.toMatchObject({ code: 'connectFailed' })
})

test('several users ask over the same connections, each with a signature of its own, and one without', async () => {
  const address = await serve({ [RequestCode.UPDATE_AND_CREATE_TOPIC]: OK })
  await using opened = openAdmin(testRuntime, silentLogger)
  const users = ['one', 'two'].map((accessKey) => ({ accessKey, secretKey: `${accessKey}-secret` }))

  for (const user of users) await opened.as(user).createTopic(address, topicConfig('T1', {}))
  await opened.admin.createTopic(address, topicConfig('T1', {}))

  const asked = server?.requests ?? []
  expect(asked.map(({ command }) => command.extFields.get('AccessKey'))).toEqual([
    'one',
    'two',
    undefined,
  ])
  for (const [index, { secretKey }] of users.entries()) {
    const command = asked[index]?.command
    expect(command !== undefined && isSigned(command, secretKey)).toBe(true)
  }
  expect(new Set(asked.map(({ connection }) => connection)).size).toBe(1)
})
