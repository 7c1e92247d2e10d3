/** `gantry admin` under the names and flags of mqadmin: what the official tool is asked, and the same must show. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildClients } from './clients.ts'
import type { ClientProcess } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { ROOT, run } from './environment.ts'
import { covers } from './features.ts'
import { MQADMIN_COMMANDS } from './mqadmin-commands.ts'
import { prepareWorld } from './mqadmin-world.ts'
import { Mqadmin, buildMqadmin } from './mqadmin.ts'
import type { MqadminRun, MqadminWorld } from './mqadmin-command.ts'

const GANTRY = join(ROOT, 'gantry')
const { stdout: help } = await run(GANTRY, ['admin', '--help'])
const OWN = new Set([...help.matchAll(/^ {2}(\w+) \[options\]/gmu)].map(([, name]) => name))
/** In the order of the official tool, whose commands build on each other. */
const COMMANDS = MQADMIN_COMMANDS.filter(({ name }) => OWN.has(name))

/** Commands of the official tool alone, which make what others are asked about. */
const MADE_BY: readonly string[] = ['updateTopicList', 'cloneGroupOffset']

let server: DevServer
let folder: string
let world: MqadminWorld
const clients: ClientProcess[] = []

beforeAll(async () => {
  await Promise.all([buildClients(), buildMqadmin()])
  folder = await mkdtemp(join(tmpdir(), 'gantry-admin-'))
  server = await startDevServer({
    portOffset: 10_900,
    groups: 1,
    config: { traceTopicEnable: 'true' },
  })
  const mqadmin = new Mqadmin(folder)
  try {
    const { namesrv } = server
    world = await prepareWorld({ namesrv, mqadmin, folder, clients })
    await mqadmin.run(['updateSubGroup', '-b', world.broker, '-g', 'ClonedGroup', '-n', namesrv])
    for (const { name, runs } of MQADMIN_COMMANDS.filter((one) => MADE_BY.includes(one.name))) {
      for (const { args } of runs) await mqadmin.run([name, ...args(world), '-n', namesrv])
    }
  } finally {
    await mqadmin.close()
  }
})

afterAll(async () => {
  await Promise.all(clients.map((client) => client.kill()))
  await server?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

test('every command is one of the official tool, which works', () => {
  expect(OWN.size).toBeGreaterThan(30)
  expect(COMMANDS.map(({ name }) => name).toSorted()).toEqual([...OWN].map(String).toSorted())
  expect(COMMANDS.filter(({ verdict }) => verdict !== 'works')).toEqual([])
})

test.for(COMMANDS)('$name shows what the official tool shows', async ({ name, runs }, { task }) => {
  covers(task, 'A1')

  for (const each of runs) {
    const output = await outputOf(name, each)
    for (const wanted of each.shows(world)) {
      if (typeof wanted === 'string') expect(output).toContain(wanted)
      else expect(output).toMatch(wanted)
    }
  }
})

/** One that repeats itself is interrupted. */
async function outputOf(name: string, { args, isEndless }: MqadminRun): Promise<string> {
  const command = ['admin', name, ...args(world), '-n', server.namesrv]
  const child = spawn(GANTRY, command, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const take = (chunk: Buffer): void => {
    output += chunk.toString('utf8')
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const timer = setTimeout(() => child.kill('SIGINT'), isEndless === true ? 5000 : 30_000)
  await once(child, 'close')
  clearTimeout(timer)
  return output
}
