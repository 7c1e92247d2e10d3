/**
 * Scenario E15: a cluster without pods, and one that was deleted and made again, keep every message and every offset.
 *
 * GANTRY_E2E_STORED_MIB sets how much is stored (64).
 */
import { afterEach, expect, test } from 'vitest'
import { environmentVariable, figures } from './environment.ts'
import { numberAt, textAt } from './json.ts'
import { Kube, eventually } from './kube.ts'
import {
  clusterManifest,
  createNamespace,
  deleteNamespace,
  untilReady,
  withOperator,
} from './kube-cluster.ts'
import type { ClusterOptions, Fixture } from './kube-cluster.ts'
import { commandLine, runClient } from './kube-load.ts'

const NAMESPACE = 'e2e-hibernate'
const TOPIC = 'Kept'
/** Small enough not to be compressed. */
const MESSAGE_SIZE = 4000
const MIB = 1024 * 1024
const MESSAGES = Math.ceil(
  (Number(environmentVariable('GANTRY_E2E_STORED_MIB') || '64') * MIB) / MESSAGE_SIZE,
)
const LATER = 20

afterEach(async () => {
  await deleteNamespace(new Kube(), NAMESPACE)
})

test('E15: messages and offsets survive hibernation, and a cluster of the same name takes over the volumes', async () => {
  const fixture = await withOperator()
  const { kube, images } = fixture
  const options: ClusterOptions = {
    name: 'prod',
    namespace: NAMESPACE,
    version: images.tag,
    members: 3,
    groups: 1,
    storage: { size: '8Gi' },
  }
  await createNamespace(kube, NAMESPACE)
  await kube.apply(clusterManifest(options))
  await untilReady(kube, NAMESPACE, 'prod')
  await client(fixture, 'fill', 'produce', {
    mode: 'batch',
    count: MESSAGES,
    size: MESSAGE_SIZE,
  })
  await consume(fixture, 'first-reader', 'reader', MESSAGES)

  const asleep = performance.now()
  await hibernate(kube, true)
  await eventually('every pod is gone', 120_000, async () =>
    (await kube.list('Pod', NAMESPACE)).length === 0 ? true : null,
  )
  const asleepMs = Math.round(performance.now() - asleep)
  const awake = performance.now()
  await hibernate(kube, false)
  await untilReady(kube, NAMESPACE, 'prod', 300_000)
  const awakeMs = Math.round(performance.now() - awake)
  const afterSleep = await consumeLater(fixture, 'slept')

  const volumes = await volumesOf(kube)
  await kube.delete('RocketMQCluster', NAMESPACE, 'prod')
  await eventually('the cluster and its pods are gone', 180_000, async () => {
    const pods = await kube.list('Pod', NAMESPACE)
    const cluster = await kube.get('RocketMQCluster', NAMESPACE, 'prod')
    return pods.length === 0 && cluster === null ? true : null
  })
  await kube.apply(clusterManifest(options))
  await untilReady(kube, NAMESPACE, 'prod', 300_000)
  const afterDeletion = await consumeLater(fixture, 'deleted')
  const all = await consume(fixture, 'second-reader', 'other-reader', MESSAGES + 2 * LATER)

  figures('E15', { messages: MESSAGES, asleepMs, awakeMs, afterSleep, afterDeletion, all })
  // The group went on where it was: it saw what came later, and nothing again.
  expect(afterSleep).toBe(LATER)
  expect(afterDeletion).toBe(LATER)
  expect(all).toBe(MESSAGES + 2 * LATER)
  expect(await volumesOf(kube)).toEqual(volumes)
  expect(asleepMs).toBeLessThanOrEqual(60_000)
  expect(awakeMs).toBeLessThanOrEqual(120_000)
})

async function hibernate(kube: Kube, isAsleep: boolean): Promise<void> {
  await kube.patch('RocketMQCluster', NAMESPACE, 'prod', { spec: { hibernate: isAsleep } })
}

/** Sends a few more, and has the first reader's group read on; how many it received. */
async function consumeLater(fixture: Fixture, name: string): Promise<number> {
  await client(fixture, `send-${name}`, 'produce', { count: LATER, retries: 5 })
  return consume(fixture, `read-${name}`, 'reader', LATER)
}

async function consume(
  fixture: Fixture,
  name: string,
  group: string,
  expected: number,
): Promise<number> {
  const lines = await client(fixture, name, 'push-consume', {
    group,
    from: 'first',
    expect: expected,
  })
  const summary = lines.find((line) => textAt(line, 'event') === 'summary')
  return numberAt(summary, 'received')
}

async function client(
  fixture: Fixture,
  name: string,
  scenario: string,
  flags: Readonly<Record<string, string | number>>,
): Promise<readonly unknown[]> {
  const all = { namesrv: 'prod-namesrv:9876', topic: TOPIC, group: `${TOPIC}-producer`, ...flags }
  const where = { namespace: NAMESPACE, name }
  return runClient(fixture, where, 'java5', commandLine(scenario, all), 600_000)
}

/** The volume behind each claim. */
async function volumesOf(kube: Kube): Promise<Readonly<Record<string, string>>> {
  const claims = await kube.list('PersistentVolumeClaim', NAMESPACE)
  return Object.fromEntries(
    claims.map((claim) => [claim.metadata.name, textAt(claim, 'spec', 'volumeName')]),
  )
}
