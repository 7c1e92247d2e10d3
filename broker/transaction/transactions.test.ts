import { beforeEach, describe, expect, test, vi } from 'vitest'
import { MessageSysFlag } from '../../common/message.ts'
import { formatProperties, parseProperties } from '../../common/properties.ts'
import { encodeOffsetMessageId } from '../../common/message-id.ts'
import { encodeBatchBody } from '../../common/message-codec.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { CHECK_MAX_TIME_TOPIC, HALF_TOPIC, OP_HALF_TOPIC, TRANSACTION_GROUP } from '../names.ts'
import { testMessage } from '../../store/testing.ts'
import { OtherMembers } from '../testing-world.ts'
import { FakeConnection } from '../testing.ts'
import { COMMIT, ROLLBACK, TransactionWorld, UNKNOWN } from './testing.ts'
import type { Sent } from './testing.ts'

let at: TransactionWorld

beforeEach(async () => {
  at = await TransactionWorld.create()
})

function progress(): readonly (number | null)[] {
  const { offsets } = at.world.parts
  return [HALF_TOPIC, OP_HALF_TOPIC].map((topic) => offsets.query(TRANSACTION_GROUP, topic, 0))
}

describe('a half message', () => {
  test('is stored in the half topic, with its place and its id, and is not in its own topic', async () => {
    const sent = await at.prepare('m1')

    const [half] = await at.messages(HALF_TOPIC)
    expect(half).toMatchObject({ queueId: 0, queueOffset: sent.queueOffset, flag: 7 })
    expect(Object.fromEntries(parseProperties(half?.properties ?? ''))).toMatchObject({
      REAL_TOPIC: 'Orders',
      REAL_QID: '0',
      TRAN_MSG: 'true',
      PGROUP: 'P',
      __transactionId__: 'm1',
    })
    expect((half?.sysFlag ?? 4) & MessageSysFlag.TRANSACTION_MASK).toBe(0)
    expect(await at.names()).toEqual([])
  })

  test('is answered with the queue that it is for and the offsets of its half', async () => {
    await at.prepare('m1')
    const request = await at.send('m2')

    expect(request.response).toMatchObject({ code: ResponseCode.SUCCESS })
    expect(request.field('queueId')).toBe('0')
    expect(request.field('queueOffset')).toBe('1')
    expect(request.field('transactionId')).toBe('m2')
  })

  test('is refused where the broker takes no transactions', async () => {
    at = await TransactionWorld.create({ rejectTransactionMessage: 'true' })

    const { response } = await at.send('m1')

    expect(response).toMatchObject({
      code: ResponseCode.NO_PERMISSION,
      remark: 'the broker[10.0.0.1:10911] sending transaction message is forbidden',
    })
  })

  test('is refused when the broker has no room to add to its properties', async () => {
    const { response } = await at.send('m1', [['long', 'x'.repeat(32_600)]])

    expect(response?.code).toBe(ResponseCode.MESSAGE_ILLEGAL)
  })

  test('is refused in a batch', async () => {
    await at.prepare('m0')
    const properties = Buffer.from(formatProperties([['TRAN_MSG', 'true']]))

    const { response } = await at.world.call({
      code: RequestCode.SEND_BATCH_MESSAGE,
      extFields: { a: 'P', b: 'Orders', c: 'TBW102', d: '1', e: '0', f: '0', g: '1', h: '0' },
      body: encodeBatchBody([{ flag: 0, body: Buffer.from('m1'), properties }]),
    })

    expect(response).toMatchObject({
      code: ResponseCode.MESSAGE_ILLEGAL,
      remark: 'a transactional message (TRAN_MSG) in a batch',
    })
  })

  test('cannot claim to be a copy of another transaction', async () => {
    const first = await at.prepare('m1')
    const second = await at.prepare('m2', [['TRAN_PREPARED_QUEUE_OFFSET', '0']])

    await at.end(second, ROLLBACK)
    await at.end(first, COMMIT)

    expect(await at.names()).toEqual(['m1'])
  })
})

