import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatFastjson, parseFastjson } from '../../remoting/bodies/fastjson.ts'
import { decodeReviveRecord, encodeReviveRecord } from './revive-record.ts'

const name = fc.record({
  topic: fc.oneof(fc.constantFrom('T', '%RETRY%G_T'), fc.string({ minLength: 1, unit: 'binary' })),
  consumerGroup: fc.string({ minLength: 1, unit: 'grapheme' }),
  queueId: fc.nat(64),
  startOffset: fc.nat(),
  popTime: fc.nat(2 ** 40),
})
const distances = fc.uniqueArray(fc.nat(1000), { minLength: 1, maxLength: 32 })

test('checkpoints and acknowledgements are written as the JSON of other bodies is, and read back as they were', () => {
  fc.assert(
    fc.property(
      name,
      distances,
      fc.constantFrom('ck' as const, 'ack' as const),
      (given, far, type) => {
        const offsets = far
          .toSorted((left, right) => left - right)
          .map((distance) => given.startOffset + distance)
        const more = { invisibleTime: 60_000, nextOffset: given.startOffset + 1001 }
        const record =
          type === 'ck' ? { ...given, ...more, type, offsets } : { ...given, type, offsets }

        const { tag, body } = encodeReviveRecord(record, 'broker-ä')

        expect(decodeReviveRecord(tag, body)).toEqual(record)
        const json = parseFastjson(body)
        if (!(json instanceof Map)) throw new Error('an object was expected')
        expect(formatFastjson(Object.fromEntries(json)).toString()).toBe(body.toString())
      },
    ),
  )
})
