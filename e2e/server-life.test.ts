/** A name server and a broker as RocketMQ's users start them: configuration files, NAMESRV_ADDR, what they log, and their end. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from './environment.ts'
import { covers } from './features.ts'
import { textAt } from './json.ts'
import { eventually } from './messaging-world.ts'
import { ServerProcess } from './server-process.ts'

const OFFSET = 5600
const NAMESRV_PORT = 9876 + OFFSET
const BROKER_PORT = 10_911 + OFFSET

let folder: string
let nameServer: ServerProcess
let broker: ServerProcess

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gantry-server-life-'))
  nameServer = await ServerProcess.start({
    kind: 'gantry',
    role: 'namesrv',
    folder,
    config: { listenPort: NAMESRV_PORT, metricsPromExporterPort: 5558 + OFFSET },
  }).ready()
  // The keys of RocketMQ's own conf/broker.conf, one that means nothing here, and one that is misspelt. Nobody is at the second name server.
  broker = await ServerProcess.start({
    kind: 'gantry',
    role: 'broker',
    folder,
    config: {
      brokerClusterName: 'DefaultCluster',
      brokerName: 'broker-a',
      brokerId: 0,
      deleteWhen: '04',
      fileReservedTime: 48,
      brokerRole: 'ASYNC_MASTER',
      flushDiskType: 'ASYNC_FLUSH',
      brokerIP1: '127.0.0.1',
      listenPort: BROKER_PORT,
      metricsPromExporterPort: 5557 + OFFSET,
      storePathRootDir: join(folder, 'store'),
      haListenPort: BROKER_PORT + 1,
      autoCreateTopicEnabel: true,
    },
    env: { NAMESRV_ADDR: `localhost:${NAMESRV_PORT};127.0.0.1:1` },
  }).ready()
})

afterAll(async () => {
  await broker?.kill()
  await nameServer?.kill()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

test('a broker finds its name servers by NAMESRV_ADDR, by their DNS names, though one is away', async ({
  task,
}) => {
  covers(task, 'A20')
  const listed = () => run('./gantry', ['cluster', 'describe', '-n', nameServer.address])

  await eventually('the registration', async () => {
    const { stdout } = await listed().catch(() => ({ stdout: '' }))
    return stdout.includes('broker-a')
  })

  const { stdout } = await listed()
  expect(stdout).toContain(`127.0.0.1:${BROKER_PORT}`)
})

test("RocketMQ's keys are taken, one without effect is told, a misspelt one with the nearest name", async ({
  task,
}) => {
  covers(task, 'A17')
  const address = ['-b', broker.address, '-n', nameServer.address]
  const { stdout } = await run('./gantry', ['admin', 'getBrokerConfig', ...address])

  expect(stdout).toMatch(/fileReservedTime += +48/u)
  expect(broker.output).toContain('"keys":["haListenPort"]')
  expect(broker.output).toContain('did you mean autoCreateTopicEnable?')
})

test('every line of the logs is JSON with a time, a level and a sentence', ({ task }) => {
  covers(task, 'A21')
  const lines = `${nameServer.output}${broker.output}`.trim().split('\n')

  const events = lines.map((line): unknown => JSON.parse(line))

  expect(events.length).toBeGreaterThan(3)
  for (const event of events) {
    expect(textAt(event, 'msg')).not.toBe('')
    expect(event).toMatchObject({ level: expect.anything(), time: expect.anything() })
  }
  expect(events.map((event) => textAt(event, 'msg'))).toContain('the broker has started')
})

test('SIGTERM ends a broker and a name server in order, and leaves nothing that says otherwise', async ({
  task,
}) => {
  covers(task, 'A19')
  const abort = join(folder, 'store', 'abort')
  const wasThere = existsSync(abort)

  await broker.stop()
  await nameServer.stop()

  expect(wasThere).toBe(true)
  expect(existsSync(abort)).toBe(false)
})
