/**
 * `gantry dev` with real processes. The ports are moved far from those of a cluster that may be running already.
 */
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { UniqueIdGenerator } from '../common/message-id.ts'
import { createRuntime } from '../common/runtime.ts'
import { Producer } from '../client/producer.ts'
import { PullConsumer } from '../client/pull-consumer.ts'
import { RouteCache } from '../client/route.ts'
import { RemotingClient } from '../remoting/client.ts'

const GANTRY = fileURLToPath(new URL('../gantry', import.meta.url))
const PORT_OFFSET = 11_100
const NAMESRV = `127.0.0.1:${9876 + PORT_OFFSET}`
const BROKER_PORT = 10_911 + PORT_OFFSET
const runtime = createRuntime()

interface PodStatus {
  readonly name: string
  readonly pid: number
  readonly ready: boolean
  readonly role: string | null
  readonly address: string
  readonly dataDir: string
}

let folder: string
let data: string
const running: DevProcess[] = []

/** A `gantry dev` and what it has printed. */
class DevProcess {
  output = ''
  /** Null while it runs; a signal that ended it counts as -1. */
  exitCode: number | null = null
  readonly child: ChildProcess
  readonly #ended: Promise<void>

  constructor(args: readonly string[]) {
    this.child = spawn(
      GANTRY,
      ['dev', '--no-dashboard', '--port-offset', String(PORT_OFFSET), ...args],
      {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    const collect = (chunk: Buffer): void => {
      this.output += chunk.toString('utf8')
    }
    this.child.stdout?.on('data', collect)
    this.child.stderr?.on('data', collect)
    this.#ended = new Promise((resolve) => {
      this.child.on('close', (code) => {
        this.exitCode = code ?? -1
        resolve()
      })
    })
    running.push(this)
  }

  async prints(pattern: RegExp, timeoutMs = 30_000): Promise<void> {
    await until(() => {
      if (pattern.test(this.output)) return true
      if (this.exitCode !== null) throw new Error(`it ended with ${this.exitCode}: ${this.output}`)
      return false
    }, timeoutMs)
  }

  async ends(timeoutMs = 20_000): Promise<number | null> {
    await Promise.race([
      this.#ended,
      sleep(timeoutMs).then(() => {
        throw new Error(`it does not end: ${this.output}`)
      }),
    ])
    return this.exitCode
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.child.kill(signal)
    return await this.ends()
  }
}

async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const end = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > end) {
      throw new Error(`not in time; printed: ${running.map((dev) => dev.output).join('\n')}`)
    }
    await sleep(25)
  }
}

