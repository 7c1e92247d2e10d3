import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { RemotingServer } from '../remoting/server.ts'
import { OuterApi } from './outer-api.ts'
import type { Network } from '../common/ports.ts'
import type { ExtFields } from '../remoting/command.ts'

const runtime = createRuntime()

interface FakeNameServer {
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

beforeEach(() => {
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
  const server = new RemotingServer({ ...runtime, logger: silentLogger })
  server.register(RequestCode.REGISTER_BROKER, (request) => {
    registrations.push(request.command.extFields)
    request.respond({ code: 0 })
  })
  server.register(RequestCode.UNREGISTER_BROKER, (request) => {
    unregistrations.push(request.command.extFields)
    request.respond({ code: 0 })
  })
  const listening = await server.listen(host, port)
  const made = { server, port: listening.port, registrations, unregistrations }
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
    periodMs: 60_000,
    timeoutMs: 1000,
    nameServers: () => list,
    registration: () => ({
      clusterName: 'C',
      brokerName: 'broker-a',
      brokerId: 0,
      brokerAddr: address,
      haServerAddr: '10.0.0.1:10912',
      term: 7,
      table: {
        dataVersion: { stateVersion: 0, timestamp: 1, counter: 1 },
        topics: new Map(),
        mappings: new Map(),
      },
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
