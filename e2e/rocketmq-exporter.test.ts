/**
 * The official rocketmq-exporter beside a `gantry dev` with a group of three under load of the official Java client: its tasks end without
 * an error, and what it tells the leader tells at `/metrics/exporter`, under the same names and labels.
 *
 * It is in no package registry, so GANTRY_E2E_EXPORTER_JAR names `target/rocketmq-exporter-*-exec.jar` of its sources after
 * `mvn package -Dmaven.test.skip=true`.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildClients, startClient } from './clients.ts'
import type { ClientProcess } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { environmentVariable, figures } from './environment.ts'
import { covers } from './features.ts'
import { textAt } from './json.ts'
import { eventually } from './messaging-world.ts'
import { Scrape } from './monitoring/scrape.ts'

const OFFSET = 4900
const ADMIN_PORT = 5557 + OFFSET
const MEMBERS = 3
const EXPORTER_PORT = ADMIN_PORT + 60
const TASKS = [
  ...['collectTopicOffset', 'collectProducer', 'collectConsumerOffset'],
  ...['collectBrokerStatsTopic', 'collectBrokerStats', 'collectBrokerRuntimeStats'],
]
const RUNS = 3

let server: DevServer
let folder: string
let exporter: ChildProcess
let output = ''
let told: Scrape
let leader: Scrape
const clients: ClientProcess[] = []

beforeAll(async () => {
  const jar = environmentVariable('GANTRY_E2E_EXPORTER_JAR')
  if (jar === '') throw new Error('GANTRY_E2E_EXPORTER_JAR names no jar of rocketmq-exporter.')
  await buildClients()
  folder = await mkdtemp(join(tmpdir(), 'gantry-exporter-'))
  server = await startDevServer({
    portOffset: OFFSET,
    groups: 1,
    members: MEMBERS,
    config: { messageDelayLevel: Array.from({ length: 18 }, () => '1s').join(' ') },
  })
  await startLoad()
  startExporter(jar)
  await eventually('runs of each task', () => Promise.resolve(finishedRuns() > RUNS))
  told = await Scrape.of(EXPORTER_PORT)
  leader = await scrapeOfLeader()
})

afterAll(async () => {
  if (exporter?.exitCode === null) {
    exporter.kill('SIGTERM')
    await once(exporter, 'close')
  }
  await Promise.all(clients.map((client) => client.kill()))
  await server?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

test('each task of the exporter ends without an error or a warning', ({ task }) => {
  covers(task, 'O2')

  expect(output.split('\n').filter((line) => /(?:ERROR|WARN)|Exception/u.test(line))).toEqual([])
})

test('what the exporter tells, the leader tells under the same names and labels', ({ task }) => {
  covers(task, 'O2')
  const names = new Set(told.lines.map(({ name }) => name))

  figures('exporter', { metrics: names.size, series: told.lines.length })
  expect(names.size).toBeGreaterThan(80)
  expect(shapesOf(told).difference(shapesOf(leader))).toEqual(new Set())
})

test('the groups and consumers of the exporter are those of the leader', ({ task }) => {
  covers(task, 'O2')

  for (const name of ['rocketmq_group_diff', 'rocketmq_client_consume_ok_msg_tps']) {
    const wanted = seriesOf(told, name)
    expect(wanted.size).toBeGreaterThan(1)
    expect(seriesOf(leader, name)).toEqual(wanted)
  }
})

/** A metric with the names of its labels. */
function shapesOf(scrape: Scrape): ReadonlySet<string> {
  return new Set(
    scrape.lines.map(({ name, labels }) => `${name}{${Object.keys(labels).toSorted().join()}}`),
  )
}

function seriesOf(scrape: Scrape, name: string): ReadonlySet<string> {
  return new Set(
    scrape.lines
      .filter((line) => line.name === name)
      .map(({ labels }) => [labels['group'], labels['topic'], labels['clientId']].join(' ')),
  )
}

/** Of the task that takes longest. */
function finishedRuns(): number {
  if (exporter.exitCode !== null) throw new Error(`the exporter ended:\n${output}`)
  return (output.match(/consumer offset collection task finished/gu) ?? []).length
}

async function scrapeOfLeader(): Promise<Scrape> {
  for (let port = ADMIN_PORT; port < ADMIN_PORT + 1 + MEMBERS; port++) {
    const scrape = await Scrape.of(port, '/metrics/exporter')
    if (scrape.lines.length > 0) return scrape
  }
  throw new Error('nobody leads the group')
}

function startExporter(jar: string): void {
  const args = [
    ...[`-Duser.home=${folder}`, '-Xmx512m', '-jar', jar],
    ...[`--server.port=${EXPORTER_PORT}`, `--grpc.server.port=${EXPORTER_PORT + 1}`],
    `--rocketmq.config.namesrvAddr=${server.namesrv}`,
    ...TASKS.map((task) => `--task.${task}.cron=0/5 * * * * ?`),
  ]
  exporter = spawn('java', args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  exporter.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8')
  })
}

/** Messages, a group that reads them, and one that gives them up. */
async function startLoad(): Promise<void> {
  const runMs = 600_000
  const load = startClient('java-5.5.0', 'control-load', server.namesrv, {
    topic: 'Orders',
    group: 'billing',
    rate: 20,
    'run-ms': runMs,
  })
  clients.push(load)
  await load.line('progress', 90_000, (line) => textAt(line, 'event') === 'progress')
  const failing = startClient('java-5.5.0', 'push-consume', server.namesrv, {
    topic: 'Orders',
    group: 'shipping',
    from: 'first',
    'fail-times': 99,
    'max-reconsume': 1,
    'poll-route-ms': 2000,
    'run-ms': runMs,
  })
  clients.push(failing)
  await failing.line('failed', 60_000, (line) => textAt(line, 'event') === 'failed')
}
