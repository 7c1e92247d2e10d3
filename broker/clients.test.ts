import { beforeEach, describe, expect, test } from 'vitest'
import { LanguageCode } from '../remoting/command.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { ClientRegistry } from './client-registry.ts'
import { LOCK_LIVE_MS, QueueLocks } from './queue-locks.ts'
import { FakeConnection } from './testing.ts'
import type { ConsumerData, SubscriptionData } from '../remoting/bodies/heartbeat-data.ts'
import type { Client } from './client-registry.ts'

let time: SimulatedTime

beforeEach(() => {
  time = new SimulatedTime()
})

function subscriptionTo(topic: string, given: Partial<SubscriptionData> = {}): SubscriptionData {
  return {
    topic,
    subString: '*',
    tagsSet: [],
    codeSet: [],
    subVersion: 1,
    expressionType: 'TAG',
    classFilterMode: false,
    ...given,
  }
}

function consumerOf(
  groupName: string,
  ...subscriptions: readonly SubscriptionData[]
): ConsumerData {
  return {
    groupName,
    consumeType: 'CONSUME_PASSIVELY',
    messageModel: 'CLUSTERING',
    consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
    subscriptions,
    unitMode: false,
  }
}

function clientOf(
  id: number,
  clientId = `client-${id}`,
): Client & { readonly connection: FakeConnection } {
  return { clientId, connection: new FakeConnection(id), language: LanguageCode.JAVA, version: 513 }
}

describe('the client registry', () => {
  let registry: ClientRegistry
  let changes: string[]

  beforeEach(() => {
    registry = new ClientRegistry(time)
    changes = []
    registry.onGroupChange((group) => changes.push(group))
  })

  test('a client whose connection has closed before it was registered is not kept', () => {
    const client = clientOf(1)
    client.connection.close()

    registry.registerConsumer(consumerOf('G', subscriptionTo('T')), client)
    registry.registerProducer('P', client)

    expect(registry.consumerGroup('G')).toBeNull()
    expect(registry.producers('P')).toBeNull()
  })

  test('a connection that closes leaves all of its groups, and no others', () => {
    const client = clientOf(1)
    const other = clientOf(2)
    for (const group of ['G', 'H']) {
      registry.registerConsumer(consumerOf(group, subscriptionTo('T')), client)
    }
    registry.registerConsumer(consumerOf('H', subscriptionTo('T')), other)
    registry.registerProducer('P', client)

    client.connection.close()

    expect(registry.consumerGroups).toEqual(['H'])
    expect(registry.consumerIds('H')).toEqual(['client-2'])
    expect(registry.producerGroups).toEqual([])
  })

  test('a new member changes its group, a repeated heartbeat does not', () => {
    const client = clientOf(1)

    registry.registerConsumer(consumerOf('G', subscriptionTo('T')), client)
    registry.registerConsumer(consumerOf('G', subscriptionTo('T')), client)

    expect(changes).toEqual(['G'])
    expect(registry.consumerIds('G')).toEqual(['client-1'])
  })

  test('a closed connection takes its clients with it at once', () => {
    const [first, second] = [clientOf(1), clientOf(2)]
    for (const client of [first, second]) {
      registry.registerConsumer(consumerOf('G', subscriptionTo('T')), client)
      registry.registerProducer('P', client)
    }

    first.connection.close()

    expect(registry.consumerIds('G')).toEqual(['client-2'])
    expect(registry.producers('P')?.map((client) => client.clientId)).toEqual(['client-2'])
    expect(changes).toEqual(['G', 'G', 'G'])
  })

  test('connections of two servers that have the same number are two clients', () => {
    registry.registerConsumer(consumerOf('G', subscriptionTo('T')), clientOf(1, 'main'))
    registry.registerConsumer(consumerOf('G', subscriptionTo('T')), clientOf(1, 'vip'))

    expect(registry.consumerIds('G')).toEqual(['main', 'vip'])
  })

  test('the last member takes the group and its subscriptions away', () => {
    const client = clientOf(1)
    registry.registerConsumer(consumerOf('G', subscriptionTo('T')), client)

    registry.unregisterConsumer('G', client.connection)

    expect(registry.consumerGroup('G')).toBeNull()
    expect(registry.subscription('G', 'T')).toBeNull()
  })

  test('a silent client is forgotten, one that was heard of is not', async () => {
    const [silent, living] = [clientOf(1), clientOf(2)]
    registry.registerConsumer(consumerOf('G', subscriptionTo('T')), silent)
    await time.advance(100_000)
    registry.registerConsumer(consumerOf('G', subscriptionTo('T')), living)
    await time.advance(30_000)

    registry.expire(120_000)

    expect(registry.consumerIds('G')).toEqual(['client-2'])
  })

  test('the newest version of a subscription counts, whoever tells it', () => {
    const [first, second] = [clientOf(1), clientOf(2)]
    const newer = subscriptionTo('T', { subString: 'B', subVersion: 2 })
    registry.registerConsumer(consumerOf('G', newer), first)

    registry.registerConsumer(consumerOf('G', subscriptionTo('T', { subString: 'A' })), second)

    expect(registry.subscription('G', 'T')?.subString).toBe('B')
  })

  test('a topic that is subscribed to no longer goes, and the group changes', () => {
    const client = clientOf(1)
    registry.registerConsumer(consumerOf('G', subscriptionTo('T'), subscriptionTo('U')), client)

    registry.registerConsumer(consumerOf('G', subscriptionTo('T')), client)

    expect(registry.subscription('G', 'U')).toBeNull()
    expect(registry.groupsSubscribing('T')).toEqual(['G'])
    expect(changes).toEqual(['G', 'G'])
  })

  test('a heartbeat without subscriptions needs them when this broker does not have them as the client does', () => {
    const client = clientOf(1)

    const afterRestart = registry.registerConsumerWithoutSubscriptions(consumerOf('G'), client, 7)
    registry.registerConsumer(consumerOf('G', subscriptionTo('T')), client, 7)
    const known = registry.registerConsumerWithoutSubscriptions(consumerOf('G'), client, 7)

    expect([afterRestart, known]).toEqual([true, false])
    expect(registry.subscription('G', 'T')).not.toBeNull()
  })
})

