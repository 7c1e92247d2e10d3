/** The images of the Kubernetes suites: built from this checkout and made known to the cluster, once for each content. */
import { setTimeout as delay } from 'node:timers/promises'
import { VERSION, dockerEngine, environmentVariable, run } from './environment.ts'
import type { Kube } from './kube.ts'
import { textAt } from './json.ts'

export interface Images {
  readonly repository: string
  readonly tag: string
  /** Of the content, where it is known; else the tag. */
  readonly id: string
  /** The same content under a second tag, so that an image change can be rolled out. */
  readonly nextTag: string
  readonly clients: string
}

const NAMESPACE = 'gantry-e2e'
const NEXT_VERSION = VERSION.replace(/\d+$/, (patch) => String(Number(patch) + 1))

/** Builds and loads what is not yet there. Several suites may call it, one after the other. */
export async function images(kube: Kube): Promise<Images> {
  const given = environmentVariable('GANTRY_E2E_IMAGE')
  const clientsGiven = environmentVariable('GANTRY_E2E_CLIENTS_IMAGE')
  const image = given === '' ? `gantry:${VERSION}` : given
  const clients = clientsGiven === '' ? 'gantry-e2e-clients:dev' : clientsGiven
  const separator = image.lastIndexOf(':')
  const repository = image.slice(0, separator)

  const tag = image.slice(separator + 1)
  if (given === '') {
    await dockerEngine()
    await run('docker', ['build', '--quiet', '--tag', image, '.'])
    await run('docker', ['tag', image, `${repository}:${NEXT_VERSION}`])
    await load(kube, 'gantry', [image, `${repository}:${NEXT_VERSION}`])
  }
  if (clientsGiven === '') {
    await dockerEngine()
    await run('e2e/clients/java/build', [])
    await run('e2e/clients/go/build', [])
    await run('docker', ['build', '--quiet', '--tag', clients, 'e2e/clients'])
    await load(kube, 'clients', [clients])
  }
  const id = given === '' ? await idOf(image) : tag
  return { repository, tag, id, nextTag: NEXT_VERSION, clients }
}

/** Loads images unless the cluster was given this content before (a ConfigMap remembers it). */
async function load(kube: Kube, key: string, names: readonly string[]): Promise<void> {
  const command = environmentVariable('GANTRY_E2E_LOAD_IMAGE')
  if (command === '') return
  const id = await idOf(names[0] ?? '')
  await kube.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } })
  const known = await kube.get('ConfigMap', NAMESPACE, `loaded-${key}`)
  if (textAt(known, 'data', 'id') === id) return

  for (const name of names) await run('/bin/sh', ['-c', `${command} ${name}`])
  await kube.apply({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: `loaded-${key}`, namespace: NAMESPACE },
    data: { id },
  })
  // The kubelets look at their images once in a while; a pod that starts at once would still pull.
  await delay(1000)
}

async function idOf(image: string): Promise<string> {
  const { stdout } = await run('docker', ['image', 'inspect', '--format', '{{.Id}}', image])
  return stdout.trim().replace('sha256:', '')
}
