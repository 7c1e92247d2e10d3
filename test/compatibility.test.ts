/** docs/compatibility.md has a verdict for each feature, and the tests that it names are there. */
import { readFileSync, readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { FEATURES } from '../e2e/features.ts'

const root = new URL('../', import.meta.url)
const page = readFileSync(new URL('docs/compatibility.md', root), 'utf8')
const rows = Object.entries(FEATURES).map(([id, title]) => {
  const row = page.split('\n').find((line) => line.startsWith(`| ${id} | ${title} |`))
  return { id, row: row ?? '' }
})

test('each feature is shown by tests, or is said to be missing', () => {
  // After a run of what shows it: npm run compatibility -- REPORT.json
  expect(rows.filter(({ row }) => !/ \| (works|not yet) \| /u.test(row))).toEqual([])
})

test('the tests that a row names are there, and one of them is of its feature', () => {
  const shown = rows.filter(({ row }) => row.includes('.test.ts'))

  expect(shown.length).toBeGreaterThan(50)
  for (const { id, row } of shown) {
    const sources = [...row.matchAll(/[a-z-]+\.test\.ts/gu)].map(([file]) => sourceOf(file))
    expect(sources.join('')).toContain(`'${id}'`)
  }
})

test('a suite stands in the row of each feature that it covers', () => {
  // Suites on Kubernetes come in with a report of theirs, which not every machine can make.
  const suites = readdirSync(new URL('e2e/', root))
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => ({ file, source: readFileSync(new URL(`e2e/${file}`, root), 'utf8') }))
    .filter(({ source }) => !source.includes('kube-cluster.ts'))

  const missing = suites.flatMap(({ file, source }) =>
    rows
      .filter(({ id, row }) => source.includes(`'${id}'`) && !row.includes(file))
      .map(({ id }) => `${id}: ${file}`),
  )

  expect(missing).toEqual([])
})

/** Of a suite, with the files of e2e that it imports, which may say what it covers; not the list of all features. */
function sourceOf(suite: string): string {
  const source = readFileSync(new URL(`e2e/${suite}`, root), 'utf8')
  const imported = [...source.matchAll(/ from '\.\/([a-z-]+\.ts)'/gu)].map(([, file = '']) => file)
  const files = imported.filter((file) => file !== 'features.ts')
  return [source, ...files.map((file) => readFileSync(new URL(`e2e/${file}`, root), 'utf8'))].join(
    '',
  )
}
