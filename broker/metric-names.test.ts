/** The names under which RocketMQ 5.5.0's broker exposes its metrics, as a scrape of it shows them: the unit is part of the name. */
import { expect, test } from 'vitest'
import { Registry } from '../common/metrics.ts'
import { createRemotingMetrics } from '../remoting/metrics.ts'
import { registerBrokerMetrics } from './metrics.ts'
import { createBrokerWorld } from './testing-world.ts'

const JAVA: readonly (readonly [type: string, names: string])[] = [
  [
    'gauge',
    'broker_permission consumer_connections consumer_group_number consumer_lag_latency_milliseconds consumer_lag_messages ' +
      'processor_watermark producer_connections storage_dispatch_behind_bytes storage_flush_behind_bytes ' +
      'storage_message_reserve_time_milliseconds storage_size_bytes topic_number',
  ],
  ['counter', 'messages_in_total messages_out_total throughput_in_total throughput_out_total'],
  [
    'histogram',
    'consumer_group_create_execution_time_milliseconds finish_message_latency_milliseconds message_size ' +
      'rpc_latency_milliseconds topic_create_execution_time_milliseconds',
  ],
]

test('the metrics of the broker have the names and types of RocketMQ', async () => {
  const world = await createBrokerWorld()
  const registry = new Registry()
  createRemotingMetrics(registry)
  registerBrokerMetrics(registry, world.parts, world.processors)

  const text = await registry.metrics()

  const types = new Set(text.split('\n').filter((line) => line.startsWith('# TYPE ')))
  for (const [type, names] of JAVA) {
    for (const name of names.split(' ')) expect(types).toContain(`# TYPE rocketmq_${name} ${type}`)
  }
})
