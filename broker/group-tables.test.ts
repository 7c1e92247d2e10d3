import { beforeEach, describe, expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { SimulatedDisk } from '../simulation/disk.ts'
import { SeededRandom } from '../simulation/random.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { MessageStore } from '../store/message-store.ts'
import { TEST_HOST, testConfig, testMessage } from '../store/testing.ts'
import { BrokerConfig } from './config.ts'
import { diskConfigFolder } from './config-folder.ts'
import { ConsumerOffsets } from './consumer-offsets.ts'
import { GroupTables } from './group-tables.ts'
import { brokerValues } from './testing.ts'
import { TopicTable } from './topics.ts'

const TOPICS = '/store/config/topics.json'
const OFFSETS = '/store/config/consumerOffset.json'

let time: SimulatedTime
let disk: SimulatedDisk

beforeEach(() => {
  time = new SimulatedTime()
  disk = new SimulatedDisk({ clock: time })
})

interface World {
  readonly store: MessageStore
  readonly tables: GroupTables
  readonly topics: TopicTable
  readonly offsets: ConsumerOffsets
}

async function settled<Value>(promise: Promise<Value>): Promise<Value> {
  await time.settle()
  return promise
}

async function open(): Promise<World> {
  const store = new MessageStore({
    config: testConfig({
      flushDiskType: 'SYNC_FLUSH',
      maxMessageSize: 100_000,
      mappedFileSizeCommitLog: 1024 * 1024,
    }),
    runtime: { clock: time, timers: time, disk },
    logger: silentLogger,
    storeHost: () => TEST_HOST,
    // Of a process that a test has killed.
    onFailure: () => undefined,
  })
  const tables = new GroupTables({
    log: store,
    folder: diskConfigFolder(disk, '/store/config'),
    timers: time,
    logger: silentLogger,
    segmentSize: 1024 * 1024,
  })
  const topics = new TopicTable({
    config: new BrokerConfig(brokerValues({}), time.now()),
    tables,
    clock: time,
    onDelete: (topic, physicalOffset) => store.deleteTopic(topic, physicalOffset),
  })
  const offsets = new ConsumerOffsets({ tables, saveAfterMs: 5000 })
  await settled(store.start())
  await settled(tables.load())
  return { store, tables, topics, offsets }
}

async function close({ store, tables }: World): Promise<void> {
  await settled(tables.close())
  await settled(store.close())
}

function textOf(path: string): string {
  return disk.readFileSync(path)?.toString() ?? ''
}

/** A file as a Java broker writes it: it knows nothing of our member. */
function asJavaWrites(text: string): string {
  return text.replace(/,"gantryLogOffset":\d+\}$/, '}')
}

function write(path: string, text: string): void {
  const file = disk.openSync(path, 'write')
  file.truncateSync(0)
  file.writeSync(Buffer.from(text), 0, text.length, 0)
  file.datasyncSync()
  file.closeSync()
}

function removeAll(path: string): void {
  for (const { name, isDirectory } of disk.listSync(path)) {
    if (isDirectory) removeAll(`${path}/${name}`)
    else disk.removeSync(`${path}/${name}`)
  }
}

async function send(store: MessageStore, topic: string): Promise<void> {
  await settled(
    new Promise<void>((resolve) => {
      store.put([testMessage({ topic })], 'inTime', () => resolve())
    }),
  )
}

describe('after a power cut', () => {
  test('a change that was answered is there, though no file holds it', async () => {
    const world = await open()
    await settled(world.topics.put(topicConfig('Before')))
    await time.advance(1000)
    await time.settle()
    const saved = textOf(TOPICS)
    disk.failOn('rename', 1, 'EIO')
    world.offsets.commit('G', 'T', 0, 7)
    await settled(world.offsets.flush())
    disk.crash(new SeededRandom(1))

    const { topics, offsets } = await open()

    expect(saved).toContain('"Before"')
    expect(topics.get('Before')).toBeDefined()
    expect(offsets.query('G', 'T', 0)).toBe(7)
  })

  test('version and tables are what they were, whichever file was written last', async () => {
    const world = await open()
    for (let count = 0; count < 20; count++) {
      await settled(world.topics.put(topicConfig(`T${count % 7}`, { writeQueueNums: count + 1 })))
      if (count % 5 === 4) await settled(world.topics.delete([`T${(count + 3) % 7}`]))
      if (count % 3 === 0) await send(world.store, 'Orders')
      const expected = { all: [...world.topics.all], version: world.topics.dataVersion }
      disk.crash(new SeededRandom(count))
      Object.assign(world, await open())

      expect(Object.fromEntries(world.topics.all)).toEqual(Object.fromEntries(expected.all))
      expect(world.topics.dataVersion).toEqual(expected.version)
    }
  })

  test('messages of a topic that was deleted and made again are still there', async () => {
    const world = await open()
    await settled(world.topics.put(topicConfig('Orders')))
    await send(world.store, 'Orders')
    await settled(world.topics.delete(['Orders']))
    expect(world.store.minOffsetInQueue('Orders', 0)).toBe(1)
    await settled(world.topics.put(topicConfig('Orders')))
    await send(world.store, 'Orders')
    disk.crash(new SeededRandom(1))

    const { store } = await open()

    expect(store.maxOffsetInQueue('Orders', 0)).toBe(2)
    expect(store.physicalOffsetAt('Orders', 0, 1)).not.toBeNull()
  })
})

