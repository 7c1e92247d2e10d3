/**
 * The broker's metrics beside those of RocketMQ 5.5.0's: `testdata/metrics-5.5.0.txt` lists what a scrape of a Java broker showed that had
 * served sends of each type, pulls, pops that came back, transactions, timers and dead letters: type, name, labels and bounds of buckets.
 * The labels that all series share, and the one that OpenTelemetry adds (`otel_scope_name`), are left out.
 */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Registry } from '../common/metrics.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { LanguageCode } from '../remoting/command.ts'
import { createRemotingMetrics } from '../remoting/metrics.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { registerBrokerMetrics } from './metrics.ts'
import { GROUP, TOPIC, createPopWorld } from './pop/testing.ts'
import { FakeConnection } from './testing.ts'
import type { ConsumerData } from '../remoting/bodies/heartbeat-data.ts'
import type { PopWorld } from './pop/testing.ts'

const GOLDEN = readFileSync(new URL('testdata/metrics-5.5.0.txt', import.meta.url), 'utf8')

const CLIENT = {
  clientId: 'c',
  connection: new FakeConnection(9),
  language: LanguageCode.JAVA,
  version: 513,
}

function consumerOf(groupName: string, topic: string): ConsumerData {
  return {
    groupName,
    consumeType: 'CONSUME_PASSIVELY',
    messageModel: 'CLUSTERING',
    consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
    subscriptions: [
      {
        ...{ topic, subString: '*', tagsSet: [], codeSet: [], subVersion: 1 },
        ...{ expressionType: 'TAG', classFilterMode: false },
      },
    ],
    unitMode: false,
  }
}

function send(world: PopWorld, properties: string, sysFlag = '0', topic = TOPIC) {
  return world.call({
    code: RequestCode.SEND_MESSAGE_V2,
    extFields: {
      ...{ a: 'P', b: topic, c: 'TBW102', d: '1', e: '0', f: sysFlag },
      ...{ g: String(world.time.now()), h: '0', i: properties, j: '0' },
    },
    body: Buffer.from('hello'),
  })
}

/** A broker that has pops in its log from the process before, and has served something of each kind. */
async function busyWorld(): Promise<{ readonly world: PopWorld; readonly registry: Registry }> {
  const before = await createPopWorld()
  await before.send('a')
  await before.pop({ invisibleTime: '1000' })
  const world = await before.restart()
  const { parts, processors } = world
  const registry = new Registry()
  const remoting = createRemotingMetrics(registry)
  registerBrokerMetrics(registry, parts, processors)
  for (const service of processors.leaderServices) {
    if (service !== processors.pops) service.startLeading()
  }
  parts.clients.registerProducer('P', CLIENT)
  parts.clients.registerConsumer(consumerOf(GROUP, TOPIC), CLIENT)
  await world.time.advance(5000)
  await send(world, '')
  await send(world, '__SHARDINGKEY\u0001k\u0002')
  await send(world, 'DELAY\u00011\u0002')
  await send(world, 'TIMER_DELAY_MS\u00012000\u0002UNIQ_KEY\u0001U1\u0002')
  await send(world, 'TRAN_MSG\u0001true\u0002PGROUP\u0001P\u0002UNIQ_KEY\u0001U2\u0002', '4')
  await world.pop()
  processors.transactions.stats.committed(TOPIC, 1000)
  processors.transactions.stats.rolledBack(TOPIC)
  parts.stats.add('GROUP_GET_NUMS', `${TOPIC}@${GROUP}`, 1, 1)
  parts.stats.add('GROUP_GET_SIZE', `${TOPIC}@${GROUP}`, 1, 1)
  parts.stats.add('DLQ_PUT_NUMS', `${TOPIC}@${GROUP}`, 1, 1)
  remoting.recordRpc({
    ...{ requestCode: RequestCode.HEART_BEAT, responseCode: 0, isLongPolling: false },
    ...{ result: 'success', latencyMs: 1 },
  })
  await world.time.advance(5000)
  return { world, registry }
}

