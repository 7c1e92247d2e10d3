import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { decodeDataVersion } from '../remoting/bodies/data-version.ts'
import { decodeRegisterBrokerBody } from '../remoting/bodies/register-broker-body.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { RemotingServer } from '../remoting/server.ts'
import { OuterApi } from './outer-api.ts'
import type { Network } from '../common/ports.ts'
import type { TopicConfig } from '../remoting/bodies/topic-config.ts'
import type { ExtFields } from '../remoting/command.ts'

const runtime = createRuntime()

interface Told {
  readonly part: string | undefined
  readonly topics: readonly string[]
  readonly counter: number
}

interface FakeNameServer {
  /** What each registration told. */
  readonly told: Told[]
  readonly queries: ExtFields[]
  readonly server: RemotingServer
  readonly port: number
  readonly registrations: ExtFields[]
  readonly unregistrations: ExtFields[]
}

let client: RemotingClient
let api: OuterApi | null = null
let servers: FakeNameServer[] = []
let names: Map<string, readonly string[]>
let list = ''
let address = '10.0.0.1:10911'
let topics: Map<string, TopicConfig>
let change = 1
let periodMs = 60_000

beforeEach(() => {
  topics = new Map()
  change = 1
  periodMs = 60_000
  client = new RemotingClient({ ...runtime, logger: silentLogger })
  names = new Map()
  list = ''
  address = '10.0.0.1:10911'
})

afterEach(async () => {
  await api?.close()
  api = null
  await client.close()
  for (const { server } of servers.splice(0)) await server.close()
})

async function nameServerOn(port = 0, host = '127.0.0.1'): Promise<FakeNameServer> {
  const registrations: ExtFields[] = []
  const unregistrations: ExtFields[] = []
  const queries: ExtFields[] = []
  const told: Told[] = []
  const server = new RemotingServer({ ...runtime, logger: silentLogger })
  server.register(RequestCode.REGISTER_BROKER, (request) => {
    const { extFields, body } = request.command
    const table = decodeRegisterBrokerBody(body, { compressed: false, withMappings: true })
    registrations.push(extFields)
    told.push({
      part: extFields.get('registrationPart'),
      topics: [...table.topics.keys()],
      counter: table.dataVersion.counter,
    })
    request.respond({ code: 0 })
  })
  server.register(RequestCode.QUERY_DATA_VERSION, (request) => {
    queries.push(request.command.extFields)
    const isSame = decodeDataVersion(request.command.body).counter === told.at(-1)?.counter
    request.respond({ code: 0, extFields: { changed: String(!isSame) } })
  })
  server.register(RequestCode.UNREGISTER_BROKER, (request) => {
    unregistrations.push(request.command.extFields)
    request.respond({ code: 0 })
  })
  const listening = await server.listen(host, port)
  const made = { server, port: listening.port, registrations, unregistrations, queries, told }
  servers.push(made)
  return made
}

function outerApi(): OuterApi {
  const network: Network = {
    ...runtime.network,
    resolve: (name) => {
      const found = names.get(name)
      if (found !== undefined) return Promise.resolve(found)
      return /^[\d.]+$/.test(name) ? Promise.resolve([name]) : Promise.reject(new Error('unknown'))
    },
  }
  api = new OuterApi({
    client,
    network,
    clock: runtime.clock,
    timers: runtime.timers,
    random: runtime.random,
    logger: silentLogger,
    periodMs,
    timeoutMs: 1000,
    partSize: 3,
    nameServers: () => list,
    registration: () => ({
      clusterName: 'C',
      brokerName: 'broker-a',
      brokerId: 0,
      brokerAddr: address,
      haServerAddr: '10.0.0.1:10912',
      term: 7,
      dataVersion: { stateVersion: 0, timestamp: 1, counter: change },
      topics,
      brokerPermission: 6,
    }),
  })
  return api
}

test('every address of every name is told who the broker is', async () => {
  const first = await nameServerOn()
  const second = await nameServerOn(first.port, '127.0.0.2')
  names.set('namesrv', ['127.0.0.1', '127.0.0.2'])
  list = `namesrv:${first.port}`

  const outer = outerApi()
  outer.start()
  await vi.waitFor(() => expect(outer.registeredWith).toHaveLength(2))

  expect(outer.hasRegistered).toBe(true)
  for (const { registrations } of [first, second]) {
    expect(Object.fromEntries(registrations[0] ?? [])).toMatchObject({
      clusterName: 'C',
      brokerName: 'broker-a',
      brokerId: '0',
      brokerAddr: '10.0.0.1:10911',
      term: '7',
    })
  }
})

