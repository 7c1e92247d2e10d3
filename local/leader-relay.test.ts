import net from 'node:net'
import type { Server, Socket } from 'node:net'
import { once } from 'node:events'
import { afterEach, expect, test, vi } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { createManualTime } from '../operator/manual-time.ts'
import type { ManualTime } from '../operator/manual-time.ts'
import { LeaderRelay } from './leader-relay.ts'
import type { RelayTarget } from './leader-relay.ts'

const HOST = '127.0.0.1'
const cleanups: (() => void | Promise<void>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

/** A member that says its name and then what it hears. */
async function member(name: string): Promise<{
  readonly target: RelayTarget
  readonly server: Server
  readonly sockets: ReadonlySet<Socket>
}> {
  const sockets = new Set<Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.write(`${name};`)
    socket.pipe(socket)
  })
  server.listen(0, HOST)
  await once(server, 'listening')
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  const port = address === null || typeof address === 'string' ? 0 : address.port
  return { target: { name, host: HOST, ports: { remoting: port, vip: port } }, server, sockets }
}

async function relayOf(
  onLost: () => void = () => undefined,
): Promise<{ readonly relay: LeaderRelay; readonly time: ManualTime }> {
  const time = createManualTime()
  const relay = await LeaderRelay.listen({
    name: 'g',
    host: HOST,
    ports: { remoting: 0, vip: 0 },
    timers: time.timers,
    logger: silentLogger,
    onLost,
  })
  cleanups.push(() => relay.close())
  return { relay, time }
}

function client(port: number): Socket {
  const socket = net.connect(port, HOST)
  socket.on('error', () => undefined)
  cleanups.push(() => void socket.destroy())
  return socket
}

/** Resolves with the code of the error that the connection ended with; null: in good order. */
async function ended(socket: Socket): Promise<string | null> {
  let code: string | null = null
  socket.once('error', (error: NodeJS.ErrnoException) => {
    code = error.code ?? ''
  })
  await new Promise((resolve) => socket.once('close', resolve))
  return code
}

async function read(socket: Socket, length: number): Promise<string> {
  let text = ''
  while (text.length < length) {
    const [chunk] = await once(socket, 'data')
    text += String(chunk)
  }
  return text
}

test('a client talks to the member that leads, on both ports', async () => {
  const { relay } = await relayOf()
  const { target } = await member('a')
  relay.lead(target)

  const ordinary = client(relay.ports.remoting)
  const vip = client(relay.ports.vip)
  ordinary.write('hello')

  expect(await read(ordinary, 7)).toBe('a;hello')
  expect(await read(vip, 2)).toBe('a;')
})

test('a client that comes before there is a leader waits for it, and what it said arrives', async () => {
  const { relay } = await relayOf()
  const { target } = await member('a')
  const early = client(relay.ports.remoting)
  await once(early, 'connect')
  early.write('early')

  relay.lead(target)

  expect(await read(early, 7)).toBe('a;early')
})

test('a member that leads no more ends its connections itself, what is left is cut, and the next ones find the new leader', async () => {
  const { relay, time } = await relayOf()
  const [first, second] = [await member('a'), await member('b')]
  relay.lead(first.target)
  const before = client(relay.ports.remoting)
  await read(before, 2)

  relay.lead(second.target)
  before.write('still')
  const said = await read(before, 5)
  const after = client(relay.ports.remoting)
  const greeting = await read(after, 2)
  const how = ended(before)
  time.advance(3_000)
  const cut = await how
  after.write('here')

  expect([said, greeting, cut]).toEqual(['still', 'b;', 'ECONNRESET'])
  expect(await read(after, 4)).toBe('here')
})

test('nothing is cut of a member that leads again before that', async () => {
  const { relay, time } = await relayOf()
  const [first, second] = [await member('a'), await member('b')]
  relay.lead(first.target)
  const standing = client(relay.ports.remoting)
  await read(standing, 2)

  relay.lead(second.target)
  relay.lead(first.target)
  time.advance(3_000)
  standing.write('still')

  expect(await read(standing, 5)).toBe('still')
})

test('connections stand while nobody is known to lead', async () => {
  const { relay } = await relayOf()
  const { target } = await member('a')
  relay.lead(target)
  const standing = client(relay.ports.remoting)
  await read(standing, 2)

  relay.lead(null)
  standing.write('still')
  const said = await read(standing, 5)
  relay.lead(target)
  standing.write('here')

  expect(said).toBe('still')
  expect(await read(standing, 4)).toBe('here')
})

test('a client is turned away when nobody leads in time', async () => {
  const { relay, time } = await relayOf()
  const waiting = client(relay.ports.remoting)
  const closed = once(waiting, 'close')
  await once(waiting, 'connect')
  await vi.waitFor(() => expect(time.waiting).toEqual([3_000]))

  time.advance(3_000)

  await closed
  expect(waiting.destroyed).toBe(true)
})

test('a client whose leader takes no connection any more is served by the next one, and what it said arrives', async () => {
  const lost = Promise.withResolvers<void>()
  const { relay } = await relayOf(() => lost.resolve())
  const [dead, next] = [await member('a'), await member('b')]
  dead.server.close()
  relay.lead(dead.target)
  const socket = client(relay.ports.remoting)
  socket.write('early')
  await lost.promise

  relay.lead(next.target)

  expect(await read(socket, 7)).toBe('b;early')
})

test('a leader that takes no connection is tried again', async () => {
  const { relay, time } = await relayOf()
  const { target, server } = await member('a')
  server.close()
  await once(server, 'close')
  relay.lead(target)
  const socket = client(relay.ports.remoting)
  socket.write('early')
  await vi.waitFor(() => expect(time.waiting).toEqual([50, 3_000]))

  server.listen(target.ports.remoting, HOST)
  await once(server, 'listening')
  time.advance(50)

  expect(await read(socket, 7)).toBe('a;early')
  expect(time.waiting).toEqual([])
})

test('a client is turned away when the leader takes no connection in time', async () => {
  const { relay, time } = await relayOf()
  const { target, server } = await member('a')
  server.close()
  relay.lead(target)
  const socket = client(relay.ports.remoting)
  const how = ended(socket)
  await vi.waitFor(() => expect(time.waiting).toEqual([50, 3_000]))

  time.advance(3_000)

  await how
  expect(socket.destroyed).toBe(true)
})

test('a client is told by a reset, after all that its leader has said, that the leader is gone', async () => {
  const { relay } = await relayOf()
  const { target, sockets } = await member('a')
  relay.lead(target)
  const socket = client(relay.ports.remoting)
  await read(socket, 2)
  const how = ended(socket)
  const last = read(socket, 4)

  for (const one of sockets) one.end('last')

  expect([await last, await how]).toEqual(['last', 'ECONNRESET'])
})

test('a megabyte arrives whole through a client that reads slowly', async () => {
  const { relay } = await relayOf()
  const { target } = await member('a')
  relay.lead(target)
  const socket = client(relay.ports.remoting)
  await read(socket, 2)
  const sent = Buffer.alloc(1_048_576, 'x')

  socket.pause()
  socket.write(sent)
  socket.resume()

  expect((await read(socket, sent.length)).length).toBe(sent.length)
})
