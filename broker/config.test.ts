import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BROKER_SCHEMA, BrokerConfig, loadBrokerConfig, nameServerListProblem } from './config.ts'
import { ROCKETMQ_KEYS } from './rocketmq-keys.ts'
import { brokerValues } from './testing.ts'
import type { ConfigSchema } from '../common/config.ts'
import type { BrokerConfigSources, BrokerValues } from './config.ts'

const VALUES = brokerValues({})

function sources(content: string, given: Partial<BrokerConfigSources> = {}): BrokerConfigSources {
  return {
    file: { path: 'broker.conf', content },
    environment: {},
    flags: [],
    nameServers: null,
    defaults: { hostName: 'node-1', homeDirectory: '/home/me' },
    ...given,
  }
}

/** Reliability S2: an allow-list, typed and bounded. */
test('whatever is sent, only live keys change, each to a value that a start would take, and all of a request or nothing', () => {
  const schema = new Map(Object.entries(BROKER_SCHEMA as ConfigSchema))
  const name = fc.oneof(
    fc.constantFrom(...schema.keys()),
    fc.constantFrom(...[...schema].filter(([, { live }]) => live === true).map(([key]) => key)),
    fc.constantFrom(...ROCKETMQ_KEYS, 'constructor', '__proto__', 'toString'),
    fc.string({ maxLength: 20 }),
  )
  const value = fc.oneof(
    fc.string({ maxLength: 20 }),
    fc.maxSafeInteger().map(String),
    fc.integer({ min: 1, max: 10_000 }).map(String),
    fc.constantFrom('true', 'false', '', '-1', '0', '1', '6', '1e9', '0x10', '10.0.0.1:9876'),
  )
  const change = fc.record({ key: name, value })
  let changed = 0
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      const config = new BrokerConfig(VALUES, 0)

      const problem = config.update(changes, 1)

      const different = Object.entries(config.values).filter(
        ([key, now]) => now !== VALUES[key as keyof BrokerValues],
      )
      changed += different.length
      if (problem !== null) expect(different).toEqual([])
      for (const [key, now] of different) {
        expect(schema.get(key)?.live).toBe(true)
        expect(schema.get(key)?.parse(String(now))).toEqual({ value: now })
        expect(changes.map((each) => each.key)).toContain(key)
      }
    }),
    { numRuns: 10_000 },
  )
  // Without this the test would hold for a broker that changes nothing; some 400 do.
  expect(changed).toBeGreaterThan(100)
})

