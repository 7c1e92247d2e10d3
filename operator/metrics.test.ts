import { expect, test } from 'vitest'
import { countActs, createOperatorMetrics } from './metrics.ts'
import type { OperatorMetrics } from './metrics.ts'
import type { KubeObject } from './ports.ts'

const CLUSTER: KubeObject = {
  apiVersion: 'rocketmq.gantry.dev/v1alpha1',
  kind: 'RocketMQCluster',
  metadata: { name: 'demo', namespace: 'ns' },
  status: {
    conditions: [
      { type: 'Ready', status: 'True' },
      { type: 'Degraded', status: 'False' },
      { type: 'Progressing', status: 'Unknown' },
    ],
    plan: ['a', 'b'],
    groups: [
      { name: 'demo-broker-1', drain: { remainingMessages: 12 } },
      { name: 'x', drain: null },
    ],
  },
}

function create(clusters: readonly KubeObject[]): OperatorMetrics {
  return createOperatorMetrics({
    queueDepth: () => 3,
    isLeading: () => true,
    droppedEvents: () => 0,
    watchQuietMs: () => new Map([['Pod', 1_500]]),
    clusters: () => clusters,
  })
}

test('the state of the runtime is read when the metrics are asked for', async () => {
  const text = await create([]).registry.metrics()

  expect(text).toContain('rocketmq_operator_queue_depth 3')
  expect(text).toContain('rocketmq_operator_leader 1')
  expect(text).toContain('rocketmq_operator_watch_last_event_seconds{kind="Pod"} 1.5')
})

test('conditions, plan and drains come from the status of the clusters, and go with them', async () => {
  const clusters = [CLUSTER]
  const { registry } = create(clusters)

  const text = await registry.metrics()
  expect(text).toContain('rocketmq_operator_cluster_condition{ns="ns",name="demo",type="Ready"} 1')
  expect(text).toContain(
    'rocketmq_operator_cluster_condition{ns="ns",name="demo",type="Degraded"} 0',
  )
  expect(text).toContain(
    'rocketmq_operator_cluster_condition{ns="ns",name="demo",type="Progressing"} -1',
  )
  expect(text).toContain('rocketmq_operator_plan_length{ns="ns",cluster="demo"} 2')
  expect(text).toContain(
    'rocketmq_operator_drain_remaining_messages{ns="ns",group="demo-broker-1"} 12',
  )
  expect(text).not.toContain('group="x"')

  clusters.pop()
  expect(await registry.metrics()).not.toContain('name="demo"')
})

test('passes, restarts, calls and acts are counted under the names of the reference', async () => {
  const metrics = create([])
  const recorded: string[] = []
  const recorder = countActs({ record: (_, { reason }) => recorded.push(reason) }, metrics)

  metrics.passDone({ key: 'ns/demo', result: 'failed', waitedMs: 100, tookMs: 2_000 })
  metrics.watchRestarted('Pod', 'expired')
  metrics.apiCalled({ method: 'PATCH', path: '/api/v1/namespaces/a/pods/b', code: 409, seconds: 1 })
  recorder.record(CLUSTER, { type: 'Normal', reason: 'PodEvicted', action: 'evict', note: 'n' })
  recorder.record(CLUSTER, { type: 'Normal', reason: 'Seen', action: 'reconcile', note: 'n' })
  recorder.record(CLUSTER, { type: 'Warning', reason: 'ActFailed', action: 'evict', note: 'n' })
  const text = await metrics.registry.metrics()

  expect(text).toContain(
    'rocketmq_operator_reconcile_total{kind="RocketMQCluster",result="failed"} 1',
  )
  expect(text).toContain('rocketmq_operator_reconcile_seconds_sum{kind="RocketMQCluster"} 2')
  expect(text).toContain('rocketmq_operator_queue_wait_seconds_sum 0.1')
  expect(text).toContain('rocketmq_operator_watch_restarts_total{kind="Pod",cause="expired"} 1')
  expect(text).toContain(
    'rocketmq_operator_api_seconds_count{verb="PATCH",resource="pods",code="409"} 1',
  )
  expect(text).toContain('rocketmq_operator_acts_total{act="evict",reason="PodEvicted"} 1')
  expect(text).not.toContain('reason="Seen"')
  expect(text).not.toContain('reason="ActFailed"')
  expect(recorded).toEqual(['PodEvicted', 'Seen', 'ActFailed'])
})
