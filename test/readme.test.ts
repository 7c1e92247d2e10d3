/** What the README shows is true: its manifest is accepted, and names the version of this checkout. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { API_VERSION, KIND, parseCluster } from '../operator/crd.ts'
import { parseObject } from '../operator/kube-api.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

test('the manifest of the README is one that a cluster accepts', () => {
  const manifest = parseObject(parse(/<<'YAML'\n([^]*?)\nYAML/.exec(readme)?.[1] ?? ''), {
    apiVersion: API_VERSION,
    kind: KIND,
  })

  const parsed = parseCluster(manifest)

  expect(parsed).toMatchObject({
    type: 'valid',
    cluster: { spec: { version: versionOfPackage(), broker: { groups: 2 } } },
  })
})

test('the image that the README builds has the version of this checkout', () => {
  expect(readme).toContain(`docker build -t gantry:${versionOfPackage()} .`)
})

function versionOfPackage(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  )
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest) {
    if (typeof manifest.version === 'string') return manifest.version
  }
  throw new Error('package.json names no version')
}
