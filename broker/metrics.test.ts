import { expect, test } from 'vitest'
import { Registry } from '../common/metrics.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { registerBrokerMetrics } from './metrics.ts'
import { createBrokerWorld } from './testing-world.ts'
import type { BrokerWorld } from './testing-world.ts'

async function scraped(count: (world: BrokerWorld) => void) {
  const world = await createBrokerWorld()
  const registry = new Registry()
  registerBrokerMetrics(registry, world.parts, world.processors)
  count(world)
  await world.time.settle()
  return (await registry.metrics()).split('\n')
}

test('sizes of messages are told by bucket, those of a batch as equally large', async () => {
  const lines = await scraped(({ parts }) => {
    parts.stats.add('TOPIC_PUT_SIZE', 'T', 500, 1)
    parts.stats.add('TOPIC_PUT_SIZE', 'T', 32 * 2000, 32)
  })

  const labels = 'topic="T",message_type="normal",is_system="false"'
  expect(lines).toContain(`rocketmq_message_size_bucket{le="1024",${labels}} 1`)
  expect(lines).toContain(`rocketmq_message_size_bucket{le="4096",${labels}} 33`)
  expect(lines).toContain(`rocketmq_message_size_count{${labels}} 33`)
  expect(lines).toContain(`rocketmq_throughput_in_total{${labels}} 64500`)
})

test('the time that topics and groups take to create is told by outcome', async () => {
  const lines = await scraped(({ parts }) => {
    parts.topics.put(topicConfig('T')).catch(() => undefined)
  })

  const labels = 'invocation_status="success",is_system="false"'
  expect(lines).toContain(`rocketmq_topic_create_execution_time_milliseconds_count{${labels}} 1`)
  expect(lines.join('\n')).toContain(
    '# TYPE rocketmq_consumer_group_create_execution_time_milliseconds',
  )
})

test('who was told to come later is counted by reason, from 0 on', async () => {
  const lines = await scraped(({ parts }) => {
    parts.stats.flowControl.sendQueue += 2
  })

  expect(lines).toContain('rocketmq_flow_control_total{reason="sendQueue"} 2')
  expect(lines).toContain('rocketmq_flow_control_total{reason="coldData"} 0')
})

test('topics beyond the limit have no series, and are counted', async () => {
  const lines = await scraped(({ parts }) => {
    for (let index = 0; index < 10_003; index++)
      parts.stats.add('TOPIC_PUT_SIZE', `T${index}`, 1, 1)
  })

  expect(lines.filter((line) => line.startsWith('rocketmq_messages_in_total{'))).toHaveLength(
    10_000,
  )
  expect(lines).toContain('rocketmq_broker_series_left_out 3')
})

test('groups are counted by consumer, topic and whether they retry', async () => {
  const lines = await scraped(({ parts }) => {
    parts.stats.add('GROUP_GET_NUMS', '%RETRY%G@G', 7, 1)
    parts.stats.add('DLQ_PUT_NUMS', 'T@G', 2, 1)
  })

  expect(lines).toContain(
    'rocketmq_messages_out_total{topic="%RETRY%G",consumer_group="G",is_retry="true",is_system="false"} 7',
  )
  expect(lines).toContain(
    'rocketmq_send_to_dlq_messages_total{topic="T",consumer_group="G",is_system="false"} 2',
  )
})

test('the store tells whether it takes messages, how far it is, and what it gave', async () => {
  const lines = await scraped(({ parts }) => {
    const queue = { topic: 'T', queueId: 0, queueOffset: 0, maxMessages: 1, filter: null }
    parts.store.get(queue, () => undefined)
  })

  const labels = 'storage_type="local",storage_medium="disk"'
  expect(lines).toContain(`rocketmq_storage_writable{${labels}} 1`)
  expect(lines).toContain(`rocketmq_storage_physical_offset{${labels},position="flushed"} 0`)
  expect(lines).toContain(`rocketmq_storage_gets_total{${labels},result="missed"} 1`)
  expect(lines).toContain(`rocketmq_storage_gets_total{${labels},result="found"} 0`)
  expect(lines).toContain(`rocketmq_storage_deleted_unread_files_total{${labels}} 0`)
  expect(lines.filter((line) => line.startsWith('rocketmq_storage_disk_ratio{'))).toHaveLength(2)
})
