import { expect, test } from 'vitest'
import { encodeRequestModes } from '../../remoting/bodies/pop-bodies.ts'
import { topicConfig } from '../../remoting/bodies/topic-config.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { GROUP, TOPIC, createPopWorld, poppedOf, textsOf } from '../pop/testing.ts'
import type { Popped, PopWorld } from '../pop/testing.ts'

const RETRY_TOPIC = `%RETRY%${GROUP}_${TOPIC}`

async function worldWith(texts: readonly string[], keys = {}): Promise<PopWorld> {
  const world = await createPopWorld(keys)
  for (const text of texts) await world.send(text)
  return world
}

function first(popped: readonly Popped[]): Popped {
  const [message] = popped
  if (message === undefined) throw new Error('nothing was popped')
  return message
}

test('a popped message is invisible to others until its time is over, then comes back with one more attempt', async () => {
  const world = await worldWith(['a', 'b'])

  const popped = await world.pop({ invisibleTime: '10000' })
  await world.time.advance(9800)
  const early = await world.pop()
  await world.time.advance(400)
  const late = await world.pop()

  expect(textsOf(popped)).toEqual(['a', 'b'])
  expect(early).toEqual([])
  expect(late.map(({ text, reconsumeTimes, topic }) => [text, reconsumeTimes, topic])).toEqual([
    ['a', 1, RETRY_TOPIC],
    ['b', 1, RETRY_TOPIC],
  ])
})

test('an answer tells where its messages lie, and of each queue where the pop began to read', async () => {
  const world = await worldWith(['a', 'b'])
  await world.send('c', { queueId: 1 })

  const request = await world.startPop()

  const fields = ['startOffsetInfo', 'msgOffsetInfo', 'restNum', 'reviveQid', 'invisibleTime']
  expect(fields.map((name) => request.field(name))).toEqual([
    expect.stringMatching(/^(0 0 0;0 1 0|0 1 0;0 0 0)$/),
    expect.stringMatching(/^(0 0 0,1;0 1 0|0 1 0;0 0 0,1)$/),
    '0',
    '0',
    '60000',
  ])
  expect(request.response).toMatchObject({ code: ResponseCode.SUCCESS, remark: 'FOUND' })
})

test('an acknowledged message does not come back, and the committed offset follows', async () => {
  const world = await worldWith(['a', 'b', 'c'])
  const popped = await world.pop({ invisibleTime: '10000' })

  for (const message of popped) await world.ack(message)
  await world.time.advance(20_000)

  expect(await world.pop()).toEqual([])
  expect(world.parts.offsets.query(GROUP, TOPIC, 0)).toBe(3)
})

test('the committed offset stays before the first message that is not acknowledged', async () => {
  const world = await worldWith(['a', 'b', 'c'])
  const [, second, third] = await world.pop()

  for (const message of [second, third]) if (message !== undefined) await world.ack(message)
  await world.time.advance(10_000)

  expect(world.parts.offsets.query(GROUP, TOPIC, 0)).toBe(0)
})

test('a batch of acknowledgements finishes the messages of its bits', async () => {
  const world = await worldWith(['a', 'b', 'c'])
  const request = await world.startPop({ invisibleTime: '10000' })
  const ack = {
    consumerGroup: GROUP,
    topic: TOPIC,
    retry: '0',
    startOffset: 0,
    queueId: 0,
    reviveQueueId: 0,
    popTime: Number(request.field('popTime')),
    invisibleTime: 10_000,
    distances: [0, 2],
  }

  const answered = await world.batchAck([ack])
  await world.time.advance(12_000)

  expect(answered.response?.code).toBe(ResponseCode.SUCCESS)
  expect(textsOf(await world.pop())).toEqual(['b'])
})

test('a batch without acknowledgements is answered NO_MESSAGE', async () => {
  const world = await worldWith([])

  const answered = await world.batchAck([])

  expect(answered.response?.code).toBe(ResponseCode.NO_MESSAGE)
})

test('a changed invisible time counts from the change, under a new handle; the old one is worth nothing', async () => {
  const world = await worldWith(['a'])
  const popped = first(await world.pop({ invisibleTime: '10000' }))
  await world.time.advance(5000)

  const changed = await world.change(popped, 20_000)
  await world.ack(popped)
  await world.time.advance(19_000)
  const before = await world.pop()
  await world.time.advance(2000)
  const after = await world.pop()

  expect(changed.response?.code).toBe(ResponseCode.SUCCESS)
  expect(changed.field('invisibleTime')).toBe('20000')
  expect(before).toEqual([])
  expect(textsOf(after)).toEqual(['a'])
})

