/** A name server and a broker in one process on loopback, used by the project's own client. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { AdminClient } from '../client/admin.ts'
import { Producer } from '../client/producer.ts'
import { PullConsumer } from '../client/pull-consumer.ts'
import { RouteCache } from '../client/route.ts'
import { silentLogger } from '../common/log.ts'
import { UniqueIdGenerator } from '../common/message-id.ts'
import { createRegistry } from '../common/metrics.ts'
import { createRuntime } from '../common/runtime.ts'
import { freePorts } from '../common/testing.ts'
import { loadNamesrvConfig } from '../namesrv/config.ts'
import { NameServer } from '../namesrv/name-server.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { diskConfigFolder } from './config-folder.ts'
import { fsck } from '../store/fsck.ts'
import { MessageStore } from '../store/message-store.ts'
import { Broker } from './broker.ts'
import { brokerValues } from './testing.ts'
import type { StoredMessage } from '../common/message.ts'

const runtime = createRuntime()
const FIRST_PORT = await freePorts(16)
const BROKER_PORT = FIRST_PORT + 2
const ADMIN_PORT = FIRST_PORT + 4
const BROKER = `127.0.0.1:${BROKER_PORT}`
const VIP = `127.0.0.1:${BROKER_PORT - 2}`

let folder = ''
let nameServer: NameServer
let nameServerAddress = ''
let broker: Broker
let client: RemotingClient
let admin: AdminClient
let fatal: Error[] = []

beforeEach(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gantry-broker-'))
  fatal = []
  nameServer = startableNameServer(0)
  await nameServer.start()
  nameServerAddress = `127.0.0.1:${nameServer.port}`
  broker = startableBroker()
  await broker.start()
  client = new RemotingClient({ ...runtime, logger: silentLogger })
  admin = new AdminClient(client)
  await untilRouted('TBW102')
})

afterEach(async () => {
  await client.close()
  await broker.close()
  await nameServer.close()
  fs.rmSync(folder, { recursive: true, force: true })
  if (fatal.length > 0) throw new AggregateError(fatal, 'the store failed')
})

function startableNameServer(port: number): NameServer {
  const { values } = loadNamesrvConfig({
    file: null,
    environment: {},
    flags: [
      'bindAddress=127.0.0.1',
      `listenPort=${port}`,
      'metricsPromExporterPort=0',
      `kvConfigPath=${folder}/kvConfig.json`,
    ],
    homeDirectory: folder,
  })
  const registry = createRegistry({ cluster: '', nodeType: 'nameserver', nodeId: 'test' })
  return new NameServer({ values, runtime, logger: silentLogger, registry })
}

function startableBroker(keys: Readonly<Record<string, string>> = {}): Broker {
  const { disk } = runtime
  return new Broker({
    values: brokerValues({
      bindAddress: '127.0.0.1',
      brokerIP1: '127.0.0.1',
      listenPort: String(BROKER_PORT),
      metricsPromExporterPort: String(ADMIN_PORT),
      metricsPromExporterHost: '127.0.0.1',
      namesrvAddr: nameServerAddress,
      storePathRootDir: `${folder}/store`,
      mappedFileSizeCommitLog: String(8 * 1024 * 1024),
      ...keys,
    }),
    runtime,
    logger: silentLogger,
    registry: createRegistry({ cluster: 'c', nodeType: 'broker', nodeId: 'broker-a' }),
    openStore: (options) => new MessageStore(options),
    configFolder: (at) => diskConfigFolder(disk, at),
    kubernetes: null,
    leaderService: null,
    pid: process.pid,
    onFatal: (error) => fatal.push(error),
  })
}

async function untilRouted(topic: string): Promise<void> {
  await vi.waitFor(
    async () => expect(await admin.route(nameServerAddress, topic)).not.toBeNull(),
    5000,
  )
}

function producerOf(): Producer {
  return new Producer({
    client,
    routes: new RouteCache({ client, clock: runtime.clock, nameServers: [nameServerAddress] }),
    clock: runtime.clock,
    producerGroup: 'P',
    uniqueIds: new UniqueIdGenerator({
      ...runtime,
      ip: Buffer.from([127, 0, 0, 1]),
      pid: process.pid,
    }),
  })
}

async function consume(topic: string, count: number, group = 'G'): Promise<readonly string[]> {
  const bodies: string[] = []
  const consumer = new PullConsumer({
    client,
    routes: new RouteCache({ client, clock: runtime.clock, nameServers: [nameServerAddress] }),
    timers: runtime.timers,
    logger: silentLogger,
    consumerGroup: group,
    topic,
    from: 'first',
    commit: true,
    onMessages: (messages: readonly StoredMessage[]) => {
      for (const { body } of messages) bodies.push(body.toString())
      return Promise.resolve()
    },
  })
  await consumer.start()
  await vi.waitFor(() => expect(bodies.length).toBeGreaterThanOrEqual(count), 10_000)
  await consumer.close()
  return bodies
}

async function adminGet(of: string): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await fetch(`http://127.0.0.1:${ADMIN_PORT}${of}`)
  const text = await response.text()
  return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : text }
}

test('what is sent to a new topic is consumed, and the offsets are kept over a restart', async () => {
  const producer = producerOf()
  const sent: string[] = []
  for (let count = 0; count < 50; count++) {
    const body = `message ${count}`
    expect((await producer.send({ topic: 'T', body: Buffer.from(body) })).status).toBe('SEND_OK')
    sent.push(body)
  }

  const received = await consume('T', 50)
  await broker.close()
  broker = startableBroker()
  await broker.start()
  await untilRouted('T')
  await producerOf().send({ topic: 'T', body: Buffer.from('after') })
  const afterRestart = await consume('T', 1)

  expect(received.toSorted()).toEqual(sent.toSorted())
  expect(afterRestart).toEqual(['after'])
})

test('a stopped broker leaves the name server at once and a clean folder behind', async () => {
  await producerOf().send({ topic: 'T', body: Buffer.from('x') })

  await broker.close()

  expect(await admin.route(nameServerAddress, 'T')).toBeNull()
  expect(fs.existsSync(`${folder}/store/abort`)).toBe(false)
  expect(fsck({ disk: runtime.disk, root: `${folder}/store` }).problems).toEqual([])
})

test('the VIP port takes sends, and no pulls', async () => {
  const answer = await client.invoke(VIP, { code: RequestCode.PULL_MESSAGE }, 2000)
  const offset = await client.invoke(
    VIP,
    { code: RequestCode.GET_MAX_OFFSET, extFields: { topic: 'T', queueId: '0' } },
    2000,
  )

  expect(answer.code).toBe(ResponseCode.REQUEST_CODE_NOT_SUPPORTED)
  expect(offset.code).toBe(ResponseCode.SUCCESS)
})

test('a topic that a tool creates is routed when the answer comes', async () => {
  await admin.createTopic(BROKER, topicConfig('Made', { readQueueNums: 3, writeQueueNums: 2 }))

  const route = await admin.route(nameServerAddress, 'Made')

  expect(route?.queueDatas).toMatchObject([
    { brokerName: 'broker-a', readQueueNums: 3, writeQueueNums: 2 },
  ])
})

test('a broker without write permission says so in its routes and to producers', async () => {
  await admin.createTopic(BROKER, topicConfig('T'))

  await admin.updateBrokerConfig(BROKER, { brokerPermission: '4' })

  await vi.waitFor(async () => {
    const route = await admin.route(nameServerAddress, 'T')
    expect(route?.queueDatas[0]?.perm).toBe(4)
  }, 5000)
  await expect(producerOf().send({ topic: 'T', body: Buffer.from('x') })).rejects.toThrow(/T/)
  expect((await adminGet('/admin/v1/drain')).body).toMatchObject({ brokerPermission: 4 })
})

test('a broker finds its name server again after that was away', async () => {
  const port = nameServer.port ?? 0
  await nameServer.close()

  nameServer = startableNameServer(port)
  await nameServer.start()

  await untilRouted('TBW102')
})

test('the admin port tells health, facts and metrics', async () => {
  await producerOf().send({ topic: 'T', body: Buffer.from('x') })
  await vi.waitFor(async () => expect((await adminGet('/readyz')).status).toBe(200), 5000)

  const raft = await adminGet('/admin/v1/raft')
  const drain = await adminGet('/admin/v1/drain')
  const config = await adminGet('/admin/v1/config')
  const store = await adminGet('/admin/v1/store')
  const metrics = await adminGet('/metrics')

  expect(raft.body).toMatchObject({
    id: 0,
    role: 'leader',
    leader: 0,
    isReady: true,
    term: 1,
  })
  expect(drain.body).toMatchObject({ lags: [{ topic: 'T', consumerGroup: null, messages: 1 }] })
  expect(config.body).toMatchObject({ entries: { brokerPermission: { value: '6', live: true } } })
  expect(store.body).toMatchObject({ readOnlyReason: null })
  expect(metrics.body).toContain(
    'rocketmq_messages_in_total{topic="T",message_type="normal",is_system="false"',
  )
})

test('the runtime table has every key that the exporter reads', async () => {
  const table = await admin.brokerRuntimeInfo(BROKER)

  const needed = [
    'putTps',
    'getTotalTps',
    'getTransferedTps',
    'getTransferredTps',
    'getFoundTps',
    'getMissTps',
    'commitLogDirCapacity',
    'sendThreadPoolQueueSize',
    'sendThreadPoolQueueCapacity',
    'sendThreadPoolQueueHeadWaitTimeMills',
    'queryThreadPoolQueueSize',
    'queryThreadPoolQueueCapacity',
    'queryThreadPoolQueueHeadWaitTimeMills',
    'pullThreadPoolQueueSize',
    'pullThreadPoolQueueCapacity',
    'pullThreadPoolQueueHeadWaitTimeMills',
    'remainHowManyDataToFlush',
    'msgPutTotalTodayNow',
    'msgPutTotalTodayMorning',
    'msgPutTotalYesterdayMorning',
    'msgGetTotalTodayNow',
    'msgGetTotalTodayMorning',
    'msgGetTotalYesterdayMorning',
    'bootTimestamp',
    'runtime',
    'dispatchMaxBuffer',
    'brokerVersion',
    'brokerVersionDesc',
    'commitLogDiskRatio',
    'consumeQueueDiskRatio',
    'pageCacheLockTimeMills',
    'commitLogMinOffset',
    'commitLogMaxOffset',
    'getMessageEntireTimeMax',
    'putMessageEntireTimeMax',
    'putMessageTimesTotal',
    'startAcceptSendRequestTimeStamp',
    'earliestMessageTimeStamp',
    'remainTransientStoreBufferNumbs',
    'putMessageAverageSize',
    'dispatchBehindBytes',
    'putMessageSizeTotal',
    'putMessageDistributeTime',
  ]
  expect(needed.filter((key) => table.get(key) === undefined)).toEqual([])
  expect(table.get('brokerVersion')).toMatch(/^\d+$/)
})

test('a key that is not live is refused, and nothing changes', async () => {
  const answer = await client.invoke(
    BROKER,
    {
      code: RequestCode.UPDATE_BROKER_CONFIG,
      body: Buffer.from('storePathRootDir=/tmp/elsewhere\nbrokerPermission=4\n'),
    },
    2000,
  )

  expect(answer.code).toBe(ResponseCode.NO_PERMISSION)
  expect((await adminGet('/admin/v1/config')).body).toMatchObject({
    entries: { brokerPermission: { value: '6' } },
  })
})

test('a second broker on the same folder is refused and damages nothing', async () => {
  await producerOf().send({ topic: 'T', body: Buffer.from('x') })
  const second = startableBroker({
    listenPort: String(BROKER_PORT + 10),
    metricsPromExporterPort: String(ADMIN_PORT + 10),
  })

  await expect(second.start()).rejects.toThrow(/use/)

  expect(await consume('T', 1)).toEqual(['x'])
})
