/**
 * What brokers tell of themselves, each state made for real by official clients, kill -9 or flow control: the scrape is compared with what
 * mqadmin, the admin port and the clients say.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { responseCodeName } from '../remoting/response-code.ts'
import { buildClients, events, runClient, startClient } from './clients.ts'
import type { ClientProcess, Flags, Scenario } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { covers } from './features.ts'
import { at, listAt, numberAt, textAt } from './json.ts'
import { Mqadmin, buildMqadmin } from './mqadmin.ts'
import { Scrape } from './monitoring/scrape.ts'
import { OwnCluster } from './own-cluster.ts'
import { ServerProcess } from './server-process.ts'

const OFFSET = 4300
const GROUP_OFFSET = 4500
const ADMIN_PORT = 5557 + GROUP_OFFSET
const RUN = Date.now().toString(36)
const WAIT = { timeout: 60_000 }

let folder: string
let mqadmin: Mqadmin

beforeAll(async () => {
  await Promise.all([buildClients(), buildMqadmin()])
  folder = await mkdtemp(join(tmpdir(), 'gantry-observability-'))
  mqadmin = new Mqadmin(folder)
})

afterAll(async () => {
  await mqadmin?.close()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

function started(namesrv: string, scenario: Scenario, flags: Flags): ClientProcess {
  const client = startClient('java-5.5.0', scenario, namesrv, { 'run-ms': 600_000, ...flags })
  onTestFinished(async () => {
    await client.kill()
  })
  return client
}

async function produce(namesrv: string, topic: string, flags: Flags): Promise<void> {
  await runClient('java-5.5.0', 'produce', namesrv, { topic, ...flags })
}

/** The figures of `mqadmin COMMAND`, which prints `name : value` or `name: value`. */
async function figuresOf(args: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await mqadmin.run(args)
  return new Map(
    Array.from(stdout.matchAll(/^(.+?) ?: +(.+?)\s*$/gmu), ([, name = '', value = '']) => [
      name.trim(),
      value,
    ]),
  )
}

