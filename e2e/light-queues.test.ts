/** Light queues (LMQ): messages of a topic that stand in queues of other names too, pulled by official clients. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { buildClients, events, messages, runClient } from './clients.ts'
import { covers } from './features.ts'
import { numberAt } from './json.ts'
import { MessagingWorld, range, seqsOf } from './messaging-world.ts'
import type { Client, Flags } from './clients.ts'

const ALL = '%LMQ%all'
/** Every fourth message. */
const PART = '%LMQ%part-1'

let world: MessagingWorld

beforeAll(async () => {
  await buildClients()
  world = await MessagingWorld.start({
    portOffset: 7300,
    groups: 1,
    config: { enableLmq: 'true', enableMultiDispatch: 'true', maxLmqConsumeQueueNum: '12' },
  })
})

afterAll(async () => {
  await world?.stop()
})

interface Pulled {
  readonly seqs: readonly number[]
  readonly inOrder: readonly number[]
  /** Where it began, and where it goes on. */
  readonly first: number
  readonly next: number
  readonly maxOffset: number
}

async function pullLight(client: Client, flags: Flags, id: string): Promise<Pulled> {
  const all = { 'timeout-ms': 15_000, ...flags }
  const { lines } = await runClient(client, 'light-queue', world.namesrv, all)
  const [told] = events(lines, 'light')
  return {
    seqs: seqsOf(lines, id),
    inOrder: messages(lines, 'message').map(({ seq }) => seq),
    first: numberAt(told, 'first'),
    next: numberAt(told, 'next'),
    maxOffset: numberAt(told, 'maxOffset'),
  }
}

test.for(['java-5.5.0', 'java-4.9.8'] as const)(
  'the %s client pulls light queues: each message that names one, in the order of sending, from where it left off',
  async (client, { task }) => {
    covers(task, 'M47')
    const topic = world.name(client, 'light')
    const suffix = client.replaceAll('.', '_')
    const names = { light: `${ALL}-${suffix},%LMQ%part-{part}-${suffix}` }
    const sent = await world.produce(client, topic, { ...names, count: 40 })
    const all = { topic, light: `${ALL}-${suffix}`, group: `${topic}-g` }

    const whole = await pullLight(client, { ...all, expect: 40 }, sent.id)
    const part = await pullLight(
      client,
      { topic, light: `${PART}-${suffix}`, group: `${topic}-g`, expect: 10 },
      sent.id,
    )
    const later = await world.produce(client, topic, { ...names, count: 8 })
    const rest = await pullLight(client, { ...all, expect: 8 }, later.id)

    expect(sent.acked).toBe(40)
    expect(whole.inOrder).toEqual(range(0, 40))
    expect([whole.first, whole.next, whole.maxOffset]).toEqual([0, 40, 40])
    expect(part.inOrder).toEqual(range(0, 40).filter((seq) => seq % 4 === 1))
    expect([rest.first, rest.next]).toEqual([40, 48])
    expect(rest.seqs).toEqual(range(0, 8))
    // In their topic the messages are as always.
    const inTopic = await world.pullAll(client, topic, 48)
    expect(inTopic.length).toBe(48)
  },
)

test('names that are no light queues, too many of them, and pops of them are refused with the reason', async ({
  task,
}) => {
  covers(task, 'M47')
  const topic = world.name('java-5.5.0', 'limits')

  const wrong = await world.produce('java-5.5.0', topic, { light: 'Orders', count: 1 })
  const many = await world.ask({
    code: RequestCode.SEND_MESSAGE_V2,
    extFields: {
      ...{ a: 'P', b: topic, c: 'TBW102', d: '1', e: '0', f: '0', g: '1', h: '0' },
      i: `INNER_MULTI_DISPATCH\u0001${range(0, 13)
        .map((index) => `%LMQ%many-${index}`)
        .join(',')}`,
    },
    body: Buffer.from('hello'),
  })
  const popped = await world.ask({
    code: RequestCode.POP_MESSAGE,
    extFields: {
      consumerGroup: 'g',
      topic: ALL,
      queueId: '0',
      maxMsgNums: '1',
      invisibleTime: '30000',
      pollTime: '0',
      bornTime: String(Date.now()),
      initMode: '0',
    },
  })

  expect(Object.keys(wrong.errors).join(' ')).toContain('CODE: 13')
  expect(many.code).toBe(ResponseCode.SYSTEM_ERROR)
  expect(many.remark).toContain('LMQ_CONSUME_QUEUE_NUM_EXCEEDED')
  expect(popped.code).toBe(ResponseCode.SYSTEM_ERROR)
  expect(popped.remark).toContain('light queues')
})
