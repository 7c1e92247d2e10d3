/**
 * How much goes through a broker: the official benchmark of rocketmq-example, and whether `statsAll` tells what the clients did.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { buildClients, startClient } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { ROOT, figures } from './environment.ts'
import { covers } from './features.ts'
import { textAt } from './json.ts'
import { Scrape } from './monitoring/scrape.ts'
import { Mqadmin, buildMqadmin } from './mqadmin.ts'

const OFFSET = 5400
const ADMIN_PORT = 5557 + OFFSET
/** The example is among the clients' libraries; what its command line needs is among those of mqadmin. */
const JARS = [
  join(ROOT, 'e2e', 'clients', 'java', 'target', 'client-5.5.0', 'lib', '*'),
  join(ROOT, 'e2e', 'mqadmin', 'target', 'mqadmin', 'lib', '*'),
].join(':')
const TOPIC = 'Traffic'
const GROUP = 'readers'
/** statsAll tells the mean of the last minute, from a count every 10 s; it is compared over as long. */
const MINUTE = { timeout: 200_000, interval: 1000 }
const WINDOW_MS = 60_000

let server: DevServer
let folder: string
let mqadmin: Mqadmin

beforeAll(async () => {
  await Promise.all([buildClients(), buildMqadmin()])
  folder = await mkdtemp(join(tmpdir(), 'gantry-traffic-'))
  mqadmin = new Mqadmin(folder)
  server = await startDevServer({ portOffset: OFFSET, groups: 1, config: {} })
})

afterAll(async () => {
  await mqadmin?.close()
  await server?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

test('the official benchmark sends and consumes, and no request of it fails', async ({ task }) => {
  covers(task, 'A22')
  const consumer = benchmark('Consumer', '-t', 'BenchmarkTest', '-g', 'benchmark', '-p', 'false')
  const producer = benchmark('Producer', '-t', 'BenchmarkTest', '-w', '4', '-s', '128')

  await expect.poll(producer.output, MINUTE).toMatch(/Send TPS: [1-9]/u)
  await expect.poll(consumer.output, MINUTE).toMatch(/Consume TPS: [1-9]/u)

  figures('benchmark', { producer: producer.output(), consumer: consumer.output() })
  expect(producer.output()).not.toMatch(/Send Failed: +[1-9]|Response Failed: +[1-9]|Exception/u)
  expect(consumer.output()).not.toMatch(/Consume Fail: +[1-9]|Exception/u)
})

test('statsAll tells the rates of a topic and its group within 5 % of what was stored', async ({
  task,
}) => {
  covers(task, 'A13')
  const load = startClient('java-5.5.0', 'control-load', server.namesrv, {
    topic: TOPIC,
    group: GROUP,
    rate: 50,
    'run-ms': 600_000,
  })
  onTestFinished(async () => {
    await load.kill()
  })
  await load.line('progress', 90_000, (line) => textAt(line, 'event') === 'progress')
  const labels = { topic: TOPIC }
  const stored = async () => ({
    at: performance.now(),
    messages: (await scrapeOfBroker()).sum('rocketmq_messages_in_total', labels),
  })
  // The first minute is not whole.
  await new Promise((resolve) => setTimeout(resolve, WINDOW_MS / 4))
  const before = await stored()
  await new Promise((resolve) => setTimeout(resolve, WINDOW_MS + 10_000))
  const after = await stored()
  const rate = ((after.messages - before.messages) / (after.at - before.at)) * 1000

  const { stdout } = await mqadmin.run(['statsAll', '-t', TOPIC, '-n', server.namesrv])
  const told = new RegExp(`^${TOPIC} +${GROUP} +\\d+ +([\\d.]+) +([\\d.]+) `, 'mu').exec(stdout)
  const [incoming, outgoing] = [Number(told?.[1]), Number(told?.[2])]

  figures('statsAll', { rate, incoming, outgoing })
  expect(Math.abs(incoming / rate - 1)).toBeLessThan(0.05)
  expect(Math.abs(outgoing / rate - 1)).toBeLessThan(0.05)
})

interface Benchmark {
  /** All that it has printed. */
  readonly output: () => string
}

/** A program of rocketmq-example, as `bin/` of its distribution starts it; it ends with the test. */
function benchmark(name: 'Producer' | 'Consumer', ...args: readonly string[]): Benchmark {
  const main = `org.apache.rocketmq.example.benchmark.${name}`
  const flags = [`-Duser.home=${folder}`, '-Xmx256m', '-cp', JARS]
  const child = spawn('java', [...flags, main, ...args, '-n', server.namesrv], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const take = (chunk: Buffer): void => {
    output += chunk.toString('utf8')
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  onTestFinished(async () => {
    if (child.exitCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'close')
  })
  return { output: () => output }
}

/** The name server has the other of the two ports. */
async function scrapeOfBroker(): Promise<Scrape> {
  for (const port of [ADMIN_PORT, ADMIN_PORT + 1]) {
    const scrape = await Scrape.of(port)
    if (scrape.types.has('rocketmq_messages_in_total')) return scrape
  }
  throw new Error('no port has the metrics of the broker')
}
