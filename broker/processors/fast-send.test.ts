/**
 * Goal: a plain send does the same on its fast way as on the ordinary one. Method: the same random requests go to two brokers, one of
 * which takes no frames; the logs, the answers and the counters of both must be the same bytes and numbers.
 */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatProperties } from '../../common/properties.ts'
import { topicConfig } from '../../remoting/bodies/topic-config.ts'
import { decodeCommand, encodeCommand, extFieldsOf } from '../../remoting/command-codec.ts'
import {
  GANTRY_VERSION,
  LanguageCode,
  NO_BODY,
  ONEWAY_FLAG,
  RESPONSE_FLAG,
  SerializeType,
} from '../../remoting/command.ts'
import { FrameDecoder } from '../../remoting/frame-decoder.ts'
import { FrameScanner } from '../../remoting/frame-scanner.ts'
import { encodeJsonHeader } from '../../remoting/json-header.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { FakeConnection } from '../testing.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { RemotingCommand, ResponseContent } from '../../remoting/command.ts'
import type { BrokerWorld } from '../testing-world.ts'

const FIELDS = {
  a: 'P',
  b: 'T',
  c: 'TBW102',
  d: '4',
  e: '0',
  f: '0',
  g: '1700000000000',
  h: '0',
  i: 'UNIQ_KEY\u0001U1\u0002WAIT\u0001true\u0002TAGS\u0001a\u0002',
  j: '0',
  k: 'false',
  m: 'false',
  n: 'broker-a',
}
const LONG_NAMES: Readonly<Record<string, string>> = {
  a: 'producerGroup',
  b: 'topic',
  c: 'defaultTopic',
  d: 'defaultTopicQueueNums',
  e: 'queueId',
  f: 'sysFlag',
  g: 'bornTimestamp',
  h: 'flag',
  i: 'properties',
  j: 'reconsumeTimes',
  k: 'unitMode',
  l: 'maxReconsumeTimes',
  m: 'batch',
}

function longNames(fields: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).map(([letter, value]) => [LONG_NAMES[letter] ?? letter, value]),
  )
}

function send(
  fields: Readonly<Record<string, string | undefined>> = {},
  given: Partial<RemotingCommand> = {},
): RemotingCommand {
  return {
    code: RequestCode.SEND_MESSAGE_V2,
    language: LanguageCode.JAVA,
    version: 479,
    opaque: 7,
    flag: 0,
    remark: null,
    extFields: extFieldsOf({ ...FIELDS, ...fields }),
    body: Buffer.from('hello'),
    serializeType: SerializeType.JSON,
    ...given,
  }
}

/** A broker and a peer of it. */
class Side {
  readonly world: BrokerWorld
  readonly connection = new FakeConnection(1)
  readonly #takesFrames: boolean
  readonly #scanner = new FrameScanner()
  readonly #running: Promise<unknown>[] = []
  readonly #answers = new Map<number, Buffer>()
  /** Requests that were taken as frames. */
  taken = 0

  constructor(world: BrokerWorld, takesFrames: boolean) {
    this.world = world
    this.#takesFrames = takesFrames
  }

  static async create(takesFrames: boolean, keys: Readonly<Record<string, string>> = {}) {
    const world = await createBrokerWorld(keys)
    const saved = world.parts.topics.putAll([
      topicConfig('T', { readQueueNums: 4, writeQueueNums: 4 }),
      topicConfig('Other-topic', { readQueueNums: 2, writeQueueNums: 1 }),
      {
        ...topicConfig('Multi', { readQueueNums: 1, writeQueueNums: 1 }),
        topicFilterType: 'MULTI_TAG',
      },
    ])
    await world.time.settle()
    await saved
    return new Side(world, takesFrames)
  }

