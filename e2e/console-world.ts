/** A cluster with a console, something in it to be seen, and browsers that are logged in. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import type { Browser, Page } from 'playwright-core'
import { AdminClient } from '../client/admin.ts'
import { AuthAdmin } from '../client/auth-admin.ts'
import { Producer } from '../client/producer.ts'
import { RouteCache } from '../client/route.ts'
import type { Credentials } from '../common/credentials.ts'
import { silentLogger } from '../common/log.ts'
import { UniqueIdGenerator } from '../common/message-id.ts'
import { createRuntime } from '../common/runtime.ts'
import { encodeHeartbeatData } from '../remoting/bodies/heartbeat-data.ts'
import { subscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { environmentVariable } from './environment.ts'
import { textAt } from './json.ts'

const DASHBOARD_PORT = 8080
const ADMIN_PORT = 5557
/** The name server has one, the broker another. */
const ADMIN_PORTS = 2
/** As clients do. */
const HEARTBEAT_MS = 30_000
const READY_TIMEOUT_MS = 60_000
const LIST = 100

export interface ConsoleOptions {
  readonly portOffset: number
  /** Of the broker group; one when not given. */
  readonly members?: number
  /** Keys of broker.conf. */
  readonly config?: Readonly<Record<string, string>>
  /** Access control is on: the console signs with the inner user, `admin` and `producer` with the administrator. */
  readonly users: SuperUserSecret | null
}

/** What the Secret of a cluster with access control holds. */
export interface SuperUserSecret {
  readonly username: string
  readonly password: string
  readonly innerUsername: string
  readonly innerPassword: string
}

export type Role = 'viewer' | 'operator' | 'admin'

export class ConsoleWorld implements AsyncDisposable {
  readonly url: string
  readonly admin: AdminClient
  readonly producer: Producer
  readonly #server: DevServer
  readonly #data: string
  readonly #client: RemotingClient
  readonly #browser: Browser
  readonly #portOffset: number
  #broker = ''
  #beating: NodeJS.Timeout | undefined

