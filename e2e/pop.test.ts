/**
 * POP with the official Java client: push consumers in POP mode, and its requests one by one. Nobody owns a queue, what is popped is
 * hidden from the others for a while, and nothing that was popped is lost, whoever is killed.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { buildClients, events, messages, runClient, startClient } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import { covers } from './features.ts'
import { numberAt, textAt } from './json.ts'
import { ServerProcess } from './server-process.ts'
import type { ClientResult, Flags } from './clients.ts'
import type { DevServer } from './dev-server.ts'

const CLIENT = 'java-5.5.0'
const PORT_OFFSET = 10_000
const NAMESRV_PORT = 9876 + PORT_OFFSET + 500
const BROKER_PORT = 10_911 + PORT_OFFSET + 500
const RUN = Date.now().toString(36)
const STARTED_MS = 60_000
const SOON_MS = 90_000

beforeAll(async () => {
  await buildClients()
})

describe('two brokers', () => {
  let server: DevServer

  beforeAll(async () => {
    server = await startDevServer({ portOffset: PORT_OFFSET, groups: 2, config: {} })
  })

  afterAll(async () => {
    await server?.stop()
  })

  async function produced(topic: string, count: number): Promise<string> {
    const id = `${topic}-${count}`
    await runClient(CLIENT, 'produce', server.namesrv, { topic, count, id })
    return id
  }

  const popRaw = (topic: string, flags: Flags): Promise<ClientResult> =>
    startClient(CLIENT, 'pop-raw', server.namesrv, {
      topic,
      group: `${topic}-g`,
      ...flags,
    }).finished()

  const member = (topic: string, instance: string, flags: Flags) => {
    const process = startClient(CLIENT, 'pop-consume', server.namesrv, {
      topic,
      group: `${topic}-g`,
      instance,
      'run-ms': 120_000,
      ...flags,
    })
    onTestFinished(async () => {
      await process.kill()
    })
    return process
  }

  test('a push consumer in POP mode that is stuck keeps no queue from the others; killed, what it had comes back', async ({
    task,
  }) => {
    covers(task, 'M28')
    const topic = `pop-stuck-${RUN}`
    await produced(topic, 1)
    const stuck = member(topic, 'stuck', { stuck: true, batch: 1, 'invisible-ms': 10_000 })
    await stuck.line('its first message', STARTED_MS, isMessage)

    await produced(topic, 400)
    const other = member(topic, 'other', { expect: 400, 'at-least': true, 'invisible-ms': 10_000 })
    await other.line('it has started', STARTED_MS, (line) => textAt(line, 'event') === 'started')
    await stuck.kill()
    const { lines } = await other.finished()

    const held = new Set(messages(stuck.lines, 'message').map(nameOf))
    const received = messages(lines, 'message')
    expect(held.size).toBeGreaterThan(0)
    expect(new Set(received.map(nameOf)).size).toBeGreaterThanOrEqual(400)
    // Those of the stuck one came once more, with another attempt.
    const again = events(lines, 'message').filter((line) => numberAt(line, 'reconsumeTimes') > 0)
    expect(again.length).toBeGreaterThan(0)
  })

  test('two push consumers in POP mode take from the same queues, each message goes to one of them', async ({
    task,
  }) => {
    covers(task, 'M28')
    const topic = `pop-shared-${RUN}`
    await produced(topic, 8)
    const members = ['a', 'b'].map((instance) => member(topic, instance, { batch: 8 }))
    for (const one of members) {
      await one.line('it has started', STARTED_MS, (line) => textAt(line, 'event') === 'started')
    }

    const id = await produced(topic, 600)
    await untilReceived(members, id, 600)
    const results = await Promise.all(members.map((one) => one.stop()))

    const received = results.map(({ lines }) => ofRun(lines, id))
    const [a = [], b = []] = received.map((list) => list.map(nameOf))
    expect([...a, ...b].toSorted()).toEqual([...new Set([...a, ...b])].toSorted())
    expect(a.length + b.length).toBe(600)
    const queues = received.map((list) => new Set(list.map(({ queue }) => queue)))
    expect((queues[0] ?? new Set()).intersection(queues[1] ?? new Set()).size).toBeGreaterThan(0)
  })

  test('a message whose consumption fails is delivered again after the delay that the client asks for', async ({
    task,
  }) => {
    covers(task, 'M28', 'M29')
    const topic = `pop-failed-${RUN}`
    await produced(topic, 20)

    const one = member(topic, 'failing', { 'fail-first': 3, expect: 20 })
    const { lines } = await one.finished()

    const times = events(lines, 'message').map((line) => numberAt(line, 'reconsumeTimes'))
    expect(times.filter((count) => count === 0)).toHaveLength(17)
    expect(times.filter((count) => count === 1)).toHaveLength(3)
  })

  test('raw requests: acknowledged one by one or in batches, nothing comes back; changed, it comes back later', async ({
    task,
  }) => {
    covers(task, 'M28')
    const topic = `pop-raw-${RUN}`
    const id = await produced(topic, 120)

    const single = await popRaw(topic, { expect: 40, max: 10, action: 'ack', 'invisible-ms': 4000 })
    const batch = await popRaw(topic, {
      expect: 40,
      max: 10,
      action: 'batch',
      'invisible-ms': 4000,
    })
    const changed = await popRaw(topic, {
      expect: 40,
      max: 10,
      action: 'change',
      'change-ms': 20_000,
      'invisible-ms': 4000,
    })
    const early = await popRaw(topic, { 'run-ms': 4000 })
    const late = await popRaw(topic, { 'run-ms': 60_000, expect: 40 })

    const answers = [single, batch, changed].flatMap(({ lines }) => events(lines, 'answer'))
    expect(new Set(answers.map((line) => textAt(line, 'status')))).toEqual(new Set(['OK']))
    expect(ofRun(early.lines, id)).toEqual([])
    expect(names(late)).toEqual(names(changed))
    const all = [single, batch, changed].flatMap(names)
    expect(new Set(all).size).toBe(all.length)
  })

  test('a message that is never acknowledged goes to the dead letter queue after the attempts of its group', async ({
    task,
  }) => {
    covers(task, 'M28', 'M31')
    const topic = `pop-dead-${RUN}`
    await produced(topic, 4)

    const popped = await popRaw(topic, {
      'retry-max-times': 1,
      action: 'none',
      'invisible-ms': 1000,
      'run-ms': 12_000,
    })
    const dead = await runClient(CLIENT, 'push-consume', server.namesrv, {
      topic: `%DLQ%${topic}-g`,
      group: `${topic}-dead`,
      expect: 4,
    })

    const times = events(popped.lines, 'message').map((line) => numberAt(line, 'reconsumeTimes'))
    expect(times.toSorted((left, right) => left - right)).toEqual([0, 0, 0, 0, 1, 1, 1, 1])
    expect(messages(dead.lines, 'message')).toHaveLength(4)
  })

  test('in order: a queue gives nothing before its batch is acknowledged, and then what follows', async ({
    task,
  }) => {
    covers(task, 'M28')
    const topic = `pop-order-${RUN}`
    await produced(topic, 64)

    const one = await popRaw(topic, {
      order: true,
      max: 4,
      action: 'ack',
      expect: 64,
      'invisible-ms': 30_000,
    })

    expect(one.exitCode).toBe(0)
    expect(numberAt(one.summary, 'outOfOrder')).toBe(0)
    expect(messages(one.lines, 'message')).toHaveLength(64)
  })
})

test('a broker that is killed knows afterwards what was popped, and brings it back in time', async ({
  task,
}) => {
  covers(task, 'M28')
  const folder = await mkdtemp(join(tmpdir(), 'gantry-pop-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const namesrv = await start('namesrv', folder)
  const first = await start('broker', folder)
  const topic = `pop-killed-${RUN}`
  const flags = { topic, group: `${topic}-g` }
  await runClient(CLIENT, 'produce', namesrv.address, { topic, count: 100, id: 'x' })

  const held = await runClient(CLIENT, 'pop-raw', namesrv.address, {
    ...flags,
    max: 20,
    expect: 60,
    action: 'none',
    'invisible-ms': 45_000,
  })
  await first.kill()
  await start('broker', folder)
  const rest = await startClient(CLIENT, 'pop-raw', namesrv.address, {
    ...flags,
    'run-ms': 12_000,
  }).finished()
  const back = await startClient(CLIENT, 'pop-raw', namesrv.address, {
    ...flags,
    expect: 60,
    'run-ms': SOON_MS,
  }).finished()

  expect(names(held)).toHaveLength(60)
  expect(new Set(names(rest)).size).toBe(40)
  expect(names(rest)).toHaveLength(40)
  expect(names(back)).toEqual(names(held))
})

async function start(role: 'namesrv' | 'broker', folder: string): Promise<ServerProcess> {
  const ofBroker = {
    brokerName: 'pop-a',
    brokerIP1: '127.0.0.1',
    namesrvAddr: `127.0.0.1:${NAMESRV_PORT}`,
    storePathRootDir: join(folder, 'store'),
    metricsPromExporterPort: BROKER_PORT + 5,
    mappedFileSizeCommitLog: 64 * 1024 * 1024,
  }
  const config =
    role === 'namesrv'
      ? { listenPort: NAMESRV_PORT, metricsPromExporterPort: BROKER_PORT + 6 }
      : { listenPort: BROKER_PORT, ...ofBroker }
  const server = await ServerProcess.start({ kind: 'gantry', role, folder, config }).ready()
  onTestFinished(() => server.kill())
  return server
}

function isMessage(line: unknown): boolean {
  return textAt(line, 'event') === 'message'
}

function ofRun(lines: readonly unknown[], id: string) {
  return messages(lines, 'message').filter((message) => message.id === id)
}

function nameOf({ id, seq }: { readonly id: string; readonly seq: number }): string {
  return `${id} ${seq}`
}

function names({ lines }: ClientResult): readonly string[] {
  return messages(lines, 'message').map(nameOf).toSorted()
}

async function untilReceived(
  members: readonly { readonly lines: readonly unknown[] }[],
  id: string,
  count: number,
): Promise<void> {
  await expect
    .poll(() => new Set(members.flatMap(({ lines }) => ofRun(lines, id).map(nameOf))).size, {
      timeout: SOON_MS,
      interval: 200,
    })
    .toBe(count)
}
