/**
 * Users and permissions with the official clients, against a group of three whose brokers ask for both: who is let in, what each user may,
 * that a change counts at once, and that users outlive the leader.
 */
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AuthAdmin } from '../client/auth-admin.ts'
import { openAdmin } from '../client/open-admin.ts'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { CLIENTS, buildClients, messages, startClient } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import { covers } from './features.ts'
import { listAt, numberAt, textAt } from './json.ts'
import type { Client, ClientResult, Flags, Scenario } from './clients.ts'
import type { DevServer } from './dev-server.ts'
import type { AdminClient } from '../client/admin.ts'
import type { OpenAdmin } from '../client/open-admin.ts'
import type { Credentials } from '../common/credentials.ts'
import { Permission, topicConfig } from '../remoting/bodies/topic-config.ts'
import type { PolicyEntryInfo } from '../remoting/bodies/auth-bodies.ts'

const OFFSET = 11_500
const RUN = Date.now().toString(36)
const ROOT_USER: Credentials = { accessKey: 'root', secretKey: `root-${RUN}` }
const INNER: Credentials = { accessKey: 'inner', secretKey: `inner-${RUN}` }
const CONFIG = {
  transactionTimeOut: '2000',
  transactionCheckInterval: '2000',
}
const USERS = {
  username: ROOT_USER.accessKey,
  password: ROOT_USER.secretKey,
  innerUsername: INNER.accessKey,
  innerPassword: INNER.secretKey,
}
const LEADER_MS = 60_000

let data: string
let server: DevServer
let opened: OpenAdmin
let admin: AdminClient
let auth: AuthAdmin

beforeAll(async () => {
  await buildClients()
  data = await mkdtemp(join(tmpdir(), 'gantry-acl-'))
  server = await startDevServer({
    portOffset: OFFSET,
    groups: 1,
    members: 3,
    config: CONFIG,
    users: USERS,
    data,
  })
  opened = openAdmin(createRuntime(), silentLogger)
  admin = opened.as(ROOT_USER)
  auth = new AuthAdmin(admin)
})

afterAll(async () => {
  await opened?.[Symbol.asyncDispose]()
  await server?.stop()
  if (data !== undefined) await rm(data, { recursive: true })
})

describe.each(CLIENTS)('the %s client', (client) => {
  test('with the right secret sends, consumes by push and pull, and commits transactions', async ({
    task,
  }) => {
    covers(task, 'X1', 'X6')
    const topic = `${prefixOf(client)}all`
    const group = `${topic}-g`
    const app = await makeUser(`${client}-all`, [
      allow(`Topic:${topic}`, 'Pub', 'Sub'),
      allow(`Group:${group}*`, 'Sub'),
    ])

    for (const mode of ['sync', 'async', 'batch']) {
      const sent = await runAs(app, client, 'produce', { topic, mode, count: 20, id: mode })
      expect([mode, sent.exitCode, sent.summary]).toMatchObject([mode, 0, { acked: 20 }])
    }
    const transacted = await runAs(app, client, 'transact', {
      topic,
      group: `${group}-p`,
      count: 4,
      local: 'commit',
      id: 'half',
      'run-ms': 3000,
    })
    expect(numberAt(transacted.summary, 'halves')).toBe(4)
    const pushed = await runAs(app, client, 'push-consume', { topic, group, ...first(64) })
    expect(messages(pushed.lines, 'message').length).toBe(64)
    const pulled = await runAs(app, client, 'lite-pull', {
      topic,
      group: `${group}-pull`,
      ...first(64),
    })
    expect(messages(pulled.lines, 'message').length).toBe(64)
  })

  test('with a wrong secret, as an unknown or a disabled user, or without one is refused', async ({
    task,
  }) => {
    covers(task, 'X1')
    const topic = `${prefixOf(client)}none`
    const disabled = await makeUser(`${client}-off`, [allow('*', 'All')])
    await auth.updateUser(await leader(), disabled.accessKey, { userStatus: 'disable' })

    await createTopic(topic)
    const refusal = (user: Credentials | null) => refusalOf(user, client, topic)

    expect(await refusal({ ...ROOT_USER, secretKey: 'guessed' })).toContain(
      'User:root: check signature failed.',
    )
    expect(await refusal({ accessKey: 'nobody', secretKey: 'x' })).toContain(
      'User:nobody is not found.',
    )
    expect(await refusal(disabled)).toContain(`User:${disabled.accessKey} is disabled.`)
    expect(await refusal(null)).toContain('username cannot be null.')
  })

  test('may what its policies say and nothing else, from where they say, and changes count at once', async ({
    task,
  }) => {
    covers(task, 'X3')
    const prefix = `${prefixOf(client)}orders`
    const app = await makeUser(`${client}-orders`, [
      allow(`Topic:${prefix}*`, 'Pub'),
      { ...allow(`Topic:${prefix}-secret`, 'Pub'), decision: 'Deny' },
    ])
    const subject = `User:${app.accessKey}`
    const other = `${prefixOf(client)}other`
    await createTopic(other)

    expect(await refusalOf(app, client, `${prefix}-1`)).toBe('')
    expect(await refusalOf(app, client, other)).toContain(
      `${subject} has no permission to access Topic:${other} from `,
    )
    expect(await refusalOf(app, client, `${prefix}-secret`)).toContain('the decision is deny.')
    const read = await runAs(app, client, 'push-consume', {
      topic: `${prefix}-1`,
      group: `${prefix}-g`,
      expect: 1,
      'run-ms': 8000,
    })
    expect(messages(read.lines, 'message')).toEqual([])

    await auth.putAcl(await leader(), subject, [
      { policyType: 'Custom', entries: [allow(`Topic:${other}`, 'Pub')] },
    ])
    expect(await refusalOf(app, client, other)).toBe('')
    await auth.putAcl(await leader(), subject, [
      {
        policyType: 'Custom',
        entries: [{ ...allow(`Topic:${other}`, 'Pub'), sourceIps: ['192.0.2.0/24'] }],
      },
    ])
    expect(await refusalOf(app, client, other)).toContain('no matched policies.')
    await auth.deleteAcl(await leader(), subject)
    expect(await refusalOf(app, client, `${prefix}-1`)).toContain('no matched policies.')
  })
})

