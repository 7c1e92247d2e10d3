/** Messages that consumers fail to process: tried again, later each time, and given up into the dead letter queue. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CLIENTS, buildClients, events } from './clients.ts'
import { covers } from './features.ts'
import { numberAt, textAt } from './json.ts'
import { MessagingWorld, eventually, propertiesBySeq, range, seqsOf } from './messaging-world.ts'
import { subscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'

/** The attempts after the first one come after 1, 2 and 1 s, then after 1 s each; level 6 is 5 s. */
const LEVELS = '1s 1s 1s 2s 1s 5s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s'

let world: MessagingWorld

beforeAll(async () => {
  await buildClients()
  world = await MessagingWorld.start({
    portOffset: 7000,
    groups: 1,
    config: { messageDelayLevel: LEVELS },
  })
})

afterAll(async () => {
  await world?.stop()
})

/** When each attempt at message `seq` failed. */
function failuresOf(lines: readonly unknown[], msgId: string): readonly number[] {
  return events(lines, 'failed')
    .filter((line) => textAt(line, 'msgId') === msgId)
    .map((line) => numberAt(line, 'at'))
}

describe.each(CLIENTS)('the %s client', (client) => {
  test('is given a message again that it could not process, later each time, and loses no other', async ({
    task,
  }) => {
    covers(task, 'M29')
    const topic = world.name(client, 'retry')

    const sent = await world.produce(client, topic, { count: 6, verbose: true })
    const lines = await world.consume(client, topic, {
      group: `${topic}-g`,
      'fail-times': 2,
      expect: 6,
      verbose: true,
    })

    expect(seqsOf(lines, sent.id)).toEqual(range(0, 6))
    const received = events(lines, 'message')
    expect(received.map((line) => numberAt(line, 'reconsumeTimes'))).toEqual(
      range(0, 6).map(() => 2),
    )
    expect(new Set(received.map((line) => textAt(line, 'topic')))).toEqual(new Set([topic]))
    for (const { msgId, offsetMsgId, seq } of sent.acks) {
      const [first = 0, second = 0] = failuresOf(lines, msgId)
      expect(second - first).toBeGreaterThanOrEqual(1000)
      expect(propertiesBySeq(lines).get(seq)).toMatchObject({
        RETRY_TOPIC: topic,
        ORIGIN_MESSAGE_ID: offsetMsgId,
        UNIQ_KEY: msgId,
      })
    }
  })

  test('gives a message up after as many attempts as it says, into the dead letter queue', async ({
    task,
  }) => {
    covers(task, 'M30', 'M31', 'M37')
    const topic = world.name(client, 'dead')
    const group = `${topic}-g`

    const sent = await world.produce(client, topic, { count: 3, verbose: true })
    const consumer = world.member(client, topic, {
      group,
      'fail-times': 99,
      'max-reconsume': 2,
    })
    await consumer.line(
      'the last attempts',
      60_000,
      () => events(consumer.lines, 'failed').length === 9,
    )
    await world.known(`%DLQ%${group}`)
    const dead = await world.consume(client, `%DLQ%${group}`, {
      group: `${topic}-dead`,
      expect: 3,
      verbose: true,
    })
    // A member that leaves between the answer to its last send-back and its own note of that is given the message again.
    const attempts = { topic: `%RETRY%${group}`, queueId: 0 }
    await eventually(
      'the attempts noted as consumed',
      async () => (await world.admin.consumerOffset(world.broker, attempts, group)) === 6,
    )
    const { lines } = await consumer.stop()

    expect(seqsOf(dead, sent.id)).toEqual(range(0, 3))
    expect(
      events(lines, 'failed')
        .map((line) => numberAt(line, 'reconsumeTimes'))
        .toSorted((a, b) => a - b),
    ).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2])
    for (const { msgId, offsetMsgId, seq } of sent.acks) {
      expect(propertiesBySeq(dead).get(seq)).toMatchObject({
        RETRY_TOPIC: topic,
        ORIGIN_MESSAGE_ID: offsetMsgId,
        DLQ_ORIGIN_TOPIC: topic,
        DLQ_ORIGIN_MESSAGE_ID: msgId,
        UNIQ_KEY: msgId,
      })
    }
    // They can be sent again, to this group alone.
    const again = await world.produce(client, `%RETRY%${group}`, {
      count: 3,
      properties: `RETRY_TOPIC=${topic}`,
    })
    const healed = await world.consume(client, topic, { group, expect: 3 })
    expect(seqsOf(healed, again.id)).toEqual(range(0, 3))
  })

  test('gives a message up at once when it asks for level -1', async ({ task }) => {
    covers(task, 'M30', 'M31')
    const topic = world.name(client, 'at-once')

    const sent = await world.produce(client, topic, { count: 2 })
    const consumer = world.member(client, topic, {
      group: `${topic}-g`,
      'fail-times': 99,
      'next-level': -1,
    })
    await world.known(`%DLQ%${topic}-g`)
    const dead = await world.consume(client, `%DLQ%${topic}-g`, { group: `${topic}-d`, expect: 2 })
    const { lines } = await consumer.stop()

    expect(seqsOf(dead, sent.id)).toEqual(range(0, 2))
    expect(events(lines, 'failed').length).toBe(2)
  })

  test('waits as long as it asks for, or as the policy of its group says', async ({ task }) => {
    covers(task, 'M30')
    const topic = world.name(client, 'delays')
    const [byLevel, byPolicy] = [`${topic}-level`, `${topic}-policy`]
    await world.admin.createGroup(
      world.broker,
      subscriptionGroupConfig(byPolicy, {
        groupRetryPolicy: {
          type: 'EXPONENTIAL',
          exponentialRetryPolicy: { initial: 4000, max: 60_000, multiplier: 2 },
          customizedRetryPolicy: null,
        },
      }),
    )

    const sent = await world.produce(client, topic, { count: 1, verbose: true })
    const runs = await Promise.all([
      world.consume(client, topic, { group: byLevel, 'fail-times': 2, 'next-level': 6, expect: 1 }),
      world.consume(client, topic, { group: byPolicy, 'fail-times': 2, expect: 1 }),
    ])

    for (const lines of runs) {
      expect(seqsOf(lines, sent.id)).toEqual([0])
      const [first = 0, second = 0] = failuresOf(lines, sent.acks[0]?.msgId ?? '')
      expect(second - first).toBeGreaterThanOrEqual(5000)
    }
  })
})

test('an orderly consumer of Java gives a message up after its attempts, and goes on with the queue', async ({
  task,
}) => {
  covers(task, 'M9', 'M31')
  const topic = world.name('java-5.5.0', 'orderly')
  const group = `${topic}-g`

  const sent = await world.produce('java-5.5.0', topic, { mode: 'by-key', keys: 1, count: 3 })
  const consumer = world.member('java-5.5.0', topic, {
    group,
    listener: 'orderly',
    'fail-times': 99,
    'max-reconsume': 1,
  })
  const dead = await world.consume('java-5.5.0', `%DLQ%${group}`, {
    group: `${topic}-dead`,
    expect: 3,
    'run-ms': 90_000,
  })
  await consumer.stop()

  expect(seqsOf(dead, sent.id)).toEqual(range(0, 3))
})
