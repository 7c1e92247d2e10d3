/** What official clients see at the limits of a broker: a slow disk, more sends than it takes, IPv6, requests that it does not know. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { buildJournal, journalEnvironment } from './chaos/power-loss.ts'
import { CLIENTS, buildClients, events, messages, runClient, startClient } from './clients.ts'
import { covers } from './features.ts'
import { numberAt, recordAt, textAt } from './json.ts'
import { range } from './messaging-world.ts'
import { OwnCluster } from './own-cluster.ts'
import type { Client, ClientProcess, Flags, Scenario } from './clients.ts'

const RUN = Date.now().toString(36)
const PORT_OFFSET = 8200
const IPV6 = '[::1]'
/** How long each fsync of the slow disk takes. */
const SYNC_MS = 200
const CALL_TIMEOUT_MS = 15_000

let network: RemotingClient

beforeAll(async () => {
  await buildClients()
  network = new RemotingClient({ ...createRuntime(), logger: silentLogger })
})

afterAll(async () => {
  await network?.close()
})

async function startCluster(
  place: number,
  config: Readonly<Record<string, string | number | boolean>>,
  env: Readonly<Record<string, string>> = {},
): Promise<OwnCluster> {
  const cluster = await OwnCluster.start(PORT_OFFSET + place * 20, config, env)
  onTestFinished(() => cluster.stop())
  return cluster
}

function started(client: Client, scenario: Scenario, namesrv: string, flags: Flags): ClientProcess {
  const running = startClient(client, scenario, namesrv, { 'timeout-ms': 15_000, ...flags })
  onTestFinished(async () => {
    await running.kill()
  })
  return running
}

async function seqsOfTopic(namesrv: string, topic: string, expected: number): Promise<number[]> {
  const { lines } = await runClient('java-5.5.0', 'push-consume', namesrv, {
    'timeout-ms': 15_000,
    topic,
    group: `${topic}-g`,
    expect: expected,
  })
  return messages(lines, 'message')
    .map(({ seq }) => seq)
    .toSorted((one, other) => one - other)
}

test.for(CLIENTS)(
  'a flush that takes too long is a result for the %s client, with ids, and the message is there',
  async (client, { task }) => {
    covers(task, 'M4')
    const folder = await mkdtemp(join(tmpdir(), 'gantry-slow-disk-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const library = await buildJournal(folder)
    const { namesrv } = await startCluster(
      CLIENTS.indexOf(client),
      {
        flushDiskType: 'SYNC_FLUSH',
        syncFlushTimeout: SYNC_MS / 10,
        storePathRootDir: join(folder, 'store'),
      },
      {
        ...journalEnvironment(library, join(folder, 'journal'), join(folder, 'store')),
        GANTRY_JOURNAL_SYNC_DELAY_US: String(SYNC_MS * 1000),
      },
    )
    const topic = `Slow-${client.replaceAll('.', '_')}-${RUN}`

    const sent = await started(client, 'produce', namesrv, {
      topic,
      count: 12,
      verbose: true,
    }).finished()
    const seqs = await seqsOfTopic(namesrv, topic, 12)

    const acks = events(sent.lines, 'ack')
    expect(acks.map((ack) => textAt(ack, 'status'))).toEqual(
      acks.map((): unknown => expect.stringMatching(/FLUSH_DISK_TIMEOUT|^1$/u)),
    )
    expect(acks.every((ack) => textAt(ack, 'offsetMsgId').length === 32)).toBe(true)
    expect(seqs).toEqual(range(0, 12))
    expect(acks.length).toBe(12)
  },
)

test('more sends of the java-5.5.0 client than may wait are answered SYSTEM_BUSY, and every other one is stored, once', async ({
  task,
}) => {
  covers(task, 'P16')
  const { namesrv } = await startCluster(7, {
    flushDiskType: 'SYNC_FLUSH',
    sendThreadPoolQueueCapacity: 2,
  })
  const topic = `Busy-${RUN}`
  const first = { topic, count: 1, id: 'first' }
  await started('java-5.5.0', 'produce', namesrv, first).finished()

  const { summary } = await started('java-5.5.0', 'produce', namesrv, {
    topic,
    mode: 'async',
    count: 3000,
    id: 'load',
    'client-retries': 0,
  }).finished()
  const acked = numberAt(summary, 'acked')
  const seqs = await seqsOfTopic(namesrv, topic, acked + 1)

  expect(numberAt(summary, 'failed')).toBeGreaterThan(0)
  expect(acked + numberAt(summary, 'failed')).toBe(3000)
  const told = Object.keys(recordAt(summary, 'errors'))
  expect(told.every((error) => error.includes('CODE: 2 '))).toBe(true)
  expect(told.join(' ')).toContain('flow control')
  expect(seqs.length).toBe(acked + 1)
})

test.for(['java-5.5.0', 'java-4.9.8', 'go'] as const)(
  'the %s client sends and consumes over IPv6',
  async (client, { task }) => {
    covers(task, 'P13')
    const place = 3 + ['java-5.5.0', 'java-4.9.8', 'go'].indexOf(client)
    const { namesrv, brokerPort } = await startCluster(place, {
      bindAddress: '::',
      brokerIP1: '::1',
    })
    const topic = `Six-${client.slice(0, 6)}-${RUN}`.replaceAll('.', '_')
    const nameServer = namesrv.replace('127.0.0.1', IPV6)

    const sent = await started(client, 'produce', nameServer, {
      topic,
      count: 20,
      verbose: true,
    }).finished()
    const received = await started(client, 'push-consume', nameServer, {
      topic,
      group: `${topic}-g`,
      expect: 20,
      'run-ms': 90_000,
    }).finished()

    expect(numberAt(sent.summary, 'acked')).toBe(20)
    expect(messages(received.lines, 'message').length).toBe(20)
    // The address takes 16 bytes of the id instead of 4.
    const ids = events(sent.lines, 'ack').map((ack) => textAt(ack, 'offsetMsgId'))
    expect(new Set(ids.map((id) => id.length))).toEqual(new Set([56]))
    const view = await network.invoke(
      `${IPV6}:${brokerPort}`,
      {
        code: RequestCode.VIEW_MESSAGE_BY_ID,
        extFields: { offset: String(BigInt(`0x${(ids[0] ?? '').slice(-16)}`)) },
      },
      CALL_TIMEOUT_MS,
    )
    expect(view.code).toBe(ResponseCode.SUCCESS)
  },
)

test('a request that the broker does not know is refused, and its connection goes on', async ({
  task,
}) => {
  covers(task, 'P14')
  const cluster = await startCluster(6, {})
  const call = (code: number) =>
    network.invoke(`127.0.0.1:${cluster.brokerPort}`, { code, extFields: {} }, CALL_TIMEOUT_MS)

  const answers = [await call(29_999), await call(RequestCode.GET_BROKER_RUNTIME_INFO)]
  const other = await call(-7)
  const topic = `Unknown-${RUN}`
  const { summary } = await started('java-5.5.0', 'produce', cluster.namesrv, {
    topic,
    count: 5,
  }).finished()

  expect(answers.map(({ code }) => code)).toEqual([
    ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
    ResponseCode.SUCCESS,
  ])
  expect(other.code).toBe(ResponseCode.REQUEST_CODE_NOT_SUPPORTED)
  expect(numberAt(summary, 'acked')).toBe(5)
})
