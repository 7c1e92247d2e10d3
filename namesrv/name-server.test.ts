import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { systemCodeOf } from '../common/errors.ts'
import { silentLogger } from '../common/log.ts'
import { createRegistry } from '../common/metrics.ts'
import { createRuntime } from '../common/runtime.ts'
import { decodeBrokerMemberGroup, decodeClusterInfo } from '../remoting/bodies/cluster-info.ts'
import { decodeDataVersion, encodeDataVersion } from '../remoting/bodies/data-version.ts'
import { encodeRegisterBrokerBody } from '../remoting/bodies/register-broker-body.ts'
import { decodeKvTable, decodeTopicList } from '../remoting/bodies/simple-bodies.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { decodeCommand, encodeCommand } from '../remoting/command-codec.ts'
import { LanguageCode, NO_BODY, SerializeType } from '../remoting/command.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import { FrameDecoder } from '../remoting/frame-decoder.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { RemotingServer } from '../remoting/server.ts'
import { loadNamesrvConfig } from './config.ts'
import { NameServer } from './name-server.ts'
import { topicTable } from './testing.ts'

const JAVA_5 = 513
const GO = 317

const runtime = createRuntime()
let folder = ''
let nameServer: NameServer
const peers: Peer[] = []

/** One connection that asks one thing after the other, as a client of any version. */
class Peer {
  readonly #socket: net.Socket
  #answered: (answer: RemotingCommand) => void = () => undefined

  constructor(socket: net.Socket) {
    this.#socket = socket
    const decoder = new FrameDecoder(16_777_216, (source, start, end) =>
      this.#answered(decodeCommand(source, start, end)),
    )
    socket.on('data', (bytes: Buffer) => decoder.push(bytes))
  }

  ask(
    code: number,
    fields: Readonly<Record<string, string>> = {},
    given: { readonly body?: Buffer; readonly version?: number } = {},
  ): Promise<RemotingCommand> {
    return new Promise((resolve) => {
      this.#answered = resolve
      this.#socket.write(
        encodeCommand({
          code,
          language: LanguageCode.JAVA,
          version: given.version ?? JAVA_5,
          opaque: 1,
          flag: 0,
          remark: null,
          extFields: new Map(Object.entries(fields)),
          body: given.body ?? NO_BODY,
          serializeType: SerializeType.JSON,
        }),
      )
    })
  }

  close(): void {
    this.#socket.destroy()
  }
}

function connect(): Promise<Peer> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(nameServer.port ?? 0, '127.0.0.1', () => {
      const peer = new Peer(socket)
      peers.push(peer)
      resolve(peer)
    })
    socket.once('error', reject)
  })
}

async function startNameServer(flags: readonly string[] = []): Promise<NameServer> {
  const { values } = loadNamesrvConfig({
    file: null,
    environment: {},
    flags: [
      'bindAddress=127.0.0.1',
      'listenPort=0',
      'metricsPromExporterHost=127.0.0.1',
      'metricsPromExporterPort=0',
      `kvConfigPath=${folder}/kvConfig.json`,
      ...flags,
    ],
    homeDirectory: folder,
  })
  const registry = createRegistry({ cluster: '', nodeType: 'nameserver', nodeId: 'n' })
  const started = new NameServer({ values, runtime, logger: silentLogger, registry })
  await started.start()
  return started
}

const TABLE = topicTable(
  ['TBW102', topicConfig('T1', { attributes: new Map([['message.type', 'FIFO']]) })],
  { timestamp: 7, counter: 1 },
)

function brokerFields(given: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    clusterName: 'c1',
    brokerName: 'broker-a',
    brokerId: '0',
    brokerAddr: '10.0.0.1:10911',
    haServerAddr: '10.0.0.1:10912',
    enableActingMaster: 'false',
    ...given,
  }
}

function register(
  peer: Peer,
  given: Readonly<Record<string, string>> = {},
): Promise<RemotingCommand> {
  return peer.ask(RequestCode.REGISTER_BROKER, brokerFields(given), {
    body: encodeRegisterBrokerBody(TABLE, { compressed: false, withMappings: true }),
  })
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gantry-namesrv-'))
  nameServer = await startNameServer()
})

