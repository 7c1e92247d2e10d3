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
import { GroupTableError, GroupTables } from './group-tables.ts'
import { MemoryConfigFolder, MemoryControlLog, brokerValues } from './testing.ts'

let time: SimulatedTime
let folder: MemoryConfigFolder
let log: MemoryControlLog

beforeEach(() => {
  time = new SimulatedTime()
  folder = new MemoryConfigFolder()
  log = new MemoryControlLog(time)
})

function newTables(): GroupTables {
  return new GroupTables({ log, folder, timers: time, logger: silentLogger, segmentSize: 1000 })
}

async function loaded(tables: GroupTables): Promise<void> {
  const loading = tables.load()
  await time.settle()
  await loading
}

describe('topics', () => {
  async function topicsOf(keys: Readonly<Record<string, string>> = {}): Promise<TopicTable> {
    const config = new BrokerConfig(brokerValues(keys), time.now())
    const tables = newTables()
    const topics = new TopicTable({ config, tables, clock: time, onDelete: () => undefined })
    await loaded(tables)
    return topics
  }

  test('a new broker has the system topics, and TBW102 may be inherited from', async () => {
    const topics = await topicsOf()

    expect(topics.get('TBW102')).toMatchObject({ writeQueueNums: 8, perm: 7 })
    expect(topics.get('SCHEDULE_TOPIC_XXXX')).toMatchObject({ readQueueNums: 18, perm: 6 })
    expect(topics.get('DefaultCluster')).toMatchObject({ readQueueNums: 16, perm: 7 })
    expect(topics.get('broker-a')).toMatchObject({ readQueueNums: 1, perm: 7 })
    expect(topics.get('RMQ_SYS_TRACE_TOPIC')).toBeUndefined()
  })

  test('a new topic is not visible before it is committed', async () => {
    const topics = await topicsOf()

    const made = topics.put(topicConfig('T'))
    const before = topics.get('T')
    await time.settle()
    await made

    expect(before).toBeUndefined()
    expect(topics.get('T')).toBeDefined()
    expect(folder.files.get('topics.json')).toContain('"topicName":"T"')
  })

  test('the file is what the general writer of bodies would write, byte for byte', async () => {
    const topics = await topicsOf()
    const made = topics.putAll([
      topicConfig('plain', { order: true, topicSysFlag: 3, perm: 4 }),
      topicConfig('%RETRY%g', { topicFilterType: 'MULTI_TAG' }),
      topicConfig('attributed', { attributes: new Map([['message.type', 'FIFO']]) }),
      topicConfig('"größe|'),
    ])
    await time.settle()
    await made

    const table = formatFastjson({
      dataVersion: { ...topics.dataVersion },
      topicConfigTable: new Map(
        [...topics.all].map(([name, config]) => [name, topicConfigRecord(config)]),
      ),
    }).toString()
    expect(folder.files.get('topics.json')).toBe(`${table.slice(0, -1)},"gantryLogOffset":100}`)
  })

  test('a topic that the log does not take does not exist', async () => {
    const topics = await topicsOf()
    log.refusal = 'disk full'

    const made = topics.put(topicConfig('T'))
    const problem = made.catch((error: unknown) => error)
    await time.settle()

    expect(await problem).toEqual(new GroupTableError('refused', 'disk full'))
    expect(topics.get('T')).toBeUndefined()
  })

  test('two sends to the same unknown topic make it once', async () => {
    const topics = await topicsOf()
    const first = topics.ensure(topicConfig('T', { writeQueueNums: 4 }))
    const second = topics.ensure(topicConfig('T', { writeQueueNums: 2 }))

    await time.settle()

    expect((await first).writeQueueNums).toBe(4)
    expect((await second).writeQueueNums).toBe(4)
    expect(topics.get('T')?.writeQueueNums).toBe(4)
  })

  test('a topic is inherited with as many queues as asked, but no more than the template has', async () => {
    const topics = await topicsOf({ defaultTopicQueueNums: '8' })

    expect(topics.inherited('T', 'TBW102', 4)).toMatchObject({ readQueueNums: 4, perm: 6 })
    expect(topics.inherited('T', 'TBW102', 20)).toMatchObject({ writeQueueNums: 8 })
    expect(topics.inherited('T', 'SELF_TEST_TOPIC', 4)).toBeNull()
    expect(
      (await topicsOf({ autoCreateTopicEnable: 'false' })).inherited('T', 'TBW102', 4),
    ).toBeNull()
  })

  test('what was written is read again, with its version', async () => {
    const topics = await topicsOf()
    const made = topics.put(
      topicConfig('T', { perm: 4, attributes: new Map([['message.type', 'FIFO']]) }),
    )
    await time.settle()
    await made

    const again = await topicsOf()

    expect(again.get('T')).toEqual(topics.get('T'))
    expect(again.dataVersion).toEqual(topics.dataVersion)
  })

  test('listeners are told of each change once it is done', async () => {
    const topics = await topicsOf()
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

  test('a damaged file is an error and no empty table', async () => {
    folder.files.set('topics.json', '{"topicConfigTable":')

    await expect(topicsOf()).rejects.toThrow('malformed JSON')
  })
})

describe('consumer groups', () => {
  async function groupsOf(
    keys: Readonly<Record<string, string>> = {},
  ): Promise<SubscriptionGroups> {
    const config = new BrokerConfig(brokerValues(keys), time.now())
    const tables = newTables()
    const groups = new SubscriptionGroups({ config, tables, clock: time })
    await loaded(tables)
    return groups
  }

  test('an unknown group is made when that is allowed, and remembered', async () => {
    const groups = await groupsOf()

    const found = groups.find('G')
    await time.settle()

    expect(found).toMatchObject({ groupName: 'G', retryMaxTimes: 16, consumeEnable: true })
    expect((await groupsOf()).get('G')).toEqual(found)
  })

  test('it is not made when that is forbidden or its name is no name', async () => {
    expect((await groupsOf({ autoCreateSubscriptionGroup: 'false' })).find('G')).toBeNull()
    expect((await groupsOf()).find('../G')).toBeNull()
  })

  test('a changed group keeps what it was given over a restart', async () => {
    const groups = await groupsOf()
    const saved = groups.put(
      subscriptionGroupConfig('G', { consumeEnable: false, retryMaxTimes: 3 }),
    )
    await time.settle()
    await saved

    expect((await groupsOf()).get('G')).toMatchObject({ consumeEnable: false, retryMaxTimes: 3 })
  })

  test('what a group may not read is kept topic by topic, and goes with the group', async () => {
    const groups = await groupsOf()
    const changes = [
      groups.put(subscriptionGroupConfig('G')),
      groups.setMayRead('G', 'T', false),
      groups.setMayRead('G', 'U', false),
      groups.setMayRead('G', 'T', true),
    ]
    await time.settle()
    await Promise.all(changes)

    const again = await groupsOf()
    const may = ['T', 'U', 'V'].map((topic) => again.mayRead('G', topic))
    const deleted = again.delete('G')
    await time.settle()
    await deleted

    expect(may).toEqual([true, false, true])
    expect(folder.files.get('subscriptionGroup.json')).toContain('"forbiddenTable":{},')
    expect((await groupsOf()).mayRead('G', 'U')).toBe(true)
  })

  test('what a Java broker has forbidden is kept, bits that nobody asks about too', async () => {
    folder.files.set(
      'subscriptionGroup.json',
      '{"forbiddenTable":{"G":{"T":5,"U":2}},"subscriptionGroupTable":{}}',
    )
    const groups = await groupsOf()
    const before = [groups.mayRead('G', 'T'), groups.mayRead('G', 'U')]

    const changed = groups.setMayRead('G', 'T', true)
    await time.settle()
    await changed

    expect(before).toEqual([false, true])
    expect(groups.forbidden).toEqual(
      new Map([
        [
          'G',
          new Map([
            ['T', 1],
            ['U', 2],
          ]),
        ],
      ]),
    )
    expect(folder.files.get('subscriptionGroup.json')).toContain(
      '"forbiddenTable":{"G":{"T":1,"U":2}}',
    )
  })

  test('a deleted group is gone', async () => {
    const groups = await groupsOf()
    groups.find('G')
    const deleted = groups.delete('G')
    await time.settle()
    await deleted

    expect((await groupsOf()).get('G')).toBeUndefined()
  })
})

describe('consumer offsets', () => {
  async function offsetsOf(): Promise<ConsumerOffsets> {
    const tables = newTables()
    const offsets = new ConsumerOffsets({ tables, saveAfterMs: 5000 })
    await loaded(tables)
    return offsets
  }

  async function flushed(offsets: ConsumerOffsets): Promise<void> {
    const flushing = offsets.flush()
    await time.settle()
    await flushing
  }

  test('offsets that were flushed are read again', async () => {
    const offsets = await offsetsOf()
    offsets.commit('G', 'T', 3, 42)
    await flushed(offsets)

    const again = await offsetsOf()

    expect(again.query('G', 'T', 3)).toBe(42)
    expect(again.query('G', 'T', 4)).toBeNull()
  })

  test('the file is what is answered to whoever asks for all offsets', async () => {
    const offsets = await offsetsOf()
    offsets.commit('G', 'T', 3, 42)
    offsets.commit('G', 'T', 10, 9_007_199_254_740_991)
    offsets.commit('%G', 'größe', 0, 0)

    await flushed(offsets)
    await time.advance(5000)
    await time.settle()

    const table = offsets.encode().toString()
    expect(folder.files.get('consumerOffset.json')).toBe(
      `${table.slice(0, -1)},"gantryLogOffset":100}`,
    )
  })

  test('nothing is written when nothing changed', async () => {
    const offsets = await offsetsOf()
    offsets.commit('G', 'T', 0, 1)
    await flushed(offsets)
    offsets.commit('G', 'T', 0, 1)

    await flushed(offsets)

    expect(log.records).toHaveLength(1)
  })

  test('offsets that the log did not take are taken by the next round', async () => {
    const offsets = await offsetsOf()
    offsets.commit('G', 'T', 0, 1)
    log.refusal = 'disk full'
    const problem = offsets.flush().catch((error: unknown) => error)
    await time.settle()
    expect(await problem).toEqual(new GroupTableError('refused', 'disk full'))
    log.refusal = null

    await flushed(offsets)

    expect((await offsetsOf()).query('G', 'T', 0)).toBe(1)
  })

  test('commits and deletions that come while others are on their way are not lost', async () => {
    const offsets = await offsetsOf()
    offsets.commit('G', 'T', 0, 1)
    offsets.commit('H', 'T', 0, 1)
    const flushing = offsets.flush()
    offsets.commit('G', 'T', 0, 2)
    offsets.deleteGroup('H')
    await time.settle()
    await flushing

    expect(offsets.query('G', 'T', 0)).toBe(2)
    expect(offsets.query('H', 'T', 0)).toBeNull()
    await flushed(offsets)
    const again = await offsetsOf()
    expect(again.query('G', 'T', 0)).toBe(2)
    expect(again.query('H', 'T', 0)).toBeNull()
  })

  test('what the log was not told of is forgotten when another member leads', async () => {
    const offsets = await offsetsOf()
    offsets.commit('G', 'T', 0, 1)
    await flushed(offsets)
    offsets.commit('G', 'T', 0, 2)
    offsets.deleteGroup('G')
    offsets.forgetAhead()

    expect(offsets.query('G', 'T', 0)).toBe(1)
  })

  async function reset(offsets: ConsumerOffsets, queueOffset: number): Promise<void> {
    const done = offsets.reset('G', 'T', [[0, queueOffset]])
    await time.settle()
    await done
  }

  test("a reset holds against the client's commits until a pull has taken it over, once", async () => {
    const offsets = await offsetsOf()
    offsets.commit('G', 'T', 0, 100)
    const done = offsets.reset('G', 'T', [[0, 10]])
    offsets.commit('G', 'T', 0, 101)
    await flushed(offsets)
    await done
    offsets.commit('G', 'T', 0, 102)

    expect(offsets.query('G', 'T', 0)).toBe(10)
    expect(offsets.takeReset('G', 'T', 0)).toBe(10)
    expect(offsets.takeReset('G', 'T', 0)).toBeNull()
    offsets.commit('G', 'T', 0, 11)
    expect(offsets.query('G', 'T', 0)).toBe(11)
    await flushed(offsets)
    expect((await offsetsOf()).query('G', 'T', 0)).toBe(11)
  })

  // Method: what a member without the leader's memory makes of the log, and of the file once that holds it all.
  test.each(['log', 'file'])(
    'the next leader knows from the %s which resets have been taken over',
    async (where) => {
      const written = where === 'file' ? 6000 : 0
      await reset(await offsetsOf(), 10)
      await time.advance(written)
      const file = folder.files.get('consumerOffset.json') ?? ''

      const next = await offsetsOf()
      const position = next.takeReset('G', 'T', 0)
      await flushed(next)
      await time.advance(written)
      const last = await offsetsOf()

      expect(file.includes('"resetTable":{"T@G":{"0":10}}')).toBe(where === 'file')
      expect(position).toBe(10)
      expect(last.takeReset('G', 'T', 0)).toBeNull()
      expect(last.query('G', 'T', 0)).toBe(10)
    },
  )

  test('a reset that was taken over by a leader that fell holds again', async () => {
    const offsets = await offsetsOf()
    await reset(offsets, 10)
    offsets.takeReset('G', 'T', 0)
    offsets.commit('G', 'T', 0, 12)

    offsets.forgetAhead()

    expect(offsets.takeReset('G', 'T', 0)).toBe(10)
    expect(offsets.query('G', 'T', 0)).toBe(10)
  })

  test('a reset that the log does not take is an error, and holds nothing', async () => {
    const offsets = await offsetsOf()
    offsets.commit('G', 'T', 0, 5)
    log.refusal = 'disk full'

    const problem = offsets.reset('G', 'T', [[0, 1]]).catch((error: unknown) => error)
    await time.settle()

    expect(await problem).toEqual(new GroupTableError('refused', 'disk full'))
    expect(offsets.hasReset('G', 'T', 0)).toBe(false)
    expect(offsets.query('G', 'T', 0)).toBe(5)
  })

  test('a reset goes with its group', async () => {
    const offsets = await offsetsOf()
    await reset(offsets, 10)

    offsets.deleteGroup('G')
    const hidden = offsets.hasReset('G', 'T', 0)
    await flushed(offsets)

    expect(hidden).toBe(false)
    expect((await offsetsOf()).hasReset('G', 'T', 0)).toBe(false)
  })

  test('a file as Java writes it, with bare numbers as names, is read', async () => {
    folder.files.set(
      'consumerOffset.json',
      '{\n\t"dataVersion":{"counter":1},\n\t"offsetTable":{"T@G":{0:5,1:7\n\t\t}\n\t}\n}',
    )

    const offsets = await offsetsOf()

    expect(offsets.query('G', 'T', 0)).toBe(5)
    expect(offsets.query('G', 'T', 1)).toBe(7)
  })

  test('offsets go with their group or topic, and no other', async () => {
    const offsets = await offsetsOf()
    for (const topic of ['A', 'B'])
      for (const group of ['G', 'H']) offsets.commit(group, topic, 0, 1)

    offsets.deleteGroup('G')
    offsets.deleteTopic('A')

    expect(offsets.topicsOf('H')).toEqual(['B'])
    expect(offsets.groupsOf('B')).toEqual(['H'])
    expect(offsets.topicsOf('G')).toEqual([])
  })
})