test('a change is told at once', async () => {
  const server = await nameServerOn()
  list = `127.0.0.1:${server.port}`
  const outer = outerApi()
  outer.start()
  await vi.waitFor(() => expect(outer.registeredWith).toHaveLength(1))

  address = '10.0.0.2:10911'
  outer.changed()
  await outer.settled(2000)

  expect(server.registrations.at(-1)?.get('brokerAddr')).toBe('10.0.0.2:10911')
})

test('a name server that is not there yet keeps nobody waiting, and is told when it comes', async () => {
  const here = await nameServerOn()
  const taken = await nameServerOn()
  const { port } = taken
  await taken.server.close()
  list = `127.0.0.1:${here.port};127.0.0.1:${port};unknown.name:1`

  const outer = outerApi()
  outer.start()
  await vi.waitFor(() => expect(outer.registeredWith).toHaveLength(1))
  const late = await nameServerOn(port)
  await vi.waitFor(() => expect(late.registrations).toHaveLength(1), 5000)

  expect(outer.hasRegistered).toBe(true)
})

test('a new list of name servers is taken over', async () => {
  const first = await nameServerOn()
  const second = await nameServerOn()
  list = `127.0.0.1:${first.port}`
  const outer = outerApi()
  outer.start()
  await vi.waitFor(() => expect(outer.registeredWith).toHaveLength(1))

  list = `127.0.0.1:${second.port}`
  outer.nameServersChanged()

  await vi.waitFor(() => expect(outer.registeredWith).toEqual([`127.0.0.1:${second.port}`]))
})

test('a broker that stops takes itself out', async () => {
  const server = await nameServerOn()
  list = `127.0.0.1:${server.port}`
  const outer = outerApi()
  outer.start()
  await vi.waitFor(() => expect(outer.registeredWith).toHaveLength(1))

  await outer.close()

  expect(server.unregistrations).toHaveLength(1)
})

test('without name servers there is nothing to wait for', () => {
  expect(outerApi().hasRegistered).toBe(true)
})

function addTopics(...added: readonly string[]): void {
  for (const name of added) topics.set(name, topicConfig(name))
  change++
}

async function registered(): Promise<{ outer: OuterApi; nameServer: FakeNameServer }> {
  const nameServer = await nameServerOn()
  list = `127.0.0.1:${nameServer.port}`
  const outer = outerApi()
  outer.start()
  await vi.waitFor(() => expect(outer.registeredWith).toHaveLength(1))
  return { outer, nameServer }
}

test('many topics are told in parts, of which only the last has the version', async () => {
  addTopics('A', 'B', 'C', 'D', 'E', 'F', 'G')

  const { nameServer } = await registered()

  expect(nameServer.told.map(({ part, topics: names }) => [part, names.join('')])).toEqual([
    ['first', 'ABC'],
    ['middle', 'DEF'],
    ['last', 'G'],
  ])
  expect(new Set(nameServer.told.map(({ counter }) => counter)).size).toBe(3)
  expect(nameServer.told.at(-1)?.counter).toBe(change)
})

test('a changed topic is told alone, and everything when more than topics has changed', async () => {
  addTopics('A', 'B')
  const { outer, nameServer } = await registered()

  addTopics('C')
  outer.changed(['C'])
  await outer.settled(2000)
  topics.delete('A')
  change++
  outer.changed(null)
  await outer.settled(2000)

  expect(nameServer.told.map(({ part, topics: names }) => [part, names.join('')])).toEqual([
    [undefined, 'AB'],
    ['some', 'C'],
    [undefined, 'BC'],
  ])
})

test('a name server that has the version is only asked for it, and told all when it has not', async () => {
  periodMs = 1
  addTopics('A')
  const { nameServer } = await registered()
  await vi.waitFor(() => expect(nameServer.queries.length).toBeGreaterThan(1), 5000)
  expect(nameServer.told).toHaveLength(1)

  nameServer.told.push({ part: undefined, topics: [], counter: -1 })
  await vi.waitFor(() => expect(nameServer.told).toHaveLength(3), 5000)

  expect(nameServer.told.at(-1)?.topics).toEqual(['A'])
})