describe('a broker', () => {
  let cluster: OwnCluster
  let network: RemotingClient

  beforeAll(async () => {
    cluster = await OwnCluster.start(OFFSET, {
      // Nothing is synced while the test runs.
      flushIntervalCommitLog: 600_000,
      flushIntervalConsumeQueue: 600_000,
      transactionTimeOut: 600_000,
    })
    network = new RemotingClient({ ...createRuntime(), logger: silentLogger })
  })

  afterAll(async () => {
    await network?.close()
    await cluster?.stop()
  })

  const scrape = () => Scrape.of(cluster.adminPort)

  /** Both are asked until they agree: what happens in between is in one of them only. */
  async function agree(
    metric: (scrape: Scrape) => number,
    other: () => Promise<number>,
  ): Promise<number> {
    let seen = Number.NaN
    await expect
      .poll(async () => {
        seen = metric(await scrape())
        return seen - (await other())
      }, WAIT)
      .toBe(0)
    return seen
  }

  test('tells how far a group is behind as consumerProgress does, in messages and in time', async ({
    task,
  }) => {
    covers(task, 'O4')
    const { namesrv } = cluster
    const labels = { topic: `Lag-${RUN}`, consumer_group: `Lag-g-${RUN}`, is_retry: 'false' }
    const { topic, consumer_group: group } = labels
    const behind = async () =>
      Number(
        (await figuresOf(['consumerProgress', '-g', group, '-n', namesrv])).get(
          'Consume Diff Total',
        ),
      )
    const messagesOf = (seen: Scrape) => seen.sum('rocketmq_consumer_lag_messages', labels)
    const ageOf = (seen: Scrape) => seen.sum('rocketmq_consumer_lag_latency_milliseconds', labels)
    await produce(namesrv, topic, { count: 40 })
    const reader = await runClient('java-5.5.0', 'push-consume', namesrv, {
      topic,
      group: `${group}-reader`,
      expect: 40,
    })
    const stored = events(reader.lines, 'message').map((line) => numberAt(line, 'storeTimestamp'))
    // Each message fails for ever, and its queue waits for it.
    const stuck = started(namesrv, 'push-consume', {
      topic,
      group,
      listener: 'orderly',
      'fail-times': 1_000_000,
    })
    await stuck.line('failed', 60_000, (line) => textAt(line, 'event') === 'failed')

    const lag = await agree(messagesOf, behind)
    const earliest = Date.now()
    const age = ageOf(await scrape())
    const latest = Date.now()
    await stuck.kill()
    started(namesrv, 'push-consume', { topic, group })
    await expect.poll(async () => messagesOf(await scrape()), WAIT).toBe(0)
    const caughtUp = await agree(messagesOf, behind)

    expect(lag).toBe(40)
    expect(age).toBeGreaterThanOrEqual(earliest - Math.min(...stored))
    expect(age).toBeLessThanOrEqual(latest - Math.min(...stored))
    expect(caughtUp).toBe(0)
    expect(ageOf(await scrape())).toBe(0)
  })

  test('counts each request by its code and the code of its answer', async ({ task }) => {
    covers(task, 'O5')
    const topic = `Codes-${RUN}`
    const name = 'rocketmq_rpc_latency_milliseconds'
    const sends = { request_code: 'send_message_v2', response_code: 'success' }
    await produce(cluster.namesrv, topic, { count: 1 })
    const before = (await scrape()).sum(`${name}_count`, sends)
    await produce(cluster.namesrv, topic, { count: 25 })
    const answer = await network.invoke(
      `127.0.0.1:${cluster.brokerPort}`,
      {
        code: RequestCode.PULL_MESSAGE,
        extFields: {
          consumerGroup: 'nobody',
          topic: 'NoSuchTopic',
          queueId: '0',
          queueOffset: '0',
          maxMsgNums: '1',
          sysFlag: '0',
          commitOffset: '0',
          suspendTimeoutMillis: '0',
          subVersion: '0',
        },
      },
      15_000,
    )
    const seen = await scrape()

    const refused = responseCodeName(answer.code)?.toLowerCase() ?? ''
    const pulls = { request_code: 'pull_message', response_code: refused }
    expect(seen.sum(`${name}_count`, sends) - before).toBe(25)
    expect(refused).toBe('topic_not_exist')
    expect(seen.sum(`${name}_count`, pulls)).toBe(1)
    expect(seen.sum(`${name}_bucket`, { ...pulls, le: '+Inf' })).toBe(1)
  })

  test('tells the size of the store, what is behind, and the disk, as brokerStatus does', async ({
    task,
  }) => {
    covers(task, 'O6')
    const { namesrv, brokerPort } = cluster
    const status = () => figuresOf(['brokerStatus', '-b', `127.0.0.1:${brokerPort}`, '-n', namesrv])
    const figure = (name: string) => async () => Number((await status()).get(name))
    const end = (seen: Scrape) => seen.sum('rocketmq_storage_physical_offset', { position: 'max' })
    const flushed = (seen: Scrape) =>
      seen.sum('rocketmq_storage_physical_offset', { position: 'flushed' })
    // A new topic is noted on the disk a moment later, and the log before it; what is sent then stays behind.
    let seen = await scrape()
    await expect
      .poll(async () => {
        await produce(namesrv, `Stored-${RUN}`, { count: 50, size: 2000 })
        seen = await scrape()
        return seen.sum('rocketmq_storage_flush_behind_bytes')
      }, WAIT)
      .toBeGreaterThan(50 * 2000)
    expect(seen.sum('rocketmq_storage_flush_behind_bytes')).toBe(end(seen) - flushed(seen))
    const max = await agree(end, figure('commitLogMaxOffset'))
    const min = (seen: Scrape) => seen.sum('rocketmq_storage_physical_offset', { position: 'min' })
    expect(await agree(min, figure('commitLogMinOffset'))).toBe(0)
    expect(
      await agree(
        (one) => one.sum('rocketmq_storage_dispatch_behind_bytes'),
        figure('dispatchBehindBytes'),
      ),
    ).toBe(0)
    const [ratio, told] = [
      seen.sum('rocketmq_storage_disk_ratio', { folder: 'commitlog' }),
      await figure('commitLogDiskRatio')(),
    ]
    // Others write to the disk too.
    expect(ratio).toBeCloseTo(told, 1)
    expect(seen.sum('rocketmq_storage_size_bytes')).toBeGreaterThan(0)

    await cluster.killBroker()
    const after = await scrape()
    expect(end(after)).toBeGreaterThanOrEqual(max)
    expect(after.sum('rocketmq_storage_dispatch_behind_bytes')).toBe(0)
  })

  test('counts half, delayed, popped, ready and dead messages', async ({ task }) => {
    covers(task, 'O7')
    const { namesrv } = cluster
    const topic = `States-${RUN}`
    const group = `States-g-${RUN}`
    const halves = started(namesrv, 'transact', {
      topic: `${topic}-half`,
      group: `${group}-half`,
      count: 6,
      local: 'unknown',
      check: 'unknown',
    })
    await halves.line('sent', 60_000, (line) => textAt(line, 'event') === 'sent')
    await produce(namesrv, `${topic}-later`, { count: 5, properties: 'TIMER_DELAY_SEC=3600' })
    await produce(namesrv, topic, { count: 40 })
    const pops = { topic, group, expect: 3, max: 1, action: 'none', 'invisible-ms': 600_000 }
    await runClient('java-5.5.0', 'pop-raw', namesrv, pops)
    await produce(namesrv, `${topic}-bad`, { count: 4 })
    started(namesrv, 'push-consume', {
      topic: `${topic}-bad`,
      group: `${group}-bad`,
      'fail-times': 1_000_000,
      'next-level': -1,
    })
    const dead = { topic: `${topic}-bad`, consumer_group: `${group}-bad` }
    const deadLetters = async () => {
      const { stdout } = await mqadmin.run([
        'topicStatus',
        '-t',
        `%DLQ%${group}-bad`,
        '-n',
        namesrv,
      ])
      return stdout
        .split('\n')
        .map((line) => line.trim().split(/\s+/u))
        .filter(([broker]) => broker === 'broker-a')
        .reduce((sum, [, , min, max]) => sum + Number(max) - Number(min), 0)
    }
    await expect
      .poll(async () => (await scrape()).sum('rocketmq_send_to_dlq_messages_total', dead), WAIT)
      .toBe(4)
    const seen = await scrape()

    const popped = { topic, consumer_group: group, is_retry: 'false' }
    expect(seen.sum('rocketmq_half_messages', { topic: `${topic}-half` })).toBe(6)
    expect(seen.sum('rocketmq_timing_messages', { topic: `${topic}-later` })).toBe(5)
    expect(seen.sum('rocketmq_consumer_inflight_messages', popped)).toBe(3)
    expect(seen.sum('rocketmq_consumer_ready_messages', popped)).toBe(37)
    expect(await deadLetters()).toBe(4)
  })
})

