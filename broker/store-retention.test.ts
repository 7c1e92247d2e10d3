import { describe, expect, test } from 'vitest'
import { createBrokerWorld } from './testing-world.ts'
import { FakeConnection } from './testing.ts'
import { StoreRetention } from './store-retention.ts'
import { subscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { HALF_TOPIC, TRANSACTION_GROUP } from './names.ts'
import type { BrokerWorld } from './testing-world.ts'
import type { MessageToStore } from '../common/message.ts'

function message(topic: string, queueId: number): MessageToStore {
  return {
    ...{ topic, queueId, flag: 0, sysFlag: 0, bornTimestamp: 0, reconsumeTimes: 0 },
    ...{ preparedTransactionOffset: 0, properties: Buffer.alloc(0), body: Buffer.from('body') },
    bornHost: { ip: Buffer.from([127, 0, 0, 1]), port: 1 },
  }
}

const GROUPS = ['Fast', 'Slow', 'Gone']

function retentionOf({ parts, processors, time }: BrokerWorld): StoreRetention {
  const { consumers } = processors
  return new StoreRetention(() => ({ ...parts, consumers, timers: time }))
}

async function store(world: BrokerWorld, topic: string): Promise<void> {
  world.parts.store.put([message(topic, 0)], 'inTime', () => undefined)
  await world.time.settle()
}

/** Five messages in each of two queues of `Orders`, and some groups. */
async function filled(
  keys: Readonly<Record<string, string>> = {},
): Promise<{ readonly world: BrokerWorld; readonly retention: StoreRetention }> {
  const world = await createBrokerWorld(keys)
  for (let index = 0; index < 10; index++) {
    world.parts.store.put([message('Orders', index % 2)], 'inTime', () => undefined)
  }
  const made = world.parts.groups.putAll(GROUPS.map((name) => subscriptionGroupConfig(name)))
  await world.time.settle()
  await made
  return { world, retention: retentionOf(world) }
}

async function slowest(
  world: BrokerWorld,
  retention: StoreRetention,
): Promise<Awaited<ReturnType<StoreRetention['slowestRead']>>> {
  const asked = retention.slowestRead()
  await world.time.settle()
  return asked
}

describe('what retention must heed', () => {
  test('is nothing as long as no group has committed an offset', async () => {
    const { world, retention } = await filled()

    expect(await slowest(world, retention)).toBeNull()
    expect(retention.readOffset('Orders', 0)).toBeNull()
  })

  test('is the oldest message that a group has not read, also in queues where it committed nothing', async () => {
    const { world, retention } = await filled()
    const { offsets, store } = world.parts
    offsets.commit('Fast', 'Orders', 0, 5)
    offsets.commit('Fast', 'Orders', 1, 5)
    expect(await slowest(world, retention)).toBeNull()

    offsets.commit('Slow', 'Orders', 0, 2)
    expect(await slowest(world, retention)).toMatchObject({
      physicalOffset: store.physicalOffsetAt('Orders', 1, 0),
      consumerGroup: 'Slow',
      isProtected: true,
    })
    offsets.commit('Slow', 'Orders', 1, 4)

    expect(await slowest(world, retention)).toMatchObject({
      physicalOffset: store.physicalOffsetAt('Orders', 0, 2),
    })
    expect(retention.readOffset('Orders', 0)).toBe(2)
  })

  test('is not what system groups have read', async () => {
    const { world, retention } = await filled()

    world.parts.offsets.commit('TOOLS_CONSUMER', 'Orders', 0, 0)

    expect(await slowest(world, retention)).toBeNull()
  })

  test.each(['NONE', 'ONLINE_GROUPS'])('is told but not protected with %s', async (policy) => {
    const { world, retention } = await filled({ protectUnreadMessages: policy })

    world.parts.offsets.commit('Gone', 'Orders', 0, 1)

    expect(await slowest(world, retention)).toMatchObject({
      consumerGroup: 'Gone',
      isProtected: false,
    })
    expect(retention.readOffset('Orders', 0)).toBeNull()
  })

  // Goal: what a leader keeps the others keep too. Method: a member that follows has the tables of the log, and nobody is connected to it.
  test('is what the group of a connected consumer has not read, with ONLINE_GROUPS, on each member', async () => {
    const { world, retention } = await filled({ protectUnreadMessages: 'ONLINE_GROUPS' })
    for (const service of world.processors.leaderServices) service.startLeading()
    await heartbeat(world, 'Slow')
    world.parts.offsets.commit('Slow', 'Orders', 0, 1)
    await world.time.advance(1000)
    const saved = world.parts.offsets.flush()
    await world.time.settle()
    await saved
    const onLeader = await slowest(world, retention)

    world.time.killProcess()
    world.disk.kill()
    const follower = await createBrokerWorld({ protectUnreadMessages: 'ONLINE_GROUPS' }, world)
    const onFollower = await slowest(follower, retentionOf(follower))

    expect(follower.parts.clients.consumerGroups).toEqual([])
    expect(onLeader).toMatchObject({ consumerGroup: 'Slow', isProtected: true })
    expect(onFollower).toEqual(onLeader)
    expect(retentionOf(follower).readOffset('Orders', 0)).toBe(1)
  })

  test.each(['%RETRY%Slow', '%RETRY%Slow_Orders', '%RETRY%Slow+Orders'])(
    'is what waits in %s, where the group has committed nothing yet',
    async (retryTopic) => {
      const { world, retention } = await filled()
      const { offsets, store: log } = world.parts
      for (const queueId of [0, 1]) offsets.commit('Slow', 'Orders', queueId, 5)
      expect(await slowest(world, retention)).toBeNull()

      await store(world, retryTopic)
      await store(world, '%RETRY%Nobody')

      expect(await slowest(world, retention)).toEqual({
        physicalOffset: log.physicalOffsetAt(retryTopic, 0, 0),
        topic: retryTopic,
        consumerGroup: 'Slow',
        isProtected: true,
      })
    },
  )

  test('is not what a group has left that was deleted, even when its offsets were kept', async () => {
    const { world, retention } = await filled()
    world.parts.offsets.commit('Gone', 'Orders', 0, 1)
    expect(await slowest(world, retention)).toMatchObject({ consumerGroup: 'Gone' })

    const deleted = world.parts.groups.delete('Gone')
    await world.time.settle()
    await deleted

    expect(await slowest(world, retention)).toBeNull()
    expect(retention.readOffset('Orders', 0)).toBeNull()
  })

  test.each(['KNOWN_GROUPS', 'NONE'])('is the oldest open transaction, with %s', async (policy) => {
    const { world, retention } = await filled({ protectUnreadMessages: policy })
    await store(world, HALF_TOPIC)
    await store(world, HALF_TOPIC)

    world.parts.offsets.commit(TRANSACTION_GROUP, HALF_TOPIC, 0, 1)
    const open = await slowest(world, retention)
    world.parts.offsets.commit(TRANSACTION_GROUP, HALF_TOPIC, 0, 2)

    expect(open).toEqual({
      physicalOffset: world.parts.store.physicalOffsetAt(HALF_TOPIC, 0, 1),
      topic: HALF_TOPIC,
      consumerGroup: TRANSACTION_GROUP,
      isProtected: true,
    })
    expect(await slowest(world, retention)).toBeNull()
  })

  test('is the reserve time of a topic that has one of its own', async () => {
    const { world, retention } = await filled()
    const attributes = new Map([['reserve.time', '12']])
    const saved = world.parts.topics.put({ ...topicConfig('Short'), attributes })
    await world.time.settle()
    await saved

    expect(retention.reserveHours('Short')).toBe(12)
    expect(retention.reserveHours('Orders')).toBeNull()
  })
})

async function heartbeat(world: BrokerWorld, groupName: string): Promise<void> {
  const consumer = {
    groupName,
    consumeType: 'CONSUME_PASSIVELY',
    messageModel: 'CLUSTERING',
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
    unitMode: false,
    subscriptionDataSet: [{ topic: 'Orders', subString: '*', tagsSet: [], codeSet: [] }],
  }
  const data = { clientID: 'c', producerDataSet: [], consumerDataSet: [consumer] }
  await world.call({
    code: RequestCode.HEART_BEAT,
    connection: new FakeConnection(9),
    body: Buffer.from(JSON.stringify(data)),
  })
}
