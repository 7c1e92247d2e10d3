/**
 * kill -9 of a broker process under load: no acknowledged message may be lost, and the folder must be in order.
 *
 * GANTRY_CRASH_KILLS sets how often it is killed (3), GANTRY_LOOP_DIR where the store is (e2e/on-loop-device makes file systems),
 * GANTRY_CRASH_FLUSH the flush type (by turns).
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { formatProperties } from '../common/properties.ts'
import { createRuntime } from '../common/runtime.ts'
import { freePorts } from '../common/testing.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { fsck } from '../store/fsck.ts'
import { readTopic } from './testing-client.ts'
import type { ChildProcess } from 'node:child_process'

const KILLS = Number(process.env['GANTRY_CRASH_KILLS'] ?? 3)
const FLUSH_TYPE = process.env['GANTRY_CRASH_FLUSH']
const LOAD_MS = 700
const QUEUES = 4
const IN_FLIGHT = 64
/** The VIP port is two below the port of a broker. */
const FIRST_PORT = await freePorts(4)
const PORT = FIRST_PORT + 2
const ADMIN_PORT = FIRST_PORT + 3
const ADDRESS = `127.0.0.1:${PORT}`
const GANTRY = path.join(import.meta.dirname, '..', 'gantry')
const runtime = createRuntime()

let folder = ''
let broker: ChildProcess | null = null

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(process.env['GANTRY_LOOP_DIR'] ?? os.tmpdir(), 'gantry-crash-'))
})

afterEach(async () => {
  if (broker !== null) await end(broker, 'SIGKILL')
  fs.rmSync(folder, { recursive: true, force: true })
})

async function start(round: number): Promise<ChildProcess> {
  const keys = [
    'brokerName=broker-a',
    'bindAddress=127.0.0.1',
    'brokerIP1=127.0.0.1',
    `listenPort=${PORT}`,
    `metricsPromExporterPort=${ADMIN_PORT}`,
    `storePathRootDir=${folder}/store`,
    // Small files, so that kills also fall between them.
    `mappedFileSizeCommitLog=${8 * 1024 * 1024}`,
    'mappedFileSizeConsumeQueue=20000',
    `flushDiskType=${FLUSH_TYPE ?? (round % 2 === 0 ? 'ASYNC_FLUSH' : 'SYNC_FLUSH')}`,
  ]
  const child = spawn(GANTRY, ['broker', ...keys.flatMap((key) => ['-p', key])], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  broker = child
  let output = ''
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => reject(new Error(`the broker did not start: ${output}`)))
    child.stderr.on('data', (bytes: Buffer) => {
      output += bytes.toString()
      if (output.includes('the broker has started')) resolve()
    })
  })
  return child
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill(signal)
  })
}

/** Sends without a pause until the connection breaks; adds the ids that were acknowledged. */
async function load(acknowledged: Set<string>, round: number): Promise<void> {
  await using client = new RemotingClient({ ...runtime, logger: silentLogger })
  let sequence = 0
  const sender = async (worker: number): Promise<void> => {
    for (;;) {
      const id = `R${round}W${worker}N${sequence++}`
      const extFields = {
        a: 'P',
        b: 'Crash',
        c: 'TBW102',
        d: String(QUEUES),
        e: String(sequence % QUEUES),
        f: '0',
        g: '1',
        h: '0',
        i: formatProperties([['UNIQ_KEY', id]]),
      }
      const body = Buffer.alloc(1 + (sequence % 2000), sequence)
      const answer = await client.invoke(
        ADDRESS,
        { code: RequestCode.SEND_MESSAGE_V2, extFields, body },
        5000,
      )
      if (answer.code === ResponseCode.SUCCESS) acknowledged.add(id)
    }
  }
  await Promise.allSettled(Array.from({ length: IN_FLIGHT }, (_, worker) => sender(worker)))
}

test(
  `no acknowledged message is lost in ${KILLS} kills under load, and the folder is in order`,
  async () => {
    const acknowledged = new Set<string>()
    let pendingUnits = 0
    for (let round = 0; round < KILLS; round++) {
      const child = await start(round)
      const loading = load(acknowledged, round)
      await new Promise((resolve) => setTimeout(resolve, LOAD_MS + Math.random() * LOAD_MS))
      await end(child, 'SIGKILL')
      await loading

      const killed = fsck({ disk: runtime.disk, root: `${folder}/store` })
      pendingUnits += killed.pendingUnits
      expect(killed.problems).toEqual([])
    }

    const child = await start(0)
    await using client = new RemotingClient({ ...runtime, logger: silentLogger })
    const found = await readTopic(client, ADDRESS, 'Crash', QUEUES)
    await end(child, 'SIGTERM')
    const stopped = fsck({ disk: runtime.disk, root: `${folder}/store` })

    const lost = [...acknowledged].filter((id) => !found.has(id))
    const figures = {
      kills: KILLS,
      acknowledged: acknowledged.size,
      found: found.size,
      pendingUnits,
      records: stopped.records,
    }
    process.stdout.write(`figures ${JSON.stringify(figures)}\n`)
    expect(acknowledged.size).toBeGreaterThan(KILLS * 100)
    expect(lost).toEqual([])
    expect(stopped.problems).toEqual([])
    expect(stopped.tornTail).toBeNull()
  },
  60_000 + KILLS * 30_000,
)