test('the handle of a change acknowledges the message', async () => {
  const world = await worldWith(['a'])
  const popped = first(await world.pop({ invisibleTime: '10000' }))

  const changed = await world.change(popped, 3000)
  const handle = `0 ${changed.field('popTime')} 3000 0 0 broker-a 0 0`
  await world.ack({ ...popped, handle })
  await world.time.advance(20_000)

  expect(await world.pop()).toEqual([])
})

test('a message whose time is over is not hidden again by its old handle', async () => {
  const world = await worldWith(['a'])
  const popped = first(await world.pop({ invisibleTime: '1000' }))
  await world.time.advance(2000)

  const changed = await world.change(popped, 60_000)

  expect(changed.response?.code).toBe(ResponseCode.NO_MESSAGE)
  expect(textsOf(await world.pop())).toEqual(['a'])
})

test('a held pop is answered by the next message', async () => {
  const world = await worldWith([])
  const held = await world.startPop({ pollTime: '10000' })
  const before = held.response

  await world.send('a', { queueId: 1 })

  expect(before).toBeNull()
  expect(textsOf(poppedOf(held))).toEqual(['a'])
})

test('of several held pops each gets what the one before has left', async () => {
  const world = await worldWith([])
  const fields = { pollTime: '10000', maxMsgNums: '1' }
  const held = [
    await world.startPop(fields),
    await world.startPop(fields),
    await world.startPop(fields),
  ]

  await world.send('a')
  await world.send('b')

  expect(held.map((request) => request.response && textsOf(poppedOf(request)))).toEqual([
    ['a'],
    ['b'],
    null,
  ])
})

test('a held pop is answered POLLING_TIMEOUT when its time is over', async () => {
  const world = await worldWith([])

  const held = await world.startPop({ pollTime: '10000' })
  await world.time.advance(10_200)

  expect(held.response).toMatchObject({ code: ResponseCode.POLLING_TIMEOUT })
  expect(held.field('restNum')).toBe('0')
})

test('a held pop is answered by a message that comes back', async () => {
  const world = await worldWith(['a'])
  await world.pop({ invisibleTime: '2000' })

  const held = await world.startPop({ pollTime: '10000' })
  await world.time.advance(2500)

  expect(textsOf(poppedOf(held))).toEqual(['a'])
})

test('too many held pops are answered POLLING_FULL', async () => {
  const world = await worldWith([], { popPollingSize: '1' })
  await world.startPop({ pollTime: '10000' })
  await world.startPop({ pollTime: '10000' })

  const third = await world.startPop({ pollTime: '10000' })

  expect(third.response).toMatchObject({ code: ResponseCode.POLLING_FULL })
})

test('POLLING_INFO counts who waits', async () => {
  const world = await worldWith([])
  await world.startPop({ pollTime: '10000' })

  const info = await world.call({
    code: RequestCode.POLLING_INFO,
    extFields: { consumerGroup: GROUP, topic: TOPIC, queueId: '-1' },
  })

  expect(info.field('pollingNum')).toBe('1')
})

test('a notification is answered when a message comes, which stays for a pop', async () => {
  const world = await worldWith([])
  const fields = { consumerGroup: GROUP, topic: TOPIC, queueId: '-1', pollTime: '10000' }
  const extFields = { ...fields, bornTime: String(world.time.now()) }
  const held = await world.call({ code: RequestCode.NOTIFICATION, extFields })
  const before = held.response

  await world.send('a')

  expect(before).toBeNull()
  expect(held.field('hasMsg')).toBe('true')
  expect(textsOf(await world.pop())).toEqual(['a'])
})

test('PEEK_MESSAGE reads what a pop would get, again and again', async () => {
  const world = await worldWith(['a', 'b'])
  const extFields = { consumerGroup: GROUP, topic: TOPIC, queueId: '0', maxMsgNums: '1' }

  const looks = [
    await world.call({ code: RequestCode.PEEK_MESSAGE, extFields }),
    await world.call({ code: RequestCode.PEEK_MESSAGE, extFields }),
  ]

  expect(looks.map((look) => textsOf(poppedOf(look)))).toEqual([['a'], ['a']])
  expect(textsOf(await world.pop())).toEqual(['a', 'b'])
})

