/** Light queues (LMQ): messages of a topic that stand in queues of other names too, pulled by official clients. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { CLIENTS, buildClients } from './clients.ts'
import { covers } from './features.ts'
import { MessagingWorld, range } from './messaging-world.ts'
import type { Flags } from './clients.ts'

const ALL = '%LMQ%all'
/** Every fourth message. */
const PART = '%LMQ%part-1'

let world: MessagingWorld

beforeAll(async () => {
  await buildClients()
  world = await MessagingWorld.start({
    portOffset: 7300,
    groups: 1,
    config: { enableLmq: 'true', enableMultiDispatch: 'true', maxLmqConsumeQueueNum: '20' },
  })
})

afterAll(async () => {
  await world?.stop()
})

test.for(CLIENTS)(
  'the %s client pulls light queues: each message that names one, in the order of sending, from where it left off',
  async (client, { task }) => {
    covers(task, 'M47')
    const topic = world.name(client, 'light')
    const suffix = client.replaceAll('.', '_')
    const names = { light: `${ALL}-${suffix},%LMQ%part-{part}-${suffix}` }
    const sent = await world.produce(client, topic, { ...names, count: 40 })
    const all = { topic, light: `${ALL}-${suffix}`, group: `${topic}-g` }

    const whole = await world.pullLight(client, { ...all, expect: 40 })
    const ofPart = { topic, light: `${PART}-${suffix}`, group: `${topic}-g`, expect: 10 }
    const part = await world.pullLight(client, ofPart)
    await world.produce(client, topic, { ...names, count: 8 })
    // The Go client commits no offset of a queue that it was not assigned: its program keeps the place.
    const place: Flags = client === 'go' ? { seek: whole.next } : {}
    const rest = await world.pullLight(client, { ...all, ...place, expect: 8 })

    expect(sent.acked).toBe(40)
    expect(whole.seqs).toEqual(range(0, 40))
    expect([whole.first, whole.next, whole.maxOffset]).toEqual([0, 40, 40])
    expect(part.seqs).toEqual(range(0, 40).filter((seq) => seq % 4 === 1))
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
      i: `INNER_MULTI_DISPATCH\u0001${range(0, 21)
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
