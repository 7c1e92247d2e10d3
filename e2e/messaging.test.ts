/**
 * Single features of the messaging model with the official clients: filters, limits, compression, namespaces, queue numbers, order
 * topics, message types, pauses, moved offsets, traces.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { subscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { CLIENTS, buildClients, events, messages, startClient } from './clients.ts'
import { covers } from './features.ts'
import { textAt } from './json.ts'
import {
  MessagingWorld,
  arrived,
  assigned,
  delay,
  eventually,
  propertiesBySeq,
  range,
  seqsOf,
} from './messaging-world.ts'
import type { TopicConfig } from '../remoting/bodies/topic-config.ts'

const MAX_MESSAGE_SIZE = 1024 * 1024
const JAVA_CLIENTS = CLIENTS.filter((client) => client !== 'go')

let world: MessagingWorld

beforeAll(async () => {
  await buildClients()
  world = await MessagingWorld.start({
    portOffset: 7100,
    groups: 1,
    config: {
      enablePropertyFilter: 'true',
      traceTopicEnable: 'true',
      maxMessageSize: String(MAX_MESSAGE_SIZE),
      messageDelayLevel: '1s 1s 1s 1s 1s 1s',
    },
  })
})

afterAll(async () => {
  await world?.stop()
})

/** Makes a topic and waits until clients see it. */
async function createTopic(topic: string, given: Partial<TopicConfig> = {}): Promise<void> {
  await world.admin.createTopic(world.broker, topicConfig(topic, given))
  await world.known(topic)
}

