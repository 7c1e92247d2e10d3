/** The name server as a process: what it prints and how it ends. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

const GANTRY = path.join(import.meta.dirname, '..', 'gantry')

interface Ended {
  readonly exitCode: number | null
  readonly output: string
}

interface Running {
  readonly output: () => string
  readonly ended: Promise<Ended>
  readonly kill: (signal: NodeJS.Signals) => void
}

let folder = ''
const running: Running[] = []

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gantry-namesrv-main-'))
})

afterEach(async () => {
  for (const each of running.splice(0)) {
    each.kill('SIGKILL')
    await each.ended
  }
  fs.rmSync(folder, { recursive: true })
})

function start(...argv: readonly string[]): Running {
  const child = spawn(GANTRY, ['namesrv', ...argv], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
  child.stderr.on('data', (bytes: Buffer) => (output += bytes.toString()))
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (exitCode) => resolve({ exitCode, output }))
  })
  const started = {
    output: () => output,
    ended,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
  }
  running.push(started)
  return started
}

function configFile(content: string): string {
  const file = path.join(folder, 'namesrv.conf')
  const defaults = `bindAddress=127.0.0.1\nkvConfigPath=${folder}/kvConfig.json\n`
  fs.writeFileSync(file, `${defaults}listenPort=0\nmetricsPromExporterPort=0\n${content}`)
  return file
}

test('it tells its address when it has started, and ends well at SIGTERM', async () => {
  const nameServer = start('-c', configFile(''))
  await vi.waitFor(
    () => expect(nameServer.output()).toContain('the name server has started'),
    20_000,
  )

  nameServer.kill('SIGTERM')
  const { exitCode, output } = await nameServer.ended

  expect(exitCode).toBe(0)
  expect(output).toMatch(/"address":"127\.0\.0\.1:\d+"/)
})

test('a busy port is told with its key and ends with 5', async () => {
  const taken = net.createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const address = taken.address()
  const port = typeof address === 'object' ? address?.port : 0

  const { exitCode, output } = await start('-c', configFile(`listenPort=${port}`)).ended
  taken.close()

  expect(exitCode).toBe(5)
  expect(output).toContain(`a port is in use by another process (listenPort ${port}`)
})

test('a KV config that cannot be written is told with its path and ends with 2', async () => {
  const file = configFile('')
  const { exitCode, output } = await start('-c', file, '-p', `kvConfigPath=${file}/kv.json`).ended

  expect(exitCode).toBe(2)
  expect(output).toContain(`the KV config ${file}/kv.json cannot be`)
})

test.for([
  [
    'a misspelt option',
    ['--chek-config'],
    'unknown option --chek-config; did you mean --check-config?',
  ],
  ['a value out of bounds', ['-p', 'listenPort=70000'], 'listenPort: 70000 is outside 0 to 65535'],
  ['a missing file', ['-c', '/nowhere/n.conf'], 'the configuration file /nowhere/n.conf'],
] as const)('%s ends with 2 and says what is wrong', async ([, argv, sentence]) => {
  const { exitCode, output } = await start(...argv).ended

  expect(exitCode).toBe(2)
  expect(output).toContain(sentence)
})

test('a configuration is checked without a start, misspelt keys warned of', async () => {
  const { exitCode, output } = await start(
    '-c',
    configFile('enableTopicLst=true'),
    '--check-config',
  ).ended

  expect(exitCode).toBe(0)
  expect(output).toContain('unknown key enableTopicLst; did you mean enableTopicList?')
  expect(output).toContain('OK\n')
})
