/** `gantry operator` as a process, against an API server of the test's own. */
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeApiServer } from './fake-api-server.ts'
import { textAt } from './json.ts'

const GANTRY = fileURLToPath(new URL('../gantry', import.meta.url))
const LEASE = '/apis/coordination.k8s.io/v1/namespaces/ns/leases/gantry-operator'
const CLUSTER = '/apis/rocketmq.gantry.dev/v1alpha1/namespaces/a/rocketmqclusters/demo'
const FIRST_PORT = 25_010
const FLAGS = ['--lease-namespace', 'ns', '--operand-image', 'gantry:1']

let server: FakeApiServer
let folder: string
const running: OperatorProcess[] = []

class OperatorProcess {
  log = ''
  /** Null while it runs; a signal that ended it counts as -1. */
  exitCode: number | null = null
  readonly port: number
  readonly child: ChildProcess
  readonly #ended: Promise<void>

  constructor(...flags: readonly string[]) {
    this.port = FIRST_PORT + running.length
    const args = ['operator', ...FLAGS, '--admin-port', String(this.port), ...flags]
    this.child = spawn(GANTRY, args, { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stderr?.on('data', (chunk: Buffer) => (this.log += chunk.toString('utf8')))
    this.#ended = new Promise((resolve) => {
      this.child.on('close', (code) => {
        this.exitCode = code ?? -1
        resolve()
      })
    })
    running.push(this)
  }

  async ends(): Promise<number | null> {
    await until(() => this.exitCode !== null)
    await this.#ended
    return this.exitCode
  }

  async stop(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal)
    return await this.ends()
  }

  get(path: string): Promise<{ readonly status: number; readonly body: string }> {
    return new Promise((resolve) => {
      const request = http.get({ host: '127.0.0.1', port: this.port, path }, (response) => {
        let body = ''
        response.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      })
      request.on('error', () => resolve({ status: 0, body: '' }))
    })
  }
}

async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 40_000,
): Promise<void> {
  const end = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > end)
      throw new Error(`not in time: ${running.map(({ log }) => log).join('\n')}`)
    await sleep(25)
  }
}

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, KUBECONFIG: path.join(folder, 'kubeconfig'), POD_NAME: 'operator' }
}

function gantry(
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile(GANTRY, ['operator', ...args], { env: environment() }, (error, _stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stderr })
    })
  })
}

function holder(): string | null {
  return textAt(server.objects.get(LEASE), 'spec', 'holderIdentity')
}

function putCluster(): void {
  server.put(CLUSTER, {
    apiVersion: 'rocketmq.gantry.dev/v1alpha1',
    kind: 'RocketMQCluster',
    metadata: { name: 'demo', namespace: 'a', generation: 1 },
    spec: {
      version: '0.1.0',
      nameServer: { replicas: 1 },
      broker: { groups: 1, replicasPerGroup: 1, storage: { size: '1Gi' } },
    },
  })
}

beforeEach(async () => {
  server = await FakeApiServer.start()
  folder = mkdtempSync(path.join(os.tmpdir(), 'gantry-operator-test-'))
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: server.url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: {} }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  }
  writeFileSync(path.join(folder, 'kubeconfig'), JSON.stringify(config))
})

afterEach(async () => {
  for (const operator of running.splice(0)) {
    if (operator.exitCode === null) await operator.stop('SIGKILL')
  }
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

test('it lists, leads, turns a cluster into objects, and leaves in good order', async () => {
  putCluster()
  const operator = new OperatorProcess()

  await until(() => server.objects.has('/apis/apps/v1/namespaces/a/statefulsets/demo-namesrv'))
  await until(async () => (await operator.get('/readyz')).status === 200)
  const { body } = await operator.get('/metrics')

  expect(holder()).toMatch(/^operator_/)
  expect(body).toContain('rocketmq_operator_leader 1')
  expect((await operator.get('/livez')).status).toBe(200)
  expect((await operator.get('/startupz')).status).toBe(200)
  expect(await operator.stop('SIGTERM')).toBe(0)
  expect(holder()).toBe('')
})

test('a second one stands by, writes nothing, and takes over when the first ends', async () => {
  const first = new OperatorProcess()
  await until(() => (holder() ?? '') !== '')
  const firstHolder = holder()
  const second = new OperatorProcess()
  await until(async () => (await second.get('/readyz')).status === 200)
  expect((await second.get('/metrics')).body).toContain('rocketmq_operator_leader 0')

  expect(await first.stop('SIGTERM')).toBe(0)
  await until(() => (holder() ?? '') !== '')
  putCluster()
  await until(() => server.objects.has('/apis/apps/v1/namespaces/a/statefulsets/demo-namesrv'))

  expect(holder()).not.toBe(firstHolder)
})

test('a leader that cannot renew its lease ends by itself, within the renew deadline', async () => {
  const operator = new OperatorProcess()
  await until(() => (holder() ?? '') !== '')
  const started = Date.now()

  server.fail(({ path: requested }) => requested.includes('/leases'), 500, { times: 1_000_000 })
  const exitCode = await operator.ends()
  const seconds = (Date.now() - started) / 1000

  expect(exitCode).toBe(1)
  expect(seconds).toBeLessThan(15)
  expect(operator.log).toContain('the lease is lost')
})

test('only the namespaces it is told of are looked at', async () => {
  const operator = new OperatorProcess('--namespaces', 'a,b')
  await until(async () => (await operator.get('/readyz')).status === 200)

  const lists = server.requests.filter(({ path: requested }) => !requested.includes('/leases'))

  expect(lists.length).toBeGreaterThan(20)
  expect(lists.every(({ path: requested }) => /\/namespaces\/(a|b)\//.test(requested))).toBe(true)
})

test('while the API server is away it is alive and not ready, and it recovers', async () => {
  server.fail(() => true, 503, { times: 30 })
  const operator = new OperatorProcess()
  await until(async () => (await operator.get('/livez')).status === 200)
  expect((await operator.get('/readyz')).status).toBe(503)

  await until(async () => (await operator.get('/readyz')).status === 200)

  expect(operator.exitCode).toBeNull()
})

test('wrong usage, a busy port and a bad kubeconfig are told in a sentence with their exit codes', async () => {
  const image = ['--operand-image', 'x']
  const holderOfPort = net.createServer()
  await new Promise<void>((resolve) => holderOfPort.listen(FIRST_PORT, resolve))
  const cases: readonly (readonly [readonly string[], number, string])[] = [
    [['--operand-imag', 'x'], 2, 'unknown flag --operand-imag; did you mean --operand-image?'],
    [[], 2, 'no operand image'],
    [[...image, '--admin-port', 'many'], 2, '--admin-port many: expected a whole number'],
    [[...image, '--log-level', 'loud'], 2, '--log-level loud: expected one of'],
    [
      [...image, '--admin-port', String(FIRST_PORT)],
      5,
      `admin port ${FIRST_PORT}: another process`,
    ],
  ]
  for (const [args, exitCode, sentence] of cases) {
    const { code, stderr } = await gantry(...args)

    expect(stderr).toContain(sentence)
    expect(code).toBe(exitCode)
  }
  await new Promise<void>((resolve) => holderOfPort.close(() => resolve()))
  writeFileSync(path.join(folder, 'kubeconfig'), '{')
  const bad = await gantry(...image)
  expect(bad.stderr).toContain('kubeconfig')
  expect(bad.code).toBe(2)
})