  /** Starts a request; its turn has not passed when this returns. */
  start(bytes: Buffer): void {
    const { byFrame, byCode } = this.world.processors
    const isScanned = this.#scanner.scan(bytes, 4, bytes.length, 0)
    const fast = byFrame.get(this.#scanner.code)
    if (this.#takesFrames && isScanned && fast?.(this.connection, this.#scanner) === true) {
      this.taken++
      // What was read lies in a buffer that is used again.
      bytes.fill(0)
      return
    }
    const command = decodeCommand(bytes, 4, bytes.length)
    const respond = (response: ResponseContent) => this.#note(command, response)
    const request = { command, connection: this.connection, receivedAt: 0, respond }
    try {
      this.#running.push(Promise.resolve(byCode.get(command.code)?.(request)))
    } catch (error) {
      respond({ code: ResponseCode.SYSTEM_ERROR, remark: String(error) })
    }
  }

  async settle(): Promise<void> {
    await this.world.time.settle()
    await Promise.allSettled(this.#running.splice(0))
    await this.world.time.settle()
  }

  /** The answers by opaque, those of frames split up. */
  answers(): ReadonlyMap<number, Buffer> {
    for (const { frames } of this.connection.written.splice(0)) {
      new FrameDecoder(1_000_000, (source, start, end) => {
        const answer = Buffer.from(source.subarray(start - 4, end))
        this.#answers.set(decodeCommand(answer, 4, answer.length).opaque, answer)
      }).push(frames)
    }
    return this.#answers
  }

  log(): Buffer {
    const { disk } = this.world
    const files = disk.listSync('/store/commitlog').map(({ name }) => name)
    return Buffer.concat(
      files.map((name) => disk.readFileSync(`/store/commitlog/${name}`) ?? NO_BODY),
    )
  }

  counters(): unknown {
    const { stats } = this.world.parts
    const names = [
      'TOPIC_PUT_NUMS',
      'TOPIC_PUT_SIZE',
      'BROKER_PUT_NUMS',
      'BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC',
    ]
    const keys = ['T', 'Other-topic', 'Multi', 'Unknown', 'DefaultCluster']
    const views = names.flatMap((name) => keys.map((key) => stats.view(name, key)))
    const types = [...stats.items('TOPIC_PUT_SIZE', 100)].flatMap(([topic, { puts }]) =>
      (puts ?? []).map(({ type, messages, bytes }) => `${topic} ${type} ${messages} ${bytes}`),
    )
    const { inFlight } = this.world.processors.send
    return { views, types: types.toSorted(), total: stats.putTotal, inFlight }
  }

  #note(command: RemotingCommand, response: ResponseContent): void {
    if ((command.flag & ONEWAY_FLAG) !== 0 || this.#answers.has(command.opaque)) return
    this.#answers.set(
      command.opaque,
      encodeCommand({
        code: response.code,
        language: LanguageCode.OTHER,
        version: GANTRY_VERSION,
        opaque: command.opaque,
        flag: RESPONSE_FLAG,
        remark: response.remark ?? null,
        extFields: extFieldsOf(response.extFields),
        body: NO_BODY,
        serializeType: command.serializeType,
      }),
    )
  }
}

async function twoSides(keys: Readonly<Record<string, string>> = {}): Promise<[Side, Side]> {
  return [await Side.create(true, keys), await Side.create(false, keys)]
}

async function sendBoth(
  sides: readonly Side[],
  commands: readonly RemotingCommand[],
): Promise<void> {
  for (const side of sides) for (const command of commands) side.start(encodeCommand(command))
  for (const side of sides) await side.settle()
}

/** Every byte is a character: differences can be read. */
function texts(answers: ReadonlyMap<number, Buffer>): Map<number, string> {
  return new Map([...answers].map(([opaque, bytes]) => [opaque, bytes.toString('latin1')]))
}

function expectSame(fast: Side, ordinary: Side): void {
  expect(texts(fast.answers())).toEqual(texts(ordinary.answers()))
  expect(fast.log().equals(ordinary.log())).toBe(true)
  expect(fast.counters()).toEqual(ordinary.counters())
}

const pair = fc.constantFrom(
  ...[
    'UNIQ_KEY\u0001U1',
    'UNIQ_KEY\u00010A0B0C0D0E0F',
    'UNIQ_KEY\u0001q"\\',
    'UNIQ_KEY\u0001',
    'KEYS\u0001k1 k2',
  ],
  ...[
    'WAIT\u0001true',
    'WAIT\u0001false',
    'WAIT\u0001TRUE',
    'TAGS\u0001a',
    'TAGS\u0001\u00e9\u20ac\u{1f600}',
    'DELAY\u00010',
    '__SHARDINGKEY\u0001k',
    '__STARTDELIVERTIME\u00011',
  ],
  ...[
    'DELAY\u00013',
    'MSG_REGION\u0001x',
    'TRACE_ON\u0001false',
    'CLUSTER\u0001c',
    'POP_CK\u0001p',
    '__CRC32#\u00010123456789',
  ],
  ...[
    'REPLY_TO_CLIENT\u0001c1',
    'TRAN_MSG\u0001false',
    'TRAN_MSG\u0001true',
    'TIMER_DELAY_MS\u00011',
    '',
    '\u0001',
    '\u0001v',
    'name',
    'a\u0001b\u0001c',
    '\ud800\u0001x',
  ],
  ...['\n\t"/\u0001\b\f\r', 'WAITx\u0001true', 'xWAIT\u0001true', 'UNIQ_KEY'],
)
const properties = fc
  .tuple(
    fc.array(
      fc.oneof(
        {
          weight: 12,
          arbitrary: fc.constantFrom('UNIQ_KEY\u0001U2', 'WAIT\u0001true', 'KEYS\u0001k'),
        },
        { weight: 1, arbitrary: pair },
      ),
      { maxLength: 6 },
    ),
    fc.boolean(),
  )
  .map(([pairs, isEnded]) => pairs.join('\u0002') + (isEnded && pairs.length > 0 ? '\u0002' : ''))

/** Mostly the first of them. */
function mostly<Value>(usual: Value, ...others: readonly Value[]): fc.Arbitrary<Value> {
  return fc.oneof(
    { weight: 40, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  )
}

const fields = fc.record({
  a: mostly<string | undefined>('P', undefined, '', 'group"x'),
  b: mostly<string | undefined>(
    'T',
    'Other-topic',
    'Multi',
    'Unknown',
    '%RETRY%G',
    'SCHEDULE_TOPIC_XXXX',
    'SELF_TEST_TOPIC',
    'BenchmarkTest',
    undefined,
    'T\u00e9',
    'T"',
  ),
  c: mostly<string | undefined>('TBW102', undefined, 'T'),
  d: mostly<string | undefined>('4', undefined, 'x', '-1', '99999999999'),
  e: fc.oneof(
    { weight: 30, arbitrary: fc.constantFrom('0', '1', '2', '3', '03') },
    { weight: 1, arbitrary: fc.constantFrom(undefined, '-1', '4', '1.0', '+1', '', '4294967296') },
  ),
  f: mostly<string | undefined>('0', '1', '2', '4', '8', '12', '48', '256', undefined, '-16'),
  g: mostly<string | undefined>(
    '1700000000000',
    '0',
    '-1',
    undefined,
    '9007199254740993',
    '999999999999999',
  ),
  h: mostly<string | undefined>('0', '7', '-7', '2147483647', '2147483648', undefined),
  i: fc.oneof(
    { weight: 30, arbitrary: properties },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        undefined,
        `UNIQ_KEY\u0001${'k'.repeat(200)}`,
        `UNIQ_KEY\u0001k\u0002k\u0001${'v'.repeat(33_000)}`,
      ),
    },
  ),
  j: mostly<string | undefined>('0', undefined, '3', 'x', ''),
  l: mostly<string | undefined>(undefined, '16', 'x', '-1', ''),
  m: mostly<string | undefined>('false', undefined, 'true', 'TRUE', 'no'),
})

