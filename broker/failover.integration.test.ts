/**
 * Three broker processes and a name server: kill -9 of the leader under load. No acknowledged message may be lost, offsets of queues are
 * dense on every member, and the next message is acknowledged within seconds.
 *
 * GANTRY_FAILOVER_KILLS sets how often a leader is killed (2), GANTRY_CRASH_FLUSH the flush type.
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
import { decodeTopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { fsck } from '../store/fsck.ts'
import { readTopic } from './testing-client.ts'
import type { ChildProcess } from 'node:child_process'

const KILLS = Number(process.env['GANTRY_FAILOVER_KILLS'] ?? 2)
const FLUSH_TYPE = process.env['GANTRY_CRASH_FLUSH'] ?? 'ASYNC_FLUSH'
const MEMBERS = 3
const QUEUES = 4
const SENDERS = 16
/** Of a member: VIP, admin, clients, peers. */
const PORTS_EACH = 4
const FIRST_PORT = await freePorts(2 + MEMBERS * PORTS_EACH)
const NAME_SERVER = `127.0.0.1:${FIRST_PORT}`
const GANTRY = path.join(import.meta.dirname, '..', 'gantry')
const runtime = createRuntime()

let folder = ''
const running = new Set<ChildProcess>()

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gantry-failover-'))
})

afterEach(async () => {
  await Promise.all([...running].map((child) => end(child, 'SIGKILL')))
  fs.rmSync(folder, { recursive: true, force: true })
})

function portsOf(member: number): { readonly clients: number; readonly admin: number } {
  const first = FIRST_PORT + 2 + member * PORTS_EACH
  return { clients: first + 2, admin: first + 1 }
}

function peerPortOf(member: number): number {
  return portsOf(member).clients + 1
}

/** Resolves once the process says `ready`. */
async function run(args: readonly string[], name: string, ready: string): Promise<ChildProcess> {
  const child = spawn(GANTRY, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  running.add(child)
  const log = fs.createWriteStream(`${folder}/${name}.log`, { flags: 'a' })
  let output = ''
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => {
      running.delete(child)
      reject(new Error(`${name} ended: ${output}`))
    })
    child.stderr.on('data', (bytes: Buffer) => {
      log.write(bytes)
      if (output.includes(ready)) return
      output += bytes.toString()
      if (output.includes(ready)) resolve()
    })
  })
  return child
}

function startMember(member: number): Promise<ChildProcess> {
  const { clients, admin } = portsOf(member)
  const ids = Array.from({ length: MEMBERS }, (_, id) => id)
  const keys = [
    'brokerName=broker-a',
    'bindAddress=127.0.0.1',
    'brokerIP1=127.0.0.1',
    `namesrvAddr=${NAME_SERVER}`,
    `listenPort=${clients}`,
    `metricsPromExporterPort=${admin}`,
    'metricsPromExporterHost=127.0.0.1',
    `storePathRootDir=${folder}/n${member}`,
    'enableDLegerCommitLog=true',
    `dLegerPeers=${ids.map((id) => `n${id}-127.0.0.1:${peerPortOf(id)}`).join(';')}`,
    `dLegerSelfId=n${member}`,
    `mappedFileSizeCommitLog=${16 * 1024 * 1024}`,
    `flushDiskType=${FLUSH_TYPE}`,
  ]
  const args = ['broker', ...keys.flatMap((key) => ['-p', key])]
  return run(args, `n${member}`, 'the broker has started')
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill(signal)
  })
}

/** The address of the leader, as the name server has it; null while there is none. */
async function leaderOf(client: RemotingClient): Promise<string | null> {
  const extFields = { topic: 'TBW102' }
  try {
    const request = { code: RequestCode.GET_ROUTEINFO_BY_TOPIC, extFields }
    const answer = await client.invoke(NAME_SERVER, request, 1000)
    if (answer.code !== ResponseCode.SUCCESS) return null
    return decodeTopicRouteData(answer.body).brokerDatas[0]?.brokerAddrs.get(0) ?? null
  } catch {
    return null
  }
}

