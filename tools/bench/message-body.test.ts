import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BODY_HEADER_SIZE, BodyReader, bodyFill, writeBodyHeader } from './message-body.ts'
import { SequenceCheck } from './sequence-check.ts'

test('any flipped bit in a body is noticed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 8 * 200 - 1 }), (bit) => {
      const body = bodyFill(200)
      writeBodyHeader(body, 0, { run: 1, sender: 2, sequence: 3, sentAt: 4.5 })
      body[bit >> 3] = (body[bit >> 3] ?? 0) ^ (1 << (bit & 7))

      expect(new BodyReader().read(body, 0, body.length)).not.toBe('whole')
    }),
  )
})

test('a body is read within a larger buffer, and a message of somebody else is foreign', () => {
  const body = bodyFill(64)
  writeBodyHeader(body, 0, { run: 7, sender: 8, sequence: 2 ** 40, sentAt: 1_795_267_684_635.5 })
  const source = Buffer.concat([Buffer.from('before'), body, Buffer.from('behind')])
  const reader = new BodyReader()

  expect(reader.read(source, 6, 64)).toBe('whole')
  expect(reader).toMatchObject({ run: 7, sender: 8, sequence: 2 ** 40 })
  expect(reader.sentAt).toBe(1_795_267_684_635.5)
  expect(reader.read(Buffer.alloc(64, 'x'), 0, 64)).toBe('foreign')
  expect(reader.read(source, 6, BODY_HEADER_SIZE - 1)).toBe('foreign')
})

test('lost and doubled messages are counted as in a set', () => {
  // Against a slow obvious count over random sequences.
  const sequences = fc.array(fc.tuple(fc.nat(3), fc.nat(300)), { maxLength: 400 })
  fc.assert(
    fc.property(sequences, (seen) => {
      const check = new SequenceCheck()
      const bySender = new Map<number, Set<number>>()
      for (const [sender, sequence] of seen) {
        check.add(9, sender, sequence)
        bySender.set(sender, (bySender.get(sender) ?? new Set()).add(sequence))
      }
      const sets = [...bySender.values()]
      const unique = sets.reduce((sum, set) => sum + set.size, 0)
      const spans = sets.map((set) => Math.max(...set) - Math.min(...set) + 1)
      const gaps = spans.reduce((sum, span) => sum + span, 0) - unique

      expect(check.summary()).toEqual({ unique, duplicates: seen.length - unique, gaps })
    }),
  )
})
