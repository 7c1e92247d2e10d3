import { describe, expect, test, vi } from 'vitest'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { SeededRandom } from '../../simulation/random.ts'
import { HISTORIES_TIMEOUT_MS, histories } from '../../simulation/testing.ts'
import { fsck } from '../../store/fsck.ts'
import { DelayWorld, expectOnce, sendThroughPowerCuts } from '../delay/testing.ts'
import { OtherMembers } from '../testing-world.ts'
import { TimerDelivery } from './timer-delivery.ts'
import type { FakeRequest } from '../testing.ts'

const KILLS = histories(15)
const CUTS = histories(10)
const RECALLING = { recallMessageEnable: 'true' }

vi.setConfig({ testTimeout: HISTORIES_TIMEOUT_MS })

function recall(world: DelayWorld, handle: string | undefined, topic = 'T'): Promise<FakeRequest> {
  return world.world.call({
    code: RequestCode.RECALL_MESSAGE,
    extFields: { producerGroup: 'P', topic, recallHandle: handle ?? '' },
  })
}

describe('a message with a time of delivery', () => {
  test.each([
    ['TIMER_DELAY_SEC', 3, 3000],
    ['TIMER_DELAY_MS', 1234, 1234],
    ['TIMER_DELIVER_MS', Date.UTC(2026, 0, 1) + 1100 + 2345, 2345],
  ])('%s=%i comes after %i ms, to the millisecond', async (name, value, delayMs) => {
    const world = await DelayWorld.create()
    await world.advance(1100 - (world.world.time.now() - Date.UTC(2026, 0, 1)))

    const sent = await world.send('a', { [name]: String(value) })
    const sentAt = world.world.time.now()
    await world.advance(delayMs - 1)
    const early = await world.bodies()
    await world.advance(1)

    const [found] = await world.delivered()
    expect(sent.response?.code).toBe(ResponseCode.SUCCESS)
    expect(early).toEqual([])
    expect(found?.storeTimestamp).toBe(sentAt + delayMs)
  })

  test('arrives with the properties that Java leaves and adds', async () => {
    const world = await DelayWorld.create()

    await world.send('a', { TIMER_DELAY_SEC: '2', TAGS: 'x', UNIQ_KEY: 'U' })
    const parkedAt = world.world.time.now()
    await world.advance(2000)

    const [found] = await world.delivered()
    const { '__CRC32#': crc, ...properties } = Object.fromEntries(found?.properties ?? [])
    expect(crc).toHaveLength(10)
    expect(found?.queueId).toBe(1)
    expect(properties).toEqual({
      TIMER_DELAY_SEC: '2',
      TAGS: 'x',
      UNIQ_KEY: 'U',
      MSG_REGION: 'DefaultRegion',
      TRACE_ON: 'true',
      CLUSTER: 'DefaultCluster',
      TIMER_OUT_MS: String(parkedAt + 1000),
      TIMER_ENQUEUE_MS: String(parkedAt),
      TIMER_DEQUEUE_MS: String(parkedAt + 2000),
    })
  })

  test('comes at once when that time is past', async () => {
    const world = await DelayWorld.create()

    await world.send('a', { TIMER_DELIVER_MS: '5' })

    expect(await world.bodies()).toEqual(['a'])
  })

  test.each([
    ['too far away', { TIMER_DELAY_SEC: '259201' }, ResponseCode.MESSAGE_ILLEGAL, '259200000ms'],
    [
      'no number',
      { TIMER_DELIVER_MS: 'noon' },
      ResponseCode.MESSAGE_ILLEGAL,
      'TIMER_DELIVER_MS is noon',
    ],
    [
      'a recall of the past',
      { TIMER_DELIVER_MS: '5', TIMER_DEL_UNIQKEY: 'x' },
      ResponseCode.MESSAGE_ILLEGAL,
      'past',
    ],
  ])('is refused when it is %s', async (_what, properties, code, remark) => {
    const world = await DelayWorld.create()

    const sent = await world.send('a', properties)

    expect(sent.response).toMatchObject({ code, remark: expect.stringContaining(remark) })
  })

  test('is refused when the broker has no timers', async () => {
    const world = await DelayWorld.create({ timerWheelEnable: 'false' })

    const sent = await world.send('a', { TIMER_DELAY_SEC: '1' })

    expect(sent.response).toMatchObject({
      code: ResponseCode.SYSTEM_ERROR,
      remark: 'accurate timer message is not enabled, timerWheelEnable is false',
    })
  })

  test('goes by its delay level when it has one too', async () => {
    const world = await DelayWorld.create()

    await world.send('a', { DELAY: '2', TIMER_DELAY_SEC: '1' })
    await world.advance(4900)
    const early = await world.bodies()
    await world.advance(200)

    expect(early).toEqual([])
    expect(await world.bodies()).toEqual(['a'])
  })

  test('is held off while too many wait for the same tick', async () => {
    const world = await DelayWorld.create({ timerCongestNumEachSlot: '5' })
    const deliverAt = String(world.world.time.now() + 60_000)
    for (let index = 0; index < 10; index++) {
      await world.send(`m${index}`, { TIMER_DELIVER_MS: deliverAt })
    }
    await world.advance(200)

    const refused = await world.send('more', { TIMER_DELIVER_MS: deliverAt })
    const other = await world.send('other', { TIMER_DELAY_SEC: '10' })

    expect(refused.response).toMatchObject({
      code: ResponseCode.SYSTEM_ERROR,
      remark: expect.stringContaining('timer message is under flow control, max num limit is 10'),
    })
    expect(other.response?.code).toBe(ResponseCode.SUCCESS)
    expect(world.world.parts.stats.flowControl).toMatchObject({ timers: 1, sendQueue: 0 })
  })
})

