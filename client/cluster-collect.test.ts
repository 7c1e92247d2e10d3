import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import {
  encodePictureBroker,
  encodePictureGroups,
  encodePictureProducers,
  encodePictureTopics,
} from '../remoting/bodies/broker-picture.ts'
import { encodeClusterInfo } from '../remoting/bodies/cluster-info.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { collectCluster } from './cluster-collect.ts'
import { openAdmin } from './open-admin.ts'
import { startServer, testRuntime } from './testing.ts'
import type { ScriptedServer } from './testing.ts'
import { TEST_NOW, testBroker, testBrokerState, testTopic } from './testing-picture.ts'

const TOPICS = ['a', 'b', 'c']

/** One topic a page. */
function startBroker(): Promise<ScriptedServer> {
  const bodies: Readonly<Record<string, (after: string) => Buffer>> = {
    broker: () => encodePictureBroker(testBroker()),
    topics: (after) => {
      const [topic = '', ...more] = TOPICS.filter((name) => name > after)
      const next = more.length > 0 ? topic : null
      return encodePictureTopics({ entries: [testTopic(topic, [[0, 1]])], next })
    },
    groups: () => encodePictureGroups({ entries: [], next: null }),
    producers: () => encodePictureProducers({ entries: [], next: null }),
  }
  return startServer({
    [RequestCode.GANTRY_BROKER_PICTURE]: ({ command }) => {
      const section = command.extFields.get('section') ?? ''
      const body = bodies[section]?.(command.extFields.get('after') ?? '')
      return body === undefined
        ? { code: ResponseCode.INVALID_PARAMETER, remark: section }
        : { code: ResponseCode.SUCCESS, body }
    },
  })
}

function startNames(brokers: Readonly<Record<string, string>>): Promise<ScriptedServer> {
  return startServer({
    [RequestCode.GET_BROKER_CLUSTER_INFO]: () => ({
      code: ResponseCode.SUCCESS,
      body: encodeClusterInfo({
        clusters: new Map([['c', Object.keys(brokers)]]),
        brokers: new Map(
          Object.entries(brokers).map(([brokerName, address]) => [
            brokerName,
            {
              cluster: 'c',
              brokerName,
              brokerAddrs: new Map([[0, address]]),
              zoneName: null,
              enableActingMaster: false,
            },
          ]),
        ),
      }),
    }),
  })
}

const now = () => TEST_NOW

test('a broker is asked page by page, and one that is away keeps what it said last', async () => {
  await using broker = await startBroker()
  await using names = await startNames({ a: broker.address, gone: '127.0.0.1:1' })
  await using open = openAdmin(testRuntime, silentLogger, { timeoutMs: 2_000 })
  const before = [testBrokerState('gone', { topics: [testTopic('old', [[0, 1]])] })]

  const { nameServers, brokers } = await collectCluster(
    open.admin,
    [names.address, '127.0.0.1:1'],
    { now, before },
  )

  expect(nameServers.map(({ problem }) => problem === null)).toEqual([true, false])
  const [a, gone] = brokers
  expect(a).toMatchObject({ brokerName: 'a', problem: null, pictureAt: TEST_NOW })
  expect(a?.picture?.topics.map(({ topic }) => topic)).toEqual(TOPICS)
  expect(gone?.problem).not.toBeNull()
  expect(gone?.picture?.topics.map(({ topic }) => topic)).toEqual(['old'])
})

test('a broker that does not tell who asks is no silent one', async () => {
  const refused = () => ({ code: ResponseCode.NO_PERMISSION, remark: 'username cannot be null.' })
  await using broker = await startServer({ [RequestCode.GANTRY_BROKER_PICTURE]: refused })
  await using names = await startNames({ a: broker.address, gone: '127.0.0.1:1' })
  await using open = openAdmin(testRuntime, silentLogger, { timeoutMs: 2_000 })

  const { brokers } = await collectCluster(open.admin, [names.address], { now, before: [] })

  expect(brokers.map(({ isRefused }) => isRefused)).toEqual([true, false])
  expect(brokers[0]?.problem).toContain('username cannot be null.')
})

test('while no name server answers the brokers that are known are asked', async () => {
  await using broker = await startBroker()
  await using open = openAdmin(testRuntime, silentLogger, { timeoutMs: 2_000 })
  const before = [{ ...testBrokerState('a'), address: broker.address }]

  const { brokers } = await collectCluster(open.admin, ['127.0.0.1:1'], { now, before })

  expect(brokers).toMatchObject([{ brokerName: 'a', problem: null }])
})

test('a broker at an address that is not allowed is not asked', async () => {
  await using broker = await startBroker()
  await using names = await startNames({ a: broker.address })
  await using open = openAdmin(testRuntime, silentLogger, { timeoutMs: 2_000 })

  const { brokers } = await collectCluster(open.admin, [names.address], {
    now,
    before: [],
    isAllowed: () => false,
  })

  expect(brokers[0]?.problem).toContain('not an address to be asked')
  expect(broker.requests).toEqual([])
})
