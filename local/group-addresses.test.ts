import net from 'node:net'
import type { Server } from 'node:net'
import { once } from 'node:events'
import { afterEach, expect, test, vi } from 'vitest'
import { AdminServer } from '../common/admin-server.ts'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import type { KubeObject } from '../operator/ports.ts'
import { GroupAddresses } from './group-addresses.ts'
import type { LocalPod } from './pods.ts'
import { relayPortsOf } from './ports.ts'

const HOST = '127.0.0.1'
const GROUP = 'dev-broker-0'
const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

/** Two members behind real ports: an admin port that says who leads, and one for clients that says who answers. */
class Members {
  leader = 0
  term = 1
  readonly pods: LocalPod[] = []

  async add(id: number): Promise<void> {
    const admin = await AdminServer.listen({
      host: HOST,
      port: 0,
      logger: silentLogger,
      routes: { 'GET /admin/v1/raft': () => ({ status: 200, body: this.#facts(id) }) },
    })
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined)
      socket.end(String(id))
    })
    const remoting = await listening(server)
    cleanups.push(
      () => admin.close(),
      () => server.close(),
    )
    this.pods.push({
      name: `${GROUP}-${id}`,
      namespace: 'default',
      uid: `u${id}`,
      group: GROUP,
      role: 'broker',
      ports: { remoting, admin: admin.port },
      dataFolder: '',
      state: {
        phase: 'running',
        isReady: true,
        pid: 1,
        restarts: 0,
        problem: '',
        exitCode: null,
      },
    })
  }

  #facts(id: number): unknown {
    const isLeader = id === this.leader
    return {
      id,
      incarnation: 1,
      role: isLeader ? 'leader' : 'follower',
      term: this.term,
      leader: this.leader,
      isReady: true,
      commitOffset: 0,
      endOffset: 0,
      members: [],
      peers: [],
    }
  }
}

async function listening(server: Server): Promise<number> {
  server.listen(0, HOST)
  await once(server, 'listening')
  return portOf(server)
}

function portOf(server: Server): number {
  const address = server.address()
  return address === null || typeof address === 'string' ? 0 : address.port
}

/** An offset that puts the relay's two ports where nobody listens. */
async function freeOffset(): Promise<number> {
  const server = net.createServer()
  const port = await listening(server)
  server.close()
  await once(server, 'close')
  return port - relayPortsOf(0, 0).remoting
}

function statefulSet(replicas: number): KubeObject {
  const labels = { 'rocketmq.gantry.dev/role': 'broker', 'rocketmq.gantry.dev/group': '0' }
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: GROUP, labels },
    spec: { replicas },
  }
}

async function addressesOf(members: Members): Promise<GroupAddresses> {
  const addresses = new GroupAddresses({
    bindHost: HOST,
    portOffset: await freeOffset(),
    timers: createRuntime().timers,
    logger: silentLogger,
    pods: () => members.pods,
    onChange: () => undefined,
    onProblem: (sentence) => {
      throw new Error(sentence)
    },
  })
  cleanups.push(() => addresses.close())
  return addresses
}

/** Who answers at the address of the group. */
async function answerAt(port: number): Promise<string> {
  const socket = net.connect(port, HOST)
  const [chunk] = await once(socket, 'data')
  socket.destroy()
  return String(chunk)
}

test('the address of a group leads to the member that says it leads, and follows it', async () => {
  const members = new Members()
  await members.add(0)
  await members.add(1)
  const addresses = await addressesOf(members)

  addresses.note(statefulSet(3))
  const port = addresses.portOf(GROUP) ?? 0
  await vi.waitFor(() => expect(addresses.leaderOf(GROUP)).toBe(`${GROUP}-0`))
  const before = await answerAt(port)
  members.leader = 1
  members.term = 2
  await vi.waitFor(() => expect(addresses.leaderOf(GROUP)).toBe(`${GROUP}-1`))

  expect(before).toBe('0')
  expect(await answerAt(port)).toBe('1')
})

test('a group of one has no address but that of its member', async () => {
  const addresses = await addressesOf(new Members())

  addresses.note(statefulSet(1))

  expect(addresses.portOf(GROUP)).toBeNull()
})
