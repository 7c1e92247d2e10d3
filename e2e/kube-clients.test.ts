/**
 * The matrix of `remoting-clients.test.ts` on a real cluster: three name servers and two broker groups made by the operator, the
 * official clients in a pod beside them.
 */
import { afterAll } from 'vitest'
import {
  clusterManifest,
  createNamespace,
  deleteNamespace,
  podsOf,
  untilReady,
  withOperator,
} from './kube-cluster.ts'
import { textAt } from './json.ts'
import { startClientHost } from './kube-load.ts'

const NAMESPACE = 'e2e-clients'

const fixture = await withOperator()
await createNamespace(fixture.kube, NAMESPACE)
await fixture.kube.apply(
  clusterManifest({
    name: 'prod',
    namespace: NAMESPACE,
    version: fixture.images.tag,
    // What the suite asks of brokers that it did not start itself.
    config: { accessMessageInMemoryMaxRatio: '0' },
  }),
)
await untilReady(fixture.kube, NAMESPACE, 'prod')
// The Go client takes addresses only, no names.
const nameServers = await podsOf(fixture.kube, NAMESPACE, 'prod', 'namesrv')
process.env['NAMESRV_ADDR'] = [...nameServers.values()]
  .map((pod) => `${textAt(pod, 'status', 'podIP')}:9876`)
  .join(';')
process.env['GANTRY_E2E_CONFIGURED'] = 'true'
process.env['GANTRY_E2E_CLIENTS_POD'] = await startClientHost(fixture, NAMESPACE)

afterAll(async () => {
  await deleteNamespace(fixture.kube, NAMESPACE)
})

// Its tests become this file's.
await import('./remoting-clients.test.ts')
