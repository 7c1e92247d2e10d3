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
import { ExitCode } from '../common/errors.ts'
import type { LegacyOption } from '../tools/admin/legacy-command.ts'
import { REFUSED_COMMANDS } from '../tools/admin/legacy/refused.ts'
import { LEGACY_COMMANDS } from '../tools/admin/legacy.ts'
import { ROOT } from './environment.ts'
import { covers } from './features.ts'
import { MQADMIN_COMMANDS } from './mqadmin-commands.ts'
import { prepareWorld } from './mqadmin-world.ts'
import { Mqadmin, buildMqadmin } from './mqadmin.ts'
import { featuresOf } from './mqadmin-command.ts'
import type { MqadminRun, MqadminWorld } from './mqadmin-command.ts'

const GANTRY = join(ROOT, 'gantry')
/** They end in the official tool, whose process goes on all the same. */
const ENDLESS: readonly string[] = ['startMonitoring']

let server: DevServer
let folder: string
let world: MqadminWorld
let mqadmin: Mqadmin
const clients: ClientProcess[] = []

beforeAll(async () => {
  await Promise.all([buildClients(), buildMqadmin()])
  folder = await mkdtemp(join(tmpdir(), 'gantry-admin-'))
  server = await startDevServer({
    portOffset: 10_900,
    groups: 1,
    config: { traceTopicEnable: 'true' },
  })
  mqadmin = new Mqadmin(folder)
  const { namesrv } = server
  world = await prepareWorld({ namesrv, mqadmin, folder, clients })
  // mqadmin resets offsets of a group that is not there by setting them one by one.
  await mqadmin.run(['updateSubGroup', '-b', world.broker, '-g', 'ClonedGroup', '-n', namesrv])
})

afterAll(async () => {
  await Promise.all(clients.map((client) => client.kill()))
  await mqadmin?.close()
  await server?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

test('every command of the official tool is known, with all of its flags', async () => {
  const known = new Map<string, readonly string[] | null>(
    LEGACY_COMMANDS.map(({ name, options }) => [name, flagsOf(options)]),
  )
  for (const { name } of REFUSED_COMMANDS) known.set(name, null)

  expect(known.size).toBe(LEGACY_COMMANDS.length + REFUSED_COMMANDS.length)
  expect([...known.keys()].toSorted()).toEqual(MQADMIN_COMMANDS.map(({ name }) => name).toSorted())
  for (const [name, flags] of known) {
    const { stdout } = await mqadmin.run(['help', name])
    if (flags !== null) expect([name, ...flags]).toEqual([name, ...flagsIn(stdout)])
  }
})

function flagsOf(options: readonly LegacyOption[]): readonly string[] {
  return options.map(({ short, long }) => `-${short ?? ''} --${long}`).toSorted()
}

/** Of some the long name holds a blank, which nobody can type. Those of the name servers and of help are everywhere. */
function flagsIn(help: string): readonly string[] {
  return [...help.matchAll(/^ +(?:-(\w+),)?--(\w+)/gmu)]
    .filter(([, short = '']) => short !== 'n' && short !== 'h')
    .map(([, short = '', long]) => `-${short} --${long}`)
    .toSorted()
}

test.for(MQADMIN_COMMANDS)(
  '$name shows what the official tool shows, or why not',
  async ({ name, verdict, note, runs }, { task }) => {
    covers(task, 'A1', ...featuresOf(name))

    for (const each of runs) {
      const { output, exitCode } = await runGantry(name, each)
      const isRefused = verdict !== 'works'
      const wanted = isRefused ? [`gantry: ${name}: ${note}`] : each.shows(world)
      for (const one of wanted) {
        if (typeof one === 'string') expect(output).toContain(one)
        else expect(output).toMatch(one)
      }
      expect([output, exitCode]).toEqual([output, isRefused ? ExitCode.USAGE : ExitCode.DONE])
    }
  },
)

test('a group that is given the offsets of another one is as far as that', async ({ task }) => {
  covers(task, 'A1', 'A11')
  const { broker, topic, group } = world
  await outputOf('updateSubGroup', '-b', broker, '-g', 'Twin')

  await outputOf('cloneGroupOffset', '-s', group, '-d', 'Twin', '-t', topic)

  const offsetsOf = async (name: string) => {
    const output = await outputOf('consumerProgress', '-g', name, '-t', topic)
    return output.split('\n').filter((line) => line.startsWith(`${topic} `))
  }
  const offsets = await offsetsOf(group)
  expect(offsets.length).toBeGreaterThan(0)
  expect(await offsetsOf('Twin')).toEqual(offsets)
})

test('a message that is sent with a trace has one', async ({ task }) => {
  covers(task, 'A1', 'A9')

  const sent = await outputOf('sendMessage', '-t', world.topic, '-p', 'x', '-m', 'true')
  const id = /SEND_OK +(\S+)/u.exec(sent)?.[1] ?? ''

  expect(await outputOf('queryMsgTraceById', '-i', id)).toMatch(/^Pub +TOOLS_PRODUCER .*success/mu)
})

async function outputOf(name: string, ...args: readonly string[]): Promise<string> {
  const { output, exitCode } = await runGantry(name, { args: () => args, shows: () => [] })
  expect([output, exitCode]).toEqual([output, ExitCode.DONE])
  return output
}

interface GantryRun {
  readonly output: string
  readonly exitCode: number | null
}

/** One that repeats itself is interrupted. */
async function runGantry(name: string, { args, isEndless }: MqadminRun): Promise<GantryRun> {
  const command = ['admin', name, ...args(world), '-n', server.namesrv]
  const child = spawn(GANTRY, command, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const take = (chunk: Buffer): void => {
    output += chunk.toString('utf8')
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const repeats = isEndless === true || ENDLESS.includes(name)
  const timer = setTimeout(() => child.kill('SIGINT'), repeats ? 5000 : 30_000)
  await once(child, 'close')
  clearTimeout(timer)
  return { output, exitCode: child.exitCode }
}
