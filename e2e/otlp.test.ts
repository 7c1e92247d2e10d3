/** Metrics that a broker pushes over OTLP to a receiver made of the official Go modules, compared with what it shows in `/metrics`. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { freePorts } from '../common/testing.ts'
import { buildClients, runClient } from './clients.ts'
import { run } from './environment.ts'
import { covers } from './features.ts'
import { listAt, numberAt, textAt } from './json.ts'
import { OtlpReceiver, buildOtlpReceiver } from './monitoring/otlp-receiver.ts'
import type { ReceivedPoint } from './monitoring/otlp-receiver.ts'
import { Scrape } from './monitoring/scrape.ts'
import { OwnCluster } from './own-cluster.ts'

const OFFSET = 4100
const WAIT = { timeout: 60_000 }
const TOPIC = 'Pushed'

let folder: string

beforeAll(async () => {
  await Promise.all([buildClients(), buildOtlpReceiver()])
  folder = await mkdtemp(join(tmpdir(), 'gantry-otlp-'))
})

afterAll(async () => {
  if (folder !== undefined) await rm(folder, { recursive: true })
})

async function receiverAt(port: number, secure: readonly string[] = []): Promise<OtlpReceiver> {
  const receiver = await OtlpReceiver.start(port, secure)
  onTestFinished(() => receiver.kill())
  return receiver
}

async function clusterWith(
  place: number,
  config: Readonly<Record<string, string | number | boolean>>,
): Promise<OwnCluster> {
  const cluster = await OwnCluster.start(OFFSET + place * 20, {
    metricsExporterType: 'OTLP_GRPC',
    metricGrpcExporterIntervalInMills: 500,
    ...config,
  })
  onTestFinished(() => cluster.stop())
  return cluster
}

async function send({ namesrv }: OwnCluster, count: number): Promise<void> {
  await runClient('java-5.5.0', 'produce', namesrv, { topic: TOPIC, count })
}

function ofTopic({ points }: OtlpReceiver, metric: string): readonly ReceivedPoint[] {
  return points.filter((point) => point.metric === metric && point.labels['topic'] === TOPIC)
}

function lastValue(receiver: OtlpReceiver): number {
  return numberAt(ofTopic(receiver, 'rocketmq_messages_in_total').at(-1)?.point, 'asDouble')
}

/** The points of the last push of which all batches have come: another one has begun since. */
function lastPush({ points }: OtlpReceiver): readonly ReceivedPoint[] {
  const times = [...new Set(points.map(({ timeUnixNano }) => timeUnixNano))]
  return points.filter(({ timeUnixNano }) => timeUnixNano === times.at(-2))
}

test('a collector is pushed what a scrape shows, and a broker without one goes on', async ({
  task,
}) => {
  covers(task, 'O8')
  const port = await freePorts(1)
  const receiver = await receiverAt(port)
  const cluster = await clusterWith(0, {
    metricsGrpcExporterTarget: `http://127.0.0.1:${port}`,
    metricsGrpcExporterHeader: 'Authorization:Bearer secret',
    metricsLabel: 'zone:z1',
    metricsExportBatchMaxDataPoints: 50,
  })
  await send(cluster, 30)
  await expect.poll(() => lastValue(receiver), WAIT).toBe(30)
  const seen = receiver.points.length
  await expect.poll(() => receiver.points.length, WAIT).toBeGreaterThan(2 * seen)
  const scrape = await Scrape.of(cluster.adminPort)
  const push = lastPush(receiver)

  const pushed = new Set(push.map(({ metric, unit }) => prometheusName(metric, unit)))
  const shown = scrape.lines.map(({ name }) => familyOf(name, scrape.types))
  expect([...pushed].toSorted()).toEqual([...new Set(shown)].toSorted())
  const [sizes] = push.filter(
    ({ metric, labels }) => metric === 'rocketmq_message_size' && labels['topic'] === TOPIC,
  )
  expect(sizes?.labels).toMatchObject({ zone: 'z1', node_type: 'broker', node_id: 'broker-a' })
  expect(sizes?.resource).toMatchObject({ 'service.name': 'rocketmq-broker' })
  expect(sizes?.temporality).toBe('AGGREGATION_TEMPORALITY_CUMULATIVE')
  expect(Number(textAt(sizes?.point, 'count'))).toBe(
    scrape.sum('rocketmq_message_size_count', { topic: TOPIC, zone: 'z1' }),
  )
  expect(numberAt(sizes?.point, 'sum')).toBe(
    scrape.sum('rocketmq_message_size_sum', { topic: TOPIC }),
  )
  expect(cumulative(sizes?.point)).toEqual(
    scrape.lines
      .filter(
        ({ name, labels }) => name === 'rocketmq_message_size_bucket' && labels['topic'] === TOPIC,
      )
      .map(({ value }) => value),
  )
  expect(receiver.headers.at(-1)).toMatchObject({ authorization: ['Bearer secret'] })

  await receiver.kill()
  await failures(cluster, 3)
  await send(cluster, 20)
  const back = await receiverAt(port)
  await expect.poll(() => lastValue(back), WAIT).toBe(50)

  const { output } = cluster.broker
  expect(output.split('metrics are not pushed').length - 1).toBe(1)
  expect(output.split('metrics are pushed again').length - 1).toBe(1)
})

