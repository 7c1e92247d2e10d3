/** What all acceptance scenarios share: a cluster in a namespace of its own under the control load, and the common pass rule. */
import { expect } from 'vitest'
import { figures } from './environment.ts'
import {
  clusterManifest,
  createNamespace,
  operatorRestarts,
  untilReady,
  withOperator,
} from './kube-cluster.ts'
import type { ClusterOptions, Fixture } from './kube-cluster.ts'
import { startControlLoad } from './kube-load.ts'
import type { ControlLoad, LoadSummary } from './kube-load.ts'

export interface Scenario {
  readonly fixture: Fixture
  readonly namespace: string
  readonly name: string
  readonly options: ClusterOptions
  readonly load: ControlLoad
  readonly operatorRestartsBefore: ReadonlyMap<string, number>
}

/** A Ready cluster `prod` of 3 name servers and 2 groups (or as `options` say), and the load running on it. */
export async function startScenario(
  namespace: string,
  options: Partial<ClusterOptions> = {},
): Promise<Scenario> {
  const fixture = await withOperator()
  const full: ClusterOptions = {
    name: 'prod',
    namespace,
    version: fixture.images.tag,
    ...options,
  }
  await createNamespace(fixture.kube, namespace)
  await fixture.kube.apply(clusterManifest(full))
  await untilReady(fixture.kube, namespace, full.name)
  const load = await startControlLoad(fixture, { namespace, cluster: full.name })
  return {
    fixture,
    namespace,
    name: full.name,
    options: full,
    load,
    operatorRestartsBefore: await operatorRestarts(fixture.kube),
  }
}

/**
 * Rule R0: every acknowledged message was consumed, in order; the cluster is Ready for its present spec; no operator
 * restarted. Stops the load.
 */
export async function expectCommonRule(
  scenario: Scenario,
  measured: Readonly<Record<string, unknown>> & { readonly scenario: string },
): Promise<LoadSummary> {
  const { kube } = scenario.fixture
  await untilReady(kube, scenario.namespace, scenario.name, 120_000)
  const summary = await scenario.load.stop()
  // A pod that took the place of one that a test deleted has none to begin with.
  const before = scenario.operatorRestartsBefore
  const restarts = [...(await operatorRestarts(kube))].reduce(
    (sum, [pod, count]) => sum + count - (before.get(pod) ?? 0),
    0,
  )
  const { scenario: name, ...values } = measured
  figures(name, {
    ...values,
    acked: summary.acked,
    failedSends: summary.failedSends,
    lost: summary.lost.length,
    duplicates: summary.duplicates,
    outOfOrder: summary.outOfOrder,
    maxGapMs: summary.maxGapMs,
    p99SendMs: summary.p99SendMs,
    operatorRestarts: restarts,
  })

  expect(summary.lost).toEqual([])
  expect(summary.consumedDistinct).toBeGreaterThanOrEqual(summary.acked)
  expect(summary.outOfOrder).toBe(0)
  expect(restarts).toBe(0)
  return summary
}
