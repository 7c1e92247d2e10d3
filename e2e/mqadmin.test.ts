/**
 * Each command of the official mqadmin against a `gantry dev` with topics, messages, a trace, and an online producer and consumer of the
 * official Java client. GANTRY_E2E_UPDATE=true writes the table of verdicts into docs/compatibility.md.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildClients } from './clients.ts'
import type { ClientProcess } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { ROOT, environmentVariable, figures } from './environment.ts'
import { covers } from './features.ts'
import { MQADMIN_COMMANDS, mqadminTable } from './mqadmin-commands.ts'
import { featuresOf } from './mqadmin-command.ts'
import type { MqadminRun, MqadminWorld, Verdict } from './mqadmin-command.ts'
import { Mqadmin, buildMqadmin } from './mqadmin.ts'
import { TOPIC, prepareWorld } from './mqadmin-world.ts'
import type { MqadminResult } from './mqadmin.ts'

const CONFIG = { traceTopicEnable: 'true' }
const ENDLESS_MS = 4_000
const DOCUMENT = join(ROOT, 'docs', 'compatibility.md')
const BEGIN = '<!-- The table of mqadmin is written by its test. -->'
const END = '<!-- End of the table of mqadmin. -->'

let server: DevServer
let folder: string
let mqadmin: Mqadmin
let world: MqadminWorld
const clients: ClientProcess[] = []

beforeAll(async () => {
  await Promise.all([buildClients(), buildMqadmin()])
  folder = await mkdtemp(join(tmpdir(), 'gantry-mqadmin-'))
  server = await startDevServer({ portOffset: 11_000, groups: 1, config: CONFIG })
  mqadmin = new Mqadmin(folder)
  figures('mqadmin', { server: server.description })
  world = await prepareWorld({ namesrv: server.namesrv, mqadmin, folder, clients })
})

afterAll(async () => {
  await Promise.all(clients.map((client) => client.kill()))
  await mqadmin?.close()
  await server?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

test('the tool has the commands of the table, and no others', async () => {
  const { stdout } = await mqadmin.run([])

  const listed = stdout.matchAll(/^ {3}(\w+) +\S/gmu).map(([, name]) => name)
  expect(new Set(listed)).toEqual(new Set(MQADMIN_COMMANDS.map(({ name }) => name)))
})

test.for(MQADMIN_COMMANDS)('$name: $verdict', async ({ name, verdict, runs }, { task }) => {
  if (verdict === 'works') covers(task, 'A2', ...featuresOf(name))

  for (const each of runs) {
    const result = await runOnce(name, each)
    expectAnswer(result, verdict, each)
  }
})

test('what is exported can be read', async () => {
  const metadata: unknown = JSON.parse(await readFile(join(folder, 'metadata.json'), 'utf8'))

  expect(metadata).toMatchObject({ topicConfigTable: { [TOPIC]: { topicName: TOPIC } } })
})

test('the documentation has the table', async () => {
  const text = await readFile(DOCUMENT, 'utf8')
  const begin = text.indexOf(BEGIN) + BEGIN.length
  const wanted = `${text.slice(0, begin)}\n\n${mqadminTable()}\n\n${text.slice(text.indexOf(END))}`

  if (environmentVariable('GANTRY_E2E_UPDATE') === 'true') await writeFile(DOCUMENT, wanted)
  else expect(text).toBe(wanted)
})

function runOnce(name: string, { args, isEndless }: MqadminRun): Promise<MqadminResult> {
  const command = [name, ...args(world), '-n', server.namesrv]
  return isEndless === true ? mqadmin.run(command, ENDLESS_MS) : mqadmin.run(command)
}

function expectAnswer(result: MqadminResult, verdict: Verdict, run: MqadminRun): void {
  const { stdout, stderr, ended } = result
  const isEndless = run.isEndless === true
  const shown = verdict === 'works' ? stdout : stdout + stderr

  expect(ended).toBe(!isEndless)
  for (const wanted of run.shows(world)) {
    if (typeof wanted === 'string') expect(shown).toContain(wanted)
    else expect(shown).toMatch(wanted)
  }
  // One that repeats itself ends by an interrupt, which it prints.
  if (verdict === 'works' && !isEndless) expect(stderr).toBe('')
}
