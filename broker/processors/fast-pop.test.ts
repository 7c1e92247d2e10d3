import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeCommand, extFieldsOf } from '../../remoting/command-codec.ts'
import { LanguageCode, NO_BODY, SerializeType } from '../../remoting/command.ts'
import { encodeBatchAcks } from '../../remoting/bodies/pop-bodies.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { GROUP, TOPIC, createPopWorld, popFields } from '../pop/testing.ts'
import { FrameSubject } from './testing-frames.ts'
import type { RemotingCommand } from '../../remoting/command.ts'
import type { PopWorld } from '../pop/testing.ts'

/** What a pop has brought: enough to acknowledge it. */
interface Popped {
  readonly mark: string
  readonly queueId: number
  readonly startOffset: number
  readonly popTime: number
  readonly invisibleTime: number
  readonly offsets: readonly number[]
}

/** A broker that is sent pops and acknowledgements of what they brought. */
class Subject extends FrameSubject {
  readonly popWorld: PopWorld
  #seen = 0

  private constructor(world: PopWorld, isFast: boolean) {
    super(world, isFast)
    this.popWorld = world
  }

  static async create(isFast: boolean): Promise<Subject> {
    // Messages that came back come first: which come first must not depend on how often that was asked.
    return new Subject(await createPopWorld({ popFromRetryProbability: '100' }), isFast)
  }

  /** What the answers since the last call have brought. */
  popped(): readonly Popped[] {
    const answers = this.answers.slice(this.#seen)
    this.#seen += answers.length
    return answers.flatMap(({ frame }) => {
      const { extFields } = decodeCommand(frame, 4, frame.length)
      const starts = new Map(
        itemsOf(extFields.get('startOffsetInfo')).map(([mark, queueId, start]) => [
          `${mark} ${queueId}`,
          Number(start),
        ]),
      )
      return itemsOf(extFields.get('msgOffsetInfo')).map(([mark = '', queueId = '', offsets]) => ({
        mark,
        queueId: Number(queueId),
        startOffset: starts.get(`${mark} ${queueId}`) ?? -1,
        popTime: Number(extFields.get('popTime')),
        invisibleTime: Number(extFields.get('invisibleTime')),
        offsets: (offsets ?? '').split(',').map(Number),
      }))
    })
  }
}

function itemsOf(text: string | undefined): readonly (readonly string[])[] {
  return (text ?? '').split(';').flatMap((item) => (item === '' ? [] : [item.split(' ')]))
}

type Fields = Readonly<Record<string, string>>

type Step =
  | {
      readonly type: 'send'
      readonly queueId: number
      readonly tags: string
      readonly size: number
    }
  | { readonly type: 'pop'; readonly fields: Fields }
  | {
      readonly type: 'ack'
      readonly which: number
      readonly message: number
      readonly fields: Fields
    }
  | { readonly type: 'batch'; readonly which: number; readonly twice: boolean }
  | { readonly type: 'wait'; readonly ms: number }

const number = (values: readonly number[]) => fc.constantFrom(...values).map(String)

const popStep = fc.record({
  type: fc.constant('pop' as const),
  fields: fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record(
        {
          maxMsgNums: number([32, 3, 1]),
          queueId: number([-1, 0, 1]),
          invisibleTime: number([60_000, 10_000]),
          exp: fc.constantFrom('*', 'A', 'A || B', ''),
          expType: fc.constantFrom('TAG', ''),
          initMode: number([0, 1]),
        },
        { requiredKeys: [] },
      ),
    },
    {
      weight: 1,
      arbitrary: fc.record(
        {
          consumerGroup: fc.constantFrom('Other', 'bad group'),
          topic: fc.constantFrom('unknown', 'T"'),
          queueId: number([7, -2]),
          maxMsgNums: number([0, 33, -1]),
          invisibleTime: number([-1, 604_800_001]),
          pollTime: number([2000]),
          bornTime: fc.constantFrom('1', '0', 'x'),
          order: fc.constantFrom('true', 'FALSE'),
          exp: fc.constantFrom('a > 1', '||'),
          expType: fc.constantFrom('SQL92'),
          attemptId: fc.constantFrom('one'),
        },
        { requiredKeys: [] },
      ),
    },
  ),
})
const sendStep = fc.record({
  type: fc.constant('send' as const),
  queueId: fc.nat(1),
  tags: fc.constantFrom('A', 'B'),
  size: fc.constantFrom(0, 10, 1000, 30_000),
})
const ackStep = fc.record({
  type: fc.constant('ack' as const),
  which: fc.nat(5),
  message: fc.nat(5),
  fields: fc.oneof(
    { weight: 4, arbitrary: fc.constant<Fields>({}) },
    {
      weight: 1,
      arbitrary: fc.record(
        {
          queueId: number([9, -1]),
          offset: number([1_000_000, -1]),
          extraInfo: fc.constantFrom('1 2 3', '1 2 3 x', '0 1 2 3 4', '-1 1 2 3 0', '1 2 3 999 0'),
          topic: fc.constantFrom('unknown'),
        },
        { requiredKeys: [] },
      ),
    },
  ),
})
const batchStep = fc.record({
  type: fc.constant('batch' as const),
  which: fc.nat(5),
  twice: fc.boolean(),
})
const waitStep = fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(200, 15_000) })

/** What does not match is the last that a window of units holds, and what matches comes behind it. */
const AT_THE_END_OF_A_WINDOW: Step[] = [
  { type: 'send', queueId: 0, tags: 'B', size: 0 },
  { type: 'wait', ms: 15_000 },
  { type: 'send', queueId: 0, tags: 'A', size: 0 },
  { type: 'pop', fields: { exp: 'A' } },
  { type: 'pop', fields: {} },
]