afterEach(async () => {
  for (const peer of peers.splice(0)) peer.close()
  await nameServer.close()
  rmSync(folder, { recursive: true })
})

test('clients from 4.9.4 on get strict JSON, older ones the unquoted ids of fastjson', async () => {
  const peer = await connect()
  await register(peer)

  const strict = await peer.ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })
  const old = await peer.ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' }, { version: GO })
  const asked = await peer.ask(
    RequestCode.GET_ROUTEINFO_BY_TOPIC,
    { topic: 'T1', acceptStandardJsonOnly: 'true' },
    { version: GO },
  )

  expect(strict.body.toString()).toBe(
    '{"brokerDatas":[{"brokerAddrs":{"0":"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"c1","enableActingMaster":false}],' +
      '"filterServerTable":{},' +
      '"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":8}]}',
  )
  expect(old.body.toString()).toContain('"brokerAddrs":{0:"10.0.0.1:10911"}')
  expect(asked.body.toString()).toBe(strict.body.toString())
})

test('an unknown topic is answered TOPIC_NOT_EXIST with its name', async () => {
  const peer = await connect()

  const answer = await peer.ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'None' })

  expect(answer.code).toBe(17)
  expect(answer.remark).toBe('No topic route info in name server for the topic: None')
})

test.for([
  ['plain', false, JAVA_5],
  ['compressed', true, JAVA_5],
  ['compressed of 4.9', true, 399],
] as const)('a %s registration with its checksum is taken', async ([, compressed, version]) => {
  const peer = await connect()
  const body = encodeRegisterBrokerBody(TABLE, { compressed, withMappings: version >= 413 })
  const fields = { compressed: String(compressed), bodyCrc32: String(crc32(body) & 0x7fffffff) }

  const answer = await peer.ask(RequestCode.REGISTER_BROKER, brokerFields(fields), {
    body,
    version,
  })
  const topics = await peer.ask(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER)

  expect(answer.code).toBe(0)
  expect(decodeTopicList(topics.body).topics).toEqual(['T1', 'TBW102'])
})

test('a wrong checksum, a missing field and a body that is no JSON are refused with their reason', async () => {
  const peer = await connect()
  const { brokerName: _brokerName, ...nameless } = brokerFields()

  const checksum = await register(peer, { bodyCrc32: '1' })
  const field = await peer.ask(RequestCode.REGISTER_BROKER, nameless)
  const json = await peer.ask(RequestCode.REGISTER_BROKER, brokerFields(), {
    body: Buffer.from('{"topicConfigSerializeWrapper":7}'),
  })

  expect([checksum.code, checksum.remark]).toEqual([1, 'crc32 not match'])
  expect(field.code).toBe(1)
  expect(field.remark).toContain('the custom field <brokerName> is null')
  expect(json.code).toBe(1)
  expect(json.remark).toContain('topicConfigSerializeWrapper is no object')
})

test('the version query tells whether the table has changed', async () => {
  const peer = await connect()
  const query = (counter: number) =>
    peer.ask(RequestCode.QUERY_DATA_VERSION, brokerFields(), {
      body: encodeDataVersion({ ...TABLE.dataVersion, counter }),
    })

  const unknown = await query(1)
  await register(peer)
  const same = await query(1)
  const newer = await query(2)

  expect(unknown.extFields.get('changed')).toBe('true')
  expect(unknown.body).toHaveLength(0)
  expect(same.extFields.get('changed')).toBe('false')
  expect(decodeDataVersion(same.body)).toEqual(TABLE.dataVersion)
  expect(newer.extFields.get('changed')).toBe('true')
})

test('a slave is told its master, and group and cluster show both', async () => {
  const peer = await connect()
  await register(peer)

  const answer = await register(peer, { brokerId: '1', brokerAddr: '10.0.0.2:10911' })
  const group = await peer.ask(RequestCode.GET_BROKER_MEMBER_GROUP, {
    clusterName: 'c1',
    brokerName: 'broker-a',
  })
  const cluster = await peer.ask(RequestCode.GET_BROKER_CLUSTER_INFO)

  expect(answer.extFields.get('masterAddr')).toBe('10.0.0.1:10911')
  expect(answer.extFields.get('haServerAddr')).toBe('10.0.0.1:10912')
  expect([...decodeBrokerMemberGroup(group.body).brokerAddrs.keys()]).toEqual([0, 1])
  expect(decodeClusterInfo(cluster.body).clusters).toEqual(new Map([['c1', ['broker-a']]]))
})

