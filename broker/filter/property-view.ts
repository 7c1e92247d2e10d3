/** The properties that an expression names, each looked for in a message when it is asked for first. */
import { PropertyPairs } from '../../common/property-pairs.ts'

/** Each look at up to 64 bytes of a text is a step. */
const BYTES_PER_STEP_BITS = 6

/** An expression that asks too much of a message; it then does not match. */
export class TooManySteps extends Error {
  override readonly name = 'TooManySteps'
}

export class PropertyView {
  /** How much the evaluation may still do. */
  stepsLeft = 0
  readonly #names: readonly Buffer[]
  #pairs: PropertyPairs = new PropertyPairs()
  /** Counts messages; a name that was last looked for in this one has this number. */
  #message = 0
  readonly #lookedAt: Float64Array
  /** By the number of a name: where its value lies; both 0 when there is none. */
  readonly #starts: Int32Array
  readonly #ends: Int32Array

  constructor(names: readonly string[]) {
    this.#names = names.map((name) => Buffer.from(name))
    this.#lookedAt = new Float64Array(names.length)
    this.#starts = new Int32Array(names.length)
    this.#ends = new Int32Array(names.length)
  }

  /** From now on the properties are those of another message. */
  look(pairs: PropertyPairs, steps: number): void {
    this.#pairs = pairs
    this.#message++
    this.stepsLeft = steps
  }

  /** True when the message has the property; to be asked before anything else about it. */
  has(slot: number): boolean {
    if (this.#lookedAt[slot] !== this.#message) this.#find(slot)
    return this.#ends[slot] !== 0
  }

  /** The value as text. Throws `TooManySteps` when texts have been asked for too often. */
  text(slot: number): string {
    const start = this.#starts[slot] ?? 0
    const end = this.#ends[slot] ?? 0
    this.stepsLeft -= 1 + ((end - start) >>> BYTES_PER_STEP_BITS)
    if (this.stepsLeft < 0) throw new TooManySteps('the evaluation takes too many steps')
    return this.#pairs.source.toString('utf8', start, end)
  }

  equals(slot: number, bytes: Buffer): boolean {
    const start = this.#starts[slot] ?? 0
    if ((this.#ends[slot] ?? 0) - start !== bytes.length) return false
    const { source } = this.#pairs
    for (let index = 0; index < bytes.length; index++) {
      if (source[start + index] !== bytes[index]) return false
    }
    return true
  }

  /** The value as a decimal integer of at most nine digits; NaN when it is something else. */
  smallInteger(slot: number): number {
    const { source } = this.#pairs
    const end = this.#ends[slot] ?? 0
    let at = this.#starts[slot] ?? 0
    const isNegative = source[at] === 0x2d
    if (isNegative) at++
    if (at >= end || end - at > 9) return Number.NaN
    let value = 0
    for (; at < end; at++) {
      const digit = (source[at] ?? 0) - 0x30
      if (digit < 0 || digit > 9) return Number.NaN
      value = value * 10 + digit
    }
    return isNegative ? -value : value
  }

  #find(slot: number): void {
    const pairs = this.#pairs
    const name = this.#names[slot]
    const index = name === undefined ? -1 : pairs.find(name)
    this.#lookedAt[slot] = this.#message
    this.#starts[slot] = index < 0 ? 0 : (pairs.middles[index] ?? 0) + 1
    this.#ends[slot] = index < 0 ? 0 : (pairs.ends[index] ?? 0)
  }
}