const request = fc
  .record({
    fields,
    isLong: mostly(false, true),
    serializeType: fc.constantFrom(SerializeType.JSON, SerializeType.ROCKETMQ),
    // With the number of the step added they stay different.
    opaque: fc.constantFrom(0, 100, 1_000, 123_400, 2_147_483_000),
    isOneway: mostly(false, true),
    size: fc.oneof(fc.nat(40), fc.constantFrom(0, 2_000, 64 * 1024, 64 * 1024 + 1)),
    fill: fc.nat(255),
  })
  .map(({ fields, isLong, serializeType, opaque, isOneway, size, fill }) => {
    const present = Object.fromEntries(
      Object.entries(fields).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, value]],
      ),
    )
    return send(
      {},
      {
        code: isLong ? RequestCode.SEND_MESSAGE : RequestCode.SEND_MESSAGE_V2,
        extFields: extFieldsOf(isLong ? longNames(present) : present),
        opaque,
        flag: isOneway ? ONEWAY_FLAG : 0,
        serializeType,
        body: Buffer.alloc(size, fill),
      },
    )
  })

type Step =
  | { readonly type: 'send'; readonly command: RemotingCommand }
  | { readonly type: 'settle' }
  | { readonly type: 'advance' }
  | { readonly type: 'config'; readonly key: string; readonly value: string }
  | { readonly type: 'deleteTopic' }
  | { readonly type: 'putTopic'; readonly queues: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 20, arbitrary: request.map((command) => ({ type: 'send', command }) as const) },
  { weight: 3, arbitrary: fc.constant({ type: 'settle' } as const) },
  { weight: 1, arbitrary: fc.constant({ type: 'advance' } as const) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('2', '4', '6', '6', '6')
      .map((value) => ({ type: 'config', key: 'brokerPermission', value }) as const),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('3', '100000')
      .map((value) => ({ type: 'config', key: 'sendThreadPoolQueueCapacity', value }) as const),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'deleteTopic' } as const) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(1, 2, 4).map((queues) => ({ type: 'putTopic', queues }) as const),
  },
)