describe('a broker that ends', () => {
  test('while timers wait delivers at its start what became due, and the rest in time', async () => {
    const world = await DelayWorld.create()
    await world.send('a', { TIMER_DELAY_SEC: '5' })
    await world.send('b', { TIMER_DELAY_SEC: '100' })
    await world.advance(1000)

    world.kill()
    world.world.time.freeze(60_000)
    await world.restart()
    await world.advance(200)
    const first = await world.bodies()
    await world.advance(40_000)

    expect(first).toEqual(['a'])
    expect(await world.bodies()).toEqual(['a', 'b'])
  })

  test('right after a delivery does not deliver again', async () => {
    const world = await DelayWorld.create()
    for (let index = 0; index < 50; index++) await world.send(`m${index}`, { TIMER_DELAY_SEC: '2' })
    await world.advance(2001)
    const before = await world.bodies()

    world.kill()
    await world.restart()
    await world.advance(5000)

    expect(before).toHaveLength(50)
    expect(await world.bodies()).toEqual(before)
    expect(fsck({ disk: world.world.disk, root: '/store' }).problems).toEqual([])
  })
})

describe('a message that is recalled', () => {
  test('never comes, and others do', async () => {
    const world = await DelayWorld.create(RECALLING)
    const sent = await world.send('a', { TIMER_DELAY_SEC: '10', UNIQ_KEY: 'UA' })
    await world.send('b', { TIMER_DELAY_SEC: '10', UNIQ_KEY: 'UB' })
    await world.advance(2000)

    const recalled = await recall(world, sent.field('recallHandle'))
    await world.advance(20_000)

    expect(Buffer.from(sent.field('recallHandle') ?? '', 'base64url').toString()).toMatch(
      /^v1 T broker-a \d+ UA$/,
    )
    expect(recalled.response?.code).toBe(ResponseCode.SUCCESS)
    expect(recalled.field('msgId')).toBe('UA')
    expect(await world.bodies()).toEqual(['b'])
    expect(world.world.processors.timers.waiting).toBe(0)
  })

  test('does not come when the broker dies in between either', async () => {
    const world = await DelayWorld.create(RECALLING)
    const sent = await world.send('a', { TIMER_DELAY_SEC: '10', UNIQ_KEY: 'UA' })
    await recall(world, sent.field('recallHandle'))

    world.kill()
    world.world.time.freeze(30_000)
    await world.restart()
    await world.advance(1000)
    world.kill()
    await world.restart()
    await world.advance(1000)

    expect(await world.bodies()).toEqual([])
  })

  test('at the last moment does not come', async () => {
    const world = await DelayWorld.create(RECALLING)
    const sent = await world.send('a', { TIMER_DELIVER_MS: String(world.world.time.now() + 4001) })
    await world.advance(4000)

    const recalled = await recall(world, sent.field('recallHandle'))
    await world.advance(5000)

    expect(recalled.response?.code).toBe(ResponseCode.SUCCESS)
    expect(await world.bodies()).toEqual([])
  })

  test('too late is refused, and has come', async () => {
    const world = await DelayWorld.create(RECALLING)
    const sent = await world.send('a', { TIMER_DELAY_SEC: '4' })
    await world.advance(5000)

    const recalled = await recall(world, sent.field('recallHandle'))

    expect(recalled.response).toMatchObject({
      code: ResponseCode.ILLEGAL_OPERATION,
      remark: 'recall failed, timestamp invalid',
    })
    expect(await world.bodies()).toEqual(['a'])
  })

  test.each([
    ['no handle', 'x y', 'T', ResponseCode.ILLEGAL_OPERATION, 'recall handle is invalid'],
    [
      'of another topic',
      handleOf('U b 1 K'),
      'T',
      ResponseCode.ILLEGAL_OPERATION,
      'topic not match',
    ],
    [
      'of another broker',
      handleOf('T b 1 K'),
      'T',
      ResponseCode.ILLEGAL_OPERATION,
      'broker service',
    ],
    [
      'without a time',
      handleOf('T broker-a x K'),
      'T',
      ResponseCode.ILLEGAL_OPERATION,
      'timestamp',
    ],
    [
      'of no topic',
      handleOf('T broker-a 1 K'),
      'None',
      ResponseCode.TOPIC_NOT_EXIST,
      'topic[None]',
    ],
  ])('by %s is refused', async (_what, handle, topic, code, remark) => {
    const world = await DelayWorld.create(RECALLING)

    const request = await recall(world, handle, topic)

    expect(request.response).toMatchObject({ code, remark: expect.stringContaining(remark) })
  })

  test('is told as one of which nothing is known when the recall is not committed in time', async () => {
    const others = new OtherMembers()
    const world = await DelayWorld.create(RECALLING, others)
    const sent = await world.send('a', { TIMER_DELAY_SEC: '60', UNIQ_KEY: 'UA' })
    others.leave()

    const recalled = await recall(world, sent.field('recallHandle'))
    await world.advance(3000)

    expect(recalled.response?.code).toBe(ResponseCode.SYSTEM_BUSY)
    others.return()
    await world.advance(60_000)
    expect(await world.bodies()).toEqual([])
  })

  test('does not come when its recall is damaged: the member fails, others have it whole', async () => {
    const world = await DelayWorld.create(RECALLING, new OtherMembers())
    const sent = await world.send('a', { TIMER_DELAY_SEC: '60', UNIQ_KEY: 'UA' })
    await recall(world, sent.field('recallHandle'))
    const { store } = world.world.parts
    const recordAt = store.recordAt.bind(store)
    const damaged = store.physicalOffsetAt('rmq_sys_wheel_timer', 0, 1)
    const spy = vi
      .spyOn(store, 'recordAt')
      .mockImplementation((offset) => (offset === damaged ? null : recordAt(offset)))

    await world.advance(61_000)
    spy.mockRestore()

    expect(await world.bodies()).toEqual([])
    expect((await world.send('b', {})).response?.code).not.toBe(ResponseCode.SUCCESS)
  })

  test('is refused unless the broker is told to take recalls', async () => {
    const world = await DelayWorld.create()

    const request = await recall(world, handleOf('T broker-a 1 K'))

    expect(request.response).toMatchObject({
      code: ResponseCode.NO_PERMISSION,
      remark: 'recall failed, operation is forbidden',
    })
  })

  test('no handle is given for delay levels and plain messages', async () => {
    const world = await DelayWorld.create()

    const level = await world.send('a', { DELAY: '1' })
    const plain = await world.send('b', {})

    expect([level.field('recallHandle'), plain.field('recallHandle')]).toEqual([
      undefined,
      undefined,
    ])
  })
})

