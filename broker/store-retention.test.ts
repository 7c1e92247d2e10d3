import { describe, expect, test } from 'vitest'
import { createBrokerWorld } from './testing-world.ts'
import { StoreRetention } from './store-retention.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import type { BrokerWorld } from './testing-world.ts'
import type { MessageToStore } from '../common/message.ts'

function message(topic: string, queueId: number): MessageToStore {
  return {
    ...{ topic, queueId, flag: 0, sysFlag: 0, bornTimestamp: 0, reconsumeTimes: 0 },
    ...{ preparedTransactionOffset: 0, properties: Buffer.alloc(0), body: Buffer.from('body') },
    bornHost: { ip: Buffer.from([127, 0, 0, 1]), port: 1 },
  }
}

/** Five messages in each of two queues of `Orders`. */
async function filled(
  keys: Readonly<Record<string, string>> = {},
): Promise<{ readonly world: BrokerWorld; readonly retention: StoreRetention }> {
  const world = await createBrokerWorld(keys)
  for (let index = 0; index < 10; index++) {
    world.parts.store.put([message('Orders', index % 2)], 'inTime', () => undefined)
  }
  await world.time.settle()
  const retention = new StoreRetention(() => ({ ...world.parts, timers: world.time }))
  return { world, retention }
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