test('a user of the Java client with rights to a group pops and acknowledges', async ({ task }) => {
  covers(task, 'X3')
  const topic = `pop-${RUN}`
  const group = `${topic}-g`
  const app = await makeUser('pops', [
    allow(`Topic:${topic}`, 'Pub', 'Sub', 'Update'),
    // The program makes the group, and chooses pop for it.
    allow(`Group:${group}`, 'Sub', 'Create', 'Update'),
  ])
  await runAs(app, 'java-5.5.0', 'produce', { topic, count: 16 })

  const popped = await runAs(app, 'java-5.5.0', 'pop-consume', { topic, group, ...first(16) })

  expect(new Set(messages(popped.lines, 'message').map(({ seq }) => seq)).size).toBe(16)
})

test('users outlive a leader that is killed, and nothing of them is in the logs but names', async ({
  task,
}) => {
  covers(task, 'X3', 'X6', 'X7')
  const topic = `outlives-${RUN}`
  const app = await makeUser('outlives', [allow(`Topic:${topic}`, 'Pub')])
  expect(await refusalOf(app, 'java-5.5.0', topic)).toBe('')

  const before = await leaderPod()
  process.kill(before.pid, 'SIGKILL')
  await expect
    .poll(async () => (await leaderPod()).name, { timeout: LEADER_MS })
    .not.toSatisfy((name) => name === '' || name === before.name)

  await expect.poll(() => refusalOf(app, 'java-5.5.0', topic), { timeout: LEADER_MS }).toBe('')
  await createTopic(`${topic}-other`)
  expect(await refusalOf(app, 'java-5.5.0', `${topic}-other`)).toContain('no matched policies.')
  expect((await auth.acl(await leader(), 'User:outlives'))?.policies.length).toBe(1)
  const logs = await brokerLogs()
  expect(logs).toContain('"action":"AUTH_CREATE_USER"')
  expect(logs).toContain('"username":"outlives"')
  expect(logs).toContain('no matched policies.')
  for (const { secretKey } of [ROOT_USER, INNER, app]) expect(logs).not.toContain(secretKey)
})

function prefixOf(client: Client): string {
  return `acl-${client.replaceAll('.', '_')}-${RUN}-`
}

function first(count: number): Flags {
  return { from: 'first', expect: count, 'run-ms': 60_000 }
}

function allow(resource: string, ...actions: readonly string[]): PolicyEntryInfo {
  return { resource, actions, sourceIps: [], decision: 'Allow' }
}

async function makeUser(name: string, entries: readonly PolicyEntryInfo[]): Promise<Credentials> {
  const username = name.replaceAll('.', '_')
  const secretKey = `${username}-secret-${RUN}`
  await auth.createUser(await leader(), username, { password: secretKey })
  await auth.putAcl(await leader(), `User:${username}`, [{ policyType: 'Custom', entries }])
  return { accessKey: username, secretKey }
}

async function createTopic(topic: string): Promise<void> {
  const queues = { readQueueNums: 4, writeQueueNums: 4, perm: Permission.READ_WRITE }
  await admin.createTopic(await leader(), topicConfig(topic, queues))
}

function environmentOf({ accessKey, secretKey }: Credentials): Readonly<Record<string, string>> {
  return { GANTRY_E2E_ACCESS_KEY: accessKey, GANTRY_E2E_SECRET_KEY: secretKey }
}

function runAs(
  user: Credentials | null,
  client: Client,
  scenario: Scenario,
  flags: Flags,
): Promise<ClientResult> {
  const environment = user === null ? {} : environmentOf(user)
  return startClient(client, scenario, server.namesrv, flags, environment).finished()
}

/** What the client was told when it sent a message; empty when it was taken. */
async function refusalOf(user: Credentials | null, client: Client, topic: string): Promise<string> {
  const { exitCode, summary, stderr } = await runAs(user, client, 'produce', { topic, count: 1 })
  if (exitCode === 0) return ''
  return `${JSON.stringify(summary)}${stderr}`
}

async function leader(): Promise<string> {
  const { brokers } = await admin.clusterInfo(server.namesrv)
  const [data] = brokers.values()
  return data?.brokerAddrs.get(0) ?? ''
}

async function leaderPod(): Promise<{ readonly name: string; readonly pid: number }> {
  const status: unknown = JSON.parse(await readFile(join(data, '.gantry', 'status.json'), 'utf8'))
  const found = listAt(status, 'pods').find((pod) => textAt(pod, 'role') === 'leader')
  return found === undefined
    ? { name: '', pid: 0 }
    : { name: textAt(found, 'name'), pid: numberAt(found, 'pid') }
}

async function brokerLogs(): Promise<string> {
  const folder = join(data, 'logs')
  const names = (await readdir(folder)).filter((name) => name.includes('broker'))
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  return texts.join('')
}
