/**
 * Where the properties of one message lie in its bytes: found by one pass without a string or a map, for filters that look for a few of
 * them by name. Filled anew for each message.
 */
import { NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR } from './properties.ts'

const CAPACITY_MIN = 64
const PAIR_SEPARATOR: number = PROPERTY_SEPARATOR
const NAME_END: number = NAME_VALUE_SEPARATOR

export class PropertyPairs {
  source: Buffer = Buffer.alloc(0)
  count = 0
  /** Of the first `count` places each: a name from its start to `middles`, a value from behind that to `ends`. */
  nameStarts: Int32Array = new Int32Array(CAPACITY_MIN)
  middles: Int32Array = new Int32Array(CAPACITY_MIN)
  ends: Int32Array = new Int32Array(CAPACITY_MIN)
  /** What two equal names have in common (`keyOf`): most others are told apart by it. */
  #keys: Int32Array = new Int32Array(CAPACITY_MIN)

  /** Looks at the properties in `source[start, end)`, which stay there as long as the pairs are used. */
  scan(source: Buffer, start: number, end: number): void {
    this.source = source
    let count = 0
    let at = start | 0
    while (at < end) {
      const nameStart = at
      let middle = -1
      for (; at < end; at = (at + 1) | 0) {
        const byte = source[at] ?? 0
        if (byte > PAIR_SEPARATOR) continue
        if (byte === PAIR_SEPARATOR) break
        if (byte === NAME_END && middle < 0) middle = at
      }
      // No reader sees a pair without a name or a value.
      if (middle > nameStart && middle < at - 1) {
        if (count === this.ends.length) this.#grow()
        this.nameStarts[count] = nameStart
        this.middles[count] = middle
        this.ends[count] = at
        this.#keys[count] = keyOf(source, nameStart, middle)
        count++
      }
      at = (at + 1) | 0
    }
    this.count = count
  }

  /** The place of the pair with this name, the last one of several; -1 when there is none. */
  find(name: Buffer): number {
    const key = keyOf(name, 0, name.length)
    const keys = this.#keys
    for (let index = this.count - 1; index >= 0; index--) {
      if (keys[index] === key && this.#isNamed(index, name)) return index
    }
    return -1
  }

  #isNamed(index: number, name: Buffer): boolean {
    const { source } = this
    const start = this.nameStarts[index] ?? 0
    if ((this.middles[index] ?? 0) - start !== name.length) return false
    for (let at = 0; at < name.length; at++) {
      if (source[start + at] !== name[at]) return false
    }
    return true
  }

  #grow(): void {
    const grown = (old: Int32Array) => {
      const array = new Int32Array(old.length * 2)
      array.set(old)
      return array
    }
    this.nameStarts = grown(this.nameStarts)
    this.middles = grown(this.middles)
    this.ends = grown(this.ends)
    this.#keys = grown(this.#keys)
  }
}

function keyOf(source: Buffer, start: number, end: number): number {
  return ((end - start) << 16) | ((source[start] ?? 0) << 8) | (source[end - 1] ?? 0)
}
