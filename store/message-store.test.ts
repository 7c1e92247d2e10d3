import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decodeRecord } from '../common/message-codec.ts'
import type { MessageStore } from './message-store.ts'
import { TEST_WORLDS, get, openStore, put, testMessage } from './testing.ts'
import type { TestWorld } from './testing.ts'
import type {
  Arrival,
  GetRequest,
  GetResult,
  MessageFilter,
  PutResult,
  StoreConfig,
} from './types.ts'

describe.each(TEST_WORLDS)('a store on the %s disk', (_kind, createWorld) => {
  let world: TestWorld
  let store: MessageStore

  beforeEach(async () => {
    world = createWorld()
    store = (await openStore(world)).store
  })

  afterEach(async () => {
    await world.settle(store.close())
    world.cleanUp()
  })

  async function reopen(overrides: Partial<StoreConfig> = {}): Promise<void> {
    await world.settle(store.close())
    store = (await openStore(world, overrides)).store
  }

  const send = (...bodies: string[]): Promise<readonly PutResult[]> =>
    world.settle(Promise.all(bodies.map((body) => put(store, testMessage({ body })))))

  const read = (request: Partial<GetRequest> = {}): Promise<GetResult> =>
    world.settle(get(store, request))

  const bodies = (result: GetResult): readonly string[] =>
    result.records.map((record) => decodeRecord(record).body.toString())

  test('gives back what was put, in order, with consecutive offsets', async () => {
    const results = await send('a', 'b', 'c')

    const found = await read()

    expect(results.map(({ status, queueOffset }) => [status, queueOffset])).toEqual([
      ['OK', 0],
      ['OK', 1],
      ['OK', 2],
    ])
    expect(found).toMatchObject({ status: 'FOUND', nextBeginOffset: 3, minOffset: 0, maxOffset: 3 })
    expect(bodies(found)).toEqual(['a', 'b', 'c'])
    expect(Buffer.concat([...found.records])).toEqual(found.body)
  })

  test('has a message readable when its put is answered', async () => {
    const seen: number[] = []
    await world.settle(
      new Promise<void>((resolve) => {
        store.put([testMessage()], 'inTime', () => {
          seen.push(store.maxOffsetInQueue('Orders', 0))
          resolve()
        })
      }),
    )

    expect(seen).toEqual([1])
  })

  test('stores a batch under consecutive queue offsets and answers once', async () => {
    await send('first')
    const batch = ['x', 'y', 'z'].map((body) => testMessage({ body }))

    const result = await world.settle(put(store, batch))

    expect(result.queueOffset).toBe(1)
    expect(result.physicalOffsets).toHaveLength(3)
    expect(bodies(await read({ queueOffset: 1 }))).toEqual(['x', 'y', 'z'])
    const second = store.messageAt(result.physicalOffsets[1] ?? -1)
    expect(second?.body.toString()).toBe('y')
  })

  test('keeps queues of one topic, and topics, apart', async () => {
    await world.settle(
      Promise.all([
        put(store, testMessage({ queueId: 0, body: 'q0' })),
        put(store, testMessage({ queueId: 1, body: 'q1' })),
        put(store, testMessage({ topic: 'Other', body: 'other' })),
      ]),
    )

    expect(bodies(await read({ queueId: 1 }))).toEqual(['q1'])
    expect(bodies(await read({ topic: 'Other' }))).toEqual(['other'])
    expect(store.queues().map(({ topic, queueId }) => `${topic}/${queueId}`)).toEqual([
      'Orders/0',
      'Orders/1',
      'Other/0',
    ])
  })

  test('tells what stands at offsets without a message', async () => {
    expect(await read()).toMatchObject({ status: 'NO_MATCHED_LOGIC_QUEUE', nextBeginOffset: 0 })
    await send('a', 'b')

    expect(await read({ queueOffset: 2 })).toMatchObject({
      status: 'OFFSET_OVERFLOW_ONE',
      nextBeginOffset: 2,
    })
    expect(await read({ queueOffset: 7 })).toMatchObject({
      status: 'OFFSET_OVERFLOW_BADLY',
      nextBeginOffset: 2,
    })
  })

  test('filters by tags code and goes on behind what does not match', async () => {
    for (const tag of ['A', 'B', 'A', 'B']) {
      await world.settle(put(store, testMessage({ body: tag, properties: { TAGS: tag } })))
    }
    const only = (code: number): MessageFilter => ({
      matchesTagsCode: (tagsCode) => tagsCode === code,
      matchesProperties: null,
    })

    const found = await read({ filter: only('B'.charCodeAt(0)) })
    const none = await read({ filter: only(1) })

    expect(bodies(found)).toEqual(['B', 'B'])
    expect(found.nextBeginOffset).toBe(4)
    expect(none).toMatchObject({ status: 'NO_MATCHED_MESSAGE', nextBeginOffset: 4, bytes: 0 })
  })

  test('filters by the properties of the record where the entry cannot decide', async () => {
    const bodySizes = [10, 3000, 10, 3000]
    for (const [index, size] of bodySizes.entries()) {
      const properties = { verdict: index < 2 ? 'keep' : 'drop' }
      await world.settle(put(store, testMessage({ body: 'x'.repeat(size), properties })))
    }
    const filter: MessageFilter = {
      matchesTagsCode: () => true,
      matchesProperties: (pairs) => {
        const found = pairs.find(Buffer.from('verdict'))
        const valueAt = (pairs.middles[found] ?? 0) + 1
        return pairs.source.toString('utf8', valueAt, pairs.ends[found]) === 'keep'
      },
    }

    const found = await read({ filter })

    expect(found.records.map((record) => decodeRecord(record).body.length)).toEqual([10, 3000])
    expect(found.nextBeginOffset).toBe(4)
    expect(store.hasMatch('Orders', 0, 1, filter)).toBe(true)
    expect(store.hasMatch('Orders', 0, 2, filter)).toBe(false)
  })

  test('stops at the number of messages asked for, and at the transfer limits', async () => {
    await send(...Array.from({ length: 40 }, (_, index) => String(index)))
    expect((await read({ maxMessages: 5 })).nextBeginOffset).toBe(5)
    expect((await read({ maxMessages: 100 })).records).toHaveLength(32)

    await reopen({ maxTransferBytesOnMessageInMemory: 1 })

    expect((await read()).records).toHaveLength(1)
  })

  test('gives fewer messages at a time when they lie far behind the end', async () => {
    await send(...Array.from({ length: 40 }, (_, index) => String(index)))

    await reopen({ accessMessageInMemoryMaxRatio: 0 })

    const cold = await read()
    expect(bodies(cold)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7'])
    expect(store.isInMemory('Orders', 0, 0)).toBe(false)
  })

  test('refuses a body over the limit, and properties over 32,767 bytes', async () => {
    const body = await world.settle(put(store, testMessage({ body: Buffer.alloc(4097) })))
    const properties = await world.settle(
      put(store, testMessage({ properties: { x: 'y'.repeat(32_760) } })),
    )

    expect(body.status).toBe('MESSAGE_ILLEGAL')
    expect(properties.status).toBe('MESSAGE_ILLEGAL')
    expect(store.status()).toMatchObject({ maxPhysicalOffset: 0, putFailedTimes: 2 })
  })

  test('refuses a whole batch when one message is too big', async () => {
    const batch = [testMessage(), testMessage({ body: Buffer.alloc(5000) })]

    const result = await world.settle(put(store, batch))

    expect(result).toMatchObject({ status: 'MESSAGE_ILLEGAL', physicalOffsets: [] })
    expect(store.maxOffsetInQueue('Orders', 0)).toBe(0)
  })

  test('refuses a topic that would leave the folder', async () => {
    const result = await world.settle(put(store, testMessage({ topic: '../../x' })))

    expect(result.status).toBe('MESSAGE_ILLEGAL')
  })

  test('rolls over segments and queue files, and is whole after a restart', async () => {
    const sent = Array.from({ length: 300 }, (_, index) => `${index}-${'x'.repeat(200)}`)
    for (let start = 0; start < sent.length; start += 10)
      await send(...sent.slice(start, start + 10))
    expect(store.status().maxPhysicalOffset).toBeGreaterThan(4 * 16 * 1024)

    await reopen()

    const received: string[] = []
    for (let next = 0; next < 300;) {
      const found = await read({ queueOffset: next })
      received.push(...bodies(found))
      expect(found.nextBeginOffset).toBeGreaterThan(next)
      next = found.nextBeginOffset
    }
    expect(received).toEqual(sent)
    const [next] = await send('after')
    expect(next?.queueOffset).toBe(300)
  })

  test('finds messages by key and by unique id, newest first, within a time', async () => {
    await world.settle(
      put(store, testMessage({ body: '1', properties: { KEYS: 'a b', UNIQ_KEY: 'U1' } })),
    )
    await world.settle(
      put(store, testMessage({ body: '2', properties: { KEYS: 'b', UNIQ_KEY: 'U2' } })),
    )
    const query = (key: string, endTimestamp: number): readonly string[] =>
      store
        .queryByKey({ topic: 'Orders', key, maxMessages: 10, beginTimestamp: 0, endTimestamp })
        .records.map((record) => decodeRecord(record).body.toString())

    const check = (): void => {
      expect(query('b', Number.MAX_SAFE_INTEGER)).toEqual(['2', '1'])
      expect(query('a', Number.MAX_SAFE_INTEGER)).toEqual(['1'])
      expect(query('U2', Number.MAX_SAFE_INTEGER)).toEqual(['2'])
      expect(query('c', Number.MAX_SAFE_INTEGER)).toEqual([])
      expect(query('b', 1)).toEqual([])
    }
    check()
    await reopen()
    check()
  })

  test('finds messages by their tags, which are no keys', async () => {
    const messages = [
      { body: '1', properties: { TAGS: 'TagA', KEYS: 'k' } },
      { body: '2', properties: { TAGS: 'TagB', KEYS: 'TagA T#TagA' } },
      { body: '3', properties: { TAGS: 'TagA' } },
      { body: '4', properties: { TAGS: 'täg' } },
    ]
    for (const message of messages) await world.settle(put(store, testMessage(message)))
    const query = (key: string, isTag: boolean): readonly string[] =>
      store
        .queryByKey({
          ...{ topic: 'Orders', key, isTag, maxMessages: 10 },
          ...{ beginTimestamp: 0, endTimestamp: Number.MAX_SAFE_INTEGER },
        })
        .records.map((record) => decodeRecord(record).body.toString())

    const check = (): void => {
      expect(query('TagA', true)).toEqual(['3', '1'])
      expect(query('TagB', true)).toEqual(['2'])
      expect(query('täg', true)).toEqual(['4'])
      expect(query('k', true)).toEqual([])
      expect(query('TagA', false)).toEqual(['2'])
      expect(query('T#TagA', false)).toEqual(['2'])
    }
    check()
    await reopen()
    check()
  })

  test('tells of each arrival once, after it is readable', async () => {
    const arrivals: Arrival[] = []
    store.onArrival((arrival) => {
      expect(store.maxOffsetInQueue(arrival.topic, arrival.queueId)).toBe(arrival.queueOffset + 1)
      arrivals.push(arrival)
    })

    await send('a', 'b')

    expect(arrivals.map(({ queueOffset }) => queueOffset)).toEqual([0, 1])
  })

  test('never gives an offset of a deleted topic a second time', async () => {
    await send('old', 'older')
    store.deleteTopic('Orders')
    expect(store.queues()).toEqual([])
    expect(await read()).toMatchObject({ records: [], minOffset: 2, maxOffset: 2 })

    await reopen()
    const [result] = await send('new')

    expect(result?.queueOffset).toBe(2)
    expect(bodies(await read({ queueOffset: 2 }))).toEqual(['new'])
    await reopen()
    expect(bodies(await read({ queueOffset: 2 }))).toEqual(['new'])
    expect(store.minOffsetInQueue('Orders', 0)).toBe(2)
  })

  test('gives half messages no place in a queue', async () => {
    const half = await world.settle(put(store, testMessage({ sysFlag: 0x4 })))
    const whole = await world.settle(put(store, testMessage({ body: 'whole' })))

    expect(half).toMatchObject({ status: 'OK', queueOffset: 0 })
    expect(whole.queueOffset).toBe(0)
    expect(bodies(await read())).toEqual(['whole'])
    expect(store.messageAt(half.physicalOffsets[0] ?? -1)?.sysFlag).toBe(0x4)
  })

  test('answers no record for offsets at which none begins', async () => {
    await send('a')

    expect(store.recordAt(1)).toBe(null)
    expect(store.recordAt(-1)).toBe(null)
    expect(store.recordAt(1e12)).toBe(null)
    expect(store.recordAt(0)?.length).toBeGreaterThan(91)
  })

  test('takes no puts after it was closed, and closes twice', async () => {
    await world.settle(store.close())
    await world.settle(store.close())

    const result = await world.settle(put(store, testMessage()))

    expect(result.status).toBe('SERVICE_NOT_AVAILABLE')
  })
})