test('counts what flow control refused by reason, as clients are told', async ({ task }) => {
  covers(task, 'O12')
  const cluster = await OwnCluster.start(OFFSET + 20, {
    flushDiskType: 'SYNC_FLUSH',
    sendThreadPoolQueueCapacity: 2,
    maxConnections: 6,
  })
  onTestFinished(() => cluster.stop())
  const topic = `Busy-${RUN}`
  const before = await Scrape.of(cluster.adminPort)
  await produce(cluster.namesrv, topic, { count: 1 })
  const client = startClient('java-5.5.0', 'produce', cluster.namesrv, {
    topic,
    mode: 'async',
    count: 3000,
    'client-retries': 0,
  })
  const { summary } = await client.finished()
  const refused = numberAt(summary, 'failed')
  const clients = Array.from({ length: 7 }, () => connect(cluster.brokerPort, '127.0.0.1'))
  onTestFinished(() => clients.forEach((socket) => socket.destroy()))
  const turnedAway = { reason: 'tooManyConnections' }
  await expect
    .poll(
      async () =>
        (await Scrape.of(cluster.adminPort)).sum('rocketmq_remoting_rejects_total', turnedAway),
      WAIT,
    )
    .toBeGreaterThan(0)
  const seen = await Scrape.of(cluster.adminPort)

  const busy = { request_code: 'send_message_v2', response_code: 'system_busy' }
  const latency = 'rocketmq_rpc_latency_milliseconds'
  expect(before.sum('rocketmq_flow_control_total')).toBe(0)
  expect(refused).toBeGreaterThan(0)
  expect(seen.sum('rocketmq_flow_control_total', { reason: 'sendQueue' })).toBe(refused)
  expect(seen.sum('rocketmq_flow_control_total')).toBe(refused)
  expect(seen.sum(`${latency}_count`, busy)).toBe(refused)
  // How many were slow stands in the buckets.
  const answered = seen.sum(`${latency}_count`, { request_code: 'send_message_v2' })
  expect(seen.sum(`${latency}_bucket`, { request_code: 'send_message_v2', le: '+Inf' })).toBe(
    answered,
  )
})