describe.each(CLIENTS)('the %s client', (client) => {
  test('receives what its SQL92 expression selects, and nothing else', async ({ task }) => {
    covers(task, 'M22')
    const topic = world.name(client, 'sql')
    const properties = "a={seq},b=it's {seq},c=true"

    const sent = await world.produce(client, topic, { count: 20, tags: 'A,B', properties })
    const lines = await world.consume(client, topic, {
      group: `${topic}-g`,
      sql: true,
      expression:
        "((a BETWEEN 3 AND 12 AND a <> 7) OR b = 'it''s 19') AND TAGS = 'B' AND c = TRUE AND d IS NULL",
      expect: 5,
      verbose: true,
    })

    expect(seqsOf(lines, sent.id)).toEqual([3, 5, 9, 11, 19])
    expect(propertiesBySeq(lines).get(19)).toMatchObject({ a: '19', b: "it's 19" })
  })

  test('is told by the broker that a body or the properties are too large', async ({ task }) => {
    covers(task, 'M39')
    const topic = world.name(client, 'limits')

    const fits = await world.produce(client, topic, { count: 1, size: 4000 })
    const big = await world.produce(client, topic, {
      count: 4,
      mode: 'batch',
      'batch-size': 4,
      size: 300_000,
    })
    const many = await world.produce(client, topic, {
      count: 1,
      properties: `p=${'x'.repeat(33_000)}`,
    })

    expect([fits.acked, big.acked, many.acked]).toEqual([1, 0, 0])
    for (const { errors } of [big, many]) {
      expect(Object.keys(errors).join()).toMatch(/13\b|message is illegal/i)
    }
    expect(await lengthOf(topic)).toBe(1)
  })

  test('keeps to its namespace, also when a message is tried again', async ({ task }) => {
    covers(task, 'M51')
    const topic = world.name(client, 'namespace')
    const group = `${topic}-g`

    const [first, second] = await Promise.all([
      world.produce(client, topic, { count: 5, namespace: 'one' }),
      world.produce(client, topic, { count: 4, namespace: 'two' }),
    ])
    const [ofFirst, ofSecond] = await Promise.all([
      world.consume(client, topic, { group, namespace: 'one', expect: 5, 'fail-times': 1 }),
      world.consume(client, topic, { group, namespace: 'two', expect: 4 }),
    ])

    expect(seqsOf(ofFirst, first.id)).toEqual(range(0, 5))
    expect(seqsOf(ofSecond, second.id)).toEqual(range(0, 4))
    expect([...messages(ofFirst, 'message'), ...messages(ofSecond, 'message')].length).toBe(9)
    expect(await lengthOf(`one%${topic}`)).toBe(5)
    expect(await lengthOf(`%RETRY%one%${group}`)).toBe(5)
  })

  test('writes to the write queues of a topic, and reads all of its read queues', async ({
    task,
  }) => {
    covers(task, 'M44')
    const topic = world.name(client, 'queues')
    await createTopic(topic, { readQueueNums: 4, writeQueueNums: 4 })

    const before = await world.produce(client, topic, { count: 16, verbose: true })
    await world.admin.createTopic(
      world.broker,
      topicConfig(topic, { readQueueNums: 4, writeQueueNums: 1 }),
    )
    await eventually('the new number of queues at the name server', async () => {
      const route = await world.admin.route(world.namesrv, topic)
      return route?.queueDatas[0]?.writeQueueNums === 1
    })
    const after = await world.produce(client, topic, { count: 16, verbose: true })
    const lines = await world.consume(client, topic, { group: `${topic}-g`, expect: 32 })

    const queuesOf = (acks: typeof before.acks) => new Set(acks.map(({ queue }) => queue)).size
    expect([queuesOf(before.acks), queuesOf(after.acks)]).toEqual([4, 1])
    expect(seqsOf(lines, before.id)).toEqual(range(0, 16))
    expect(seqsOf(lines, after.id)).toEqual(range(0, 16))
  })

  test('gets nothing while its group is switched off, and everything after', async ({ task }) => {
    covers(task, 'M52')
    const topic = world.name(client, 'pause')
    const group = `${topic}-g`
    await world.admin.createGroup(
      world.broker,
      subscriptionGroupConfig(group, { consumeEnable: false }),
    )

    const sent = await world.produce(client, topic, { count: 8 })
    const consumer = world.member(client, topic, { group })
    await assigned(consumer)
    await delay(5000)
    const whileOff = seqsOf(consumer.lines, sent.id)
    await world.admin.createGroup(world.broker, subscriptionGroupConfig(group))
    await arrived(consumer, sent.id, 8)

    expect(whileOff).toEqual([])
    expect(seqsOf(consumer.lines, sent.id)).toEqual(range(0, 8))
  })

  test('skips a backlog, and goes back to a time, as an administrator says', async ({ task }) => {
    covers(task, 'M34', 'M35', 'M6')
    const topic = world.name(client, 'moved')
    const group = `${topic}-g`
    const old = await world.produce(client, topic, { count: 10 })
    await delay(1100)
    const timestamp = Date.now()
    const recent = await world.produce(client, topic, { count: 10 })
    const seen = await world.consume(client, topic, { group, expect: 20 })

    const backlog = await world.produce(client, topic, { count: 10 })
    await moveOffsets(topic, group, Date.now() + 60_000)
    const consumer = world.member(client, topic, { group })
    await assigned(consumer)
    const next = await world.produce(client, topic, { count: 10 })
    await arrived(consumer, next.id, 10)
    const skipped = seqsOf(consumer.lines, backlog.id)
    await consumer.stop()
    await moveOffsets(topic, group, timestamp)
    const again = await world.consume(client, topic, { group, expect: 30 })

    expect([seqsOf(seen, old.id).length, seqsOf(seen, recent.id).length]).toEqual([10, 10])
    expect(skipped).toEqual([])
    expect(seqsOf(again, old.id)).toEqual([])
    for (const { id } of [recent, backlog, next]) expect(seqsOf(again, id)).toEqual(range(0, 10))
  })

  test('has its traces stored, where they are found by the id of the message', async ({ task }) => {
    covers(task, 'M50')
    const topic = world.name(client, 'trace')
    const group = `${topic}-g`

    const sent = await world.produce(client, topic, { count: 3, trace: true, verbose: true })
    await world.consume(client, topic, { group, expect: 3, trace: true, 'linger-ms': 8000 })

    for (const { msgId } of sent.acks) {
      await eventually(`the trace of ${msgId}`, async () => {
        const kinds = await world.traceOf(msgId)
        return ['Pub', 'SubBefore', 'SubAfter'].every((kind) => kinds.has(kind))
      })
    }
  })
})

