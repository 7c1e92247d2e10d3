/** The rules of the house which no linter knows: who may import whom, how long a file may be, what is banned by name. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { posix } from 'node:path'
import { expect, test } from 'vitest'

const ALL = [
  'common',
  'remoting',
  'store',
  'raft',
  'namesrv',
  'client',
  'broker',
  'proxy',
  'tools',
  'local',
  'dashboard',
  'operator',
  'simulation',
  'e2e',
  'bench',
  'test',
] as const

/** Which folders a folder may import besides itself. A `lazy` import is an `await import()` of a role's main.ts. */
const MAY_IMPORT: Readonly<
  Record<string, { readonly folders: readonly string[]; readonly lazy?: boolean }>
> = {
  common: { folders: [] },
  remoting: { folders: ['common'] },
  store: { folders: ['common'] },
  raft: { folders: ['common'] },
  namesrv: { folders: ['common', 'remoting'] },
  client: { folders: ['common', 'remoting'] },
  broker: { folders: ['common', 'remoting', 'store', 'raft'] },
  proxy: { folders: ['common', 'remoting', 'client'] },
  tools: { folders: ['common', 'remoting', 'client'], lazy: true },
  local: { folders: ['common', 'client', 'operator'] },
  dashboard: { folders: ['common', 'remoting', 'client'] },
  operator: { folders: ['common', 'client'] },
  simulation: {
    folders: ALL.filter((name) => !['operator', 'dashboard', 'tools', 'e2e'].includes(name)),
  },
  e2e: { folders: ['common', 'remoting', 'client', 'tools'] },
  bench: { folders: [...ALL] },
  test: { folders: [...ALL] },
}

const MAX_LINES = 800

interface Import {
  readonly file: string
  readonly target: string
  readonly lazy: boolean
}

const tracked = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.ts'], {
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path !== '' && !path.startsWith('e2e/clients/') && existsSync(path))
const sources = new Map(tracked.map((path) => [path, readFileSync(path, 'utf8')]))
const inFolders = [...sources].filter(([path]) => path.includes('/'))

test('a folder imports only what the table allows', () => {
  const wrong = inFolders
    .flatMap(([file, source]) => importsOf(file, source))
    .filter((found) => !allowed(found))

  expect(wrong.map(({ file, target }) => `${file} imports ${target}`)).toEqual([])
})

test('every top-level folder with code is in the table', () => {
  const folders = new Set(inFolders.map(([path]) => folderOf(path)))

  expect([...folders].filter((folder) => !(folder in MAY_IMPORT))).toEqual([])
})

test('no file is longer than 800 lines', () => {
  const long = [...sources]
    .filter(
      ([, source]) => !source.startsWith('// Generated') && source.split('\n').length > MAX_LINES,
    )
    .map(([path]) => path)

  expect(long).toEqual([])
})

test('there are no barrels: a file is imported by its own name', () => {
  expect(tracked.filter((path) => posix.basename(path) === 'index.ts')).toEqual([])
})

test('only operator/kube.ts talks through the Kubernetes client library', () => {
  const users = [...sources]
    .filter(
      ([path, source]) => !path.startsWith('e2e/') && /from '@kubernetes\/client-node/.test(source),
    )
    .map(([path]) => path)

  expect(
    users.filter((path) => path !== 'operator/kube.ts' && path !== 'operator/kube.test.ts'),
  ).toEqual([])
})

function importsOf(file: string, source: string): readonly Import[] {
  const found: Import[] = []
  for (const match of source.matchAll(/(?:from|import)\s+'(\.[^']+)'|import\('(\.[^']+)'\)/g)) {
    const relative = match[1] ?? match[2] ?? ''
    const target = posix.normalize(posix.join(posix.dirname(file), relative))
    found.push({ file, target, lazy: match[2] !== undefined })
  }
  return found
}

function allowed({ file, target, lazy }: Import): boolean {
  const from = folderOf(file)
  const to = folderOf(target)
  if (from === to) return true
  const rule = MAY_IMPORT[from]
  if (rule === undefined) return false
  if (rule.folders.includes(to)) return true
  if (isTest(file) && MAY_IMPORT_IN_TESTS.includes(to)) return true
  return rule.lazy === true && lazy && target.endsWith('/main.ts')
}

/** Tests may stand on the simulated world, and integration tests on the parts that they integrate. */
const MAY_IMPORT_IN_TESTS: readonly string[] = [
  'simulation',
  'namesrv',
  'broker',
  'client',
  'store',
  'remoting',
  'operator',
  'local',
]

function isTest(file: string): boolean {
  return /(\.test|\.bench|\/testing[-a-z]*|\/fuzz)\.ts$/.test(file)
}

function folderOf(path: string): string {
  return path.slice(0, path.indexOf('/'))
}

/** Where the kernel takes the ports of outgoing connections from begins here; the highest port of `gantry dev` is that of a group's relay. */
const EPHEMERAL_FIRST = 32_768
const DEV_LAST = 20_911 + 100

test('suites of e2e, which run beside each other, have ports of their own that no connection takes', () => {
  const offsets = tracked
    .filter((file) => /^e2e\/[^/]+\.test\.ts$/.test(file))
    .flatMap((file) => {
      const lines = readFileSync(file, 'utf8').match(
        /(?:portOffset: |OwnCluster\.start\(|OFFSET = ).*/g,
      )
      const numbers = (lines ?? []).flatMap((line) => line.match(/\b\d[\d_]{3,}/g) ?? [])
      return numbers.map((number) => Number(number.replaceAll('_', '')))
    })
    .toSorted((left, right) => left - right)

  expect(offsets.length).toBeGreaterThan(10)
  const distances = offsets.slice(1).map((offset, index) => offset - (offsets[index] ?? 0))
  expect(Math.min(...distances)).toBeGreaterThanOrEqual(100)
  expect(DEV_LAST + Math.max(...offsets)).toBeLessThan(EPHEMERAL_FIRST)
})

test('pictures of the documents are small, and each stands in one of them', () => {
  const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', 'docs'], {
    encoding: 'utf8',
  })
    .split('\n')
    .filter((path) => existsSync(path))
  const words = files
    .filter((path) => path.endsWith('.md'))
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n')
  const pictures = files.filter((path) => path.endsWith('.png'))

  expect(pictures.filter((path) => statSync(path).size > 100_000)).toEqual([])
  expect(pictures.filter((path) => !words.includes(posix.basename(path)))).toEqual([])
})