  private constructor(parts: {
    readonly server: DevServer
    readonly data: string
    readonly portOffset: number
    readonly browser: Browser
    readonly credentials: Credentials | null
  }) {
    const runtime = createRuntime()
    const { clock, random } = runtime
    this.#server = parts.server
    this.#data = parts.data
    this.#browser = parts.browser
    this.#portOffset = parts.portOffset
    this.url = `http://127.0.0.1:${DASHBOARD_PORT + parts.portOffset}`
    const { credentials } = parts
    this.#client = new RemotingClient({
      ...runtime,
      logger: silentLogger,
      credentials: () => credentials,
    })
    this.admin = new AdminClient(this.#client, 20_000)
    const nameServers = [parts.server.namesrv]
    this.producer = new Producer({
      client: this.#client,
      routes: new RouteCache({ client: this.#client, clock, nameServers }),
      clock,
      producerGroup: 'shop',
      uniqueIds: new UniqueIdGenerator({
        clock,
        random,
        ip: Buffer.from([127, 0, 0, 1]),
        pid: process.pid,
      }),
    })
  }

  static async start({
    portOffset,
    users,
    members = 1,
    config = {},
  }: ConsoleOptions): Promise<ConsoleWorld> {
    const data = await mkdtemp(join(tmpdir(), 'gantry-console-'))
    const executablePath = environmentVariable('GANTRY_E2E_CHROMIUM') || '/usr/bin/chromium'
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
    const server = await startDevServer({
      portOffset,
      groups: 1,
      members,
      config,
      data,
      dashboard: true,
      ...(users === null ? {} : { users: { ...users } }),
    })
    const credentials =
      users === null ? null : { accessKey: users.username, secretKey: users.password }
    const world = new ConsoleWorld({ server, data, portOffset, browser, credentials })
    await eventually(async () => (await fetch(`${world.url}/readyz`)).ok)
    const { brokers } = await world.admin.clusterInfo(server.namesrv)
    world.#broker = [...brokers.values()][0]?.brokerAddrs.get(0) ?? ''
    return world
  }

  get namesrv(): string {
    return this.#server.namesrv
  }

  get broker(): string {
    return this.#broker
  }

  get password(): string {
    return readFileSync(join(this.#data, 'dashboard', 'initial-password'), 'utf8').trim()
  }

  /** What the broker has been asked so far: for the console's pictures, and all else but the heartbeats of this world's own member. */
  async requests(): Promise<{ readonly pictures: number; readonly others: number }> {
    const counts = new Map(await this.requestCounts())
    const pictures = counts.get('gantry_broker_picture') ?? 0
    counts.delete('gantry_broker_picture')
    counts.delete('heart_beat')
    return { pictures, others: [...counts.values()].reduce((sum, count) => sum + count, 0) }
  }

  /** How often the broker has been asked for what, by the names of its metrics. */
  async requestCounts(): Promise<ReadonlyMap<string, number>> {
    const found = new Map<string, number>()
    for (let at = 0; at < ADMIN_PORTS; at++) {
      const url = `http://127.0.0.1:${ADMIN_PORT + this.#portOffset + at}/metrics`
      const text = await (await fetch(url)).text()
      const counts = /^rocketmq_rpc_latency_milliseconds_count\{(.*)\} (\d+)$/gmu
      for (const [, labels = '', count] of text.matchAll(counts)) {
        if (!labels.includes('node_type="broker"')) continue
        const [, code = ''] = /request_code="(.*?)"/u.exec(labels) ?? []
        found.set(code, (found.get(code) ?? 0) + Number(count))
      }
    }
    return found
  }

  /** A page of a browser of its own, logged in. Faults of the page fail the test by `problems`. */
  async login(
    name: string,
    password: string,
    look: {
      readonly width?: number
      readonly scheme?: 'light' | 'dark'
      /** Of another console. */
      readonly url?: string
      readonly problems?: string[]
    } = {},
  ): Promise<Page> {
    const context = await this.#browser.newContext({
      viewport: { width: look.width ?? 1280, height: 860 },
      colorScheme: look.scheme ?? 'light',
    })
    const page = await context.newPage()
    page.on('pageerror', (error) => look.problems?.push(error.message))
    page.on('console', (message) => {
      // The first question, whether somebody is logged in, is answered with 401.
      if (message.type() === 'error' && !message.text().includes('401')) {
        look.problems?.push(message.text())
      }
    })
    await page.goto(look.url ?? this.url)
    await page.getByLabel('Name').fill(name)
    await page.getByLabel('Password').fill(password)
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
    return page
  }

  /** Makes a user of the console that the page is of, as an administrator does; resolves with the password, which is shown once. */
  async addUser(admin: Page, name: string, role: Role): Promise<string> {
    await admin.goto(`${new URL(admin.url()).origin}/#/users`)
    await admin.getByRole('button', { name: 'New user' }).click()
    await admin.getByLabel('Name').fill(name)
    await admin.getByLabel('Role').selectOption(role)
    await admin.getByRole('button', { name: 'Add' }).click()
    const secret = admin.locator('.banner', { hasText: name }).locator('code')
    const password = (await secret.textContent()) ?? ''
    await admin.getByRole('button', { name: 'I have it' }).click()
    return password
  }

  async seed(): Promise<void> {
    const broker = this.#broker
    for (const topic of ['orders', 'payments']) {
      await this.admin.createTopic(
        broker,
        topicConfig(topic, { readQueueNums: 4, writeQueueNums: 4 }),
      )
    }
    await this.admin.createGroup(broker, subscriptionGroupConfig('billing'))
    await this.heartbeat('billing', 'orders')
    this.#beating = setInterval(() => {
      void this.heartbeat('billing', 'orders').catch(() => undefined)
    }, HEARTBEAT_MS)
    for (let at = 0; at < 40; at++) {
      const body = Buffer.from(
        JSON.stringify({ order: at, total: at * 10, note: '<b>not bold</b>' }),
      )
      await this.producer.send({ topic: 'orders', body, tags: 'new', keys: [`order-${at}`] })
    }
    const position = { consumerGroup: 'billing', queueOffset: 2 }
    for (let queueId = 0; queueId < 4; queueId++) {
      await this.admin.updateConsumerOffset(broker, { topic: 'orders', queueId }, position)
    }
    const auth = new AuthAdmin(this.admin)
    const resources = [
      { resource: 'Topic:orders', actions: ['Pub'], sourceIps: ['10.0.0.0/8'], decision: 'Allow' },
    ]
    await auth.createUser(broker, 'warehouse', { password: 'of the warehouse' })
    await auth.putAcl(broker, 'User:warehouse', [{ policyType: 'Custom', entries: resources }])
  }

  /** A member of a group, as brokers see it. */
  async heartbeat(groupName: string, topic: string): Promise<void> {
    await this.admin.ask(this.#broker, {
      code: RequestCode.HEART_BEAT,
      body: heartbeatOf({
        clientID: 'client-1',
        producerGroup: 'shop',
        groups: [groupName],
        subscription: { topic, subString: '*' },
      }),
    })
  }

  /** Gives one message of a topic up for a group, as a client does after its last retry. */
  async giveUp(group: string, topic: string, body: string): Promise<void> {
    const { offsetMessageId } = await this.producer.send({ topic, body: Buffer.from(body) })
    const physicalOffset = Number(BigInt(`0x${offsetMessageId.slice(-16)}`))
    await this.admin.ask(this.#broker, {
      code: RequestCode.CONSUMER_SEND_MSG_BACK,
      extFields: {
        offset: String(physicalOffset),
        group,
        delayLevel: '-1',
        originMsgId: offsetMessageId,
        originTopic: topic,
        unitMode: 'false',
      },
    })
  }

  /** Topics and groups, a group reading one topic and having read nothing of it. */
  async seedMany(topics: number, groups: number): Promise<void> {
    const name = (prefix: string, at: number): string => `${prefix}-${String(at).padStart(4, '0')}`
    for (let at = 0; at < topics; at += LIST) {
      const list = Array.from({ length: LIST }, (_, more) =>
        topicConfig(name('scale', at + more), { readQueueNums: 8, writeQueueNums: 8 }),
      )
      await this.admin.createTopics(this.#broker, list)
    }
    for (let at = 0; at < groups; at += LIST) {
      const list = Array.from({ length: LIST }, (_, more) =>
        subscriptionGroupConfig(name('reader', at + more)),
      )
      await this.admin.createGroups(this.#broker, list)
    }
    const position = { queueOffset: 0 }
    for (let at = 0; at < groups; at += LIST) {
      await Promise.all(
        Array.from({ length: LIST }, async (_, more) => {
          const consumerGroup = name('reader', at + more)
          const topic = name('scale', (at + more) % topics)
          for (let queueId = 0; queueId < 8; queueId++) {
            const queue = { topic, queueId }
            await this.admin.updateConsumerOffset(this.#broker, queue, {
              ...position,
              consumerGroup,
            })
          }
        }),
      )
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#beating)
    await this.#browser.close()
    await this.#client.close()
    await this.#server.stop()
    await rm(this.#data, { recursive: true })
  }
}

/** From the JSON that `JSON.stringify` made of it; null when there is none. */
export function superUsersOf(text: string): SuperUserSecret | null {
  if (text === '') return null
  const json: unknown = JSON.parse(text)
  return {
    username: textAt(json, 'username'),
    password: textAt(json, 'password'),
    innerUsername: textAt(json, 'innerUsername'),
    innerPassword: textAt(json, 'innerPassword'),
  }
}

export async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + READY_TIMEOUT_MS
  for (;;) {
    if (await isSo().catch(() => false)) return
    if (Date.now() > end) throw new Error('it did not come about')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/** Of a client that is a producer of one group, and a push consumer of others, which subscribe to the same. */
export function heartbeatOf({
  clientID,
  producerGroup,
  groups,
  subscription,
}: {
  readonly clientID: string
  readonly producerGroup: string
  readonly groups: readonly string[]
  readonly subscription: { readonly topic: string; readonly subString: string }
}): Buffer {
  const whole = {
    ...subscription,
    tagsSet: [],
    codeSet: [],
    subVersion: 1,
    expressionType: 'TAG',
    classFilterMode: false,
  }
  return encodeHeartbeatData({
    clientID,
    producerGroups: [producerGroup],
    consumers: groups.map((groupName) => ({
      groupName,
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
      unitMode: false,
      subscriptions: [whole],
    })),
    heartbeatFingerprint: 0,
    withoutSub: false,
  })
}