// Goal: no message of before a topic's deletion is seen once the topic is made again, whatever of queues and tables a crash took.
// Method: the same steps with the power cut, or the process killed, at different distances from the deletion, on derived files that are
// lost as a whole too.
describe.each(['kill', 'power cut', 'power cut, and the queues are derived anew'])(
  'after a %s, a topic that was deleted and made again',
  (what) => {
    test.each([0, 100, 6000, 60_000])(
      'shows nothing of before, %i ms after its deletion',
      async (waitedMs) => {
        const world = await open()
        await settled(world.topics.put(topicConfig('Orders')))
        for (let count = 0; count < 5; count++) await send(world.store, 'Orders')
        await time.advance(waitedMs)
        await time.settle()
        const deleting = world.topics.delete(['Orders'])
        // It is on its way while the topic goes.
        await send(world.store, 'Orders')
        await settled(deleting)
        await time.advance(waitedMs)
        await time.settle()
        const lowest = world.store.minOffsetInQueue('Orders', 0)
        await settled(world.topics.put(topicConfig('Orders')))
        await send(world.store, 'Orders')
        time.killProcess()
        if (what === 'kill') disk.kill()
        else disk.crash(new SeededRandom(waitedMs))
        if (what.endsWith('anew')) removeAll('/store/consumequeue')

        const { store } = await open()

        expect(lowest).toBe(5)
        expect(store.minOffsetInQueue('Orders', 0)).toBe(5)
        expect(store.maxOffsetInQueue('Orders', 0)).toBe(7)
      },
    )
  },
)

test('a deletion that the log does not have hides nothing that comes in its place', async () => {
  const world = await open()
  await settled(world.topics.put(topicConfig('Orders')))
  await close(world)
  const beyond = `"gantryDeletions":{"Orders":${world.store.endOffset + 10_000}},`
  write(TOPICS, textOf(TOPICS).replace('"topicConfigTable"', `${beyond}"topicConfigTable"`))

  const after = await open()
  for (let count = 0; count < 300; count++) await send(after.store, 'Orders')
  await close(after)
  const { store } = await open()

  expect(after.store.endOffset).toBeGreaterThan(world.store.endOffset + 10_000)
  expect(store.minOffsetInQueue('Orders', 0)).toBe(0)
})

describe('a Java broker in between', () => {
  test('passes our member over, and what it wrote counts against older records', async () => {
    const world = await open()
    world.offsets.commit('G', 'T', 0, 100)
    await settled(world.offsets.flush())
    await close(world)
    write(OFFSETS, asJavaWrites(textOf(OFFSETS)).replace('100', '50'))

    const after = await open()
    expect(after.offsets.query('G', 'T', 0)).toBe(50)
    after.offsets.commit('G', 'T', 1, 1)
    await settled(after.offsets.flush())
    disk.crash(new SeededRandom(1))

    const { offsets } = await open()

    expect(offsets.query('G', 'T', 0)).toBe(50)
    expect(offsets.query('G', 'T', 1)).toBe(1)
  })
})

test('a clean stop leaves files that hold the whole log', async () => {
  const world = await open()
  await settled(world.topics.put(topicConfig('T')))
  await send(world.store, 'T')
  const { endOffset } = world.store
  await close(world)

  for (const path of [TOPICS, OFFSETS]) {
    expect(textOf(path)).toContain(`"gantryLogOffset":${endOffset}`)
  }
})

test('no file needs the log below the saved offset, which follows the log', async () => {
  const world = await open()
  await settled(world.topics.put(topicConfig('T')))
  await time.advance(100)
  await time.settle()
  const before = world.tables.savedOffset
  for (let count = 0; count < 200; count++) {
    world.store.put([testMessage({ body: Buffer.alloc(60_000) })], 'written', () => undefined)
    await time.settle()
  }
  const behind = world.tables.savedOffset
  await time.advance(10_000)
  await time.settle()

  expect(before).toBe(behind)
  expect(world.tables.savedOffset).toBe(world.store.endOffset)
})

test('the tables of a leader replace all, and records that they hold are not applied again', async () => {
  const leader = await open()
  await settled(leader.topics.put(topicConfig('Gone')))
  await settled(leader.topics.delete(['Gone']))
  await settled(leader.topics.put(topicConfig('T', { writeQueueNums: 3 })))
  const saved = leader.tables.save()
  await close(leader)
  disk = new SimulatedDisk({ clock: time })
  const member = await open()

  member.tables.install(saved)

  expect(member.topics.get('T')?.writeQueueNums).toBe(3)
  expect(member.topics.get('Gone')).toBeUndefined()
  expect(member.topics.dataVersion.counter).toBe(leader.topics.dataVersion.counter)
  expect(textOf(TOPICS)).toContain('"T"')
})

test('a change that is stored and never committed is unknown to its caller', async () => {
  const world = await open()
  const never = new Promise<void>(() => undefined)
  world.store.synced = () => never
  const log = {
    startOffset: 0,
    endOffset: 0,
    dispatchedOffset: 0,
    putControl: (_body: Buffer, done: Parameters<MessageStore['putControl']>[1]) =>
      done({
        status: 'FLUSH_DISK_TIMEOUT',
        reason: null,
        physicalOffsets: [0],
        queueOffset: 0,
        storeTimestamp: 0,
      }),
    onControl: () => undefined,
    replayControl: () => Promise.resolve(),
    synced: () => Promise.resolve(),
  }
  const tables = new GroupTables({
    log,
    folder: diskConfigFolder(disk, '/elsewhere'),
    timers: time,
    logger: silentLogger,
    segmentSize: 1000,
  })
  const offsets = new ConsumerOffsets({ tables, saveAfterMs: 5000 })
  offsets.commit('G', 'T', 0, 1)
  const flushing = offsets.flush().catch((error: unknown) => error)
  await time.advance(2500)
  await time.settle()

  expect(await flushing).toMatchObject({ code: 'unknown' })
  expect(offsets.query('G', 'T', 0)).toBe(1)
})
