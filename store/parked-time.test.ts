import { describe, expect, test } from 'vitest'
import { RecordReader } from '../common/message-codec.ts'
import {
  SCHEDULE_TOPIC,
  TIMER_TOPIC,
  decodeTimerCode,
  parkedTagsCode,
  timerCodeOf,
} from './parked-time.ts'
import { openStore, put, simulatedWorld, testMessage } from './testing.ts'

const NOON = 1_767_268_800_000

/** A record as the log has it. */
async function stored(
  topic: string,
  properties: Readonly<Record<string, string>>,
): Promise<{ readonly reader: RecordReader; readonly record: Buffer }> {
  const world = simulatedWorld()
  const { store } = await openStore(world)
  await world.settle(put(store, testMessage({ topic, properties })))
  const record = store.recordAt(0) ?? Buffer.alloc(0)
  const reader = new RecordReader()
  expect(reader.read(record, 0, record.length, false)).toBeNull()
  return { reader, record }
}

describe('the tags code of a parked message', () => {
  test('is the delivery time of its level', async () => {
    const { reader, record } = await stored(SCHEDULE_TOPIC, { DELAY: '2' })

    expect(parkedTagsCode(SCHEDULE_TOPIC, reader, record, [1000, 7000])).toBe(
      reader.storeTimestamp + 7000,
    )
    expect(parkedTagsCode('T', reader, record, [1000, 7000])).toBeNull()
  })

  test.each([
    ['a time of day', { TIMER_DELIVER_MS: String(NOON + 1500) }, NOON + 1500, false],
    ['nothing but its tick', {}, NOON + 1000, false],
    ['a time before its tick', { TIMER_DELIVER_MS: '5' }, NOON + 1, false],
    ['a time far behind its tick', { TIMER_DELIVER_MS: String(NOON * 2) }, NOON + 60_000, false],
    ['a delay, parked anew', { TIMER_DELAY_SEC: '9', TIMER_ROLL_TIMES: '1' }, NOON + 1000, true],
  ])('of the timers is the exact time: %s', async (_what, properties, dueTime, isRelative) => {
    const { reader, record } = await stored(TIMER_TOPIC, {
      TIMER_OUT_MS: String(NOON),
      ...properties,
    })

    const code = parkedTagsCode(TIMER_TOPIC, reader, record, [])

    expect(decodeTimerCode(code ?? 0)).toEqual({ dueTime, isRecall: false, isRelative })
  })

  test('of a delay counts from when it was stored', async () => {
    const { reader, record } = await stored(TIMER_TOPIC, {
      TIMER_OUT_MS: '1767225600000',
      TIMER_DELAY_MS: '1234',
    })

    const code = decodeTimerCode(timerCodeOf(reader, record) ?? 0)

    expect(code?.dueTime).toBe(reader.storeTimestamp + 1234)
    expect(code?.isRelative).toBe(true)
  })

  test('of a recall comes before all messages of its tick', async () => {
    const { reader, record } = await stored(TIMER_TOPIC, {
      TIMER_OUT_MS: String(NOON),
      TIMER_DELIVER_MS: String(NOON + 1),
      TIMER_DEL_UNIQKEY: 'T+U',
    })

    expect(decodeTimerCode(timerCodeOf(reader, record) ?? 0)).toEqual({
      dueTime: NOON,
      isRecall: true,
      isRelative: false,
    })
  })

  test('without a time is the hash of the tag, which is no time', async () => {
    const { reader, record } = await stored(TIMER_TOPIC, { TIMER_OUT_MS: 'x' })

    expect(timerCodeOf(reader, record)).toBeNull()
    expect(decodeTimerCode(2_147_483_647)).toBeNull()
    expect(decodeTimerCode(-5)).toBeNull()
  })
})
