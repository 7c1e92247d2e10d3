/**
 * The official rocketmq-exporter beside a `gantry dev` with a group of three under load of the official Java client: its tasks end without
 * an error, and what it tells the leader tells at `/metrics/exporter`, under the same names and labels.
 *
 * It is in no package registry, so GANTRY_E2E_EXPORTER_JAR names `target/rocketmq-exporter-*-exec.jar` of its sources after
 * `mvn package -Dmaven.test.skip=true`.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildClients } from './clients.ts'
import type { ClientProcess } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { environmentVariable, figures } from './environment.ts'
import { covers } from './features.ts'
import { JavaServer } from './java-server.ts'
import { eventually } from './messaging-world.ts'
import { Scrape } from './monitoring/scrape.ts'
import { startFailing, startOrders } from './sample-load.ts'

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
let exporter: JavaServer
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
  clients.push(await startOrders(server.namesrv, 20))
  clients.push(await startFailing(server.namesrv))
  startExporter(jar)
  await eventually('runs of each task', () => Promise.resolve(finishedRuns() > RUNS))
  told = await Scrape.of(EXPORTER_PORT)
  leader = await scrapeOfLeader()
})

afterAll(async () => {
  await exporter?.stop()
  await Promise.all(clients.map((client) => client.kill()))
  await server?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

test('each task of the exporter ends without an error or a warning', ({ task }) => {
  covers(task, 'O2')

  const lines = exporter.output.split('\n')
  expect(lines.filter((line) => /(?:ERROR|WARN)|Exception/u.test(line))).toEqual([])
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
  exporter.assertRuns()
  return (exporter.output.match(/consumer offset collection task finished/gu) ?? []).length
}

async function scrapeOfLeader(): Promise<Scrape> {
  for (let port = ADMIN_PORT; port < ADMIN_PORT + 1 + MEMBERS; port++) {
    const scrape = await Scrape.of(port, '/metrics/exporter')
    if (scrape.lines.length > 0) return scrape
  }
  throw new Error('nobody leads the group')
}

function startExporter(jar: string): void {
  exporter = new JavaServer(jar, folder, [
    ...[`--server.port=${EXPORTER_PORT}`, `--grpc.server.port=${EXPORTER_PORT + 1}`],
    `--rocketmq.config.namesrvAddr=${server.namesrv}`,
    ...TASKS.map((task) => `--task.${task}.cron=0/5 * * * * ?`),
  ])
}