describe('the end of a transaction', () => {
  test('by commit shows the message in its topic, as it was sent', async () => {
    const sent = await at.prepare('m1')

    const { response } = await at.end(sent, COMMIT)

    expect(response?.code).toBe(ResponseCode.SUCCESS)
    const [message] = await at.messages('Orders')
    expect(message).toMatchObject({
      flag: 7,
      preparedTransactionOffset: sent.physicalOffset,
      bornHost: { port: 40_001 },
    })
    expect((message?.sysFlag ?? 0) & MessageSysFlag.TRANSACTION_MASK).toBe(
      MessageSysFlag.TRANSACTION_COMMIT,
    )
    expect(Object.fromEntries(parseProperties(message?.properties ?? ''))).toMatchObject({
      UNIQ_KEY: 'm1',
      TAGS: 'a',
      TRAN_MSG: 'true',
      __transactionId__: 'm1',
    })
  })

  test('by rollback shows nothing, ever', async () => {
    const sent = await at.prepare('m1')

    const { response } = await at.end(sent, ROLLBACK)
    await at.world.time.advance(300_000)

    expect(response?.code).toBe(ResponseCode.SUCCESS)
    expect(at.checks()).toEqual([])
    expect(await at.names()).toEqual([])
  })

  test('counts once: a second commit, and a rollback after it, change nothing', async () => {
    const sent = await at.prepare('m1')
    await at.end(sent, COMMIT)

    const answers = [await at.end(sent, COMMIT), await at.end(sent, ROLLBACK)]

    expect(answers.map(({ response }) => response?.code)).toEqual([1, 1])
    expect(await at.names()).toEqual(['m1'])
  })

  test.each([
    ['another group', { producerGroup: 'Q' }, 'The producer group wrong'],
    [
      'another queue offset',
      { tranStateTableOffset: '5' },
      'The transaction state table offset wrong',
    ],
    ['no record', { commitLogOffset: '77' }, 'Find prepared transaction message failed'],
  ])('that names %s is refused and leaves it open', async (_, fields, remark) => {
    const sent = await at.prepare('m1')

    const { response } = await at.end(sent, COMMIT, fields)

    expect(response).toMatchObject({ code: ResponseCode.SYSTEM_ERROR, remark })
    expect(await at.names()).toEqual([])
    await at.end(sent, COMMIT)
    expect(await at.names()).toEqual(['m1'])
  })

  test('that names a message which is no half message is refused', async () => {
    const sent = await at.prepare('m1')
    await at.end(sent, COMMIT)
    const [visible] = await at.messages('Orders')

    const { response } = await at.end({ ...sent, physicalOffset: visible?.physicalOffset ?? 0 }, 8)

    expect(response?.remark).toBe('Find prepared transaction message failed')
  })

  test('that does not know yet leaves it open', async () => {
    const sent = await at.prepare('m1')

    await at.end(sent, UNKNOWN)
    await at.world.time.advance(1000)

    expect(await at.names()).toEqual([])
    expect(at.world.processors.transactions.openByTopic).toEqual(new Map([['Orders', 1]]))
  })

  test('is refused by a member that does not lead', async () => {
    const sent = await at.prepare('m1')
    await at.world.processors.transactions.stopLeading()

    const { response } = await at.end(sent, COMMIT)

    expect(response?.code).toBe(ResponseCode.SLAVE_NOT_AVAILABLE)
    expect(await at.names()).toEqual([])
  })

  test('is written in the form of Java, many in one record', async () => {
    const first = await at.prepare('m1')
    const second = await at.prepare('m2')
    const third = await at.prepare('m3')
    await at.end(first, COMMIT)
    await at.end(third, ROLLBACK)
    expect(await at.messages(OP_HALF_TOPIC)).toEqual([])

    await at.world.time.advance(4000)

    const decisions = await at.messages(OP_HALF_TOPIC)
    expect(decisions.map(({ body }) => body.toString())).toEqual(['0,2,'])
    expect(parseProperties(decisions[0]?.properties ?? '').get('TAGS')).toBe('d')
    expect(progress()).toEqual([1, 0])
    await at.end(second, COMMIT)
    await at.world.time.advance(5000)
    expect(progress()).toEqual([3, 2])
  })

  test('is written at once when the decisions fill a record', async () => {
    at = await TransactionWorld.create({ transactionOpMsgMaxSize: '16' })
    for (let count = 0; count < 20; count++) await at.end(await at.prepare(`m${count}`), ROLLBACK)

    await at.world.time.advance(1000)

    const bodies = (await at.messages(OP_HALF_TOPIC)).map(({ body }) => body.toString())
    expect(bodies).toEqual(['0,1,2,3,4,5,6,7,', '8,9,10,11,12,13,', '14,15,16,17,18,19,'])
  })
})

