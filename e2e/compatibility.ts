/**
 * Writes the table of features into docs/compatibility.md, from the reports of test runs.
 *
 *     node e2e/compatibility.ts REPORT.json...      reports of `vitest run --reporter=json`
 *
 * The row of a feature of which no report tells stays as it was: suites that were not in the run have been in another one.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import process from 'node:process'
import { CLIENTS } from './clients.ts'
import { ROOT } from './environment.ts'
import { BY_HAND, FEATURES, NOT_YET } from './features.ts'
import { listAt, textAt } from './json.ts'

const BEGIN = '<!-- The table is written by `npm run compatibility` from a run of the tests. -->'
const END = '<!-- End of the table. -->'
const DOCUMENT = `${ROOT}docs/compatibility.md`

/** What the tests of a feature have shown. */
interface Evidence {
  failed: number
  passed: number
  readonly clients: Set<string>
  readonly files: Set<string>
}

const reports = process.argv.slice(2)
if (reports.length === 0) {
  process.stderr.write('usage: npm run compatibility -- REPORT.json...\n')
  process.exit(2)
}
const evidence = new Map<string, Evidence>()
for (const report of reports) gather(JSON.parse(readFileSync(report, 'utf8')))
const text = readFileSync(DOCUMENT, 'utf8')
const begin = text.indexOf(BEGIN)
const end = text.indexOf(END)
if (begin < 0 || end < begin) throw new Error(`${DOCUMENT} has no place for the table`)
const before = text.slice(0, begin + BEGIN.length)
const former = new Map(
  text
    .slice(begin, end)
    .matchAll(/^\| (\w+) \| [^|]+ \| ((?:works|fails) .*) \|$/gmu)
    .map(([, id = '', rest = '']) => [id, rest]),
)
writeFileSync(DOCUMENT, `${before}\n\n${table()}\n\n${text.slice(end)}`)

function gather(report: unknown): void {
  for (const file of listAt(report, 'testResults')) {
    for (const test of listAt(file, 'assertionResults')) {
      for (const feature of listAt(test, 'meta', 'features')) {
        const found = evidenceOf(String(feature))
        if (textAt(test, 'status') === 'passed') found.passed++
        else found.failed++
        found.files.add(basename(textAt(file, 'name')))
        const name = textAt(test, 'fullName')
        for (const client of [...CLIENTS, 'python'])
          if (name.split(' ').includes(client)) found.clients.add(client)
      }
    }
  }
}

function evidenceOf(feature: string): Evidence {
  let found = evidence.get(feature)
  if (found === undefined) {
    found = { failed: 0, passed: 0, clients: new Set(), files: new Set() }
    evidence.set(feature, found)
  }
  return found
}

function table(): string {
  const rows = Object.entries(FEATURES).map(([id, title]) => {
    const found = evidence.get(id)
    if (found === undefined) return `| ${id} | ${title} | ${withoutTests(id)} |`
    const count = found.passed + found.failed
    const verdict = found.failed === 0 ? 'works' : 'fails'
    const tests = `${found.passed} of ${count}`
    const shownBy = [...found.files].toSorted().join(', ')
    const clients = [...found.clients].toSorted().join(', ')
    return `| ${id} | ${title} | ${verdict} | ${tests} | ${[clients, shownBy].filter(Boolean).join('; ')} |`
  })
  return [
    '| | feature | verdict | tests passed | clients; tests |',
    '|---|---|---|---|---|',
    ...rows,
  ].join('\n')
}

/** Verdict and reason for a feature that no test of the reports shows. */
function withoutTests(id: string): string {
  const [notYet, byHand] = [NOT_YET.get(id), BY_HAND.get(id)]
  if (notYet !== undefined) return `not yet | | ${notYet}`
  return byHand === undefined ? (former.get(id) ?? 'not shown | | ') : `by hand | | ${byHand}`
}