/** In the form of the golden file. */
function linesOf(text: string): Set<string> {
  const lines = new Set<string>()
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)]
  for (const [, name = '', type = ''] of types) {
    const bounds = new Set<string>()
    const series = new RegExp(`^${name}(?:_bucket|_sum|_count)?(?:\\{(.*)\\})? \\S+$`, 'gm')
    const labelSets = new Set<string>()
    for (const [, labels = ''] of text.matchAll(series)) {
      const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)]
      for (const [, label, value = ''] of pairs) if (label === 'le') bounds.add(value)
      const names = pairs.map(([, label = '']) => label).filter((label) => label !== 'le')
      labelSets.add(names.toSorted().join(','))
    }
    const ends = bounds.size === 0 ? '' : ` | ${[...bounds].join(' ')}`
    for (const names of labelSets) lines.add(`${type} ${name} ${names}`.trimEnd() + ends)
  }
  return lines
}

test('each metric that a Java broker has is there, with its type, labels and buckets', async () => {
  const { registry } = await busyWorld()

  const lines = linesOf(await registry.metrics())

  const golden = GOLDEN.trimEnd().split('\n')
  expect(golden.filter((line) => !lines.has(line))).toEqual([])
})

test('messages are counted by the types of RocketMQ', async () => {
  const { registry } = await busyWorld()

  const text = await registry.metrics()

  const counts = [
    ...text.matchAll(/^rocketmq_messages_in_total\{topic="(.*?)",message_type="(.*?)".* (\d+)$/gm),
  ]
  expect(counts.map(([, topic, type, count]) => `${topic} ${type} ${count}`).toSorted()).toEqual(
    [
      'RMQ_SYS_TRANS_HALF_TOPIC transaction 1',
      'SCHEDULE_TOPIC_XXXX delay 1',
      `${TOPIC} delay 2`,
      `${TOPIC} fifo 1`,
      `${TOPIC} normal 1`,
      'rmq_sys_wheel_timer delay 1',
    ].toSorted(),
  )
})

test('what a group was given and has not committed is in flight, the rest is ready', async () => {
  const { world, registry } = await busyWorld()
  const made = world.parts.topics.put(
    topicConfig('Pulled', { readQueueNums: 1, writeQueueNums: 1 }),
  )
  await world.time.settle()
  await made
  world.parts.clients.registerConsumer(consumerOf('Pullers', 'Pulled'), CLIENT)
  for (let count = 0; count < 5; count++) await send(world, '', '0', 'Pulled')
  world.parts.offsets.commit('Pullers', 'Pulled', 0, 1)
  world.parts.offsets.notePulled('Pullers', 'Pulled', 0, 3)
  await world.time.advance(700)

  const lines = (await registry.metrics()).split('\n')

  const labels = '{topic="Pulled",consumer_group="Pullers",is_retry="false",is_system="false"}'
  expect(lines).toContain(`rocketmq_consumer_lag_messages${labels} 4`)
  expect(lines).toContain(`rocketmq_consumer_inflight_messages${labels} 2`)
  expect(lines).toContain(`rocketmq_consumer_ready_messages${labels} 2`)
  expect(lines).toContain(`rocketmq_consumer_queueing_latency_milliseconds${labels} 700`)
})

test('a topic and a group that are deleted take their series with them', async () => {
  const { world, registry } = await busyWorld()
  const before = await registry.metrics()

  const deleted = Promise.all([
    world.call({ code: RequestCode.DELETE_TOPIC_IN_BROKER, extFields: { topic: TOPIC } }),
    world.call({ code: RequestCode.DELETE_SUBSCRIPTIONGROUP, extFields: { groupName: GROUP } }),
  ])
  await world.time.advance(5000)
  await deleted

  const named = (text: string) =>
    text.split('\n').filter((line) => line.includes(`"${TOPIC}"`) || line.includes(`"${GROUP}"`))
  // A client that stays connected is told of, and a transaction that is open.
  const stays = /^rocketmq_(consumer_connections|half_messages)/
  const left = named(await registry.metrics()).filter((line) => !stays.test(line))
  expect(named(before).length).toBeGreaterThan(20)
  expect(left).toEqual([])
})

test('creating topics and groups is timed as by RocketMQ', async () => {
  const { world, registry } = await busyWorld()
  const made = world.parts.topics.put(topicConfig('Made'))
  await world.time.settle()
  await made

  const lines = linesOf(await registry.metrics())

  const rest = 'invocation_status,is_system | 10 100 1000 3000 5000 +Inf'
  expect(lines).toContain(`histogram rocketmq_topic_create_execution_time_milliseconds ${rest}`)
})
