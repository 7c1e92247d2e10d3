/** `npm run generate`: writes what comes from the schemas; with `--check` only says what is stale, by exit code 1. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { boardJson } from './boards/board.ts'
import { BOARDS } from './boards/boards.ts'
import { chartTemplateOf } from './chart-crd.ts'
import { clusterReference } from './crd-reference.ts'
import { clusterCrd } from './crd.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))

/** Path below the root of the checkout -> content. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const definition = stringify(clusterCrd(), { aliasDuplicateObjects: false, lineWidth: 0 })
  const crd = `# Generated from operator/cluster-schema.ts by \`npm run generate\`: do not edit.\n${definition}`
  return new Map([
    ['crds/rocketmqclusters.yaml', crd],
    ['charts/gantry-operator/templates/crds/rocketmqclusters.yaml', chartTemplateOf(crd)],
    ['docs/reference/rocketmqcluster.md', clusterReference()],
    ...BOARDS.map((board): readonly [string, string] => [
      `charts/gantry-operator/files/boards/${board.id}.json`,
      boardJson(board),
    ]),
  ])
}

/** The generated files whose content on disk is another. */
export function staleFiles(): readonly string[] {
  return [...generatedFiles()]
    .filter(([path, content]) => readOrNull(`${ROOT}${path}`) !== content)
    .map(([path]) => path)
}

function main(argv: readonly string[]): number {
  const stale = staleFiles()
  if (argv.includes('--check')) {
    for (const path of stale) process.stderr.write(`${path} is stale: run npm run generate\n`)
    return stale.length === 0 ? 0 : 1
  }
  const files = generatedFiles()
  for (const path of stale) {
    mkdirSync(dirname(`${ROOT}${path}`), { recursive: true })
    writeFileSync(`${ROOT}${path}`, files.get(path) ?? '')
    process.stdout.write(`wrote ${path}\n`)
  }
  return 0
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2))
