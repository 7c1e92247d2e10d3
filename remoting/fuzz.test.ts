import { expect, test } from 'vitest'
import { FUZZ_DECODERS } from './fuzz-decoders.ts'
import { fuzz, fuzzInput } from './fuzzer.ts'

const options = {
  seed: 20_261_121,
  first: 0,
  frames: 5_000,
  monotonic: () => performance.now(),
  pause: () => new Promise(setImmediate),
}

// Goal: no input crashes or hangs a decoder. Method: the first 5,000 inputs of a fixed seed; `npm run fuzz` runs a million.
test.each(FUZZ_DECODERS)(
  '$name survives mutated and random input',
  { timeout: 60_000 },
  async (decoder) => {
    const result = await fuzz(decoder, options)

    expect(result.failure).toBeNull()
    expect(result.accepted).toBeGreaterThan(100)
  },
)

test.each(FUZZ_DECODERS)('$name accepts its examples', (decoder) => {
  for (const example of decoder.examples) expect(() => decoder.decode(example)).not.toThrow()
})

test('a crash is reported with the frame that repeats it', async () => {
  const [decoder] = FUZZ_DECODERS
  if (decoder === undefined) throw new Error('no decoders')
  const fragile = {
    ...decoder,
    decode: (bytes: Buffer) => {
      if (bytes.includes('{{')) throw new TypeError('cannot read properties of undefined')
    },
  }

  const result = await fuzz(fragile, options)
  const frame = result.failure?.frame ?? -1

  expect(result.failure?.error).toBeInstanceOf(TypeError)
  expect(fuzzInput(decoder, options.seed, frame).includes('{{')).toBe(true)
  const again = await fuzz(fragile, { ...options, first: frame, frames: 1 })
  expect(again.failure).not.toBeNull()
})