test('the term of an outdated registration is answered with the one in force', async () => {
  const [leader, deposed] = [await connect(), await connect()]
  await register(leader, { term: '5' })

  const answer = await register(deposed, { term: '4' })
  deposed.close()
  const route = await leader.ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })

  expect([answer.code, answer.extFields.get('term')]).toEqual([0, '5'])
  expect(route.code).toBe(0)
})

test('a broker whose connection closes is gone at once', async () => {
  const [broker, client] = [await connect(), await connect()]
  await register(broker)

  broker.close()

  await vi.waitFor(async () => {
    const route = await client.ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })
    expect(route.code).toBe(17)
  })
})

test('a silent broker is gone after its own time-out', async () => {
  await nameServer.close()
  nameServer = await startNameServer(['scanNotActiveBrokerInterval=100'])
  const [broker, client] = [await connect(), await connect()]
  await register(broker, { heartbeatTimeoutMillis: '1' })

  await vi.waitFor(async () => {
    const route = await client.ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })
    expect(route.code).toBe(17)
  })
})

test('the members of a group are told on their own ports of a changed lowest id', async () => {
  await nameServer.close()
  nameServer = await startNameServer(['notifyMinBrokerIdChanged=true'])
  const notices: ReadonlyMap<string, string>[] = []
  await using broker = new RemotingServer({ ...runtime, logger: silentLogger })
  broker.register(RequestCode.NOTIFY_MIN_BROKER_ID_CHANGE, ({ command }) => {
    notices.push(command.extFields)
  })
  const { port } = await broker.listen('127.0.0.1', 0)
  const slaveAddr = `127.0.0.1:${port}`
  const [master, slave] = [await connect(), await connect()]
  const acting = { enableActingMaster: 'true' }
  await register(master, acting)
  await register(slave, { ...acting, brokerId: '1', brokerAddr: slaveAddr })

  master.close()

  await vi.waitFor(() => expect(notices).toHaveLength(1))
  expect(Object.fromEntries(notices[0] ?? [])).toEqual({
    brokerName: 'broker-a',
    minBrokerId: '1',
    minBrokerAddr: slaveAddr,
    offlineBrokerAddr: '10.0.0.1:10911',
  })
})

test('write permission is wiped and restored with the number of topics', async () => {
  const peer = await connect()
  await register(peer)
  const brokerName = 'broker-a'

  const wiped = await peer.ask(RequestCode.WIPE_WRITE_PERM_OF_BROKER, { brokerName })
  const route = await peer.ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })
  const added = await peer.ask(RequestCode.ADD_WRITE_PERM_OF_BROKER, { brokerName })

  expect(wiped.extFields.get('wipeTopicCount')).toBe('2')
  expect(route.body.toString()).toContain('"perm":4')
  expect(added.extFields.get('addTopicCount')).toBe('2')
})

test('the order config is kept, told to brokers, and put into routes when enabled', async () => {
  const peer = await connect()
  const namespace = 'ORDER_TOPIC_CONFIG'
  const entry = { namespace, key: 'T1', value: 'broker-a:8' }

  const missing = await peer.ask(RequestCode.GET_KV_CONFIG, { namespace, key: 'T1' })
  await peer.ask(RequestCode.PUT_KV_CONFIG, entry)
  const registered = await register(peer)
  const list = await peer.ask(RequestCode.GET_KVLIST_BY_NAMESPACE, { namespace })
  const before = await peer.ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })
  await peer.ask(
    RequestCode.UPDATE_NAMESRV_CONFIG,
    {},
    { body: Buffer.from('orderMessageEnable=true') },
  )
  const after = await peer.ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })

  expect([missing.code, missing.remark]).toEqual([
    22,
    'No config item, Namespace: ORDER_TOPIC_CONFIG Key: T1',
  ])
  expect(decodeKvTable(registered.body)).toEqual(new Map([['T1', 'broker-a:8']]))
  expect(decodeKvTable(list.body)).toEqual(new Map([['T1', 'broker-a:8']]))
  expect(before.body.toString()).not.toContain('orderTopicConf')
  expect(after.body.toString()).toContain('"orderTopicConf":"broker-a:8"')
})