test('a tag expression selects messages, and passes the others over', async () => {
  const world = await worldWith([])
  await world.send('a', { tags: 'red' })
  await world.send('b', { tags: 'blue' })
  await world.send('c', { tags: 'red' })

  const popped = await world.pop({ exp: 'red', expType: 'TAG' })
  for (const message of popped) await world.ack(message)
  await world.time.advance(10_000)

  expect(textsOf(popped)).toEqual(['a', 'c'])
  expect(world.parts.offsets.query(GROUP, TOPIC, 0)).toBe(3)
})

test('an SQL92 expression selects messages by their properties', async () => {
  const world = await worldWith([], { enablePropertyFilter: 'true' })
  await world.send('a', { tags: 'red' })
  await world.send('b', { tags: 'blue' })

  const popped = await world.pop({ exp: "TAGS = 'blue'", expType: 'SQL92' })

  expect(textsOf(popped)).toEqual(['b'])
})

test('a group that begins at the end of a queue gets its last message', async () => {
  const world = await worldWith(['a', 'b', 'c'], { initPopOffsetByCheckMsgInMem: 'false' })

  expect(textsOf(await world.pop({ initMode: '1' }))).toEqual(['c'])
})

test('messages that fail too often go to the dead letter queue', async () => {
  const world = await worldWith(['a'])
  const group = world.parts.groups.find(GROUP)
  if (group === null) throw new Error('no group')
  const put = world.parts.groups.put({ ...group, retryMaxTimes: 2 })
  await world.time.settle()
  await put

  const attempts: number[] = []
  for (let attempt = 0; attempt < 4; attempt++) {
    attempts.push(...(await world.pop({ invisibleTime: '1000' })).map((one) => one.reconsumeTimes))
    await world.time.advance(2000)
  }

  expect(attempts).toEqual([0, 1, 2])
  expect(world.parts.store.maxOffsetInQueue(`%DLQ%${GROUP}`, 0)).toBe(1)
})

test('with enableRetryTopicV2 messages come back by the second form of the retry topic', async () => {
  const world = await worldWith(['a'], { enableRetryTopicV2: 'true' })
  await world.pop({ invisibleTime: '1000' })
  await world.time.advance(2000)

  const back = first(await world.pop({ invisibleTime: '1000' }))
  await world.ack(back)
  await world.time.advance(5000)

  expect(back.topic).toBe(`%RETRY%${GROUP}+${TOPIC}`)
  expect(await world.pop()).toEqual([])
})

test('a message that came back carries the name of the topic, its handle and its first pop', async () => {
  const world = await worldWith(['a'])
  const [popped] = await world.pop({ invisibleTime: '1000' })
  const firstPopTime = popped?.handle.split(' ')[1]
  await world.time.advance(2000)

  const back = first(await world.pop())

  expect(back.message.topic).toBe(TOPIC)
  expect(back.message.properties.toString()).toContain(`1ST_POP_TIME\u0001${firstPopTime}\u0002`)
  expect(back.handle).toMatch(/^0 \d+ 60000 0 1 broker-a 0 0$/)
})

test('a group with too many unacknowledged messages of a queue gets no further ones before it acknowledges', async () => {
  const keys = { enablePopMessageThreshold: 'true', popInflightMessageThreshold: '2' }
  const world = await worldWith(['a', 'b', 'c', 'd'], keys)
  const popped = await world.pop({ maxMsgNums: '3' })

  const held = await world.startPop({ pollTime: '10000' })
  const before = held.response
  await world.ack(first(popped))

  expect(before).toBeNull()
  expect(textsOf(poppedOf(held))).toEqual(['d'])
})

test('an offset that an administrator has set is where the next pop begins, and what was popped is forgotten', async () => {
  const world = await worldWith(['a', 'b', 'c'])
  await world.pop({ invisibleTime: '5000' })

  const reset = world.parts.offsets.reset(GROUP, TOPIC, [[0, 1]])
  await world.time.advance(0)
  await reset
  const again = await world.pop({ invisibleTime: '60000' })
  await world.time.advance(10_000)

  expect(textsOf(again)).toEqual(['b', 'c'])
  expect(await world.pop()).toEqual([])
})

test('a topic that is deleted takes along what was popped from it', async () => {
  const world = await worldWith(['a'])
  await world.pop({ invisibleTime: '5000' })

  world.parts.store.deleteTopic(TOPIC)
  const deleted = world.parts.topics.delete([TOPIC])
  await world.time.settle()
  await deleted
  await world.time.advance(10_000)

  expect(world.parts.topics.get(RETRY_TOPIC)).toBeUndefined()
  expect([...world.processors.pops.state.queues()]).toEqual([])
})