test('is live, started and ready only when each is true', async ({ task }) => {
  covers(task, 'O11')
  const ports = { listenPort: 9876 + OFFSET + 40, metricsPromExporterPort: 5558 + OFFSET + 40 }
  const nameServerOf = () =>
    ServerProcess.start({
      kind: 'gantry',
      role: 'namesrv',
      folder: join(folder, 'n'),
      config: ports,
    })
  const config = {
    brokerName: 'broker-a',
    brokerIP1: 'nobody.invalid',
    namesrvAddr: `127.0.0.1:${ports.listenPort}`,
    listenPort: 10_911 + OFFSET + 40,
    metricsPromExporterPort: 5557 + OFFSET + 40,
    storePathRootDir: join(folder, 'health'),
  }
  const brokerOf = (brokerIP1: string) => {
    const broker = ServerProcess.start({
      kind: 'gantry',
      role: 'broker',
      folder: join(folder, 'b'),
      config: { ...config, brokerIP1 },
    })
    onTestFinished(() => broker.kill())
    return broker
  }
  const health = async () => {
    const answers = ['livez', 'startupz', 'readyz'].map(async (probe) => {
      const response = await fetch(`http://127.0.0.1:${config.metricsPromExporterPort}/${probe}`)
      return `${response.status} ${(await response.text()).trim()}`
    })
    return Promise.all(answers).catch(() => [])
  }
  const starting = brokerOf('nobody.invalid')
  await expect
    .poll(health, WAIT)
    .toEqual(['200 ok', '503 {"error":"starting"}', '503 {"error":"starting"}'])
  await starting.kill()
  const broker = brokerOf('127.0.0.1')
  await broker.ready()
  const alone = await health()
  const nameServer = await nameServerOf().ready()
  onTestFinished(() => nameServer.kill())
  await expect.poll(health, WAIT).toEqual(['200 ok', '200 ok', '200 ok'])
  await broker.kill()

  const again = brokerOf('127.0.0.1')
  const states = new Set<string>()
  await expect
    .poll(
      async () => {
        const answers = await health()
        for (const answer of answers) states.add(answer)
        return answers
      },
      { timeout: 60_000, interval: 1 },
    )
    .toEqual(['200 ok', '200 ok', '200 ok'])
  await again.stop()

  expect(alone.slice(0, 2)).toEqual(['200 ok', '200 ok'])
  expect(alone[2]).toMatch(/^503 /u)
  // Ready is not the first that it says.
  expect([...states].some((state) => state.startsWith('503'))).toBe(true)
})

describe('a group of three', () => {
  let server: DevServer
  let data: string

  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), 'gantry-observability-'))
    server = await startDevServer({
      portOffset: GROUP_OFFSET,
      groups: 1,
      members: 3,
      config: {},
      data,
    })
  })

  afterAll(async () => {
    await server?.stop()
    if (data !== undefined) await rm(data, { recursive: true })
  })

  test('tells roles, terms, elections and lag as its members know them, over kill -9', async ({
    task,
  }) => {
    covers(task, 'O9')
    await produce(server.namesrv, `Raft-${RUN}`, { count: 50 })
    const first = await settled()
    const { pid } = await leaderProcess()
    process.kill(pid, 'SIGKILL')
    await expect
      .poll(async () => (await settled())?.term ?? 0, WAIT)
      .toBeGreaterThan(first?.term ?? Number.NaN)
    const second = await settled()

    expect(first).toMatchObject({ leaders: 1, members: 3, voters: 3, lagBytes: 0 })
    expect(second).toMatchObject({ leaders: 1, members: 3, voters: 3, lagBytes: 0 })
    expect(second?.wonByLeader).toBeGreaterThan(0)
  })

  async function leaderProcess(): Promise<{ readonly pid: number }> {
    const status: unknown = JSON.parse(await readFile(join(data, '.gantry', 'status.json'), 'utf8'))
    const leader = listAt(status, 'pods').find((pod) => textAt(pod, 'role') === 'leader')
    return { pid: numberAt(leader, 'pid') }
  }

  /** What the scrapes of all members say, once they say the same as their admin ports; null while they do not. */
  async function settled() {
    let found: Awaited<ReturnType<typeof view>> = null
    await expect
      .poll(async () => {
        found = await view().catch(() => null)
        return found?.lagBytes
      }, WAIT)
      .toBe(0)
    return found as Awaited<ReturnType<typeof view>>
  }

  async function view() {
    const members: { readonly seen: Scrape; readonly facts: unknown }[] = []
    for (let port = ADMIN_PORT; port < ADMIN_PORT + 4; port++) {
      const seen = await Scrape.of(port)
      if (Number.isNaN(seen.sum('rocketmq_broker_permission'))) continue
      const response = await fetch(`http://127.0.0.1:${port}/admin/v1/raft`)
      members.push({ seen, facts: await response.json() })
    }
    const agreed = members.every(
      ({ seen, facts }) =>
        seen.sum('rocketmq_raft_term') === numberAt(facts, 'term') &&
        seen.sum('rocketmq_raft_is_leader') === (textAt(facts, 'role') === 'leader' ? 1 : 0) &&
        seen.sum('rocketmq_raft_is_ready') === (at(facts, 'isReady') === true ? 1 : 0),
    )
    const leader = members.find(({ seen }) => seen.sum('rocketmq_raft_is_leader') === 1)?.seen
    const terms = new Set(members.map(({ seen }) => seen.sum('rocketmq_raft_term')))
    if (!agreed || leader === undefined || terms.size !== 1 || members.length !== 3) return null
    return {
      members: members.length,
      leaders: members.reduce((sum, { seen }) => sum + seen.sum('rocketmq_raft_is_leader'), 0),
      term: leader.sum('rocketmq_raft_term'),
      voters: leader.sum('rocketmq_raft_voters'),
      wonByLeader: leader.sum('rocketmq_raft_elections_won'),
      lagBytes: leader.sum('rocketmq_raft_peer_lag_bytes'),
    }
  }
})