describe('a clock that is set', () => {
  test.each([3_600_000, -3_600_000])(
    'by %i ms does not shorten or stretch a delay',
    async (jump) => {
      const world = await DelayWorld.create()
      await world.send('a', { TIMER_DELAY_SEC: '5' })
      await world.advance(2000)

      world.world.time.jumpWall(jump)
      await world.advance(2900)
      const early = await world.bodies()
      await world.advance(300)

      expect(early).toEqual([])
      expect(await world.bodies()).toEqual(['a'])
    },
  )

  test.each([3_600_000, -3_600_000, -7000])(
    'by %i ms brings nothing back that was recalled before',
    async (jump) => {
      const world = await DelayWorld.create(RECALLING)
      const sent = await world.send('a', { TIMER_DELAY_SEC: '20', UNIQ_KEY: 'A' })
      await world.advance(2000)

      await recall(world, sent.field('recallHandle'))
      await world.advance(1000)
      world.world.time.jumpWall(jump)
      await world.advance(30_000)

      expect(await world.bodies()).toEqual([])
    },
  )

  test.each([-3_600_000, -7000, 7000])(
    'by %i ms before brings nothing back that is recalled then',
    async (jump) => {
      const world = await DelayWorld.create(RECALLING)
      const sent = await world.send('a', { TIMER_DELAY_SEC: '20', UNIQ_KEY: 'A' })
      await world.advance(2000)

      world.world.time.jumpWall(jump)
      await world.advance(1000)
      const recalled = await recall(world, sent.field('recallHandle'))
      await world.advance(30_000)

      expect(recalled.response?.code).toBe(ResponseCode.SUCCESS)
      expect(await world.bodies()).toEqual([])
    },
  )

  test('counts for a time of day', async () => {
    const world = await DelayWorld.create()
    await world.send('a', { TIMER_DELIVER_MS: String(world.world.time.now() + 3_600_000) })

    world.world.time.jumpWall(3_600_001)
    await world.advance(200)

    expect(await world.bodies()).toEqual(['a'])
  })
})