describe('the check of an open transaction', () => {
  test('asks its producer after the time-out, then at each interval, with the newest half', async () => {
    await at.prepare('m1')

    await at.world.time.advance(5500)
    const before = at.checks()
    await at.world.time.advance(2000)
    const [first] = at.checks()
    await at.world.time.advance(28_000)
    const between = at.checks()
    await at.world.time.advance(3000)
    const [second] = at.checks()

    expect([before, between]).toEqual([[], []])
    expect(first).toMatchObject({ name: 'm1', queueOffset: 1, body: { topic: 'Orders' } })
    expect(first?.properties.get('TRANSACTION_CHECK_TIMES')).toBe('1')
    expect(second).toMatchObject({ name: 'm1', queueOffset: 2 })
    expect(second?.properties.get('TRANSACTION_CHECK_TIMES')).toBe('2')
  })

  test('is answered by the newest copy or by the first one, and commits once', async () => {
    const early = await at.prepare('m1')
    const late = await at.prepare('m2')
    await at.world.time.advance(8000)
    const [first, second] = at.checks()

    await at.end(first ?? early, COMMIT, { fromTransactionCheck: 'true' })
    await at.end(early, COMMIT)
    await at.end(late, COMMIT)
    await at.end(second ?? late, COMMIT, { fromTransactionCheck: 'true' })
    await at.world.time.advance(60_000)

    expect((await at.names()).toSorted()).toEqual(['m1', 'm2'])
    expect(at.checks()).toEqual([])
    expect(progress()).toEqual([4, 1])
  })

  test('goes to each member of the group in turn, and to another one when a member is gone', async () => {
    const other = new FakeConnection(99)
    at.register(other)
    await at.prepare('m1')
    await at.prepare('m2')
    await at.world.time.advance(8000)
    const each = [at.checks().length, other.sent.length]

    at.producer.close()
    await at.world.time.advance(31_000)

    expect(each).toEqual([1, 1])
    expect(other.sent).toHaveLength(3)
  })

  test('stops after its maximum: the message goes to TRANS_CHECK_MAX_TIME_TOPIC', async () => {
    at = await TransactionWorld.create({ transactionCheckMax: '3' })
    const sent = await at.prepare('m1')

    await at.world.time.advance(200_000)

    expect(at.checks()).toHaveLength(3)
    expect(await at.names(CHECK_MAX_TIME_TOPIC)).toEqual(['m1'])
    expect(at.world.processors.transactions.openByTopic.size).toBe(0)
    expect((await at.end(sent, COMMIT)).response?.code).toBe(ResponseCode.SYSTEM_ERROR)
    expect(await at.names()).toEqual([])
  })

  test('begins again for an expired message that is resumed', async () => {
    at = await TransactionWorld.create({ transactionCheckMax: '1' })
    await at.prepare('m1')
    await at.world.time.advance(100_000)
    at.checks()
    const [expired] = await at.messages(CHECK_MAX_TIME_TOPIC)
    const msgId = encodeOffsetMessageId(at.world.parts.storeHost(), expired?.physicalOffset ?? 0)

    const { response } = await at.world.call({
      code: RequestCode.RESUME_CHECK_HALF_MESSAGE,
      extFields: { topic: CHECK_MAX_TIME_TOPIC, msgId },
    })
    await at.world.time.advance(8000)
    const [check] = at.checks()
    if (check !== undefined) await at.end(check, COMMIT, { fromTransactionCheck: 'true' })

    expect(response?.code).toBe(ResponseCode.SUCCESS)
    expect(await at.names()).toEqual(['m1'])
  })

  test('is not resumed for a message of another topic', async () => {
    const sent = await at.prepare('m1')
    const msgId = encodeOffsetMessageId(at.world.parts.storeHost(), sent.physicalOffset)

    const { response } = await at.world.call({
      code: RequestCode.RESUME_CHECK_HALF_MESSAGE,
      extFields: { msgId },
    })

    expect(response).toMatchObject({
      code: ResponseCode.SYSTEM_ERROR,
      remark: `msgId[${msgId}] is no message of TRANS_CHECK_MAX_TIME_TOPIC`,
    })
  })

  test('waits for the immunity of the message', async () => {
    await at.prepare('m1', [['CHECK_IMMUNITY_TIME_IN_SECONDS', '20']])

    await at.world.time.advance(19_000)
    const before = at.checks()
    await at.world.time.advance(3000)

    expect(before).toEqual([])
    expect(at.checks()).toHaveLength(1)
  })

  test('after the immunity the producer itself can only answer a check', async () => {
    const sent = await at.prepare('m1', [['CHECK_IMMUNITY_TIME_IN_SECONDS', '20']])
    await at.world.time.advance(22_000)

    const late = await at.end(sent, COMMIT)
    const answered = await at.end(sent, COMMIT, { fromTransactionCheck: 'true' })

    expect(late.response?.code).toBe(ResponseCode.ILLEGAL_OPERATION)
    expect(answered.response?.code).toBe(ResponseCode.SUCCESS)
    expect(await at.names()).toEqual(['m1'])
  })

  test('goes on after a restart, with the count of checks', async () => {
    await at.prepare('m1')
    await at.world.time.advance(8000)
    await at.restart(null)

    await at.world.time.advance(31_000)

    const [check] = at.checks()
    expect(check?.properties.get('TRANSACTION_CHECK_TIMES')).toBe('2')
  })
})

