/** Scenario E1: from an empty namespace to the first message. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { figures } from './environment.ts'
import { images } from './kube-images.ts'
import type { Images } from './kube-images.ts'
import {
  OPERATOR_NAMESPACE,
  OPERATOR_RELEASE,
  clusterManifest,
  createNamespace,
  deleteNamespace,
  helm,
  installOperator,
  untilReady,
} from './kube-cluster.ts'
import { Kube } from './kube.ts'
import type { Kind } from './kube.ts'
import { commandLine, runClient } from './kube-load.ts'

const NAMESPACE = 'e2e-install'
const WATCHED: readonly Kind[] = [
  'RocketMQCluster',
  'StatefulSet',
  'Service',
  'ConfigMap',
  'PodDisruptionBudget',
  'EndpointSlice',
  'PersistentVolumeClaim',
  'Pod',
]

let kube: Kube
let built: Images

beforeAll(async () => {
  kube = new Kube()
  built = await images(kube)
  await createNamespace(kube, NAMESPACE)
  await helm(
    `uninstall ${OPERATOR_RELEASE} --namespace ${OPERATOR_NAMESPACE} --ignore-not-found --wait`,
  )
})

afterAll(async () => {
  await deleteNamespace(kube, NAMESPACE)
})

test('a manifest becomes a cluster that takes messages, and applying it again changes nothing', async () => {
  const manifest = clusterManifest({ name: 'prod', namespace: NAMESPACE, version: built.tag })

  const start = performance.now()
  await installOperator(built)
  const installMs = Math.round(performance.now() - start)
  await kube.apply(manifest)
  await untilReady(kube, NAMESPACE, 'prod', 120_000)
  const readyMs = Math.round(performance.now() - start)
  const ready = performance.now()
  await runClient(
    { kube, images: built },
    { namespace: NAMESPACE, name: 'first-send' },
    'java5',
    commandLine('produce', {
      namesrv: 'prod-namesrv:9876',
      topic: 'FirstSend',
      group: 'first-send',
      count: 1,
      mode: 'sync',
    }),
  )
  const firstSendMs = Math.round(performance.now() - ready)
  // What the first send itself changes (the topic in the brokers' facts) is behind us when we look.
  await delay(15_000)
  const before = await resourceVersions()
  await kube.apply(manifest)
  await delay(60_000)
  const after = await resourceVersions()

  figures('E1', { installMs, readyMs, firstSendMs, objects: Object.keys(before).length })
  expect(readyMs).toBeLessThanOrEqual(120_000)
  expect(firstSendMs).toBeLessThanOrEqual(10_000)
  expect(after).toEqual(before)
})

/** resourceVersion of everything in the namespace, by kind and name. */
async function resourceVersions(): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {}
  for (const kind of WATCHED) {
    for (const object of await kube.list(kind, NAMESPACE)) {
      found[`${kind}/${object.metadata.name}`] = object.metadata.resourceVersion ?? ''
    }
  }
  return found
}
