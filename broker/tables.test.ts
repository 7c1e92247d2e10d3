import { beforeEach, describe, expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { formatFastjson } from '../remoting/bodies/fastjson.ts'
import { topicConfig, topicConfigRecord } from '../remoting/bodies/topic-config.ts'
import { subscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { BrokerConfig } from './config.ts'
import { ConsumerOffsets } from './consumer-offsets.ts'
import { SubscriptionGroups } from './subscription-groups.ts'
import { TopicTable } from './topics.ts'
import { MemoryConfigFolder, brokerValues } from './testing.ts'

let time: SimulatedTime
let folder: MemoryConfigFolder

beforeEach(() => {
  time = new SimulatedTime()
  folder = new MemoryConfigFolder()
})

function optionsOf(keys: Readonly<Record<string, string>> = {}) {
  const config = new BrokerConfig(brokerValues(keys), time.now())
  return { config, folder, clock: time, timers: time, logger: silentLogger }
}

describe('topics', () => {
  function topicsOf(keys: Readonly<Record<string, string>> = {}): TopicTable {
    const topics = new TopicTable(optionsOf(keys))
    topics.load()
    return topics
  }

  test('a new broker has the system topics, and TBW102 may be inherited from', () => {
    const topics = topicsOf()

    expect(topics.get('TBW102')).toMatchObject({ writeQueueNums: 8, perm: 7 })
    expect(topics.get('SCHEDULE_TOPIC_XXXX')).toMatchObject({ readQueueNums: 18, perm: 6 })
    expect(topics.get('DefaultCluster')).toMatchObject({ readQueueNums: 16, perm: 7 })
    expect(topics.get('broker-a')).toMatchObject({ readQueueNums: 1, perm: 7 })
    expect(topics.get('RMQ_SYS_TRACE_TOPIC')).toBeUndefined()
  })

  test('a new topic is not visible before it is on disk', async () => {
    const topics = topicsOf()

    const made = topics.put(topicConfig('T'))
    const before = topics.get('T')
    await time.settle()
    await made

    expect(before).toBeUndefined()
    expect(topics.get('T')).toBeDefined()
    expect(folder.files.get('topics.json')).toContain('"topicName":"T"')
  })

  test('the file is what the general writer of bodies would write, byte for byte', async () => {
    const topics = topicsOf()
    const made = topics.putAll([
      topicConfig('plain', { order: true, topicSysFlag: 3, perm: 4 }),
      topicConfig('%RETRY%g', { topicFilterType: 'MULTI_TAG' }),
      topicConfig('attributed', { attributes: new Map([['message.type', 'FIFO']]) }),
      topicConfig('"größe|'),
    ])
    await time.settle()
    await made

    expect(folder.files.get('topics.json')).toBe(
      formatFastjson({
        dataVersion: { ...topics.dataVersion },
        topicConfigTable: new Map(
          [...topics.all].map(([name, config]) => [name, topicConfigRecord(config)]),
        ),
      }).toString(),
    )
  })

  test('a topic that could not be written does not exist', async () => {
    const topics = topicsOf()
    folder.failure = new Error('disk full')

    const made = topics.put(topicConfig('T'))
    const problem = made.catch((error: unknown) => error)
    await time.settle()

    expect(await problem).toEqual(new Error('disk full'))

    expect(topics.get('T')).toBeUndefined()
  })

  test('two sends to the same unknown topic make it once', async () => {
    const topics = topicsOf()
    const first = topics.ensure(topicConfig('T', { writeQueueNums: 4 }))
    const second = topics.ensure(topicConfig('T', { writeQueueNums: 2 }))

    await time.settle()

    expect((await first).writeQueueNums).toBe(4)
    expect((await second).writeQueueNums).toBe(4)
    expect(topics.get('T')?.writeQueueNums).toBe(4)
  })

  test('a topic is inherited with as many queues as asked, but no more than the template has', () => {
    const topics = topicsOf({ defaultTopicQueueNums: '8' })

    expect(topics.inherited('T', 'TBW102', 4)).toMatchObject({ readQueueNums: 4, perm: 6 })
    expect(topics.inherited('T', 'TBW102', 20)).toMatchObject({ writeQueueNums: 8 })
    expect(topics.inherited('T', 'SELF_TEST_TOPIC', 4)).toBeNull()
    expect(topicsOf({ autoCreateTopicEnable: 'false' }).inherited('T', 'TBW102', 4)).toBeNull()
  })

  test('what was written is read again, with its version', async () => {
    const topics = topicsOf()
    const made = topics.put(
      topicConfig('T', { perm: 4, attributes: new Map([['message.type', 'FIFO']]) }),
    )
    await time.settle()
    await made

    const again = topicsOf()

    expect(again.get('T')).toEqual(topics.get('T'))
    expect(again.dataVersion).toEqual(topics.dataVersion)
  })

  test('listeners are told of each change once it is done', async () => {
    const topics = topicsOf()
    const seen: boolean[] = []
    topics.onChange(() => seen.push(topics.get('T') !== undefined))

    const made = topics.put(topicConfig('T'))
    await time.settle()
    await made
    const deleted = topics.delete(['T', 'unknown'])
    await time.settle()
    await deleted

    expect(seen).toEqual([true, false])
    expect(folder.files.get('topics.json')).not.toContain('"topicName":"T"')
  })

  test('a damaged file is an error and no empty table', () => {
    folder.files.set('topics.json', '{"topicConfigTable":')

    expect(() => topicsOf()).toThrow('malformed JSON')
  })
})

describe('consumer groups', () => {
  function groupsOf(keys: Readonly<Record<string, string>> = {}): SubscriptionGroups {
    const groups = new SubscriptionGroups(optionsOf(keys))
    groups.load()
    return groups
  }

  test('an unknown group is made when that is allowed, and remembered', async () => {
    const groups = groupsOf()

    const found = groups.find('G')
    await time.settle()

    expect(found).toMatchObject({ groupName: 'G', retryMaxTimes: 16, consumeEnable: true })
    expect(groupsOf().get('G')).toEqual(found)
  })

  test('it is not made when that is forbidden or its name is no name', () => {
    expect(groupsOf({ autoCreateSubscriptionGroup: 'false' }).find('G')).toBeNull()
    expect(groupsOf().find('../G')).toBeNull()
  })

  test('a changed group keeps what it was given over a restart', async () => {
    const groups = groupsOf()
    const saved = groups.put(
      subscriptionGroupConfig('G', { consumeEnable: false, retryMaxTimes: 3 }),
    )
    await time.settle()
    await saved

    expect(groupsOf().get('G')).toMatchObject({ consumeEnable: false, retryMaxTimes: 3 })
  })

  test('a deleted group is gone', async () => {
    const groups = groupsOf()
    groups.find('G')
    const deleted = groups.delete('G')
    await time.settle()
    await deleted

    expect(groupsOf().get('G')).toBeUndefined()
  })
})

describe('consumer offsets', () => {
  function offsetsOf(): ConsumerOffsets {
    const offsets = new ConsumerOffsets(optionsOf())
    offsets.load()
    return offsets
  }

  async function flushed(offsets: ConsumerOffsets): Promise<void> {
    const flushing = offsets.flush()
    await time.settle()
    await flushing
  }

  test('offsets that were flushed are read again', async () => {
    const offsets = offsetsOf()
    offsets.commit('G', 'T', 3, 42)
    await flushed(offsets)

    const again = offsetsOf()

    expect(again.query('G', 'T', 3)).toBe(42)
    expect(again.query('G', 'T', 4)).toBeNull()
  })

  test('the file is what is answered to whoever asks for all offsets', async () => {
    const offsets = offsetsOf()
    offsets.commit('G', 'T', 3, 42)
    offsets.commit('G', 'T', 10, 9_007_199_254_740_991)
    offsets.commit('%G', 'größe', 0, 0)

    await flushed(offsets)

    expect(folder.files.get('consumerOffset.json')).toBe(offsets.encode().toString())
  })

  test('nothing is written when nothing changed', async () => {
    const offsets = offsetsOf()
    offsets.commit('G', 'T', 0, 1)
    await flushed(offsets)
    offsets.commit('G', 'T', 0, 1)

    await flushed(offsets)

    expect(folder.writes).toBe(1)
  })

  test('offsets that could not be written are written by the next round', async () => {
    const offsets = offsetsOf()
    offsets.commit('G', 'T', 0, 1)
    folder.failure = new Error('disk full')
    const problem = offsets.flush().catch((error: unknown) => error)
    await time.settle()
    expect(await problem).toEqual(new Error('disk full'))
    folder.failure = null

    await flushed(offsets)

    expect(offsetsOf().query('G', 'T', 0)).toBe(1)
  })

  test("a reset holds against the client's commits until a pull has taken it over, once", () => {
    const offsets = offsetsOf()
    offsets.commit('G', 'T', 0, 100)
    offsets.reset('G', 'T', 0, 10)
    offsets.commit('G', 'T', 0, 101)

    expect(offsets.query('G', 'T', 0)).toBe(10)
    expect(offsets.takeReset('G', 'T', 0)).toBe(10)
    expect(offsets.takeReset('G', 'T', 0)).toBeNull()
    offsets.commit('G', 'T', 0, 11)
    expect(offsets.query('G', 'T', 0)).toBe(11)
  })

  test('a file as Java writes it, with bare numbers as names, is read', () => {
    folder.files.set(
      'consumerOffset.json',
      '{\n\t"dataVersion":{"counter":1},\n\t"offsetTable":{"T@G":{0:5,1:7\n\t\t}\n\t}\n}',
    )

    const offsets = offsetsOf()

    expect(offsets.query('G', 'T', 0)).toBe(5)
    expect(offsets.query('G', 'T', 1)).toBe(7)
  })

  test('offsets go with their group or topic, and no other', () => {
    const offsets = offsetsOf()
    for (const topic of ['A', 'B'])
      for (const group of ['G', 'H']) offsets.commit(group, topic, 0, 1)

    offsets.deleteGroup('G')
    offsets.deleteTopic('A')

    expect(offsets.topicsOf('H')).toEqual(['B'])
    expect(offsets.groupsOf('B')).toEqual(['H'])
    expect(offsets.topicsOf('G')).toEqual([])
  })
})