function command(code: number, opaque: number, fields: Fields, body = NO_BODY): RemotingCommand {
  return {
    code,
    language: LanguageCode.JAVA,
    version: 513,
    opaque,
    flag: 0,
    remark: null,
    extFields: extFieldsOf(fields),
    body,
    serializeType: SerializeType.JSON,
  }
}

async function play(subject: Subject, steps: readonly Step[]): Promise<void> {
  const { popWorld } = subject
  const { time } = popWorld
  const popped: Popped[] = []
  for (const [opaque, step] of steps.entries()) {
    if (step.type === 'send') {
      const { queueId, tags, size } = step
      await popWorld.send('x'.repeat(size), { queueId, tags })
    } else if (step.type === 'wait') {
      await time.advance(step.ms)
    } else {
      const request = requestOf(subject, popped, opaque, step)
      if (request !== null) await subject.call(request)
    }
    popped.push(...subject.popped())
  }
  await time.advance(90_000)
}

function requestOf(
  { popWorld }: Subject,
  popped: readonly Popped[],
  opaque: number,
  step: Extract<Step, { readonly type: 'pop' | 'ack' | 'batch' }>,
): RemotingCommand | null {
  if (step.type === 'pop') {
    const fields = popFields(popWorld.time.now(), step.fields)
    return command(RequestCode.POP_MESSAGE, opaque, fields)
  }
  const from = popped[step.which % Math.max(1, popped.length)]
  if (from === undefined) return null
  const { mark, queueId, startOffset, popTime, invisibleTime, offsets } = from
  if (step.type === 'ack') {
    const offset = offsets[step.message % offsets.length] ?? 0
    return command(RequestCode.ACK_MESSAGE, opaque, {
      consumerGroup: GROUP,
      topic: mark === '0' ? TOPIC : `%RETRY%${GROUP}_${TOPIC}`,
      queueId: String(queueId),
      extraInfo: `${startOffset} ${popTime} ${invisibleTime} 0 ${mark} broker-a ${queueId} ${offset}`,
      offset: String(offset),
      ...step.fields,
    })
  }
  const ack = {
    consumerGroup: GROUP,
    topic: TOPIC,
    retry: mark,
    startOffset,
    queueId,
    reviveQueueId: 0,
    popTime,
    invisibleTime,
    distances: offsets.map((offset) => offset - startOffset),
  }
  const body = encodeBatchAcks('broker-a', step.twice ? [ack, ack] : [ack])
  return command(RequestCode.BATCH_ACK_MESSAGE, opaque, {}, body)
}

// Goal: both ways of pops and acknowledgements are one. Method: the same random history on two brokers, one of which takes frames; answers
// byte for byte, what comes back, what is committed and counted must be equal.
test('pops and acknowledgements that came as frames are answered as in the ordinary way, byte for byte', async () => {
  let taken = 0
  let withMessages = 0
  const steps = fc.array(
    fc.oneof(popStep, popStep, sendStep, sendStep, ackStep, batchStep, waitStep),
    { minLength: 5, maxLength: 30 },
  )
  await fc.assert(
    fc.asyncProperty(steps, async (history) => {
      const fast = await Subject.create(true)
      const ordinary = await Subject.create(false)

      await play(fast, history)
      await play(ordinary, history)

      expect(fast.answers).toEqual(ordinary.answers)
      const [fastParts, ordinaryParts] = [fast.world.parts, ordinary.world.parts]
      expect(fastParts.offsets.encode()).toEqual(ordinaryParts.offsets.encode())
      expect(fastParts.stats.getTotal).toBe(ordinaryParts.stats.getTotal)
      const { CK, ACK } = fast.world.processors.pops.reviveCounts.puts
      const puts = ordinary.world.processors.pops.reviveCounts.puts
      expect([...CK.counts(), ...ACK.counts()]).toEqual([...puts.CK.counts(), ...puts.ACK.counts()])
      taken += fast.taken
      withMessages += fast.connection.written.filter(
        ({ answered, frames }) =>
          answered.requestCode === RequestCode.POP_MESSAGE &&
          answered.responseCode === ResponseCode.SUCCESS &&
          frames.length > 0,
      ).length
    }),
    { numRuns: 60, examples: [[AT_THE_END_OF_A_WINDOW]] },
  )
  // Without this the test would hold for a fast way that takes nothing; some 130 are taken, 65 with messages.
  expect(taken).toBeGreaterThan(30)
  expect(withMessages).toBeGreaterThan(10)
})

test('a pop whose record is refused gives its messages back', async () => {
  const subject = await Subject.create(true)
  const { popWorld } = subject
  await popWorld.send('a')
  const { store } = popWorld.parts
  const fields = popFields(0)
  const put = store.put.bind(store)
  store.put = (_messages, _wait, done) =>
    done({
      status: 'SERVICE_NOT_AVAILABLE',
      reason: 'no room',
      physicalOffsets: [],
      queueOffset: 0,
      storeTimestamp: 0,
    })

  await subject.call(command(RequestCode.POP_MESSAGE, 1, fields))
  store.put = put
  await subject.call(command(RequestCode.POP_MESSAGE, 2, fields))

  expect(subject.taken).toBe(2)
  const codes = subject.connection.written.map(({ answered }) => answered.responseCode)
  expect(codes).toEqual([ResponseCode.SYSTEM_ERROR, ResponseCode.SUCCESS])
})