function gantry(...args: readonly string[]): Promise<{
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}> {
  return new Promise((resolve) => {
    execFile(GANTRY, args, { cwd: folder }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

/** What a command of a shell prints; rejects when it fails. */
function shell(command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('sh', ['-c', command], { cwd: folder }, (error, stdout) => {
      if (error === null) resolve(stdout)
      else reject(error)
    })
  })
}

async function pods(): Promise<readonly PodStatus[]> {
  const { stdout } = await gantry('dev', 'status', '--data', data, '-o', 'json')
  return JSON.parse(stdout).pods
}

function manifest(groups: number, more = ''): string {
  return `apiVersion: rocketmq.gantry.dev/v1alpha1
kind: RocketMQCluster
metadata: {name: demo}
spec:
  version: 0.1.0
  nameServer: {replicas: 1}
  broker:
    groups: ${groups}
    replicasPerGroup: 1
    storage: {size: 10Gi}
${more}`
}

function writeManifest(text: string): string {
  const file = path.join(folder, 'cluster.yaml')
  writeFileSync(file, text)
  return file
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

interface TestClient extends AsyncDisposable {
  send(topic: string, body: string): Promise<string>
  receive(topic: string, count: number): Promise<readonly string[]>
}

function connect(): TestClient {
  const client = new RemotingClient({ ...runtime, logger: silentLogger })
  const routes = new RouteCache({ client, clock: runtime.clock, nameServers: [NAMESRV] })
  const uniqueIds = new UniqueIdGenerator({ ...runtime, ip: Buffer.from([127, 0, 0, 1]), pid: 1 })
  const { clock } = runtime
  const producer = new Producer({ client, routes, clock, uniqueIds, producerGroup: 'test' })
  return {
    send: async (topic, body) =>
      (await producer.send({ topic, body: Buffer.from(body) })).queue.brokerName,
    receive: async (topic, count) => {
      const bodies: string[] = []
      const consumer = new PullConsumer({
        ...runtime,
        client,
        routes,
        logger: silentLogger,
        topic,
        consumerGroup: 'test',
        from: 'first',
        commit: false,
        onMessages: (messages) => {
          for (const message of messages) bodies.push(message.body.toString('utf8'))
          return Promise.resolve()
        },
      })
      await consumer.start()
      await until(() => bodies.length >= count)
      await consumer.close()
      return bodies
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'gantry-dev-test-'))
  data = path.join(folder, 'data')
})

afterEach(async () => {
  for (const dev of running.splice(0)) {
    if (dev.exitCode === null) await dev.stop().catch(() => dev.child.kill('SIGKILL'))
  }
  rmSync(folder, { recursive: true, force: true })
})

test('without a manifest it is ready within seconds, and a send succeeds at that moment', async () => {
  const started = Date.now()
  const dev = new DevProcess(['--data', data])

  await dev.prints(/^ready namesrv=\S+/m)
  const readyMs = Date.now() - started
  await using client = connect()
  const brokerName = await client.send('fresh-topic', 'hello')

  expect(dev.output).toContain(`ready namesrv=${NAMESRV} brokers=127.0.0.1:${BROKER_PORT}`)
  expect(brokerName).toBe('dev-broker-0')
  expect(readyMs).toBeLessThan(10_000)
  expect(await dev.stop('SIGINT')).toBe(0)
  expect(dev.output).toContain('stopping')
})

test('status from another terminal names every pod, its process, address and folder', async () => {
  const dev = new DevProcess(['--data', data])
  await dev.prints(/^ready /m)
  await until(async () => (await pods()).some((pod) => pod.role === 'leader'))

  const { stdout } = await gantry('dev', 'status', '--data', data, '-o', 'json')
  const status = JSON.parse(stdout)

  expect(status.namesrv).toBe(NAMESRV)
  expect(status.pods).toHaveLength(2)
  expect(status.pods[0]).toMatchObject({
    name: 'dev-broker-0-0',
    kind: 'broker',
    group: 'dev-broker-0',
    role: 'leader',
    address: `127.0.0.1:${BROKER_PORT}`,
    ready: true,
  })
  expect(existsSync(path.join(status.pods[0].dataDir, 'store', 'commitlog'))).toBe(true)
  expect(status.pods.every((pod: PodStatus) => isAlive(pod.pid))).toBe(true)
  await dev.stop()
  expect((await gantry('dev', 'status', '--data', data, '-o', 'json')).code).toBe(3)
  expect(status.pods.some((pod: PodStatus) => isAlive(pod.pid))).toBe(false)
})

test('a broker that is killed comes back by itself with every message', async () => {
  const dev = new DevProcess(['--data', data])
  await dev.prints(/^ready /m)
  await using client = connect()
  for (let index = 0; index < 50; index += 1) await client.send('kept', `m${index}`)
  const before = (await pods()).find((pod) => pod.name === 'dev-broker-0-0')

  process.kill(before?.pid ?? 0, 'SIGKILL')
  await dev.prints(/dev-broker-0-0 ended: signal SIGKILL/)
  await dev.prints(/dev-broker-0-0 is ready again/)

  const bodies = await client.receive('kept', 50)
  expect(new Set(bodies).size).toBe(50)
  await until(async () => (await pods()).every((pod) => pod.ready))
  expect((await pods()).find((pod) => pod.name === 'dev-broker-0-0')?.pid).not.toBe(before?.pid)
})

test('editing the file adds a group with the topics of the others; a bad edit is shown and changes nothing', async () => {
  const file = writeManifest(manifest(1))
  const dev = new DevProcess(['-f', file, '--data', data])
  await dev.prints(/^ready /m)
  await using client = connect()
  await client.send('orders', 'first')

  writeManifest(manifest(1).replace('groups: 1', 'groups: many'))
  await dev.prints(/cluster\.yaml:8: spec\.broker\.groups: .*\n.*the cluster runs as before/)
  expect(await client.send('orders', 'second')).toBe('demo-broker-0')
  expect(await pods()).toHaveLength(2)

  writeManifest(manifest(2))
  await until(async () => {
    const names = (await pods()).filter((pod) => pod.ready).map((pod) => pod.name)
    return names.includes('demo-broker-1-0')
  })
  await until(async () => {
    await using fresh = connect()
    const brokers = await Promise.all(
      Array.from({ length: 8 }, (_, index) => fresh.send('orders', `n${index}`)),
    )
    return brokers.includes('demo-broker-1')
  })

  const second = (await pods()).find((pod) => pod.name === 'demo-broker-1-0')
  expect(second?.address).toBe(`127.0.0.1:${BROKER_PORT + 10}`)
  expect(await dev.stop()).toBe(0)
})

test('lowering the groups drains one, ends its process, and keeps its folder', async () => {
  const file = writeManifest(manifest(2))
  const dev = new DevProcess(['-f', file, '--data', data])
  await dev.prints(/^ready /m)
  const leaving = (await pods()).find((pod) => pod.name === 'demo-broker-1-0')

  writeManifest(manifest(1))
  await dev.prints(/demo-broker-1: .*→ Draining/, 60_000)
  await until(async () => (await pods()).every((pod) => pod.name !== 'demo-broker-1-0'), 60_000)

  expect(isAlive(leaving?.pid ?? 0)).toBe(false)
  expect(existsSync(path.join(leaving?.dataDir ?? '', 'store', 'commitlog'))).toBe(true)
  await using client = connect()
  expect(await client.send('after', 'still here')).toBe('demo-broker-0')
})

test('what was stored is there after a restart, and shrinking storage is refused against what ran', async () => {
  const file = writeManifest(manifest(1))
  const first = new DevProcess(['-f', file, '--data', data])
  await first.prints(/^ready /m)
  {
    await using client = connect()
    await client.send('kept', 'before')
  }
  expect(await first.stop()).toBe(0)

  writeManifest(manifest(1).replace('10Gi', '5Gi'))
  const refused = new DevProcess(['-f', file, '--data', data])
  expect(await refused.ends()).toBe(2)
  expect(refused.output).toContain('storage cannot shrink')

  writeManifest(manifest(1))
  const second = new DevProcess(['-f', file, '--data', data])
  await second.prints(/^ready /m)
  await using client = connect()
  expect(await client.receive('kept', 1)).toEqual(['before'])
})

test('with access control the administrator is told, the same after a restart, and others are refused; a Secret that is missing is named', async () => {
  const text = manifest(1, '  accessControl: {enabled: true}\n')
  const file = writeManifest(text)
  const list = ['user', 'list', '-n', NAMESRV, '-o', 'name']
  const administrator = `. '${data}/.gantry/administrator.env' && '${GANTRY}' ${list.join(' ')}`
  const first = new DevProcess(['--data', data, '-f', file])
  await first.prints(/^ready /m)

  const signed = await shell(administrator)
  const unsigned = await gantry(...list)
  await first.stop()
  const second = new DevProcess(['--data', data, '-f', file])
  await second.prints(/^ready /m)
  const again = await shell(administrator)
  writeManifest(text.replace('true}', 'true, secretName: mine}'))
  await second.prints(/Secret mine is not there; it needs the keys username/)
  const stillRunning = await shell(administrator)

  const [name = ''] = signed.split('\n')
  expect(name).toMatch(/^admin-/)
  expect(first.output).toContain(`administrator of the brokers: ${name}, see `)
  expect(unsigned.code).toBe(4)
  expect(unsigned.stderr).toContain('username cannot be null.')
  expect(again).toBe(signed)
  expect(stillRunning).toBe(signed)
})

test('when gantry dev itself is killed its processes end too', async () => {
  const dev = new DevProcess(['--data', data])
  await dev.prints(/^ready /m)
  const pids = (await pods()).map((pod) => pod.pid)

  dev.child.kill('SIGKILL')
  await dev.ends()
  await until(() => !pids.some(isAlive), 20_000)

  const again = new DevProcess(['--data', data])
  await again.prints(/^ready /m)
  expect((await pods()).some((pod) => pids.includes(pod.pid))).toBe(false)
})

test('an ephemeral cluster leaves nothing behind', async () => {
  const dev = new DevProcess(['--ephemeral'])
  await dev.prints(/^ready .*data=\S+/m)
  const root = /data=(\S+)/.exec(dev.output)?.[1] ?? ''
  expect(existsSync(root)).toBe(true)

  expect(await dev.stop()).toBe(0)

  expect(existsSync(root)).toBe(false)
  expect(readdirSync(folder)).toEqual([])
})

test('a second gantry dev on the same folder is told who has it', async () => {
  const dev = new DevProcess(['--data', data])
  await dev.prints(/^ready /m)

  const second = new DevProcess(['--data', data])

  expect(await second.ends()).toBe(2)
  expect(second.output).toContain(`in use by another gantry dev (process `)
  expect((await pods()).every((pod) => pod.ready)).toBe(true)
})

test('a busy port is named together with its holder', async () => {
  const holder = net.createServer()
  await new Promise<void>((resolve) => holder.listen(BROKER_PORT, '127.0.0.1', resolve))

  const dev = new DevProcess(['--data', data])
  const exitCode = await dev.ends()
  await new Promise<void>((resolve) => holder.close(() => resolve()))

  expect(exitCode).toBe(5)
  expect(dev.output).toContain(`port ${BROKER_PORT} is in use by process ${process.pid} (`)
})

test('wrong usage is told in a sentence, with exit code 2', async () => {
  mkdirSync(data)
  writeFileSync(path.join(data, 'thesis.txt'), 'mine')
  const cases: readonly (readonly [readonly string[], string])[] = [
    [['--data', data], 'holds files that are not of gantry dev'],
    [['--dta', data], 'unknown flag --dta; did you mean --data?'],
    [['-f', 'absent.yaml'], 'absent.yaml is not there'],
    [['--port-offset', '99999'], 'expected a whole number'],
    [['stat'], "unexpected 'stat'"],
    [
      ['-f', writeManifest(manifest(0)), '--data', path.join(folder, 'other')],
      'spec.broker.groups',
    ],
  ]
  for (const [args, sentence] of cases) {
    const { code, stderr } = await gantry('dev', ...args)

    expect(stderr).toContain(sentence)
    expect(code).toBe(2)
  }
  expect(readdirSync(data)).toEqual(['thesis.txt'])
})