test('counts since the last time add up, over TLS, though pushes were lost', async ({ task }) => {
  covers(task, 'O8')
  const [certificate, key] = await certificateIn(folder)
  process.env['NODE_EXTRA_CA_CERTS'] = certificate
  onTestFinished(() => {
    delete process.env['NODE_EXTRA_CA_CERTS']
  })
  const port = await freePorts(1)
  const first = await receiverAt(port, [certificate, key])
  const cluster = await clusterWith(1, {
    metricsGrpcExporterTarget: `127.0.0.1:${port}`,
    metricsInDelta: true,
  })
  const sum = (receivers: readonly OtlpReceiver[]) =>
    receivers
      .flatMap((receiver) => ofTopic(receiver, 'rocketmq_messages_in_total'))
      .reduce((total, { point }) => total + numberAt(point, 'asDouble'), 0)
  await send(cluster, 25)
  await expect.poll(() => sum([first]), WAIT).toBe(25)
  await first.kill()
  await send(cluster, 15)
  await failures(cluster, 1)
  const second = await receiverAt(port, [certificate, key])
  await send(cluster, 10)
  await expect.poll(() => sum([first, second]), WAIT).toBe(50)

  const [point] = ofTopic(second, 'rocketmq_messages_in_total')
  expect(point?.temporality).toBe('AGGREGATION_TEMPORALITY_DELTA')
  expect(point?.labels).toMatchObject({ aggregation: 'delta' })
  const scrape = await Scrape.of(cluster.adminPort)
  expect(scrape.sum('rocketmq_messages_in_total', { topic: TOPIC })).toBe(50)
})

test('metrics are logged as OTLP has them in JSON', async ({ task }) => {
  covers(task, 'O8')
  const cluster = await clusterWith(2, {
    metricsExporterType: 'LOG',
    metricLoggingExporterIntervalInMills: 200,
  })

  await expect
    .poll(() => cluster.broker.output, WAIT)
    .toMatch(/"metric":\{"name":"rocketmq_raft_term",.*"gauge":\{"dataPoints":\[\{.*"asDouble":1/u)
})

async function failures({ adminPort }: OwnCluster, count: number): Promise<void> {
  const failed = async () =>
    (await Scrape.of(adminPort)).sum('rocketmq_metrics_pushes_total', { result: 'failure' })
  const before = await failed()
  await expect.poll(failed, WAIT).toBeGreaterThanOrEqual(before + count)
}

/** Each with all below it, as Prometheus counts. */
function cumulative(point: unknown): readonly number[] {
  let sum = 0
  return listAt(point, 'bucketCounts').map((count) => (sum += Number(count)))
}

function prometheusName(metric: string, unit: string): string {
  return unit === '' || metric.endsWith(`_${unit}`) ? metric : `${metric}_${unit}`
}

function familyOf(name: string, types: ReadonlyMap<string, string>): string {
  const bare = name.replace(/_(?:bucket|sum|count)$/u, '')
  return types.get(bare) === 'histogram' ? bare : name
}

async function certificateIn(path: string): Promise<readonly [string, string]> {
  const [certificate, key] = [join(path, 'cert.pem'), join(path, 'key.pem')]
  const names = ['-subj', '/CN=collector', '-addext', 'subjectAltName=IP:127.0.0.1']
  const kind = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2']
  await run('openssl', ['req', ...kind, ...names, '-keyout', key, '-out', certificate])
  return [certificate, key]
}