describe('a broker that dies', () => {
  test('between the message and the decision does not commit it twice', async () => {
    const sent = await at.prepare('m1')
    await at.end(sent, COMMIT)
    await at.restart(null)

    await at.end(sent, COMMIT)
    await at.world.time.advance(60_000)

    expect(await at.names()).toEqual(['m1'])
    expect(at.checks()).toEqual([])
    expect(progress()).toEqual([1, 1])
  })

  test('with offsets that are newer than its queues overlooks no transaction', async () => {
    for (let count = 0; count < 5; count++) await at.end(await at.prepare(`m${count}`), ROLLBACK)
    at.world.parts.offsets.commit(TRANSACTION_GROUP, HALF_TOPIC, 0, 50)
    await at.saveOffsets()
    await at.restart(null)

    const sent = await at.prepare('m5')
    await at.end(sent, COMMIT)

    expect(await at.names()).toEqual(['m5'])
  })
})

// Goal: no transaction is forgotten because its half, or a decision, has rotted. Method: what is read of the topic is cut or changed.
describe('a member of several, one of whose records has rotted', () => {
  test.each([
    ['half message', HALF_TOPIC],
    ['decision', OP_HALF_TOPIC],
  ])('fails when it begins to lead and reads that %s', async (_which, topic) => {
    at = await TransactionWorld.create({}, new OtherMembers())
    await at.prepare('m1')
    await at.end(await at.prepare('m2'), COMMIT)
    await at.world.time.advance(4000)
    const { store } = at.world.parts
    const get = store.get.bind(store)
    const spy = vi.spyOn(store, 'get').mockImplementation((request, done) =>
      get(request, (result) => {
        if (request.topic === topic) result.records[0]?.write('?', result.records[0].length - 60)
        done(result)
      }),
    )

    await at.leadAgain()
    spy.mockRestore()

    expect((await at.send('m3')).response?.code).not.toBe(ResponseCode.SUCCESS)
  })

  test.each([
    ['its producer ends it', (sent: Sent) => at.end(sent, COMMIT)],
    ['it is to be checked', () => at.world.time.advance(60_000)],
  ])('fails when that is the half of a transaction and %s', async (_when, act) => {
    at = await TransactionWorld.create({}, new OtherMembers())
    const sent = await at.prepare('m1')
    const { store } = at.world.parts
    const messageAt = store.messageAt.bind(store)
    const spy = vi
      .spyOn(store, 'messageAt')
      .mockImplementation((offset) => (offset === sent.physicalOffset ? null : messageAt(offset)))

    await act(sent)
    spy.mockRestore()

    expect((await at.send('m2')).response?.code).not.toBe(ResponseCode.SUCCESS)
  })

  test('goes on when a producer names a place where no half message is', async () => {
    at = await TransactionWorld.create({}, new OtherMembers())
    const sent = await at.prepare('m1')

    const ended = await at.end({ ...sent, physicalOffset: sent.physicalOffset + 1 }, COMMIT)

    expect(ended.response?.code).toBe(ResponseCode.SYSTEM_ERROR)
    expect((await at.send('m2')).response?.code).toBe(ResponseCode.SUCCESS)
  })
})

