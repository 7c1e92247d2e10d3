/** Which messages of which senders have been seen: a bit for each, so that a lost or doubled one shows up. */

const FIRST_WORDS = 256
const SENDER_BITS = 2 ** 20

export interface SequenceSummary {
  readonly unique: number
  readonly duplicates: number
  /** Numbers between the smallest and the greatest seen of each sender which never came. */
  readonly gaps: number
}

interface Seen {
  bits: Uint32Array
  count: number
  min: number
  max: number
}

export class SequenceCheck {
  readonly #senders = new Map<number, Seen>()
  #duplicates = 0

  add(run: number, sender: number, sequence: number): void {
    const seen = this.#seen(run * SENDER_BITS + (sender % SENDER_BITS))
    const word = Math.floor(sequence / 32)
    if (word >= seen.bits.length) {
      const grown = new Uint32Array(Math.max(seen.bits.length * 2, word + 1))
      grown.set(seen.bits)
      seen.bits = grown
    }
    const bit = 1 << (sequence % 32)
    const before = seen.bits[word] ?? 0
    if ((before & bit) !== 0) {
      this.#duplicates++
      return
    }
    seen.bits[word] = before | bit
    seen.count++
    if (sequence < seen.min) seen.min = sequence
    if (sequence > seen.max) seen.max = sequence
  }

  summary(): SequenceSummary {
    let unique = 0
    let gaps = 0
    for (const { count, min, max } of this.#senders.values()) {
      unique += count
      gaps += max - min + 1 - count
    }
    return { unique, duplicates: this.#duplicates, gaps }
  }

  #seen(key: number): Seen {
    const known = this.#senders.get(key)
    if (known !== undefined) return known
    const seen = {
      bits: new Uint32Array(FIRST_WORDS),
      count: 0,
      min: Number.MAX_SAFE_INTEGER,
      max: -1,
    }
    this.#senders.set(key, seen)
    return seen
  }
}
