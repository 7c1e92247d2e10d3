/** The definitions of the Prometheus operator, as its own module brings them: what Prometheus' users have in their clusters. */
import { join } from 'node:path'
import { run } from './environment.ts'
import { textAt } from './json.ts'
import { eventually } from './kube.ts'

const MODULE = 'github.com/prometheus-operator/prometheus-operator@v0.80.1'
const FOLDER = 'example/prometheus-operator-crd'
const PLURALS = ['podmonitors', 'prometheusrules', 'servicemonitors'] as const

/** Installs them; disposing takes them away, with all objects of theirs. */
export async function installDefinitions(): Promise<AsyncDisposable> {
  const { stdout } = await run('go', ['mod', 'download', '-json', MODULE])
  const folder = join(textAt(JSON.parse(stdout), 'Dir'), FOLDER)
  const files = PLURALS.flatMap((plural) => [
    '-f',
    join(folder, `monitoring.coreos.com_${plural}.yaml`),
  ])
  await run('kubectl', ['apply', '--server-side', ...files])
  await eventually('the API server serves them', 60_000, () =>
    run('kubectl', ['get', PLURALS.join(','), '-A']),
  )
  return {
    [Symbol.asyncDispose]: async () => {
      await run('kubectl', ['delete', '--ignore-not-found', ...files])
    },
  }
}