const REFUSED: readonly (readonly [string, Readonly<Record<string, string>>, number, RegExp])[] = [
  ['an unknown topic', { topic: 'Nothing' }, ResponseCode.TOPIC_NOT_EXIST, /topic\[Nothing\]/],
  [
    'a queue that the topic lacks',
    { queueId: '2' },
    ResponseCode.INVALID_PARAMETER,
    /queueId\[2\]/,
  ],
  ['33 messages', { maxMsgNums: '33' }, ResponseCode.INVALID_PARAMETER, /greater than 32/],
  ['no messages', { maxMsgNums: '0' }, ResponseCode.INVALID_PARAMETER, /maxMsgNums/],
  ['a negative time', { invisibleTime: '-1' }, ResponseCode.INVALID_PARAMETER, /invisibleTime/],
  [
    'an endless time',
    { invisibleTime: '604800001' },
    ResponseCode.INVALID_PARAMETER,
    /invisibleTime/,
  ],
  [
    'a group with a bad name',
    { consumerGroup: 'a b' },
    ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
    /\[a b\]/,
  ],
  [
    'an unknown language',
    { exp: 'x', expType: 'XPATH' },
    ResponseCode.SUBSCRIPTION_PARSE_FAILED,
    /XPATH/,
  ],
  [
    'a request that is too old',
    { bornTime: '1' },
    ResponseCode.POLLING_TIMEOUT,
    /timeout too much/,
  ],
]

test.each(REFUSED)('a pop with %s is refused', async (_what, fields, code, remark) => {
  const world = await worldWith(['a'])

  const request = await world.startPop(fields)

  expect(request.response).toMatchObject({ code, remark: expect.stringMatching(remark) })
})

test('an acknowledgement outside of the queue is refused, one with a strange handle too', async () => {
  const world = await worldWith(['a'])
  const popped = first(await world.pop())

  const answers = [
    await world.ack({ ...popped, queueOffset: 2 }),
    await world.ack({ ...popped, queueId: 7 }),
    await world.ack({ ...popped, topic: 'Nothing' }),
    await world.ack({ ...popped, handle: 'x y z' }),
    await world.change({ ...popped, queueOffset: 1 }, 1000),
    await world.change(popped, -1),
  ]

  expect(answers.map(({ response }) => response?.code)).toEqual([
    ResponseCode.NO_MESSAGE,
    ResponseCode.MESSAGE_ILLEGAL,
    ResponseCode.TOPIC_NOT_EXIST,
    ResponseCode.INVALID_PARAMETER,
    ResponseCode.NO_MESSAGE,
    ResponseCode.INVALID_PARAMETER,
  ])
})

test('a restarted broker knows what was popped, acknowledged and hidden for longer', async () => {
  const world = await worldWith(['a', 'b', 'c', 'd'])
  const [a, b] = await world.pop({ maxMsgNums: '2', invisibleTime: '30000' })
  if (a === undefined || b === undefined) throw new Error('nothing was popped')
  await world.ack(a)
  await world.change(b, 50_000)
  await world.pop({ maxMsgNums: '1', invisibleTime: '30000' })

  const after = await world.restart()
  const others = await after.pop({ maxMsgNums: '32' })
  for (const message of others) await after.ack(message)
  await after.time.advance(31_000)
  const back = await after.pop()
  await after.time.advance(20_000)
  const later = await after.pop()

  expect([textsOf(others), textsOf(back), textsOf(later)]).toEqual([['d'], ['c'], ['b']])
})

test('the request mode of a group is kept, and refused for retry topics and unknown topics', async () => {
  const world = await worldWith([])
  const settings = [TOPIC, RETRY_TOPIC, 'Nothing'].map((topic) => ({
    topic,
    consumerGroup: GROUP,
    mode: 'POP' as const,
    popShareQueueNum: 2,
  }))

  const codes: (number | undefined)[] = []
  for (const setting of settings) {
    const body = Buffer.from(JSON.stringify(setting))
    const request = await world.call({ code: RequestCode.SET_MESSAGE_REQUEST_MODE, body })
    codes.push(request.response?.code)
  }
  const after = await world.restart()
  const all = await after.call({ code: RequestCode.GET_ALL_MESSAGE_REQUEST_MODE })

  expect(codes).toEqual([
    ResponseCode.SUCCESS,
    ResponseCode.NO_PERMISSION,
    ResponseCode.TOPIC_NOT_EXIST,
  ])
  expect(all.response?.body).toEqual(encodeRequestModes(settings.slice(0, 1)))
})