// Goal: what cannot be looked up is not committed again. Method: the committed message is damaged on the disk before its end is told again.
describe('a transaction in doubt whose message has rotted', () => {
  const OWN = { transactionCheckMax: '2', transactionCheckInterval: '10000' }

  test('is not committed again, and expires in the end', async () => {
    at = await TransactionWorld.create(OWN)
    const sent = await at.prepare('m1')
    await at.end(sent, COMMIT)
    await at.restart(null)
    rotFirstOf('Orders')

    const ended = await at.end(sent, COMMIT)
    const count = at.world.parts.store.maxOffsetInQueue('Orders', 0)
    await at.world.time.advance(60_000)

    expect(ended.response?.code).toBe(ResponseCode.SYSTEM_ERROR)
    expect(ended.response?.remark).toContain('cannot be read')
    expect([count, at.world.parts.store.maxOffsetInQueue('Orders', 0)]).toEqual([1, 1])
    expect(await at.names(CHECK_MAX_TIME_TOPIC)).toEqual(['m1'])
  })

  test('makes a member of several fail, since the others have it whole', async () => {
    at = await TransactionWorld.create(OWN, new OtherMembers())
    const sent = await at.prepare('m1')
    await at.end(sent, COMMIT)
    await at.leadAgain()
    await forgetInMemory()
    rotFirstOf('Orders')

    await at.end(sent, COMMIT)

    expect(at.world.parts.store.maxOffsetInQueue('Orders', 0)).toBe(1)
    expect((await at.send('m2')).response?.code).not.toBe(ResponseCode.SUCCESS)
  })
})

function rotFirstOf(topic: string): void {
  const { disk, parts } = at.world
  const physicalOffset = parts.store.physicalOffsetAt(topic, 0, 0)
  if (physicalOffset === null) throw new Error(`no message in ${topic}`)
  disk.corrupt('/store/commitlog/00000000000000000000', physicalOffset + 100, 1)
}

/** Fills the buffer of the log with other messages. */
async function forgetInMemory(): Promise<void> {
  const { store } = at.world.parts
  const body = Buffer.alloc(60_000)
  for (let count = 0; count < 6; count++) {
    store.put([testMessage({ topic: 'Other', body })], 'inTime', () => undefined)
    await at.world.time.settle()
  }
}
