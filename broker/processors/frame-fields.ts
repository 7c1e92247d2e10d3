/** The fields of a frame's header by their names, without a map of them; and texts as strings that are made once. */
import type { RequestFrame } from '../../remoting/request-frame.ts'

/** A field that is none of those looked for. */
export const UNKNOWN_FIELD = -1

/** Texts that are kept; where two fall into one place, the newer one stays. A power of two. */
const KEPT_TEXTS = 1024
/** Longer ones are made each time. */
const KEPT_SIZE_MAX = 255
/** As many places of a header have a guess; what follows is looked up by trying. */
const GUESSES = 32

/** Which of some fields stands where in a header. */
export class FrameFields {
  readonly #names: readonly Buffer[]
  /** Clients send their fields in one order: which field stood at a place last time. */
  readonly #guesses = new Int8Array(GUESSES)

  constructor(names: readonly string[]) {
    this.#names = names.map((name) => Buffer.from(name))
  }

  /** The number of the field at a place of the header: its place among the names. */
  at(frame: RequestFrame, index: number): number {
    const guess = this.#guesses[index] ?? UNKNOWN_FIELD
    const guessed = this.#names[guess]
    if (guessed !== undefined && frame.isNamed(index, guessed)) return guess
    const field = this.#names.findIndex((name) => frame.isNamed(index, name))
    if (index < GUESSES) this.#guesses[index] = field
    return field
  }
}

interface KeptText {
  readonly bytes: Buffer
  readonly text: string
}

/** Strings of UTF-8 bytes that come again and again: names of topics and groups. */
export class TextTable {
  readonly #kept: (KeptText | null)[] = Array.from({ length: KEPT_TEXTS }, () => null)

  text(source: Buffer, start: number, end: number): string {
    if (end - start > KEPT_SIZE_MAX) return source.toString('utf8', start, end)
    let hash = end - start
    for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + (source[at] ?? 0)) | 0
    const place = (hash ^ (hash >>> 15)) & (KEPT_TEXTS - 1)
    const kept = this.#kept[place]
    if (kept !== null && kept !== undefined && isSame(kept.bytes, source, start, end)) {
      return kept.text
    }
    const bytes = Buffer.from(source.subarray(start, end))
    const text = bytes.toString()
    this.#kept[place] = { bytes, text }
    return text
  }
}

function isSame(bytes: Buffer, source: Buffer, start: number, end: number): boolean {
  if (bytes.length !== end - start) return false
  for (let index = 0; index < bytes.length; index++) {
    if (bytes[index] !== source[start + index]) return false
  }
  return true
}
