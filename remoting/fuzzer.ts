/** Structure-aware mutation of valid inputs, reproducible frame by frame from a seed. */
import type { FuzzDecoder } from './fuzz-decoders.ts'

/** No input takes this long to decode. */
const SLOW_MS = 2_000
const FRAMES_PER_TURN = 128
const MAX_SIZE = 128 * 1024

/** What breaks text formats more often than random bytes. */
const TOKENS: readonly Buffer[] = (
  '{ } [ ] " \' : , \\ \\u \\ud800 {{ }: {"a": [[ null true - 1e999 -0 1.5 9223372036854775807 0x10 = # ' +
  '__proto__ constructor "$ref":"$" -2147483649 \u0000 \u0001 \u0002 \n \\\n'
)
  .split(' ')
  .concat(' ')
  .map((token) => Buffer.from(token))

const INTEGERS: readonly number[] = [
  0, 1, -1, 3, 4, 127, 128, 255, 256, 32_767, -32_768, 65_535, 0x7fff_ffff, -0x8000_0000,
  0x0100_0000, 0x0100_0001,
]

export interface FuzzResult {
  readonly name: string
  readonly frames: number
  readonly accepted: number
  readonly rejected: number
  readonly slowestMs: number
  readonly failure: FuzzFailure | null
}

export interface FuzzFailure {
  /** Index of the frame: with the seed it makes the same bytes again. */
  readonly frame: number
  readonly bytes: Buffer
  readonly error: unknown
}

/** Decodes `frames` inputs beginning with number `first`; stops at the first that crashes or hangs. */
export async function fuzz(
  decoder: FuzzDecoder,
  options: {
    readonly seed: number
    readonly first: number
    readonly frames: number
    readonly monotonic: () => number
    /** Lets the event loop turn, as it does between the frames of a connection: zlib frees its memory there. */
    readonly pause: () => Promise<unknown>
  },
): Promise<FuzzResult> {
  const { name } = decoder
  const { seed, first, frames, monotonic, pause } = options
  let accepted = 0
  let slowestMs = 0
  const result = (frame: number, failure: FuzzFailure | null): FuzzResult => {
    const done = frame - first + (failure === null ? 0 : 1)
    const rejected = done - accepted - (failure === null ? 0 : 1)
    return { name, frames: done, accepted, rejected, slowestMs, failure }
  }
  for (let frame = first; frame < first + frames; frame++) {
    if (frame % FRAMES_PER_TURN === 0) await pause()
    const bytes = fuzzInput(decoder, seed, frame)
    const run = timed(decoder, bytes, monotonic)
    if (run.outcome === 'crashed') return result(frame, { frame, bytes, error: run.error })
    if (run.outcome === 'accepted') accepted++
    if (run.tookMs <= slowestMs) continue
    // A busy machine takes its time from everybody: what counts is the faster of two.
    slowestMs = Math.max(slowestMs, Math.min(run.tookMs, timed(decoder, bytes, monotonic).tookMs))
    if (slowestMs > SLOW_MS) {
      return result(frame, { frame, bytes, error: new Error(`decoding took ${slowestMs} ms`) })
    }
  }
  return result(first + frames, null)
}

interface Run {
  readonly outcome: 'accepted' | 'rejected' | 'crashed'
  readonly error: unknown
  readonly tookMs: number
}

function timed(decoder: FuzzDecoder, bytes: Buffer, monotonic: () => number): Run {
  const startedAt = monotonic()
  try {
    decoder.decode(bytes)
    return { outcome: 'accepted', error: null, tookMs: monotonic() - startedAt }
  } catch (error) {
    const outcome = decoder.isExpected(error) ? 'rejected' : 'crashed'
    return { outcome, error, tookMs: monotonic() - startedAt }
  }
}

/** The input number `frame` of a seed. */
export function fuzzInput(decoder: FuzzDecoder, seed: number, frame: number): Buffer {
  const random = new FrameRandom(seed, frame)
  if (random.below(32) === 0) return random.bytes(random.below(200))
  if (random.below(4_096) === 0) return bomb(random)
  let bytes: Buffer = Buffer.from(random.pick(decoder.examples))
  for (let left = random.below(6); left > 0; left--) {
    bytes = mutate(bytes, random, decoder.examples)
  }
  return bytes.subarray(0, MAX_SIZE)
}

/** One thing over and over, alone or inside a member. */
function bomb(random: FrameRandom): Buffer {
  const body = Buffer.alloc(1 + random.below(MAX_SIZE), random.pick(TOKENS))
  const prefix = random.pick(['', '{"extFields":', '{"a":', '{"code":1,"remark":"'])
  return Buffer.concat([Buffer.from(prefix), body])
}

function mutate(bytes: Buffer, random: FrameRandom, examples: readonly Buffer[]): Buffer {
  const at = random.below(bytes.length + 1)
  const end = Math.min(bytes.length, at + random.below(40))
  const head = bytes.subarray(0, at)
  switch (random.below(10)) {
    case 0:
      if (at < bytes.length) bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.below(8)), at)
      return bytes
    case 1:
      if (at < bytes.length) bytes.writeUInt8(random.below(256), at)
      return bytes
    case 2:
      if (at + 4 <= bytes.length) bytes.writeInt32BE(random.pick(INTEGERS) | 0, at)
      return bytes
    case 3:
      if (at + 2 <= bytes.length) bytes.writeUInt16BE(random.pick(INTEGERS) & 0xffff, at)
      return bytes
    case 4:
      return Buffer.from(head)
    case 5:
      return Buffer.concat([head, bytes.subarray(end)])
    case 6:
      return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)])
    case 7:
      return Buffer.concat([head, random.pick(TOKENS), bytes.subarray(at)])
    case 8:
      return Buffer.concat([head, random.bytes(random.below(8)), bytes.subarray(end)])
    default: {
      const other = random.pick(examples)
      return Buffer.concat([head, other.subarray(random.below(other.length + 1))])
    }
  }
}

/** mulberry32, begun anew for each frame. */
class FrameRandom {
  #state: number

  constructor(seed: number, frame: number) {
    this.#state = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) ^ Math.imul(frame + 1, 0xc2b2_ae35)
    this.below(1)
  }

  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b_79f5) | 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * bound)
  }

  bytes(size: number): Buffer {
    const bytes = Buffer.allocUnsafe(size)
    for (let index = 0; index < size; index++) bytes[index] = this.below(256)
    return bytes
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }
}
