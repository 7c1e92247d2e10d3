import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readInt64 } from '../../common/bytes.ts'
import { decodeCommand, extFieldsOf } from '../../remoting/command-codec.ts'
import { LanguageCode, NO_BODY, SerializeType } from '../../remoting/command.ts'
import { PullSysFlag, pullFields } from '../../remoting/pull-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { topicConfig } from '../../remoting/bodies/topic-config.ts'
import { testMessage } from '../../store/testing.ts'
import { FakeConnection } from '../testing.ts'
import { createBrokerWorld } from '../testing-world.ts'
import { FrameSubject } from './testing-frames.ts'
import type { RemotingCommand } from '../../remoting/command.ts'

/** A broker that is sent pulls: by frames, as far as it takes them, or all in the ordinary way. */
class Subject extends FrameSubject {
  static async create(isFast: boolean): Promise<Subject> {
    const world = await createBrokerWorld()
    const saved = world.parts.topics.put(topicConfig('T', { readQueueNums: 2, writeQueueNums: 2 }))
    await world.time.settle()
    await saved
    return new Subject(world, isFast)
  }

  async send(queueId: number, tag: string, size: number): Promise<void> {
    const properties = { TAGS: tag }
    const body = Buffer.alloc(size, 'x')
    const message = testMessage({ topic: 'T', queueId, body, properties })
    this.world.parts.store.put([message], 'inTime', () => undefined)
    await this.world.time.settle()
  }
}

function request(
  opaque: number,
  fields: Readonly<Record<string, string | undefined>> = {},
  given: Partial<RemotingCommand> = {},
): RemotingCommand {
  return {
    code: RequestCode.PULL_MESSAGE,
    language: LanguageCode.JAVA,
    version: 513,
    opaque,
    flag: 0,
    remark: null,
    body: NO_BODY,
    serializeType: SerializeType.JSON,
    extFields: extFieldsOf({
      ...pullFields({
        consumerGroup: 'G',
        topic: 'T',
        queueId: 0,
        queueOffset: 0,
        suspendTimeoutMs: 15_000,
      }),
      ...fields,
    }),
    ...given,
  }
}

type Step =
  | {
      readonly type: 'pull'
      readonly code: number
      readonly serializeType: SerializeType
      readonly fields: Readonly<Record<string, string>>
    }
  | {
      readonly type: 'send'
      readonly queueId: number
      readonly tag: string
      readonly size: number
    }
  | { readonly type: 'reset' | 'heartbeat' | 'expire' }

const number = (values: readonly number[]) => fc.constantFrom(...values).map(String)

const plainFields = fc.record(
  {
    queueOffset: number([0, 0, 1, 2, 3, 5]),
    maxMsgNums: number([32, 3]),
    sysFlag: fc.constantFrom(4, 5, 6, 7).map(String),
    commitOffset: number([0, 1, 5]),
    suspendTimeoutMillis: number([15_000, 1000]),
    subscription: fc.constantFrom('*', 'A', 'A || B'),
    maxMsgBytes: number([1000]),
  },
  { requiredKeys: ['queueOffset', 'sysFlag'] },
)
const strangeFields = fc.record(
  {
    consumerGroup: fc.constantFrom('H', 'bad group'),
    topic: fc.constantFrom('unknown', 'T"'),
    queueId: number([1, 2, -1]),
    queueOffset: number([1, 8, 100, -1]),
    maxMsgNums: number([0, -1]),
    sysFlag: fc.nat(3).map(String),
    commitOffset: number([-1]),
    suspendTimeoutMillis: number([0, -1]),
    subscription: fc.constantFrom('||', ''),
    subVersion: number([0, 7]),
    expressionType: fc.constantFrom('SQL92', ''),
  },
  { requiredKeys: [] },
)
const pullStep = fc.record({
  type: fc.constant('pull' as const),
  code: fc.constantFrom(RequestCode.PULL_MESSAGE, RequestCode.LITE_PULL_MESSAGE),
  serializeType: fc.constantFrom(SerializeType.JSON, SerializeType.ROCKETMQ),
  fields: fc.oneof({ weight: 3, arbitrary: plainFields }, { weight: 1, arbitrary: strangeFields }),
})
const sendStep = fc.record({
  type: fc.constant('send' as const),
  queueId: fc.nat(1),
  tag: fc.constantFrom('A', 'B', 'C'),
  size: fc.constantFrom(0, 10, 1000, 20_000),
})
const otherStep = fc.record({
  type: fc.constantFrom('reset' as const, 'heartbeat' as const, 'expire' as const),
})

async function play(subject: Subject, steps: readonly Step[]): Promise<void> {
  const { parts, time } = subject.world
  for (const [index, step] of steps.entries()) {
    if (step.type === 'pull') {
      const { code, serializeType, fields } = step
      await subject.call(request(index - 3, fields, { code, serializeType }))
    } else if (step.type === 'send') {
      await subject.send(step.queueId, step.tag, step.size)
    } else if (step.type === 'reset') {
      const reset = parts.offsets.reset('G', 'T', [[0, 1]])
      await time.settle()
      await reset
    } else if (step.type === 'heartbeat') {
      registerConsumer(subject)
    } else {
      await time.advance(1000)
      parts.longPolling.expire()
    }
  }
  parts.longPolling.close()
  await time.settle()
}