describe.each(JAVA_CLIENTS)('the %s client alone', (client) => {
  test('does not start with an expression that the broker cannot read, or may not use', async ({
    task,
  }) => {
    covers(task, 'M22')
    const topic = world.name(client, 'bad-sql')
    await createTopic(topic)
    const start = async (expression: string) => {
      const flags = {
        topic,
        group: `${topic}-g`,
        sql: true,
        expression,
        expect: 0,
        'run-ms': 5000,
      }
      const { exitCode, lines } = await startClient(
        client,
        'push-consume',
        world.namesrv,
        flags,
      ).finished()
      return { exitCode, error: textAt(events(lines, 'error')[0], 'message') }
    }

    const unreadable = await start('a BETWEEN 5')
    const fine = await start('a > 5')
    await world.admin.updateBrokerConfig(world.broker, { enablePropertyFilter: 'false' })
    const forbidden = await start('a > 5')
    await world.admin.updateBrokerConfig(world.broker, { enablePropertyFilter: 'true' })

    expect(unreadable.exitCode).toBe(1)
    expect(unreadable.error).toContain('expected AND, found the end')
    expect(fine.exitCode).toBe(0)
    expect(forbidden.exitCode).toBe(1)
    expect(forbidden.error).toContain('does not support consumer to filter message by SQL92')
  })

  test('has the traces of its transactions stored, with what it decided', async ({ task }) => {
    covers(task, 'M50')
    const topic = world.name(client, 'transaction-trace')
    await createTopic(topic)
    const flags = { topic, group: `${topic}-p`, count: 2, local: 'commit,rollback', trace: true }
    const producer = startClient(client, 'transact', world.namesrv, flags)
    onTestFinished(async () => {
      await producer.kill()
    })

    await producer.line('all of them', 60_000, (line) => textAt(line, 'event') === 'sent')
    const ids = events(producer.lines, 'ack').map((line) => textAt(line, 'transactionId'))

    expect(ids).toHaveLength(2)
    for (const id of ids) {
      await eventually(`the trace of ${id}`, async () => {
        const kinds = await world.traceOf(id)
        return kinds.has('Pub') && kinds.has('EndTransaction')
      })
    }
    await producer.stop()
  })

  test('builds the queues of an order topic as the name server says', async ({ task }) => {
    covers(task, 'M45')
    const topic = world.name(client, 'order')
    const brokerName =
      (await world.admin.clusterInfo(world.namesrv)).brokers.keys().next().value ?? ''
    await createTopic(topic, { readQueueNums: 8, writeQueueNums: 8, order: true })
    const entry = { namespace: 'ORDER_TOPIC_CONFIG', key: topic, value: `${brokerName}:3` }
    await world.admin.updateNamesrvConfig(world.namesrv, { orderMessageEnable: 'true' })
    await world.admin.putKv(world.namesrv, entry)

    const sent = await world.produce(client, topic, { count: 24, verbose: true })
    const lines = await world.consume(client, topic, {
      group: `${topic}-g`,
      listener: 'orderly',
      expect: 24,
    })

    expect(new Set(sent.acks.map(({ queue }) => queue))).toEqual(
      new Set([0, 1, 2].map((queueId) => `${brokerName}:${queueId}`)),
    )
    expect(seqsOf(lines, sent.id)).toEqual(range(0, 24))
  })
})

describe('the java-5.5.0 client only', () => {
  const client = 'java-5.5.0'

  test.for(['LZ4', 'ZSTD', 'ZLIB'])(
    'sends bodies compressed by %s, which arrive whole',
    async (type, { task }) => {
      covers(task, 'M40')
      const topic = world.name(client, `compressed-${type}`)

      const sent = await world.produce(client, topic, { count: 4, size: 30_000, compress: type })
      const lines = await world.consume(client, topic, { group: `${topic}-g`, expect: 4 })

      expect(seqsOf(lines, sent.id)).toEqual(range(0, 4))
      expect(new Set(messages(lines, 'message').map(({ bodySize }) => bodySize))).toEqual(
        new Set([30_000]),
      )
    },
  )
})

test("the type of a topic's messages is an attribute that can be changed, to known types only", async ({
  task,
}) => {
  covers(task, 'M43')
  const topic = world.name('java-5.5.0', 'types')
  const typeOf = async () =>
    (await world.admin.getAllTopicConfig(world.broker)).topics
      .get(topic)
      ?.attributes.get('message.type')
  const change = (type: string) =>
    world.admin.createTopic(
      world.broker,
      topicConfig(topic, { attributes: new Map([['message.type', type]]) }),
    )

  await change('FIFO')
  const before = await typeOf()
  await change('DELAY')
  const after = await typeOf()
  const sent = await world.produce('java-5.5.0', topic, { count: 2 })

  expect([before, after]).toEqual(['FIFO', 'DELAY'])
  await expect(change('LIGHT')).rejects.toThrow(/message.type|LIGHT/)
  // As with the Java broker, a remoting client may send what it likes: only the proxy looks at the type.
  expect(sent.acked).toBe(2)
})

/** Messages in all queues of a topic. */
async function lengthOf(topic: string): Promise<number> {
  let length = 0
  for (const { minOffset, maxOffset } of await world.admin.topicStats(world.broker, topic)) {
    length += maxOffset - minOffset
  }
  return length
}

/** RESET by a time: later than all messages is the end. */
async function moveOffsets(topic: string, group: string, timestamp: number): Promise<void> {
  const answer = await world.ask({
    code: RequestCode.INVOKE_BROKER_TO_RESET_OFFSET,
    extFields: { topic, group, timestamp: String(timestamp), isForce: 'true' },
  })
  expect(answer.code).toBe(ResponseCode.SUCCESS)
}
