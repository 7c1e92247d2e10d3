/** A console without a cluster: its web server, asked without a socket, on time that the test moves. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { AdminClient } from '../client/admin.ts'
import { Producer } from '../client/producer.ts'
import { RouteCache } from '../client/route.ts'
import { silentLogger } from '../common/log.ts'
import type { Logger } from '../common/log.ts'
import { UniqueIdGenerator } from '../common/message-id.ts'
import { createRegistry } from '../common/metrics.ts'
import { createRuntime } from '../common/runtime.ts'
import { RemotingClient } from '../remoting/client.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { defaultAlarmConfig } from './alarms/alarm-config.ts'
import { AlarmService } from './alarms/alarm-service.ts'
import type { Api } from './api/api.ts'
import { PasswordChecks } from './auth/password-checks.ts'
import { Sessions } from './auth/sessions.ts'
import { LoginThrottle } from './auth/throttle.ts'
import { Users } from './auth/users.ts'
import { BrokerUsers } from './broker-users.ts'
import { Collector } from './collector.ts'
import { DASHBOARD_SCHEMA } from './config.ts'
import { History } from './history.ts'
import { Journal } from './journal.ts'
import { eventRowOf, operationRowOf } from './journal-rows.ts'
import { createWebServer } from './web-server.ts'

export interface LoggedIn {
  /** As a browser sends it. */
  readonly cookie: string
  readonly token: string
}

/** A request of a browser; what is left out is as the page sends it. */
export interface Asked {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'PATCH' | 'OPTIONS'
  readonly session?: LoggedIn
  /** Undefined: not sent. */
  readonly headers?: Readonly<Record<string, string | undefined>>
  /** Text as it is, all else as JSON. */
  readonly body?: unknown
  readonly from?: string
}

const HOST = 'console.example'

export class WebWorld implements AsyncDisposable {
  readonly time: SimulatedTime = new SimulatedTime()
  /** Of `admin`, `operator` and `viewer`. */
  readonly passwords: ReadonlyMap<string, string>
  readonly folder: string
  readonly api: Api
  readonly app: FastifyInstance
  readonly #client: RemotingClient

  private constructor(parts: {
    readonly time: SimulatedTime
    readonly passwords: ReadonlyMap<string, string>
    readonly folder: string
    readonly api: Api
    readonly app: FastifyInstance
    readonly client: RemotingClient
  }) {
    this.time = parts.time
    this.passwords = parts.passwords
    this.folder = parts.folder
    this.api = parts.api
    this.app = parts.app
    this.#client = parts.client
  }

  static async start({
    secureCookie = false,
    logger = silentLogger,
  }: {
    readonly secureCookie?: boolean
    readonly logger?: Logger
  } = {}): Promise<WebWorld> {
    const folder = mkdtempSync(join(tmpdir(), 'gantry-web-'))
    const time = new SimulatedTime()
    const { random, disk } = createRuntime()
    const { users } = await Users.open({ disk, random, logger, folder, firstPassword: null })
    const first = disk.readFileSync(`${folder}/initial-password`)?.toString().trim() ?? ''
    const passwords = new Map([['admin', first]])
    for (const role of ['operator', 'viewer'] as const) {
      passwords.set(role, await users.add(role, role))
    }
    const client = new RemotingClient({ ...createRuntime(), logger: silentLogger })
    const api = apiOf({ client, users, folder, time, logger })
    const idleMs = DASHBOARD_SCHEMA.sessionIdleMinutes.default * 60_000
    const app = await createWebServer({
      api,
      sessions: new Sessions({ clock: time, random, users, idleMs }),
      assets: new Map([
        [
          'page.html',
          {
            contentType: 'text/html; charset=utf-8',
            body: Buffer.from('<p>page</p>'),
            gzipped: Buffer.from('gzipped'),
            etag: '"1"',
          },
        ],
      ]),
      logger,
      clock: time,
      secureCookie,
      notReady: () => null,
      metrics: async () => {
        const registry = createRegistry({ cluster: '', nodeType: 'dashboard', nodeId: '' })
        return { body: await registry.metrics(), contentType: registry.contentType }
      },
    })
    return new WebWorld({ time, passwords, folder, api, app, client })
  }

  ask(
    url: string,
    { method = 'GET', session, headers = {}, body, from = '10.0.0.9' }: Asked = {},
  ): Promise<LightMyRequestResponse> {
    const changes = method !== 'GET' && method !== 'HEAD'
    const all = Object.entries({
      host: HOST,
      ...(session === undefined ? {} : { cookie: session.cookie }),
      ...(changes ? { origin: `http://${HOST}` } : {}),
      ...(changes && session !== undefined ? { 'x-gantry-token': session.token } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    })
    return this.app.inject({
      method,
      url,
      remoteAddress: from,
      headers: Object.fromEntries(all.filter(([, value]) => value !== undefined)),
      ...(body === undefined
        ? {}
        : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
  }

  tryLogin(name: string, password: string, more: Asked = {}): Promise<LightMyRequestResponse> {
    return this.ask('/api/login', { method: 'POST', body: { name, password }, ...more })
  }

  /** Of a user with this name and role. */
  async login(name: string): Promise<LoggedIn> {
    const answer = await this.tryLogin(name, this.passwords.get(name) ?? '')
    const [cookie = ''] = String(answer.headers['set-cookie']).split(';')
    return { cookie, token: answer.json<{ csrf: string }>().csrf }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.app.close()
    await this.#client.close()
    await this.api.collector.close()
    this.api.events.close()
    this.api.operations.close()
    rmSync(this.folder, { recursive: true })
  }
}

function apiOf({
  client,
  users,
  folder,
  time,
  logger,
}: {
  readonly client: RemotingClient
  readonly users: Users
  readonly folder: string
  readonly time: SimulatedTime
  readonly logger: Logger
}): Api {
  const { random, disk, timers } = createRuntime()
  const admin = new AdminClient(client, 200)
  const nameServers = ['127.0.0.1:1']
  const ip = Buffer.from([127, 0, 0, 1])
  const uniqueIds = new UniqueIdGenerator({ clock: time, random, ip, pid: 1 })
  const routes = new RouteCache({ client, clock: time, nameServers })
  const kept = { disk, timers, logger, max: 100, saveAfterMs: 10 }
  return {
    admin,
    producer: new Producer({ client, routes, clock: time, producerGroup: 'p', uniqueIds }),
    nameServers,
    clock: time,
    collector: new Collector({
      admin,
      nameServers,
      clock: time,
      timers,
      logger,
      intervalMs: 60_000,
      allowedHosts: null,
      onPicture: () => undefined,
    }),
    history: new History(),
    users,
    passwords: new PasswordChecks({ users, throttle: new LoginThrottle(time) }),
    brokerUsers: new BrokerUsers({ admin, clock: time, random }),
    alarms: new AlarmService({
      disk,
      random,
      clock: time,
      timers,
      logger,
      config: defaultAlarmConfig({ lagMessages: 1, lagMs: 1 }),
      senders: new Map(),
      path: `${folder}/alarms.json`,
      onEvent: () => undefined,
      onAttempt: () => undefined,
    }),
    events: new Journal({ ...kept, path: `${folder}/e`, entryOf: eventRowOf }),
    operations: new Journal({ ...kept, path: `${folder}/o`, entryOf: operationRowOf }),
    findings: () => [],
    viewersSeeBodies: true,
  }
}