function registerConsumer({ world }: Subject): void {
  const subscription = {
    topic: 'T',
    subString: 'B',
    tagsSet: ['B'],
    codeSet: [66],
    subVersion: 5,
    expressionType: 'TAG',
    classFilterMode: false,
  }
  world.parts.clients.registerConsumer(
    {
      groupName: 'G',
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
      subscriptions: [subscription],
      unitMode: false,
    },
    { clientId: 'c', connection: new FakeConnection(9), language: 0, version: 513 },
  )
}

// Goal: both ways of a pull are one. Method: the same random history on two brokers, one of which takes frames; answers byte for byte,
// committed offsets and statistics must be equal.
test('a pull that came as a frame is answered as in the ordinary way, byte for byte', async () => {
  let taken = 0
  let withMessages = 0
  const steps = fc.array(fc.oneof(pullStep, pullStep, sendStep, sendStep, otherStep), {
    minLength: 5,
    maxLength: 30,
  })
  await fc.assert(
    fc.asyncProperty(steps, async (history) => {
      const fast = await Subject.create(true)
      const ordinary = await Subject.create(false)

      await play(fast, history)
      await play(ordinary, history)

      expect(fast.answers).toEqual(ordinary.answers)
      expect(fast.world.parts.offsets.encode()).toEqual(ordinary.world.parts.offsets.encode())
      expect(fast.world.parts.stats.getTotal).toBe(ordinary.world.parts.stats.getTotal)
      taken += fast.taken
      withMessages += fast.connection.written.filter(
        ({ answered }) => answered.responseCode === ResponseCode.SUCCESS,
      ).length
    }),
    { numRuns: 100 },
  )
  expect(taken).toBeGreaterThan(30)
  expect(withMessages).toBeGreaterThan(10)
})

describe('the plain case is taken', () => {
  test.each([
    ['JSON', SerializeType.JSON],
    ['binary', SerializeType.ROCKETMQ],
  ])('with a %s header', async (_name, serializeType) => {
    const subject = await Subject.create(true)
    await subject.send(0, 'A', 10)

    await subject.call(request(7, {}, { serializeType }))

    expect(subject.taken).toBe(1)
    expect(subject.connection.written[0]?.answered).toMatchObject({
      requestCode: RequestCode.PULL_MESSAGE,
      responseCode: ResponseCode.SUCCESS,
      count: 1,
      bytes: 512,
    })
  })

  test('also when it waits for a message', async () => {
    const subject = await Subject.create(true)
    await subject.call(request(7))
    const before = subject.connection.written.length

    await subject.send(0, 'A', 10)

    expect([subject.taken, before, subject.answers.length]).toEqual([1, 0, 1])
    expect(subject.connection.written[0]?.answered.isLongPolling).toBe(true)
  })

  test('and its offsets may be larger than 32 bits', async () => {
    const subject = await Subject.create(true)
    await subject.send(0, 'A', 10)

    await subject.call(
      request(7, {
        commitOffset: '123456789012345',
        sysFlag: String(PullSysFlag.SUBSCRIPTION | PullSysFlag.COMMIT_OFFSET),
      }),
    )

    expect(subject.taken).toBe(1)
    expect(subject.world.parts.offsets.query('G', 'T', 0)).toBe(123_456_789_012_345)
  })
})

test('records leave as they are stored, in the order of their queue', async () => {
  const subject = await Subject.create(true)
  for (const size of [10, 30_000, 0, 500]) await subject.send(0, 'A', size)

  await subject.call(request(7))

  const frame = subject.answers[0]?.frame ?? NO_BODY
  const { body } = decodeCommand(frame, 4, frame.length)
  const queueOffsets: number[] = []
  for (let at = 0; at < body.length; at += body.readInt32BE(at)) {
    queueOffsets.push(readInt64(body, at + 20))
  }
  expect(queueOffsets).toEqual([0, 1, 2, 3])
})

describe('a peer that does not take its answers', () => {
  test('gets no further messages until it does, then all of them in order', async () => {
    const subject = await Subject.create(true)
    await subject.send(0, 'A', 10)
    subject.connection.outputBytes = 1024 * 1024
    for (const opaque of [7, 8, 9]) await subject.call(request(opaque))
    await subject.world.time.advance(1000)
    const before = subject.answers.length

    subject.connection.outputBytes = 0
    await subject.world.time.advance(20)

    const opaques = subject.connection.written.map(
      ({ frames }) => decodeCommand(frames, 4, frames.length).opaque,
    )
    expect([before, opaques]).toEqual([0, [7, 8, 9]])
  })

  test('is forgotten with its pulls when it goes', async () => {
    const subject = await Subject.create(true)
    await subject.send(0, 'A', 10)
    subject.connection.outputBytes = 1024 * 1024
    await subject.call(request(7))

    subject.connection.close()
    subject.connection.outputBytes = 0
    await subject.world.time.advance(1000)

    expect(subject.answers).toEqual([])
  })

  test('does not keep others waiting', async () => {
    const subject = await Subject.create(true)
    const other = new Subject(subject.world, true)
    await subject.send(0, 'A', 10)
    subject.connection.outputBytes = 1024 * 1024
    await subject.call(request(7))

    await other.call(request(8))

    expect([subject.answers.length, other.answers.length]).toEqual([0, 1])
  })
})