interface Load {
  readonly acknowledged: Set<string>
  lastAcknowledgedAt: number
  /** The longest time between two acknowledgements since it was set to 0. */
  longestGapMs: number
  isOver: boolean
}

/** Sends until it is told that it is over, by the route that the name server gives after each failure. */
async function send(client: RemotingClient, load: Load, worker: number): Promise<void> {
  let address = await leaderOf(client)
  for (let sequence = 0; !load.isOver; sequence++) {
    const id = `W${worker}N${sequence}`
    const extFields = {
      a: 'P',
      b: 'Failover',
      c: 'TBW102',
      d: String(QUEUES),
      e: String(worker % QUEUES),
      f: '0',
      g: '1',
      h: '0',
      i: formatProperties([['UNIQ_KEY', id]]),
    }
    const request = { code: RequestCode.SEND_MESSAGE_V2, extFields, body: Buffer.alloc(200) }
    try {
      const answer = await client.invoke(address ?? NAME_SERVER, request, 2000)
      if (answer.code !== ResponseCode.SUCCESS) throw new Error(answer.remark ?? '')
      load.acknowledged.add(id)
      const now = performance.now()
      load.longestGapMs = Math.max(load.longestGapMs, now - load.lastAcknowledgedAt)
      load.lastAcknowledgedAt = now
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20))
      address = await leaderOf(client)
    }
  }
}

test(
  `no acknowledged message is lost when the leader of three is killed ${KILLS} times`,
  async () => {
    const nameServerFile = `${folder}/namesrv.conf`
    fs.writeFileSync(
      nameServerFile,
      `listenPort=${FIRST_PORT}\nbindAddress=127.0.0.1\nmetricsPromExporterPort=${FIRST_PORT + 1}\n` +
        `kvConfigPath=${folder}/kv.json\n`,
    )
    await run(['namesrv', '-c', nameServerFile], 'namesrv', 'the name server has started')
    const members = await Promise.all(
      Array.from({ length: MEMBERS }, (_, member) => startMember(member)),
    )
    await using client = new RemotingClient({ ...runtime, logger: silentLogger })
    await expect.poll(() => leaderOf(client), { timeout: 20_000 }).not.toBeNull()

    const load: Load = {
      acknowledged: new Set(),
      lastAcknowledgedAt: performance.now(),
      longestGapMs: 0,
      isOver: false,
    }
    const senders = Array.from({ length: SENDERS }, (_, worker) => send(client, load, worker))
    const gaps: number[] = []
    for (let kill = 0; kill < KILLS; kill++) {
      await new Promise((resolve) => setTimeout(resolve, 1000))
      load.longestGapMs = 0
      const leader = await leaderOf(client)
      const member = members.findIndex((_, id) => leader === `127.0.0.1:${portsOf(id).clients}`)
      const child = members[member]
      if (child === undefined) throw new Error(`nobody listens at ${leader}`)
      await end(child, 'SIGKILL')
      const before = load.acknowledged.size
      await expect
        .poll(() => load.acknowledged.size, { timeout: 20_000 })
        .toBeGreaterThan(before + 100)
      gaps.push(Math.round(load.longestGapMs))
      members[member] = await startMember(member)
    }
    await new Promise((resolve) => setTimeout(resolve, 500))
    load.isOver = true
    await Promise.all(senders)

    const leader = await leaderOf(client)
    const found = await readTopic(client, leader ?? '', 'Failover', QUEUES)
    const lost = [...load.acknowledged].filter((id) => !found.has(id))
    await Promise.all(members.map((child) => end(child, 'SIGTERM')))
    const stores = members.map((_, member) =>
      fsck({ disk: runtime.disk, root: `${folder}/n${member}` }),
    )
    process.stdout.write(
      `figures ${JSON.stringify({ acknowledged: load.acknowledged.size, found: found.size, gaps })}\n`,
    )
    expect(lost).toEqual([])
    expect(stores.flatMap(({ problems }) => problems)).toEqual([])
    expect(Math.max(...gaps)).toBeLessThan(10_000)
  },
  60_000 + KILLS * 30_000,
)
