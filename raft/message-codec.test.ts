import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FrameReader } from './frame-reader.ts'
import {
  ControlType,
  PeerCodecError,
  decodeControl,
  decodeMessage,
  encodeControl,
  encodeMessage,
} from './message-codec.ts'
import type { RaftMessage } from './messages.ts'

const offset = fc.nat({ max: 2 ** 50 })
const term = fc.nat({ max: 2 ** 40 })

const appendRequest = fc
  .record({
    term,
    previousOffset: offset,
    previousTerm: term,
    commitOffset: offset,
    readContext: fc.nat(),
    records: fc.uint8Array({ maxLength: 200 }),
    checksum: fc.option(fc.integer()),
    gaps: fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 9 })), {
      maxLength: 5,
    }),
  })
  .map(({ records, checksum, gaps, previousOffset, ...rest }): RaftMessage<Buffer> => {
    const size = records.length
    let epochTerm = 0
    let startOffset = previousOffset - 1
    const epochs = gaps.map(([step, gap]) => {
      epochTerm += step
      startOffset += 1 + gap
      return { term: epochTerm, startOffset }
    })
    const endOffset = previousOffset + size
    return {
      type: 'appendRequest',
      ...rest,
      previousOffset,
      endOffset,
      epochs: epochs.filter((epoch) => epoch.startOffset < endOffset),
      records: size === 0 ? null : Buffer.from(records),
      checksum: size === 0 ? null : checksum,
    }
  })

const message: fc.Arbitrary<RaftMessage<Buffer>> = fc.oneof(
  fc.record({
    type: fc.constant('voteRequest' as const),
    term,
    isPreVote: fc.boolean(),
    isTransfer: fc.boolean(),
    lastTerm: term,
    endOffset: offset,
  }),
  fc.record({
    type: fc.constant('voteResponse' as const),
    term,
    isPreVote: fc.boolean(),
    isGranted: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('appendResponse' as const),
    term,
    isAccepted: fc.boolean(),
    offset,
    termAtOffset: term,
    readContext: fc.nat(),
    bootId: offset,
    hasRoom: fc.boolean(),
  }),
  fc.record({ type: fc.constant('timeoutNow' as const), term }),
  appendRequest,
)

describe('messages of members', () => {
  test('come back as they were', () => {
    fc.assert(
      fc.property(message, (sent) => {
        const frame = encodeMessage(sent)

        expect(decodeControl(frame)).toBe(null)
        expect(decodeMessage(frame, 0, frame.length)).toEqual(sent)
      }),
    )
  })

  test('cut short anywhere before their records, or with a changed byte in the header, are refused', () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (sent, place, change) => {
        const frame = encodeMessage(sent)
        const records = sent.type === 'appendRequest' ? (sent.records?.length ?? 0) : 0
        const header = frame.length - records
        const cut = place % header
        // The length belongs to the framing.
        const at = 4 + (place % (header - 4))
        const changed = Buffer.from(frame)
        changed[at] = (changed[at] ?? 0) ^ change

        expect(() => decodeMessage(frame, 0, cut)).toThrow(PeerCodecError)
        expect(() => decodeMessage(changed, 0, changed.length)).toThrow(PeerCodecError)
      }),
    )
  })

  test('random bytes are refused with a typed error, or are a control frame', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const frame = Buffer.from(bytes)

        expect(() => decodeMessage(frame, 0, frame.length)).toThrow(PeerCodecError)
      }),
    )
  })

  test('control frames carry JSON', () => {
    const frame = encodeControl(ControlType.join, { member: 'é' })

    expect(decodeControl(frame)).toEqual({ type: ControlType.join, content: { member: 'é' } })
  })
})

describe('the frame reader', () => {
  test('finds the same frames however the stream is cut', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 6 }), cuts, (messages, sizes) => {
        const stream = Buffer.concat(messages.map((sent) => encodeMessage(sent)))
        const received: RaftMessage<Buffer>[] = []
        const reader = new FrameReader((frame) => {
          received.push(decodeMessage(Buffer.from(frame), 0, frame.length))
        })

        let at = 0
        for (let round = 0; at < stream.length; round++) {
          const size = sizes[round % sizes.length] ?? 1
          expect(reader.push(stream.subarray(at, at + size))).toBe(true)
          at += size
        }

        expect(received).toEqual(messages)
      }),
    )
  })

  test('takes what was read where it wanted it as well as copies', () => {
    const frameSizes = fc.array(
      fc.oneof(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 60_000, max: 300_000 })),
      {
        minLength: 1,
        maxLength: 5,
      },
    )
    const reads = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(frameSizes, reads, (sizes, readSizes) => {
        const frames = sizes.map((size, index) => frameOf(size, index))
        const stream = Buffer.concat(frames)
        const received: Buffer[] = []
        const reader = new FrameReader((frame) => received.push(Buffer.from(frame)))

        let at = 0
        for (let round = 0; at < stream.length; round++) {
          const target = reader.readTarget
          expect(target.length).toBeGreaterThan(0)
          const size = readSizes[round % readSizes.length] ?? 1
          const count = stream.copy(target, 0, at, at + Math.min(size, target.length))
          expect(reader.push(target.subarray(0, count))).toBe(true)
          at += count
        }

        expect(received.map((frame) => frame.length)).toEqual(frames.map((frame) => frame.length))
        expect(Buffer.concat(received).equals(stream)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  test('has the rest of a large frame read to where the frame lies', () => {
    const frame = frameOf(300_000, 7)
    const received: Buffer[] = []
    const reader = new FrameReader((whole) => received.push(whole))

    frame.copy(reader.readTarget, 0, 0, 1000)
    reader.push(reader.readTarget.subarray(0, 1000))
    const target = reader.readTarget
    frame.copy(target, 0, 1000)
    reader.push(target)

    expect(target.length).toBe(frame.length - 1000)
    expect(received).toEqual([frame])
    expect(received[0]?.buffer).toBe(target.buffer)
  })

  test.each([0, -1, 64 * 1024 * 1024 + 1])('refuses a frame of length %i', (length) => {
    const reader = new FrameReader(() => undefined)
    const bytes = Buffer.alloc(8)
    bytes.writeInt32BE(length, 0)

    expect(reader.push(bytes)).toBe(false)
    expect(new FrameReader(() => undefined).push(bytes.subarray(0, 3))).toBe(true)
  })
})

function frameOf(size: number, seed: number): Buffer {
  const frame = Buffer.alloc(4 + size)
  frame.writeInt32BE(size, 0)
  for (let at = 0; at < size; at++) frame[4 + at] = (at * 31 + seed) & 0xff
  return frame
}