async function perform(side: Side, given: Step, opaque: number): Promise<void> {
  const { world } = side
  switch (given.type) {
    case 'send':
      side.start(encodeCommand({ ...given.command, opaque: given.command.opaque + opaque }))
      return
    case 'settle':
      return side.settle()
    case 'advance':
      return world.time.advance(5)
    case 'config':
      world.config.update([given], world.time.now())
      return
    case 'deleteTopic':
    case 'putTopic': {
      const { topics } = world.parts
      const config = topicConfig(
        'T',
        given.type === 'putTopic'
          ? { readQueueNums: given.queues, writeQueueNums: given.queues }
          : {},
      )
      const changed = given.type === 'putTopic' ? topics.put(config) : topics.delete(['T'])
      return side.world.time.settle().then(() => changed)
    }
  }
}

/** A header that names the queue twice: the last counts. */
function twoQueues(first: number, last: number, opaque: number): Buffer {
  const { e: _queueId, ...fields } = FIELDS
  const rest = JSON.stringify(fields).slice(1)
  const header = Buffer.from(
    `{"code":310,"extFields":{"e":"${first}","x":"","e":"${last}",${rest},"flag":0,"opaque":${opaque}}`,
  )
  const body = Buffer.from('hello')
  const prefix = Buffer.alloc(8)
  prefix.writeInt32BE(4 + header.length + body.length)
  prefix.writeInt32BE(header.length, 4)
  return Buffer.concat([prefix, header, body])
}

