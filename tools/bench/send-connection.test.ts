import { expect, test } from 'vitest'
import type { Socket, SocketHandler } from '../../common/ports.ts'
import { decodeCommand, encodeCommand } from '../../remoting/command-codec.ts'
import { LanguageCode, NO_BODY, RESPONSE_FLAG, SerializeType } from '../../remoting/command.ts'
import { SendConnection } from './send-connection.ts'
import { SendFrames } from './send-frames.ts'
import { SendTotals } from './send-totals.ts'

const QUEUES = 4

/** A server in memory: keeps the opaques it was asked with, and answers when told. */
class Peer {
  readonly opaques: number[] = []
  readonly queueIds: string[] = []
  handler: SocketHandler | null = null

  readonly socket: Socket = {
    remoteHost: 'peer',
    remotePort: 1,
    localHost: 'here',
    localPort: 2,
    pendingBytes: 0,
    write: (bytes) => this.#take(bytes),
    writeAll: () => true,
    pause: () => undefined,
    resume: () => undefined,
    end: () => undefined,
    destroy: () => this.handler?.onClose(null),
  }

  answer(opaque: number, code = 0): void {
    this.handler?.onData(
      encodeCommand({
        code,
        language: LanguageCode.JAVA,
        version: 513,
        opaque,
        flag: RESPONSE_FLAG,
        remark: code === 0 ? null : 'busy',
        extFields: new Map(),
        body: NO_BODY,
        serializeType: SerializeType.JSON,
      }),
    )
  }

  #take(bytes: Buffer): boolean {
    for (let at = 0; at < bytes.length;) {
      const end = at + 4 + bytes.readInt32BE(at)
      const command = decodeCommand(bytes, at + 4, end)
      this.opaques.push(command.opaque)
      this.queueIds.push(command.extFields.get('e') ?? '')
      at = end
    }
    return true
  }
}

async function connected(
  given: { readonly messages?: number; readonly intervalMs?: number; readonly batch?: number } = {},
): Promise<{ peer: Peer; connection: SendConnection; totals: SendTotals; closed: () => number }> {
  const peer = new Peer()
  const totals = new SendTotals(given.messages ?? 0)
  const batch = given.batch ?? 1
  const frames = new SendFrames({
    topic: 't',
    topics: 1,
    brokerName: 'b',
    producerGroup: 'g',
    queues: QUEUES,
    bodySize: 32,
    batch,
    serializeType: SerializeType.JSON,
    delay: { delayMs: 0, spreadMs: 0 },
    run: 1,
  })
  const connection = new SendConnection({
    address: '127.0.0.1:1',
    frames,
    totals,
    sender: 0,
    inFlight: 3,
    queues: QUEUES,
    topics: 1,
    batch,
    intervalMs: given.intervalMs ?? 0,
  })
  let closes = 0
  await connection.connect(
    {
      connect: ({ onSocket }) => {
        peer.handler = onSocket(peer.socket)
        return Promise.resolve(peer.socket)
      },
    },
    () => {
      closes++
    },
  )
  return { peer, connection, totals, closed: () => closes }
}

test('the window is kept full and never overrun, answers may come in any order', async () => {
  const { peer, connection, totals } = await connected()
  connection.start(0)
  const [first = 0, second = 0, third = 0] = peer.opaques

  expect(connection.inFlight).toBe(3)
  peer.answer(third)
  peer.answer(first)
  peer.answer(second)

  expect(connection.inFlight).toBe(3)
  expect(totals).toMatchObject({ acknowledged: 3, sent: 6, firstError: null })
  expect(new Set(peer.opaques).size).toBe(6)
  expect(peer.queueIds).toEqual(['0', '1', '2', '3', '0', '1'])
})

test('refused messages are counted by code and not as acknowledged', async () => {
  const { peer, connection, totals } = await connected({ messages: 2 })
  connection.start(0)

  peer.answer(peer.opaques[0] ?? 0, 2)
  peer.answer(peer.opaques[1] ?? 0)

  expect(totals).toMatchObject({ acknowledged: 1, refused: 1, sent: 2 })
  expect(totals.codes).toEqual({ 0: 1, 2: 1 })
  expect(totals.firstError).toContain('busy')
})

test('no more than the wanted number of messages is sent', async () => {
  const { peer, connection, totals } = await connected({ messages: 4 })
  connection.start(0)

  for (let answered = 0; answered < 4; answered++) peer.answer(peer.opaques[answered] ?? 0)

  expect(peer.opaques).toHaveLength(4)
  expect(totals).toMatchObject({ acknowledged: 4, isExhausted: true })
  expect(connection.inFlight).toBe(0)
})

test('a message that had to wait for the window is charged from when it was due', async () => {
  // Coordinated omission: five are due at once, the window has room for three.
  const { peer, connection, totals } = await connected({ intervalMs: 10 })
  const now = performance.now()
  totals.isMeasuring = true
  connection.start(now - 1_000)
  connection.tick(now - 960)

  expect(peer.opaques).toHaveLength(3)
  for (const opaque of peer.opaques.slice(0, 3)) peer.answer(opaque)

  expect(peer.opaques.length).toBeGreaterThan(3)
  for (const opaque of peer.opaques.slice(3, 5)) peer.answer(opaque)
  expect(totals.latency.summary().p50).toBeGreaterThan(900)
})

test('messages in flight when the connection breaks are unanswered', async () => {
  const { peer, connection, totals, closed } = await connected({ batch: 5 })
  connection.start(0)

  peer.handler?.onClose(new Error('reset'))

  expect(totals.unanswered).toBe(15)
  expect(closed()).toBe(1)
})

test('an answer that was not asked for is an error', async () => {
  const { peer, connection, totals } = await connected()
  connection.start(0)
  const [first = 0] = peer.opaques

  peer.answer(first)
  peer.answer(first)

  expect(totals.firstError).toBe('an answer to no request')
})
