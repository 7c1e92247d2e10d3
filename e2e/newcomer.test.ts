/** The path of docs/newcomer.md: each of its commands is run, in order, and prints what the page says. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ROOT } from './environment.ts'
import { covers } from './features.ts'

const OFFSET = 10_300
const READY_MS = 120_000
const STEP_MS = 180_000

interface Step {
  readonly heading: string
  readonly command: string
  /** It is a server, which the next one takes the place of. */
  readonly runsOn: boolean
  /** Lines of its output, in order; `…` is anything. */
  readonly shows: readonly string[]
}

let folder: string
let server: ChildProcess | null = null
/** The first step that failed. */
let broken: string | null = null

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gantry-newcomer-'))
  await symlink(join(ROOT, 'gantry'), join(folder, 'gantry'))
})

afterAll(async () => {
  await stopServer()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

test('make dev is what the page says it is', async () => {
  const makefile = await readFile(join(ROOT, 'Makefile'), 'utf8')

  expect(makefile).toMatch(/^dev: install\n\t\.\/gantry dev$/mu)
})

const steps = stepsOf(await readFile(join(ROOT, 'docs', 'newcomer.md'), 'utf8'))

test('the page has the whole path', () => {
  expect([...new Set(steps.map(({ heading }) => heading))]).toEqual([
    'A first message',
    "A group's lag",
    'A dead letter',
    'Another leader',
    'One more group',
  ])
})

test.for(steps)('$heading: $command', async (step, { task }) => {
  covers(task, 'A1')
  // Each step stands on those before it.
  expect(broken).toBeNull()
  broken = step.command
  const output = step.runsOn ? await startServer(step.command) : await runStep(step.command)

  expectInOrder(output, step.shows)
  broken = null
})

test('the transfer gave the group another leader, and lost nothing', () => {
  const [before, after] = leaders

  expect(before).toMatch(/^shop-broker-0-\d$/u)
  expect(after).toMatch(/^shop-broker-0-\d$/u)
  expect(after).not.toBe(before)
})

/** As `gantry dev status` showed them. */
const leaders: string[] = []

function stepsOf(page: string): readonly Step[] {
  const found: Step[] = []
  let heading = ''
  const pattern =
    /^## (?<heading>.+)$|(?<runs><!-- runs on -->\n)?```sh\n(?<command>[^]*?)\n```(?:\n\n```text\n(?<shows>[^]*?)\n```)?/gmu
  for (const { groups } of page.matchAll(pattern)) {
    if (groups?.['heading'] !== undefined) heading = groups['heading']
    const command = groups?.['command']
    if (command === undefined) continue
    found.push({
      heading,
      command,
      runsOn: groups?.['runs'] !== undefined,
      shows: groups?.['shows']?.split('\n') ?? [],
    })
  }
  return found
}

/** On ports and in a folder of the test's own. */
function adapted(command: string): string {
  return command
    .replaceAll('make dev', './gantry dev')
    .replaceAll('./gantry dev status', `./gantry dev status --data '${folder}/data'`)
    .replaceAll(
      /\.\/gantry dev(?! status)/gu,
      `exec ./gantry dev --data '${folder}/data' --port-offset ${OFFSET}`,
    )
}

async function startServer(command: string): Promise<string> {
  await stopServer()
  await rm(join(folder, 'data'), { recursive: true, force: true })
  const child = bash(adapted(command))
  server = child
  return await new Promise((resolve, reject) => {
    let output = ''
    const timer = setTimeout(() => reject(new Error(`not ready:\n${output}`)), READY_MS)
    const take = (chunk: Buffer): void => {
      output += chunk.toString('utf8')
      if (!output.includes('ready namesrv=')) return
      clearTimeout(timer)
      resolve(output.replaceAll(String(9876 + OFFSET), '9876'))
    }
    child.stdout?.on('data', take)
    child.stderr?.on('data', take)
    child.on('close', () => reject(new Error(`ended:\n${output}`)))
  })
}

async function stopServer(): Promise<void> {
  const child = server
  server = null
  if (child === null || child.exitCode !== null) return
  child.kill('SIGINT')
  await once(child, 'close')
}

async function runStep(command: string): Promise<string> {
  const child = bash(`set -e\n${adapted(command)}`)
  const timer = setTimeout(() => child.kill('SIGKILL'), STEP_MS)
  let output = ''
  const take = (chunk: Buffer): void => {
    output += chunk.toString('utf8')
  }
  child.stdout?.on('data', take)
  child.stderr?.on('data', take)
  await once(child, 'close')
  clearTimeout(timer)
  if (child.exitCode !== 0) throw new Error(`exit code ${String(child.exitCode)}:\n${output}`)
  for (const [, leader = ''] of output.matchAll(/^(shop-broker-0-\d) .*\bleader\b/gmu)) {
    leaders.push(leader)
  }
  return output
}

function bash(script: string): ChildProcess {
  return spawn('bash', ['-c', script], {
    cwd: folder,
    env: { ...process.env, NAMESRV_ADDR: `127.0.0.1:${9876 + OFFSET}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

function expectInOrder(output: string, wanted: readonly string[]): void {
  const lines = output.split('\n').map((line) => line.trim())
  let from = 0
  for (const each of wanted) {
    const pattern = new RegExp(`^${each.split('…').map(escaped).join('.*')}$`, 'u')
    const at = lines.findIndex((line, index) => index >= from && pattern.test(line))
    if (at < 0) throw new Error(`no line like "${each}" from line ${from} on in:\n${output}`)
    from = at + 1
  }
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/gu, String.raw`\$&`).trim()
}