describe('the fast way of a send and the ordinary one', () => {
  test('go by the last of two equal fields, whichever of them varies', async () => {
    const [fast, ordinary] = await twoSides()
    const queues = [0, 1, 2, 3, 0, 1, 2].map((first) => [first, 2])
    const frames = [...queues, ...queues.map(([first, last]) => [last, first])].map(
      ([first, last], index) => twoQueues(first ?? 0, last ?? 0, 100 + index),
    )

    for (const side of [fast, ordinary]) for (const frame of frames) side.start(Buffer.from(frame))
    for (const side of [fast, ordinary]) await side.settle()

    expect(fast.taken).toBe(frames.length)
    expectSame(fast, ordinary)
  })

  test('store, answer and count the same for random requests', async () => {
    let taken = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const [fast, ordinary] = await twoSides()

        for (const [index, each] of steps.entries()) {
          await perform(fast, each, index)
          await perform(ordinary, each, index)
        }
        for (const side of [fast, ordinary]) await side.settle()

        taken += fast.taken
        expectSame(fast, ordinary)
      }),
      { numRuns: 60 },
    )
    // Without this the test would hold for a fast way that takes nothing.
    expect(taken).toBeGreaterThan(100)
  })

  test('agree on sends that differ in the digits of their numbers', async () => {
    const [fast, ordinary] = await twoSides()
    const types = [SerializeType.JSON, SerializeType.ROCKETMQ]
    const commands = Array.from({ length: 120 }, (_, index) =>
      send(
        { e: String(index % 3) },
        { opaque: 7 ** (index % 11) + index, serializeType: types[index % 2] ?? 0 },
      ),
    )

    await sendBoth([fast, ordinary], commands)

    expect(fast.taken).toBe(120)
    expectSame(fast, ordinary)
  })

  test('agree with SYNC_FLUSH', async () => {
    const [fast, ordinary] = await twoSides({ flushDiskType: 'SYNC_FLUSH' })

    await sendBoth([fast, ordinary], [send({}, { opaque: 1 }), send({ e: '1' }, { opaque: 2 })])

    expect(fast.taken).toBe(2)
    expect(fast.answers().size).toBe(2)
    expectSame(fast, ordinary)
  })

  test('agree on a full disk, and on what comes after it', async () => {
    const [fast, ordinary] = await twoSides()
    for (const { world } of [fast, ordinary]) world.disk.failOn('write', 1, 'ENOSPC')

    await sendBoth(
      [fast, ordinary],
      [
        send({}, { opaque: 1 }),
        send({ e: '1' }, { opaque: 2, serializeType: SerializeType.ROCKETMQ }),
      ],
    )
    const codes = [...fast.answers().values()].map(
      (answer) => decodeCommand(answer, 4, answer.length).code,
    )

    expect(codes).toEqual([ResponseCode.SERVICE_NOT_AVAILABLE, ResponseCode.SERVICE_NOT_AVAILABLE])
    expectSame(fast, ordinary)
  })

  test('agree on a flush that takes too long', async () => {
    const [fast, ordinary] = await twoSides({
      flushDiskType: 'SYNC_FLUSH',
      syncFlushTimeout: '1000',
    })
    for (const { world } of [fast, ordinary]) world.disk.holdSyncs()

    for (const side of [fast, ordinary]) {
      side.start(encodeCommand(send({}, { opaque: 1 })))
      side.start(encodeCommand(send({}, { opaque: 2, serializeType: SerializeType.ROCKETMQ })))
      await side.world.time.advance(1_500)
    }
    const codes = [...fast.answers().values()].map(
      (answer) => decodeCommand(answer, 4, answer.length).code,
    )
    for (const { world } of [fast, ordinary]) world.disk.releaseSyncs()

    expect(codes).toEqual([ResponseCode.FLUSH_DISK_TIMEOUT, ResponseCode.FLUSH_DISK_TIMEOUT])
    expectSame(fast, ordinary)
  })
})