describe('queue locks', () => {
  const queue = (queueId: number) => ({ topic: 'T', brokerName: 'broker-a', queueId })

  test('a queue belongs to one client of a group, and to one of each group', () => {
    const locks = new QueueLocks(time)

    expect(locks.lock('G', 'a', [queue(0), queue(1)])).toEqual([queue(0), queue(1)])
    expect(locks.lock('G', 'b', [queue(1), queue(2)])).toEqual([queue(2)])
    expect(locks.lock('H', 'b', [queue(1)])).toEqual([queue(1)])
  })

  test('a lock that is not renewed for 60 s goes to whoever asks', async () => {
    const locks = new QueueLocks(time)
    locks.lock('G', 'a', [queue(0)])
    await time.advance(LOCK_LIVE_MS)
    expect(locks.lock('G', 'b', [queue(0)])).toEqual([])

    await time.advance(1)

    expect(locks.lock('G', 'b', [queue(0)])).toEqual([queue(0)])
  })

  test('only its owner frees a queue', () => {
    const locks = new QueueLocks(time)
    locks.lock('G', 'a', [queue(0)])

    locks.unlock('G', 'b', [queue(0)])
    expect(locks.lock('G', 'b', [queue(0)])).toEqual([])
    locks.unlock('G', 'a', [queue(0)])

    expect(locks.lock('G', 'b', [queue(0)])).toEqual([queue(0)])
  })

  test('expired locks are no locks, and are swept', async () => {
    const locks = new QueueLocks(time)
    locks.lock('G', 'a', [queue(0)])
    expect(locks.hasLocks('G')).toBe(true)
    await time.advance(LOCK_LIVE_MS + 1)

    locks.sweep()

    expect(locks.hasLocks('G')).toBe(false)
  })
})
