/** Brokers that make no topic and no group by themselves. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { subscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { CLIENTS, buildClients } from './clients.ts'
import { covers } from './features.ts'
import { MessagingWorld, arrived, delay, range, seqsOf } from './messaging-world.ts'

let world: MessagingWorld

beforeAll(async () => {
  await buildClients()
  world = await MessagingWorld.start({
    portOffset: 7200,
    groups: 1,
    config: { autoCreateTopicEnable: 'false', autoCreateSubscriptionGroup: 'false' },
  })
})

afterAll(async () => {
  await world?.stop()
})

test.for(CLIENTS)(
  'the %s client cannot send to a topic, or consume with a group, before they were made',
  async (client, { task }) => {
    covers(task, 'M41', 'M42')
    const topic = world.name(client, 'made')
    const group = `${topic}-g`

    const before = await world.produce(client, topic, { count: 1 })
    await world.admin.createTopic(world.broker, topicConfig(topic))
    await world.known(topic)
    const after = await world.produce(client, topic, { count: 5 })
    const consumer = world.member(client, topic, { group })
    await consumer.line('the start', 60_000, () => true)
    await delay(8000)
    const withoutGroup = seqsOf(consumer.lines, after.id)
    await world.admin.createGroup(world.broker, subscriptionGroupConfig(group))
    await arrived(consumer, after.id, 5)

    expect([before.acked, before.failed]).toEqual([0, 1])
    expect(after.acked).toBe(5)
    expect(withoutGroup).toEqual([])
    expect(seqsOf(consumer.lines, after.id)).toEqual(range(0, 5))
  },
)