describe('a plain send', () => {
  test('is taken in the header that the Java client sends', async () => {
    const [fast, ordinary] = await twoSides()

    await sendBoth([fast, ordinary], [send()])

    expect(fast.taken).toBe(1)
    expectSame(fast, ordinary)
  })

  test('is taken in any order of fields, with the long names of the old code', async () => {
    const [fast, ordinary] = await twoSides()
    const extFields = extFieldsOf(
      longNames(Object.fromEntries(Object.entries(FIELDS).toReversed())),
    )

    await sendBoth([fast, ordinary], [send({}, { code: RequestCode.SEND_MESSAGE, extFields })])

    expect(fast.taken).toBe(1)
    expectSame(fast, ordinary)
  })

  test('that is one-way is stored and counted, and not answered', async () => {
    const [fast, ordinary] = await twoSides()

    await sendBoth([fast, ordinary], [send({}, { flag: ONEWAY_FLAG })])

    expect(fast.taken).toBe(1)
    expect(fast.log().length).toBeGreaterThan(0)
    expect(fast.answers().size).toBe(0)
    expectSame(fast, ordinary)
  })

  test('without a unique id gets one', async () => {
    const [fast, ordinary] = await twoSides()

    await sendBoth(
      [fast, ordinary],
      [send({ i: formatProperties([['KEYS', 'k']]) }), send({ i: undefined }, { opaque: 8 })],
    )

    expect(fast.taken).toBe(2)
    expect(fast.log().includes('UNIQ_KEY\u0001UNIQUE1\u0002')).toBe(true)
    expectSame(fast, ordinary)
  })

  test('waits for its commit among the sends in flight', async () => {
    const [fast] = await twoSides()

    fast.start(encodeCommand(send()))
    const inFlight = fast.world.processors.send.inFlight
    await fast.settle()

    expect([inFlight, fast.world.processors.send.inFlight]).toEqual([1, 0])
  })

  test('answers of one connection and turn are written together', async () => {
    const [fast] = await twoSides()

    for (let opaque = 0; opaque < 500; opaque++) fast.start(encodeCommand(send({}, { opaque })))
    await fast.settle()

    // 500 answers of some 300 bytes fill two chunks of 64 KiB and a part of a third.
    expect(fast.connection.written.map(({ answered }) => answered.count > 0)).toEqual([
      true,
      true,
      true,
    ])
    expect(fast.answers().size).toBe(500)
  })

  test('gives back what it counted for in flow control', async () => {
    const [fast] = await twoSides()

    for (const opaque of [1, 2]) fast.start(encodeCommand(send({}, { opaque })))
    fast.start(encodeCommand(send({}, { opaque: 3, flag: ONEWAY_FLAG })))
    await fast.settle()

    expect(
      fast.connection.written.map(({ answered }) => [
        answered.count,
        answered.bytes,
        answered.responseCode,
      ]),
    ).toEqual([
      [2, 2 * (5 + 512), ResponseCode.SUCCESS],
      [1, 5 + 512, null],
    ])
  })
})

test.each([
  ['an unknown topic', { b: 'Unknown' }],
  ['a topic that has no such queue', { e: '4' }],
  ['no queue chosen', { e: '-1' }],
  ['a transaction', { f: '4' }],
  ['a batch', { m: 'true' }],
  ['a delay level', { i: 'DELAY\u00013\u0002' }],
  ['WAIT=false', { i: 'WAIT\u0001false\u0002' }],
  ['a property that the broker sets', { i: 'CLUSTER\u0001c\u0002' }],
  ['a missing field', { a: undefined }],
  ['a retry topic', { b: '%RETRY%G' }],
])('%s goes the ordinary way', async (_what, given) => {
  const fast = await Side.create(true)

  fast.start(encodeCommand(send(given)))
  await fast.settle()

  expect(fast.taken).toBe(0)
})

test('properties that are not UTF-8 go the ordinary way, which replaces them', async () => {
  const [fast, ordinary] = await twoSides()
  const header = Buffer.from(encodeJsonHeader(send({ i: 'k\u0001~~~\u0002' })))
  header.set([0xff, 0xc3, 0x28], header.indexOf('~~~'))
  const frame = Buffer.concat([Buffer.alloc(8), header])
  frame.writeInt32BE(4 + header.length)
  frame.writeInt32BE(header.length, 4)

  for (const side of [fast, ordinary]) {
    side.start(Buffer.from(frame))
    await side.settle()
  }

  expect(fast.taken).toBe(0)
  expectSame(fast, ordinary)
})