describe('the configuration file', () => {
  test('a file of the Java distribution loads, and what Gantry does not need is named once', () => {
    const content = [
      'brokerClusterName = DefaultCluster',
      'brokerName = broker-a',
      'brokerId = 0',
      'deleteWhen = 04',
      'fileReservedTime = 48',
      'brokerRole = ASYNC_MASTER',
      'flushDiskType = ASYNC_FLUSH',
      'haListenPort = 10912',
      'sendMessageThreadPoolNums=16',
    ].join('\n')

    const loaded = loadBrokerConfig(sources(content))

    expect(loaded.values.fileReservedTime).toBe(48)
    expect(loaded.ignored).toEqual(['haListenPort', 'sendMessageThreadPoolNums'])
    expect(loaded.warnings).toEqual([])
  })

  test('a misspelt key is a warning with the nearest name', () => {
    const loaded = loadBrokerConfig(sources('brokerNmae=x'))

    expect(loaded.warnings).toEqual([
      'broker.conf:1: unknown key brokerNmae; did you mean brokerName?',
    ])
  })

  test.each([
    ['brokerRole=SLAVE', 'broker.conf:1: brokerRole: SLAVE is not supported'],
    ['\naclEnable=true', 'broker.conf:2: aclEnable: true is not supported'],
    ['brokerId=1', 'broker.conf:1: brokerId: 1 is outside 0 to 0'],
    ['namesrvAddr=a:1;b', "broker.conf:1: namesrvAddr: 'b' is not host:port"],
    [
      'mappedFileSizeConsumeQueue=30',
      'broker.conf:1: mappedFileSizeConsumeQueue: 30 is not a multiple of 20',
    ],
    [
      'mappedFileSizeCommitLog=8192',
      'broker.conf:1: mappedFileSizeCommitLog: 8192 does not hold a message',
    ],
    [
      'metricsPromExporterPort=10909',
      'broker.conf:1: metricsPromExporterPort: 10909 is a port for clients',
    ],
    ['brokerName=a/b', "broker.conf:1: brokerName: 'a/b' cannot be a topic name"],
    ['listenPort=x', "broker.conf:1: listenPort: 'x' is not a whole number"],
  ])('%s is refused with its place', (content, sentence) => {
    expect(() => loadBrokerConfig(sources(content))).toThrow(sentence)
  })

  test('-n is stronger than -p, that is stronger than the environment, and that than the file', () => {
    const loaded = loadBrokerConfig(
      sources('namesrvAddr=f:1\nbrokerName=f\nlistenPort=1000', {
        environment: { GANTRY_CONFIG_brokerName: 'e', GANTRY_CONFIG_listenPort: '2000' },
        flags: ['listenPort=3000', 'namesrvAddr=p:1'],
        nameServers: 'n:1',
      }),
    )

    expect(loaded.values).toMatchObject({ namesrvAddr: 'n:1', brokerName: 'e', listenPort: 3000 })
  })

  test('NAMESRV_ADDR names the name servers where nothing else does, as for a Java broker', () => {
    const environment = { NAMESRV_ADDR: 'a:1;b:2' }

    const given = loadBrokerConfig(sources('namesrvAddr=f:1', { environment }))
    const inherited = loadBrokerConfig(sources('', { environment }))

    expect(given.values.namesrvAddr).toBe('f:1')
    expect(inherited.values.namesrvAddr).toBe('a:1;b:2')
    expect(() => loadBrokerConfig(sources('', { environment: { NAMESRV_ADDR: 'a' } }))).toThrow(
      "NAMESRV_ADDR: namesrvAddr: 'a' is not host:port",
    )
  })

  test('the data folder and the name come from the machine when they are not given', () => {
    const { values } = loadBrokerConfig(sources(''))

    expect(values).toMatchObject({
      brokerName: 'node-1',
      storePathRootDir: '/home/me/store',
      storePathCommitLog: '/home/me/store/commitlog',
    })
  })

  test('each key has a sentence, and all but those of Gantry alone are known to RocketMQ', () => {
    const own = [
      'advertisedPort',
      'allowUnauthenticatedAdmin',
      'logLevel',
      'maxConnections',
      'protectUnreadMessages',
    ]

    for (const facts of Object.values(BROKER_SCHEMA)) expect(facts.description).toMatch(/\.$/)
    expect(Object.keys(BROKER_SCHEMA).filter((key) => !ROCKETMQ_KEYS.has(key))).toEqual(own)
  })
})

describe('changes of a running broker', () => {
  test('a live key changes, its version moves and the listener is told', () => {
    const config = new BrokerConfig(brokerValues(), 5)
    const told: (readonly string[])[] = []
    config.onChange((keys) => told.push(keys))

    const problem = config.update([{ key: 'brokerPermission', value: '4' }], 9)

    expect(problem).toBeNull()
    expect(config.values.brokerPermission).toBe(4)
    expect(config.dataVersion).toEqual({ stateVersion: 0, timestamp: 9, counter: 1 })
    expect(told).toEqual([['brokerPermission']])
  })

  test.each(['listenPort', 'storePathRootDir', 'storePathCommitLog', 'brokerName', 'bindAddress'])(
    '%s cannot be changed',
    (key) => {
      const config = new BrokerConfig(brokerValues(), 0)
      const before = config.values

      const problem = config.update([{ key, value: '12345' }], 1)

      expect(problem).toContain(key)
      expect(config.values).toBe(before)
    },
  )

  test('a change is taken whole or not at all', () => {
    const config = new BrokerConfig(brokerValues(), 0)

    const problem = config.update(
      [
        { key: 'brokerPermission', value: '4' },
        { key: 'fileReservedTime', value: '-1' },
      ],
      1,
    )

    expect(problem).toBe('fileReservedTime: -1 is outside 1 to 8760000')
    expect(config.values.brokerPermission).toBe(6)
  })

  test('a value that is as it was is no change, also of a key that is not live', () => {
    const config = new BrokerConfig(brokerValues(), 0)

    expect(config.update([{ key: 'listenPort', value: '10911' }], 1)).toBeNull()
    expect(config.dataVersion.counter).toBe(0)
  })

  test('the store sees live keys at once', () => {
    const config = new BrokerConfig(brokerValues(), 0)
    const store = config.storeConfig()

    config.update([{ key: 'fileReservedTime', value: '1' }], 1)

    expect(store.fileReservedTime).toBe(1)
  })

  test('a list of name servers is checked', () => {
    expect(nameServerListProblem('a:1; b:2 ;')).toBeNull()
    expect(nameServerListProblem('a:0')).toBe("'a:0' is not host:port")
  })
})
