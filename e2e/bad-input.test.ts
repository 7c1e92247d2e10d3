/**
 * The requests of `broker/bad-input` to Apache RocketMQ's broker and to Gantry's, over the network.
 *
 * What RocketMQ's answers is `broker/bad-input/testdata/answers-5.5.0.txt`, with which the unit tests compare; `vitest run -u --project e2e
 * e2e/bad-input` writes it anew.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { ADMINISTRATORS } from '../broker/bad-input/testing-admin.ts'
import { CLIENTS } from '../broker/bad-input/testing-clients.ts'
import { MESSAGES } from '../broker/bad-input/testing-messages.ts'
import { formatGolden } from '../broker/bad-input/testing-golden.ts'
import type { Answer } from '../broker/bad-input/testing-golden.ts'
import { GROUP, STRICT, TOPIC, nameOf } from '../broker/bad-input/testing-rows.ts'
import type { Call, Suite } from '../broker/bad-input/testing-rows.ts'
import { decodeOffsetMessageId } from '../common/message-id.ts'
import {
  GANTRY_VERSION,
  LanguageCode,
  NO_BODY,
  SerializeType,
  isResponse,
} from '../remoting/command.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import { decodeCommand, encodeCommand } from '../remoting/command-codec.ts'
import { FrameDecoder } from '../remoting/frame-decoder.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { ServerProcess, buildJavaBroker } from './server-process.ts'
import type { ServerKind } from './server-process.ts'

const SUITES = [MESSAGES, CLIENTS, ADMINISTRATORS]
const GOLDEN = '../broker/bad-input/testdata/answers-5.5.0.txt'
const PORT = 21_352
const SEGMENT_SIZE = 16 * 1024 * 1024
const FRAME_MAX_SIZE = 16 * 1024 * 1024

let folder = ''
let running: ServerProcess | null = null
const peers: Peer[] = []

beforeAll(async () => {
  await buildJavaBroker()
})

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gantry-bad-input-'))
})

afterEach(async () => {
  for (const peer of peers.splice(0)) peer.close()
  await running?.kill()
  running = null
  await rm(folder, { recursive: true, force: true })
})

test('RocketMQ answers what is on record', async () => {
  const answers: (readonly [string, Answer])[] = []
  for (const suite of SUITES) answers.push(...(await ask('java', suite)))

  await expect(formatGolden(new Map(answers))).toMatchFileSnapshot(GOLDEN)
})

test.for(SUITES)('Gantry answers over the network as in the unit test: $name', async (suite) => {
  const answers = await ask('gantry', suite)

  const codes = answers.map(([name, { code }]) => [name, code])
  const wanted = suite.tables.flatMap(([table, rows]) =>
    rows.map(([row, , code]) => [nameOf(suite.name, table, row), code]),
  )
  expect(codes).toEqual(wanted)
})

/** The answers of a broker of its own to all requests of a suite. */
async function ask(
  kind: ServerKind,
  suite: Suite,
): Promise<readonly (readonly [string, Answer])[]> {
  const broker = await start(kind, suite)
  const peer = await Peer.to(broker.port)
  let place = ''
  for (const call of suite.setup) {
    const from = call.version === undefined ? peer : await Peer.to(broker.port)
    const { code, remark, extFields } = await from.invoke(call)
    assert.equal(code, ResponseCode.SUCCESS, remark ?? '')
    const id = decodeOffsetMessageId(extFields.get('msgId') ?? '')
    if (id !== null) place = String(id.physicalOffset)
  }
  if (place !== '') await dispatched(peer)
  const answers: (readonly [string, Answer])[] = []
  for (const [table, rows] of suite.tables) {
    for (const [row, asking] of rows) {
      const answer = await peer.invoke(typeof asking === 'function' ? asking(place) : asking)
      const { code, remark } = answer
      answers.push([nameOf(suite.name, table, row), { code, remark: remark ?? '' }])
    }
  }
  peer.close()
  await broker.kill()
  running = null
  return answers
}

async function start(kind: ServerKind, { name, keys }: Suite): Promise<ServerProcess> {
  const store = join(folder, name, 'store')
  running = ServerProcess.start({
    kind,
    role: 'broker',
    folder: join(folder, name),
    config: {
      ...STRICT,
      ...keys,
      brokerClusterName: 'DefaultCluster',
      brokerId: 0,
      brokerIP1: '127.0.0.1',
      listenPort: PORT,
      metricsPromExporterPort: PORT + 4,
      storePathRootDir: store,
      storePathCommitLog: join(store, 'commitlog'),
      mappedFileSizeCommitLog: SEGMENT_SIZE,
      diskMaxUsedSpaceRatio: 95,
    },
  })
  return running.ready()
}

/** Consumers can have what the setup has sent. */
async function dispatched(peer: Peer): Promise<void> {
  const extFields = { consumerGroup: GROUP, topic: TOPIC, queueId: '0' }
  await expect
    .poll(async () => {
      const { extFields: found } = await peer.invoke({
        code: RequestCode.GET_MAX_OFFSET,
        extFields,
      })
      return found.get('offset')
    })
    .toBe('1')
}

/** A client that does not check what it sends. */
class Peer {
  readonly #socket: Socket
  #asked = 0
  #answered: PromiseWithResolvers<RemotingCommand> | null = null

  private constructor(socket: Socket) {
    this.#socket = socket
    const decoder = new FrameDecoder(FRAME_MAX_SIZE, (source, start, end) => {
      const command = decodeCommand(Buffer.from(source.subarray(start, end)), 0, end - start)
      // A broker asks its clients too.
      if (isResponse(command) && command.opaque === this.#asked) this.#answered?.resolve(command)
    })
    socket.on('data', (chunk: Buffer) => decoder.push(chunk))
    socket.on('close', () => this.#answered?.reject(new Error('the connection is closed')))
  }

  static async to(port: number): Promise<Peer> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const peer = new Peer(socket)
    peers.push(peer)
    return peer
  }

  /** One request at a time. */
  invoke({ code, extFields, body, version }: Call): Promise<RemotingCommand> {
    this.#answered = Promise.withResolvers<RemotingCommand>()
    this.#asked++
    const frame = encodeCommand({
      code,
      language: LanguageCode.JAVA,
      version: version ?? GANTRY_VERSION,
      opaque: this.#asked,
      flag: 0,
      remark: null,
      extFields: new Map(Object.entries(extFields)),
      body: body ?? NO_BODY,
      serializeType: SerializeType.JSON,
    })
    this.#socket.write(frame)
    return this.#answered.promise
  }

  close(): void {
    this.#socket.destroy()
  }
}