test('what requests 60 and 61 tell of the timers', async () => {
  const world = await DelayWorld.create()
  await world.send('a', { TIMER_DELAY_SEC: '50' })
  await world.advance(200)

  const point = await world.world.call({ code: RequestCode.GET_TIMER_CHECK_POINT })
  const metrics = await world.world.call({ code: RequestCode.GET_TIMER_METRICS })

  expect(point.response?.body).toHaveLength(56)
  expect(Buffer.concat([point.response?.body ?? []].flat()).readBigInt64BE(16)).toBe(1n)
  expect(metrics.response?.body?.toString()).toContain('"count":1')
})

/** Timers against a list: random delays, recalls, kills and clock corrections, few of them held in memory. */
test('random histories: each timer comes once and in time, unless it was recalled', async () => {
  for (let seed = 1; seed <= KILLS; seed++) {
    const random = new SeededRandom(seed)
    const world = await DelayWorld.create(RECALLING)
    await useFew(world)
    const due = new Map<string, number>()
    const recalled = new Set<string>()
    const handles: { readonly body: string; readonly handle: string }[] = []
    for (let step = 0; step < 80; step++) {
      const choice = random.integer(12)
      const body = `m${step}`
      if (choice < 7) {
        const delayMs = 1 + random.integer(8000)
        due.set(body, world.world.time.now() + delayMs)
        const properties =
          choice < 4
            ? { TIMER_DELAY_MS: String(delayMs) }
            : { TIMER_DELIVER_MS: String(world.world.time.now() + delayMs) }
        const sent = await world.send(body, { ...properties, UNIQ_KEY: body })
        handles.push({ body, handle: sent.field('recallHandle') ?? '' })
      } else if (choice < 10) {
        await world.advance(random.integer(1500))
      } else if (choice < 11) {
        const chosen = handles[random.integer(Math.max(1, handles.length))]
        if (chosen === undefined) continue
        const answered = await recall(world, chosen.handle)
        if (answered.response?.code === ResponseCode.SUCCESS) recalled.add(chosen.body)
      } else {
        world.kill()
        if (random.integer(2) === 0) world.world.time.freeze(random.integer(4000))
        await world.restart()
        await useFew(world)
      }
    }
    await world.advance(20_000)

    const delivered = await world.delivered()
    const wanted = [...due.keys()].filter((body) => !recalled.has(body))
    expect(delivered.map(({ body }) => body).toSorted()).toEqual(wanted.toSorted())
    const early = delivered.filter(
      ({ body, storeTimestamp }) => storeTimestamp < (due.get(body) ?? 0),
    )
    expect(early).toEqual([])
    expect(fsck({ disk: world.world.disk, root: '/store' }).problems).toEqual([])
  }
})

test('power cuts with SYNC_FLUSH: no acknowledged timer is lost, none comes twice', async () => {
  for (let seed = 1; seed <= CUTS; seed++) {
    const random = new SeededRandom(seed)
    const world = await DelayWorld.create({ flushDiskType: 'SYNC_FLUSH' })
    const acknowledged = await sendThroughPowerCuts(world, random, () => ({
      TIMER_DELAY_MS: String(random.integer(5000)),
    }))
    await world.advance(8000)

    await expectOnce(world, acknowledged)
  }
})

function handleOf(text: string): string {
  return Buffer.from(`v1 ${text}`).toString('base64url')
}

/** Lets a service that keeps four timers in memory lead in the place of the usual one. */
async function useFew(world: DelayWorld): Promise<void> {
  const { parts, processors } = world.world
  const stopped = processors.timers.stopLeading()
  await world.world.time.settle()
  await stopped
  new TimerDelivery(parts, 4).startLeading()
}
