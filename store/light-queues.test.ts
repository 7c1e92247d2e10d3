import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { lightPlaces } from '../common/light-queues.ts'
import { decodeRecord } from '../common/message-codec.ts'
import { parseProperties } from '../common/properties.ts'
import { SeededRandom } from '../simulation/random.ts'
import { fsck } from './fsck.ts'
import type { MessageStore } from './message-store.ts'
import { get, openStore, put, simulatedWorld, testMessage } from './testing.ts'

type World = ReturnType<typeof simulatedWorld>

const LIGHT = { enableLmq: true, enableMultiDispatch: true } as const
const NAMES = ['%LMQ%a', '%LMQ%b', '%LMQ%c'] as const

function dispatched(body: string, names: readonly string[], topic = 'Orders', queueId = 0) {
  const properties = { KEYS: body, INNER_MULTI_DISPATCH: names.join(',') }
  return testMessage({ topic, queueId, body, properties })
}

async function bodiesOf(world: World, store: MessageStore, topic: string): Promise<string[]> {
  const bodies: string[] = []
  const end = store.maxOffsetInQueue(topic, 0)
  for (let next = store.minOffsetInQueue(topic, 0); next < end;) {
    const found = await world.settle(get(store, { topic, queueOffset: next }))
    if (found.status !== 'FOUND') throw new Error(`${topic} at ${next}: ${found.status}`)
    for (const record of found.records) bodies.push(decodeRecord(record).body.toString())
    next = found.nextBeginOffset
  }
  return bodies
}

describe('light queues', () => {
  test('hold the messages that name them, in the order of the log, with dense offsets', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world, LIGHT)

    await world.settle(put(store, dispatched('m0', ['%LMQ%a', '%LMQ%b'])))
    await world.settle(
      put(store, [dispatched('m1', ['%LMQ%b']), dispatched('m2', ['%LMQ%b', '%LMQ%b', '%LMQ%a'])]),
    )
    await world.settle(put(store, dispatched('m3', ['%LMQ%a'], 'Other', 3)))

    expect(await bodiesOf(world, store, '%LMQ%a')).toEqual(['m0', 'm2', 'm3'])
    expect(await bodiesOf(world, store, '%LMQ%b')).toEqual(['m0', 'm1', 'm2'])
    expect(await bodiesOf(world, store, 'Orders')).toEqual(['m0', 'm1', 'm2'])
    const { records } = await world.settle(get(store, { queueOffset: 2 }))
    const told = parseProperties(decodeRecord(records[0] ?? Buffer.alloc(0)).properties.toString())
    expect(told.get('INNER_MULTI_QUEUE_OFFSET')).toBe('2,2,1')
  })

  test('are what a simple model says, over random histories with kills and power cuts', async () => {
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.record({ names: fc.subarray([...NAMES]), topic: fc.nat(1) }) },
      { weight: 1, arbitrary: fc.constantFrom('kill', 'cut', 'close' as const) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.nat(), async (steps, seed) => {
        const world = simulatedWorld()
        const keys = { ...LIGHT, flushDiskType: 'SYNC_FLUSH' as const }
        const model = new Map<string, string[]>(NAMES.map((name) => [name, []]))
        let { store } = await openStore(world, keys)
        for (const [index, one] of steps.entries()) {
          if (typeof one === 'object') {
            const topic = `Topic${one.topic}`
            const message =
              one.names.length === 0
                ? testMessage({ topic, body: `m${index}` })
                : dispatched(`m${index}`, one.names, topic)
            const { status } = await world.settle(put(store, message))
            expect(status).toBe('OK')
            for (const name of one.names) model.get(name)?.push(`m${index}`)
            continue
          }
          if (one === 'close') await world.settle(store.close())
          else if (one === 'kill') world.kill()
          else world.cutPower(new SeededRandom(seed + index))
          store = (await openStore(world, keys)).store
        }
        for (const name of NAMES)
          expect(await bodiesOf(world, store, name)).toEqual(model.get(name))
        await world.settle(store.close())
        expect(fsck({ disk: world.disk, root: '/store' }).problems).toEqual([])
      }),
      { numRuns: 40 },
    )
  })

  test('refuse names that are none, and more of them than maxLmqConsumeQueueNum', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world, { ...LIGHT, maxLmqConsumeQueueNum: 2 })
    const send = (names: readonly string[]) => world.settle(put(store, dispatched('m', names)))

    const wrong = await Promise.all(
      [['Orders'], ['%LMQ%'], ['%LMQ%a/b'], ['%LMQ%a', ''], [`%LMQ%${'x'.repeat(300)}`]].map(send),
    )
    const taken = [await send(['%LMQ%a', '%LMQ%b']), await send(['%LMQ%c']), await send(['%LMQ%b'])]

    for (const { status, reason } of wrong) {
      expect(status).toBe('MESSAGE_ILLEGAL')
      expect(reason).toContain('INNER_MULTI_DISPATCH')
    }
    expect(taken.map(({ status }) => status)).toEqual([
      'OK',
      'LMQ_CONSUME_QUEUE_NUM_EXCEEDED',
      'OK',
    ])
    expect(store.maxOffsetInQueue('Orders', 0)).toBe(2)
  })

  test.for([
    ['%RETRY%group', 0],
    ['%DLQ%group', 0],
    ['rmq_sys_wheel_timer', 0],
    ['RMQ_SYS_TRANS_HALF_TOPIC', 0],
    ['Orders', 4],
  ] as const)('do not show messages of %s with sysFlag %s', async ([topic, sysFlag]) => {
    const world = simulatedWorld()
    const { store } = await openStore(world, LIGHT)
    const properties = { INNER_MULTI_DISPATCH: '%LMQ%a', INNER_MULTI_QUEUE_OFFSET: '0' }

    await world.settle(put(store, testMessage({ topic, sysFlag, properties })))

    expect(store.maxOffsetInQueue('%LMQ%a', 0)).toBe(0)
  })

  test('take no place from a put that fails', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world, LIGHT)
    const tooLarge = testMessage({
      body: Buffer.alloc(5 * 1024 * 1024),
      properties: { INNER_MULTI_DISPATCH: '%LMQ%a' },
    })

    const refused = await world.settle(put(store, [dispatched('m0', ['%LMQ%a']), tooLarge]))
    await world.settle(put(store, dispatched('m1', ['%LMQ%a'])))

    expect(refused.status).toBe('MESSAGE_ILLEGAL')
    expect(await bodiesOf(world, store, '%LMQ%a')).toEqual(['m1'])
  })

  test('are no queues while the broker has none, and what a Java broker left wrong is passed over', () => {
    expect(lightPlaces('%LMQ%a,%LMQ%a,x,%LMQ%b', '0,1,2,9')).toEqual([
      { name: '%LMQ%a', queueOffset: 0 },
      { name: '%LMQ%b', queueOffset: 9 },
    ])
    expect(lightPlaces('%LMQ%a', '0,1')).toEqual([])
    expect(lightPlaces('%LMQ%a,%LMQ%b', ',-1')).toEqual([])
  })
})
