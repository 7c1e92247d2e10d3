import { expect, test } from 'vitest'
import { Registry } from '../../common/metrics.ts'
import { registerLagMetrics } from '../lag-metrics.ts'
import { registerPopMetrics } from './pop-metrics.ts'
import { GROUP, TOPIC, createPopWorld } from './testing.ts'

test('what is popped, acknowledged and comes back is told', async () => {
  const world = await createPopWorld()
  const registry = new Registry()
  registerPopMetrics(registry, world.processors.pops)
  registerLagMetrics(registry, world.parts, world.processors.pops)
  for (const text of ['a', 'b', 'c']) await world.send(text)
  const [first] = await world.pop({ invisibleTime: '1000', maxMsgNums: '2' })
  await world.pop({ invisibleTime: '60000' })
  if (first !== undefined) await world.ack(first)
  await world.time.advance(3000)

  const lines = (await registry.metrics()).split('\n')

  const labels = `topic="${TOPIC}",consumer_group="${GROUP}",is_retry="false",is_system="false"`
  expect(lines).toContain(`rocketmq_consumer_inflight_messages{${labels}} 1`)
  expect(lines).toContain(`rocketmq_consumer_ready_messages{${labels}} 0`)
  expect(lines).toContain(`rocketmq_consumer_queueing_latency_milliseconds{${labels}} 0`)
  expect(lines).toContain('rocketmq_pop_checkpoint_buffer_size 1')
  const names = `consumer_group="${GROUP}",topic="${TOPIC}"`
  expect(lines).toContain(
    `rocketmq_pop_revive_in_message_total{${names},revive_message_type="CK",put_status="PUT_OK"} 2`,
  )
  expect(lines).toContain(
    `rocketmq_pop_revive_retry_messages_total{${names},put_status="PUT_OK"} 1`,
  )
  expect(lines).toContain('rocketmq_pop_revive_lag_milliseconds{queue_id="7"} 0')
})
