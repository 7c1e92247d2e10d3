import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { FrameDecoder } from './frame-decoder.ts'

function frame(payload: Uint8Array): Buffer {
  const prefix = Buffer.alloc(4)
  prefix.writeInt32BE(payload.length)
  return Buffer.concat([prefix, payload])
}

function collect(maxLength = 1024) {
  const frames: Buffer[] = []
  const decoder = new FrameDecoder(maxLength, (source, start, end) => {
    frames.push(source.subarray(start, end))
  })
  return { frames, decoder }
}

function lengthField(length: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(length)
  return bytes
}

// Goal: chunk borders do not matter. Method: any payloads, cut anywhere.
test('the same frames come out however the stream is cut', () => {
  const payload = fc.uint8Array({ minLength: 4, maxLength: 40 })
  fc.assert(
    fc.property(fc.array(payload, { maxLength: 20 }), fc.array(fc.nat(60)), (payloads, cuts) => {
      const { frames, decoder } = collect()
      const stream = Buffer.concat(payloads.map(frame))

      let at = 0
      for (const size of [...cuts, stream.length]) {
        decoder.push(Buffer.from(stream.subarray(at, at + size)))
        at = Math.min(at + size, stream.length)
      }

      expect(frames).toEqual(payloads.map((bytes) => Buffer.from(bytes)))
      expect(decoder.pendingBytes).toBe(0)
    }),
  )
})

test('a frame that lies whole in a chunk is not copied', () => {
  const { frames, decoder } = collect()
  const chunk = Buffer.concat([frame(Buffer.from('first')), frame(Buffer.from('second'))])

  decoder.push(chunk)
  chunk.write('SECOND', chunk.length - 6)

  expect(frames.map(String)).toEqual(['first', 'SECOND'])
})

test.each([0, 1, 3, -1, -2_147_483_648])('a frame of length %i is malformed', (length) => {
  const { decoder } = collect()

  expect(() => decoder.push(lengthField(length))).toThrow(`a frame of length ${length}`)
})

test('a frame over the limit is refused when its length is known, in one chunk or byte by byte', () => {
  const whole = collect(1024)
  const cut = collect(1024)
  const bytes = lengthField(1025)

  expect(() => whole.decoder.push(bytes)).toThrow('a frame of 1025 bytes is over 1024')
  expect(() => {
    for (const byte of bytes) cut.decoder.push(Buffer.of(byte))
  }).toThrow('a frame of 1025 bytes is over 1024')
})

test('a frame of exactly the limit passes', () => {
  const { frames, decoder } = collect(1024)

  decoder.push(frame(Buffer.alloc(1024, 7)))

  expect(frames).toEqual([Buffer.alloc(1024, 7)])
})

test('a length field alone commits no memory', () => {
  const decoders = Array.from({ length: 100 }, () => collect(16_777_216).decoder)
  const before = process.memoryUsage().arrayBuffers

  for (const decoder of decoders) {
    decoder.push(lengthField(16_777_216))
    decoder.push(Buffer.alloc(10))
  }

  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * 1024 * 1024)
  expect(decoders[0]?.pendingBytes).toBe(14)
})

test('a large frame in single bytes neither takes quadratic time nor keeps the chunks', () => {
  const { frames, decoder } = collect(1024 * 1024)
  const payload = Buffer.alloc(300_000, 'ab')

  for (const byte of frame(payload)) decoder.push(Buffer.of(byte))

  expect(frames[0]?.equals(payload)).toBe(true)
})
