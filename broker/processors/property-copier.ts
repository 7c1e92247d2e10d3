/**
 * The properties of a plain send on their way from the header into the record: copied (out of JSON, unescaped) and looked at in one pass.
 *
 * The result is what `scanProperties` keeps, byte for byte. Whatever asks for more than storing it (a delay, a transaction, WAIT=false …)
 * makes the copy fail, and the send goes the ordinary way, which has the rules.
 */
import { isUtf8 } from 'node:buffer'
import { MAX_PROPERTIES_SIZE, PropertyName } from '../../common/properties.ts'
import { copyUnescaped } from '../../remoting/request-frame.ts'
import { DELAY_PROPERTIES, DROPPED_PROPERTIES } from './send-properties.ts'

const NAME_END = 1
const PAIR_END = 2
const BACKSLASH = 0x5c
const ASCII_MAX = 0x7f
const LETTER_U = 0x75
const ZERO = 0x30
const TRUE = Buffer.from('true')
const UNIQUE_KEY = Buffer.from(PropertyName.UNIQ_KEY)
const WAIT = Buffer.from(PropertyName.WAIT)
const SHARDING_KEY = Buffer.from(PropertyName.SHARDING_KEY)

/** Names to look at, by length: all but three of them make the ordinary way necessary. */
const SPECIAL: readonly (readonly Buffer[])[] = specialNames()

/** Made once; its fields tell of the last `copy` that returned true. */
export class PropertyCopier {
  /** The properties lie in `target[0, end)`; behind them is room for what the broker adds. */
  readonly target: Buffer = Buffer.allocUnsafeSlow(2 * MAX_PROPERTIES_SIZE)
  end = 0
  /** The value of UNIQ_KEY; empty when there is none. */
  uniqueKeyStart = 0
  uniqueKeyEnd = 0
  hasShardingKey = false

  /** False when the properties are not plain: nothing is to be used then. */
  copy(source: Buffer, start: number, end: number, hasEscapes: boolean): boolean {
    this.end = 0
    this.uniqueKeyStart = 0
    this.uniqueKeyEnd = 0
    this.hasShardingKey = false
    if (end - start >= MAX_PROPERTIES_SIZE) return false
    const { target } = this
    // `| 0` keeps the positions small integers for the compiler: this loop is a fifth of the cost of a small send.
    let at = start | 0
    let to = 0
    let pairStart = 0
    let middle = -1
    let isAscii = true
    for (;;) {
      let byte = 0
      while (at < end) {
        byte = source[at] ?? 0
        if (byte <= PAIR_END || byte === BACKSLASH || byte > ASCII_MAX) break
        target[to] = byte
        to = (to + 1) | 0
        at = (at + 1) | 0
      }
      if (at >= end) break
      at = (at + 1) | 0
      if (byte === BACKSLASH && hasEscapes) {
        byte = separatorAt(source, at)
        if (byte === 0) {
          const escapesEnd = endOfEscapes(source, at - 1, end)
          to = copyUnescaped(source, at - 1, escapesEnd, target, to)
          isAscii = false
          at = escapesEnd
          continue
        }
        at = (at + 5) | 0
      }
      target[to] = byte
      to = (to + 1) | 0
      if (byte === NAME_END) {
        if (middle < 0) middle = to - 1
      } else if (byte === PAIR_END) {
        to = this.#endPair(pairStart, middle, to) | 0
        if (to < 0) return false
        pairStart = to
        middle = -1
      } else if (byte > ASCII_MAX) {
        isAscii = false
      }
    }
    if (to > pairStart) {
      target[to] = PAIR_END
      to = this.#endPair(pairStart, middle, to + 1)
      if (to < 0) return false
    }
    this.end = to
    return isAscii || isUtf8(target.subarray(0, to))
  }

  /** Looks at the pair in `target[start, end)`, its separator included; returns where the next one begins, or -1. */
  #endPair(start: number, middle: number, end: number): number {
    const valueEnd = end - 1
    // No reader sees a pair without a name or a value.
    if (middle <= start || middle >= valueEnd - 1) return end
    const names = SPECIAL[middle - start]
    if (names === undefined) return end
    const { target } = this
    const first = target[start]
    for (let index = 0; index < names.length; index++) {
      const name = names[index] ?? UNIQUE_KEY
      if (name[0] !== first || !isAt(target, start, name)) continue
      if (name === UNIQUE_KEY) {
        this.uniqueKeyStart = middle + 1
        this.uniqueKeyEnd = valueEnd
        return end
      }
      if (name === SHARDING_KEY) {
        this.hasShardingKey = true
        return end
      }
      const isWait = name === WAIT && valueEnd - middle - 1 === TRUE.length
      return isWait && isAt(target, middle + 1, TRUE) ? end : -1
    }
    return end
  }
}

/** 1 or 2 when `\u0001` or `\u0002` stands here, its backslash before `at`; else 0. */
function separatorAt(source: Buffer, at: number): number {
  if (source[at] !== LETTER_U || source[at + 1] !== ZERO || source[at + 2] !== ZERO) return 0
  if (source[at + 3] !== ZERO) return 0
  const digit = (source[at + 4] ?? 0) - ZERO
  return digit === NAME_END || digit === PAIR_END ? digit : 0
}

/** Where the run of escapes ends that starts at `start`: surrogate pairs stay together. A separator ends it too. */
function endOfEscapes(source: Buffer, start: number, end: number): number {
  let at = start
  do at += source[at + 1] === LETTER_U ? 6 : 2
  while (at < end && source[at] === BACKSLASH && separatorAt(source, at + 1) === 0)
  return at
}

function isAt(target: Buffer, start: number, name: Buffer): boolean {
  for (let index = 0; index < name.length; index++) {
    if (target[start + index] !== name[index]) return false
  }
  return true
}

function specialNames(): Buffer[][] {
  const byLength: Buffer[][] = []
  const { TRAN_MSG, INNER_MULTI_DISPATCH, INNER_NUM } = PropertyName
  const { START_DELIVER_TIME, REPLY_TO_CLIENT } = PropertyName
  const asking = [TRAN_MSG, INNER_MULTI_DISPATCH, INNER_NUM, START_DELIVER_TIME, REPLY_TO_CLIENT]
  const names = [...DROPPED_PROPERTIES, ...DELAY_PROPERTIES, ...asking].filter(
    (name) => name !== PropertyName.UNIQ_KEY,
  )
  for (const name of [UNIQUE_KEY, WAIT, SHARDING_KEY, ...names.map((each) => Buffer.from(each))]) {
    byLength[name.length] = [...(byLength[name.length] ?? []), name]
  }
  return byLength
}
