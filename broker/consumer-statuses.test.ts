import { beforeEach, expect, test } from 'vitest'
import { RemotingError } from '../remoting/errors.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { LanguageCode } from '../remoting/command.ts'
import { ConsumerStatuses } from './consumer-statuses.ts'
import { FakeConnection, answerOf } from './testing.ts'
import { createBrokerWorld } from './testing-world.ts'
import type { ConsumerData } from '../remoting/bodies/heartbeat-data.ts'
import type { TopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import type { BrokerWorld } from './testing-world.ts'

let world: BrokerWorld
let statuses: ConsumerStatuses
/** Names of the brokers that have a topic; a topic that is not here has no route. */
const routes = new Map<string, readonly string[]>()

beforeEach(async () => {
  routes.clear()
  world = await createBrokerWorld()
  statuses = new ConsumerStatuses(world.parts, (topic) => Promise.resolve(routeOf(topic)))
})

function routeOf(topic: string): TopicRouteData | null {
  const brokers = routes.get(topic)
  if (brokers === undefined) return null
  return {
    orderTopicConf: null,
    queueDatas: [],
    brokerDatas: brokers.map((brokerName) => ({
      ...{ cluster: 'c', brokerName, brokerAddrs: new Map<number, string>() },
      ...{ zoneName: null, enableActingMaster: false },
    })),
    topicQueueMappingByBroker: null,
  }
}

/** A consumer of the group `readers`. */
function connect(id: number, version = 513): FakeConnection {
  const connection = new FakeConnection(id)
  const consumer: ConsumerData = {
    ...{ groupName: 'readers', consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET', unitMode: false },
    consumeType: 'CONSUME_PASSIVELY',
    messageModel: 'CLUSTERING',
    subscriptions: [],
  }
  const client = { clientId: `c${id}`, connection, language: LanguageCode.JAVA, version }
  world.parts.clients.registerConsumer(consumer, client)
  return connection
}

function telling(topics: readonly string[]): FakeConnection['answer'] {
  const statusTable = Object.fromEntries(topics.map((topic) => [topic, { consumeRT: 2.5 }]))
  const body = Buffer.from(
    JSON.stringify({ properties: {}, subscriptionSet: [], mqTable: {}, statusTable }),
  )
  return () => Promise.resolve(answerOf(ResponseCode.SUCCESS, body))
}

test('each consumer is asked for what it does, topic by topic', async () => {
  const connection = connect(1)
  connection.answer = telling(['Orders', '%RETRY%readers'])

  const all = await statuses.current()

  expect(connection.invoked).toMatchObject([
    { code: 307, extFields: { consumerGroup: 'readers', clientId: 'c1' } },
  ])
  expect(all).toEqual([
    {
      group: 'readers',
      topic: 'Orders',
      clientId: 'c1',
      clientAddress: '10.0.0.7:40001',
      facts: new Map([['consumeRT', '2.5']]),
    },
    expect.objectContaining({ topic: '%RETRY%readers' }),
  ])
})

test('the broker group that comes first in the route of a topic tells of it, the others do not', async () => {
  routes.set('Ours', ['broker-b', 'broker-a'])
  routes.set('Theirs', ['broker-a', 'broker-0'])
  connect(1).answer = telling(['Ours', 'Theirs'])

  const all = await statuses.current()

  expect(all.map(({ topic }) => topic)).toEqual(['Ours'])
})

test('a consumer that does not answer, refuses, or is too old is left out', async () => {
  connect(1).answer = telling(['Orders'])
  connect(2).answer = () => Promise.reject(new RemotingError('timeout', 'no answer'))
  connect(3).answer = () => Promise.resolve(answerOf(ResponseCode.SYSTEM_ERROR))
  connect(4).answer = () =>
    Promise.resolve(answerOf(ResponseCode.SUCCESS, Buffer.from('no JSON at all')))
  const old = connect(5, 61)

  const all = await statuses.current()

  expect(all.map(({ clientId }) => clientId)).toEqual(['c1'])
  expect(old.invoked).toEqual([])
})

test('what has been told is kept for half a minute', async () => {
  const connection = connect(1)
  connection.answer = telling(['Orders'])

  await statuses.current()
  await world.time.advance(29_999)
  await statuses.current()
  const early = connection.invoked.length
  await world.time.advance(1)
  await statuses.current()

  expect([early, connection.invoked.length]).toEqual([1, 2])
})
