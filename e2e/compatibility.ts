/**
 * Writes the table of features into docs/compatibility.md, from the reports of test runs.
 *
 *     node e2e/compatibility.ts REPORT.json...      reports of `vitest run --reporter=json`
 *
 * What the reports do not tell of stays as it was: suites that were not in these runs have been in others.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import process from 'node:process'
import { CLIENTS } from './clients.ts'
import { ROOT } from './environment.ts'
import { FEATURES, LACKING, NOT_YET } from './features.ts'
import { listAt, textAt } from './json.ts'

const BEGIN = '<!-- The table is written by `npm run compatibility` from a run of the tests. -->'
const END = '<!-- End of the table. -->'
const DOCUMENT = `${ROOT}docs/compatibility.md`
/** A row of a feature that tests have shown: its id, verdict, clients and files, and what clients lack. */
const ROW =
  /^\| (\w+) \| [^|]+ \| (works|fails) \| (?:([^;|]*); )?([^;|]*\.test\.ts)(?:; [^|]*)? \|$/gmu

const RUN = new Set(['passed', 'failed'])

/** What the tests of a feature have shown. */
interface Evidence {
  hasFailed: boolean
  readonly clients: Set<string>
  readonly files: Set<string>
}

const reports = process.argv.slice(2)
if (reports.length === 0) {
  process.stderr.write('usage: npm run compatibility -- REPORT.json...\n')
  process.exit(2)
}
const text = readFileSync(DOCUMENT, 'utf8')
const begin = text.indexOf(BEGIN)
const end = text.indexOf(END)
if (begin < 0 || end < begin) throw new Error(`${DOCUMENT} has no place for the table`)
const before = text.slice(0, begin + BEGIN.length)
/** Files of which all tests have run. */
const told = new Set<string>()
const evidence = new Map<string, Evidence>()
for (const report of reports) gather(JSON.parse(readFileSync(report, 'utf8')))
for (const row of text.slice(begin, end).matchAll(ROW)) keep(row)
writeFileSync(DOCUMENT, `${before}\n\n${table()}\n\n${text.slice(end)}`)

function gather(report: unknown): void {
  for (const file of listAt(report, 'testResults')) {
    const tests = listAt(file, 'assertionResults')
    if (tests.every((test) => RUN.has(textAt(test, 'status'))))
      told.add(basename(textAt(file, 'name')))
    for (const test of tests) {
      for (const feature of listAt(test, 'meta', 'features')) {
        const found = evidenceOf(String(feature))
        if (textAt(test, 'status') !== 'passed') found.hasFailed = true
        found.files.add(basename(textAt(file, 'name')))
        const name = textAt(test, 'fullName')
        for (const client of [...CLIENTS, 'python'])
          if (name.split(' ').includes(client)) found.clients.add(client)
      }
    }
  }
}

/** Keeps of a row what other runs have shown. A failure goes when all that the row names has run again. */
function keep([, id = '', verdict = '', clients = '', files = '']: readonly string[]): void {
  const others = files.split(', ').filter((file) => !told.has(file))
  if (others.length === 0) return
  const found = evidenceOf(id)
  if (verdict === 'fails') found.hasFailed = true
  for (const file of others) found.files.add(file)
  for (const client of clients.split(', ').filter(Boolean)) found.clients.add(client)
}

function evidenceOf(feature: string): Evidence {
  let found = evidence.get(feature)
  if (found === undefined) {
    found = { hasFailed: false, clients: new Set(), files: new Set() }
    evidence.set(feature, found)
  }
  return found
}

function table(): string {
  const rows = Object.entries(FEATURES).map(([id, title]) => {
    const found = evidence.get(id)
    if (found === undefined) return `| ${id} | ${title} | ${withoutTests(id)} |`
    const verdict = found.hasFailed ? 'fails' : 'works'
    const shownBy = [...found.files].toSorted().join(', ')
    const clients = [...found.clients].toSorted().join(', ')
    const shown = [clients, shownBy, LACKING.get(id)].filter(Boolean).join('; ')
    return `| ${id} | ${title} | ${verdict} | ${shown} |`
  })
  return ['| | feature | verdict | clients; tests |', '|---|---|---|---|', ...rows].join('\n')
}

/** Verdict and reason for a feature that no test of the reports shows. */
function withoutTests(id: string): string {
  const notYet = NOT_YET.get(id)
  return notYet === undefined ? 'not shown | ' : `not yet | ${notYet}`
}