test('orderly: nothing more is given of a queue before the batch is acknowledged or its time is over', async () => {
  const world = await worldWith(['a', 'b', 'c'])
  const fields = { queueId: '0', order: 'true', maxMsgNums: '2', invisibleTime: '10000' }
  const popped = await world.pop(fields)

  const blocked = await world.pop(fields)
  await world.ack(first(popped))
  const half = await world.pop(fields)
  await world.time.advance(10_100)
  const request = await world.startPop(fields)
  const again = poppedOf(request)

  expect([textsOf(popped), blocked, half, textsOf(again)]).toEqual([['a', 'b'], [], [], ['b', 'c']])
  expect(request.field('reviveQid')).toBe('999')
  expect(request.field('orderCountInfo')).toBe('0 qo0%1 1;0 0 0')
})

test('orderly: the same attempt gets the same messages again', async () => {
  const world = await worldWith(['a', 'b'])
  const fields = { queueId: '0', order: 'true', attemptId: 'one' }

  const popped = await world.pop(fields)
  const repeated = await world.pop(fields)
  const other = await world.pop({ ...fields, attemptId: 'two' })

  expect([textsOf(popped), textsOf(repeated), other]).toEqual([['a', 'b'], ['a', 'b'], []])
})

test('orderly: whoever waits gets the next messages when the batch is acknowledged, or its time is over', async () => {
  const world = await worldWith(['a', 'b'])
  const fields = { queueId: '0', order: 'true', maxMsgNums: '1', invisibleTime: '5000' }
  const popped = first(await world.pop(fields))

  const held = await world.startPop({ ...fields, pollTime: '20000' })
  await world.ack(popped)
  const again = await world.startPop({ ...fields, pollTime: '20000' })
  await world.time.advance(5300)

  expect(textsOf(poppedOf(held))).toEqual(['b'])
  expect(textsOf(poppedOf(again))).toEqual(['b'])
})

test('orderly: a changed time holds the queue for so long', async () => {
  const world = await worldWith(['a'])
  const fields = { queueId: '0', order: 'true', invisibleTime: '5000' }
  const popped = first(await world.pop(fields))

  const changed = await world.change(popped, 20_000)
  await world.time.advance(19_000)
  const before = await world.pop(fields)
  await world.time.advance(1100)

  expect(changed.response?.code).toBe(ResponseCode.SUCCESS)
  expect(before).toEqual([])
  expect(textsOf(await world.pop(fields))).toEqual(['a'])
})

test('orderly: a restarted broker keeps the queue blocked, and counts on', async () => {
  const world = await worldWith(['a', 'b'])
  const fields = { queueId: '0', order: 'true', maxMsgNums: '1', invisibleTime: '10000' }
  await world.pop(fields)

  const after = await world.restart()
  const blocked = await after.pop(fields)
  await after.time.advance(10_100)
  const again = await after.startPop(fields)

  expect(blocked).toEqual([])
  expect(textsOf(poppedOf(again))).toEqual(['a'])
  expect(again.field('orderCountInfo')).toBe('0 qo0%0 1;0 0 1')
})

test('a member that leads no more answers who waits, and serves nothing', async () => {
  const world = await worldWith([])
  const held = await world.startPop({ pollTime: '10000' })

  const stopped = world.processors.pops.stopLeading()
  await world.time.settle()
  await stopped
  const refused = await world.startPop({ pollTime: '10000' })

  expect(held.response?.code).toBe(ResponseCode.POLLING_TIMEOUT)
  expect(refused.response?.code).toBe(ResponseCode.SERVICE_NOT_AVAILABLE)
})

test('a topic with more queues than before is popped from all of them', async () => {
  const world = await worldWith([])
  const more = world.parts.topics.put(topicConfig(TOPIC, { readQueueNums: 4, writeQueueNums: 4 }))
  await world.time.settle()
  await more

  await world.send('a', { queueId: 3 })

  expect(textsOf(await world.pop())).toEqual(['a'])
})

test('what is invisible for long is told anew in the revive log, from which a restart knows it', async () => {
  const world = await worldWith(['a', 'b'])
  const [a, b] = await world.pop({ invisibleTime: '1500000' })
  if (a === undefined || b === undefined) throw new Error('nothing was popped')
  await world.ack(b)
  await world.time.advance(700_000)
  const lag = Math.max(...world.processors.pops.reviveLag)

  const after = await world.restart()
  const hidden = await after.pop()
  await after.time.advance(801_000)

  // A checkpoint and a base: what stood there before is not read any more.
  expect(lag).toBe(2)
  expect(hidden).toEqual([])
  expect(textsOf(await after.pop())).toEqual(['a'])
})
