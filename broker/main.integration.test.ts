/** The broker as a process: what it prints and how it ends. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { freePorts } from '../common/testing.ts'

const GANTRY = path.join(import.meta.dirname, '..', 'gantry')
/** The VIP port is two below the port of a broker. */
const FIRST_PORT = await freePorts(16)
const PORT = FIRST_PORT + 2
const ADMIN_PORT = FIRST_PORT + 4

interface Running {
  readonly output: () => string
  readonly ended: Promise<{ readonly exitCode: number | null; readonly output: string }>
  readonly kill: (signal: NodeJS.Signals) => void
}

let folder = ''
const running: Running[] = []

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gantry-broker-main-'))
})

afterEach(async () => {
  for (const each of running.splice(0)) {
    each.kill('SIGKILL')
    await each.ended
  }
  fs.rmSync(folder, { recursive: true })
})

function start(...argv: readonly string[]): Running {
  const child = spawn(GANTRY, ['broker', ...argv], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
  child.stderr.on('data', (bytes: Buffer) => (output += bytes.toString()))
  const started = {
    output: () => output,
    ended: new Promise<{ readonly exitCode: number | null; readonly output: string }>((resolve) => {
      child.once('close', (exitCode) => resolve({ exitCode, output }))
    }),
    kill: (signal: NodeJS.Signals) => child.kill(signal),
  }
  running.push(started)
  return started
}

function configFile(content = ''): string {
  const file = path.join(folder, 'broker.conf')
  const lines = [
    content,
    'brokerName=broker-a',
    'bindAddress=127.0.0.1',
    'brokerIP1=127.0.0.1',
    `listenPort=${PORT}`,
    `metricsPromExporterPort=${ADMIN_PORT}`,
    'mappedFileSizeCommitLog=8388608',
  ]
  if (!content.includes('storePathRootDir')) lines.push(`storePathRootDir=${folder}/store`)
  fs.writeFileSync(file, lines.join('\n'))
  return file
}

async function startedOn(...argv: readonly string[]): Promise<Running> {
  const broker = start(...argv)
  await vi.waitFor(() => expect(broker.output()).toContain('the broker has started'), 20_000)
  return broker
}

test('it tells its address once, and ends well at SIGTERM', async () => {
  const broker = await startedOn('-c', configFile())

  broker.kill('SIGTERM')
  const { exitCode, output } = await broker.ended

  expect(exitCode).toBe(0)
  expect(output.split(`"address":"127.0.0.1:${PORT}"`)).toHaveLength(2)
  expect(fs.existsSync(`${folder}/store/abort`)).toBe(false)
})

test('keys without effect are told once, misspelt ones with the nearest name', async () => {
  const broker = await startedOn('-c', configFile('haListenPort=1\nflushDiskTyp=SYNC_FLUSH'))

  expect(broker.output()).toContain('"keys":["haListenPort"]')
  expect(broker.output()).toContain('unknown key flushDiskTyp; did you mean flushDiskType?')
})

describe('--check-config', () => {
  test('says OK and starts nothing', async () => {
    const { exitCode, output } = await start('-c', configFile(), '--check-config').ended

    expect({ exitCode, output }).toEqual({ exitCode: 0, output: 'OK\n' })
    expect(fs.existsSync(`${folder}/store`)).toBe(false)
  })

  test('names key and line of what is wrong, and ends with 2', async () => {
    const file = configFile('# a comment\nflushDiskType=NEVER')

    const { exitCode, output } = await start('-c', file, '--check-config').ended

    expect(exitCode).toBe(2)
    expect(output).toContain(`${file}:2: flushDiskType: 'NEVER' is none of ASYNC_FLUSH, SYNC_FLUSH`)
  })
})

describe('a broker that cannot start', () => {
  test('for an unknown flag ends with 2 and names the nearest', async () => {
    const { exitCode, output } = await start('--configFil', 'x').ended

    expect(exitCode).toBe(2)
    expect(output).toContain('did you mean --configFile?')
  })

  test('for a file that is not there ends with 2', async () => {
    const { exitCode, output } = await start('-c', `${folder}/none.conf`).ended

    expect(exitCode).toBe(2)
    expect(output).toContain(`${folder}/none.conf`)
  })

  test('for a busy port ends with 5 and names it', async () => {
    const taken = net.createServer()
    await new Promise<void>((resolve) => taken.listen(PORT, '127.0.0.1', resolve))

    const { exitCode, output } = await start('-c', configFile()).ended
    await new Promise((resolve) => taken.close(resolve))

    expect(exitCode).toBe(5)
    expect(output).toContain(`listenPort ${PORT}`)
  })

  test('for a folder that another broker uses ends with 5, and the other one goes on', async () => {
    const first = await startedOn('-c', configFile())

    const second = start(
      '-c',
      configFile(),
      '-p',
      `listenPort=${PORT + 10}`,
      '-p',
      `metricsPromExporterPort=${ADMIN_PORT + 10}`,
    )
    const { exitCode, output } = await second.ended
    first.kill('SIGTERM')

    expect(exitCode).toBe(5)
    expect(output).toContain(`${folder}/store`)
    expect((await first.ended).exitCode).toBe(0)
  })

  test('for a folder that is no store ends with 2 and leaves it as it was', async () => {
    fs.mkdirSync(`${folder}/photos`)
    fs.writeFileSync(`${folder}/photos/cat.jpg`, 'meow')

    const { exitCode, output } = await start('-c', configFile(`storePathRootDir=${folder}/photos`))
      .ended

    expect(exitCode).toBe(2)
    expect(output).toContain(`${folder}/photos`)
    expect(fs.readdirSync(`${folder}/photos`)).toEqual(['cat.jpg'])
  })

  test('for a folder that cannot be made ends with 2', async () => {
    fs.writeFileSync(`${folder}/file`, '')

    const { exitCode, output } = await start(
      '-c',
      configFile(`storePathRootDir=${folder}/file/store`),
    ).ended

    expect(exitCode).toBe(2)
    expect(output).toContain(`${folder}/file`)
  })
})