// Goal: CVE-2023-37582 stays impossible. Method: the effect is looked at, not the key.
test('no configuration request writes a file or moves a path', async () => {
  const peer = await connect()
  const keys = [
    'configStorePath',
    'configStorePathName',
    'kvConfigPath',
    'rocketmqHome',
    'listenPort',
  ]

  for (const key of keys) {
    const body = Buffer.from(`${key}=${folder}/evil\n`)
    await peer.ask(RequestCode.UPDATE_NAMESRV_CONFIG, {}, { body })
  }
  await peer.ask(RequestCode.PUT_KV_CONFIG, { namespace: 'n', key: 'k', value: 'v' })
  const config = await peer.ask(RequestCode.GET_NAMESRV_CONFIG)

  expect(readdirSync(folder)).toEqual(['kvConfig.json'])
  expect(config.body.toString()).toContain(`kvConfigPath=${folder}/kvConfig.json\n`)
  expect(config.body.toString()).not.toContain('evil')
})

test('a path in a configuration request is answered with the remark of RocketMQ', async () => {
  const peer = await connect()

  const answer = await peer.ask(
    RequestCode.UPDATE_NAMESRV_CONFIG,
    {},
    {
      body: Buffer.from('kvConfigPath=/tmp/x'),
    },
  )

  expect([answer.code, answer.remark]).toEqual([16, 'Can not update config in black list.'])
})

test('lists that are switched off are answered with disable', async () => {
  const peer = await connect()
  await peer.ask(
    RequestCode.UPDATE_NAMESRV_CONFIG,
    {},
    {
      body: Buffer.from('enableTopicList=false\nenableAllTopicList=false'),
    },
  )

  const all = await peer.ask(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER)
  const ofCluster = await peer.ask(RequestCode.GET_TOPICS_BY_CLUSTER, { cluster: 'c1' })

  expect([all.code, all.remark]).toEqual([1, 'disable'])
  expect([ofCluster.code, ofCluster.remark]).toEqual([1, 'disable'])
})

test('a client in zone mode gets the brokers of its zone', async () => {
  const peer = await connect()
  await register(peer, { __ZONE_NAME: 'z1' })
  await register(peer, { __ZONE_NAME: 'z2', brokerName: 'broker-b', brokerAddr: '10.0.0.2:10911' })

  const answer = await peer.ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, {
    topic: 'T1',
    __ZONE_MODE: 'true',
    __ZONE_NAME: 'Z2',
  })

  expect(answer.body.toString()).not.toContain('broker-a')
  expect(answer.body.toString()).toContain('"zoneName":"z2"')
})

test('routes wait for the brokers when configured to', async () => {
  await nameServer.close()
  nameServer = await startNameServer(['needWaitForService=true'])
  const peer = await connect()
  await register(peer)

  const answer = await peer.ask(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T1' })

  expect([answer.code, answer.remark]).toEqual([1, 'name server not ready'])
})

test('the admin port tells health and metrics', async () => {
  const peer = await connect()
  await register(peer)
  const origin = `http://127.0.0.1:${nameServer.adminPort}`

  const ready = await fetch(`${origin}/readyz`)
  const metrics = await (await fetch(`${origin}/metrics`)).text()

  expect(ready.status).toBe(200)
  expect(metrics).toMatch(/^rocketmq_nameserver_broker_number\{.*\} 1$/m)
  expect(metrics).toMatch(/^rocketmq_nameserver_topic_number\{.*\} 2$/m)
  expect(metrics).toMatch(
    /^rocketmq_rpc_latency_milliseconds_count\{.*request_code="register_broker".*\} 1$/m,
  )
})

test('a busy port fails the start and leaves nothing listening', async () => {
  const { port } = nameServer

  const failure: unknown = await startNameServer([`listenPort=${port}`]).catch(
    (error: unknown) => error,
  )

  expect(systemCodeOf(failure)).toBe('EADDRINUSE')
})
