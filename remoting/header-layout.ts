/**
 * A JSON header that came before, as a pattern for those that follow: a client sends the same header again and again but for a few values.
 *
 * What lies between the values that vary is compared with the pattern, four bytes at a time, and only those values are looked at: a third
 * of the cost of a scan. A header that matches means what the scan would say of it, since equal bytes mean the same, and a value is put
 * in the place of another only when it is of the same form.
 */
import assert from 'node:assert/strict'
import { endOfInteger, endOfLiteral, endOfString, integerIn } from './json-scan.ts'
import type { KnownLayout } from './request-frame.ts'

const QUOTE = 0x22
/** nameStart, nameEnd, valueStart, valueEnd of a field. */
export const SPAN_SIZE = 4
/** Stands for the member `opaque` among the fields. */
const OPAQUE_SLOT = -1
const OPAQUE_MAX_DIGITS = 11

/** What a scan found in a header, in positions of its source. */
export interface ScannedHeader {
  readonly code: number
  readonly flag: number
  readonly version: number
  opaque: number
  fieldCount: number
  readonly spans: Int32Array
  /** 1: the value has escapes. */
  readonly escapes: Uint8Array
  readonly opaqueStart: number
  readonly opaqueEnd: number
}

export class HeaderLayout implements KnownLayout {
  readonly code: number
  readonly flag: number
  readonly version: number
  readonly varyingFields: Int32Array
  readonly #fieldCount: number
  readonly #bytes: Buffer
  readonly #view: DataView
  /** As in `ScannedHeader`, from the start of the header. */
  readonly #spans: Int32Array
  readonly #escapes: Uint8Array
  readonly #opaqueStart: number
  readonly #opaqueEnd: number
  /** 1: the field's value varies. */
  readonly #varies: Uint8Array
  /** Fields that vary, and the opaque, as they follow each other; where the value of each lies here. */
  readonly #slots: Int32Array
  readonly #slotStarts: Int32Array
  readonly #slotEnds: Int32Array
  /** Fields that begin before the value of a slot does. */
  readonly #slotFields: Int32Array

  /** The header `source[start, end)` that was scanned just now, whose opaque lies in `scanned.opaqueStart`. */
  constructor(
    scanned: ScannedHeader,
    source: Buffer,
    start: number,
    end: number,
    varies: Uint8Array,
  ) {
    assert(scanned.opaqueStart >= start)
    this.code = scanned.code
    this.flag = scanned.flag
    this.version = scanned.version
    this.#fieldCount = scanned.fieldCount
    // A buffer of its own: positions of the view are those of the bytes.
    this.#bytes = Buffer.alloc(end - start)
    source.copy(this.#bytes, 0, start, end)
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length)
    const spanCount = scanned.fieldCount * SPAN_SIZE
    this.#spans = scanned.spans.slice(0, spanCount).map((at) => at - start)
    this.#escapes = scanned.escapes.slice(0, scanned.fieldCount)
    this.#opaqueStart = scanned.opaqueStart - start
    this.#opaqueEnd = scanned.opaqueEnd - start
    this.#varies = varies
    const slots = [...varies.keys()].filter((field) => varies[field] === 1)
    this.varyingFields = Int32Array.from(slots)
    const place = (slot: number): number =>
      slot === OPAQUE_SLOT ? this.#opaqueStart : (this.#spans[slot * SPAN_SIZE + 2] ?? 0)
    slots.push(OPAQUE_SLOT)
    slots.sort((left, right) => place(left) - place(right))
    this.#slots = Int32Array.from(slots)
    this.#slotStarts = Int32Array.from(slots.map(place))
    this.#slotFields = this.#slotStarts.map((slotStart) => {
      let count = 0
      while (count < this.#fieldCount && (this.#spans[count * SPAN_SIZE] ?? 0) < slotStart) count++
      return count
    })
    this.#slotEnds = Int32Array.from(
      slots.map((slot) =>
        slot === OPAQUE_SLOT ? this.#opaqueEnd : (this.#spans[slot * SPAN_SIZE + 3] ?? 0),
      ),
    )
  }

  /**
   * Sets spans, escapes and opaque of `target` when `source[start, end)` is such a header; else it may have set some of them.
   * `view` holds the bytes of `source`, from `viewAt` on.
   */
  match(
    source: Buffer,
    start: number,
    end: number,
    view: DataView,
    viewAt: number,
    target: ScannedHeader,
  ): boolean {
    const slots = this.#slots
    let at = start
    let from = 0
    let field = 0
    for (let index = 0; index < slots.length; index++) {
      const slot = slots[index] ?? 0
      const slotStart = this.#slotStarts[index] ?? 0
      const length = slotStart - from
      if (length > end - at || !isSame(this.#view, from, view, viewAt + at, length)) return false
      at += length
      const next = this.#slotFields[index] ?? 0
      this.#place(field, next, at - slotStart, target)
      field = next
      if (slot === OPAQUE_SLOT) {
        const opaqueEnd = endOfInteger(source, at, end)
        if (opaqueEnd < 0 || opaqueEnd - at > OPAQUE_MAX_DIGITS) return false
        const opaque = integerIn(source, at, opaqueEnd)
        if (opaque !== (opaque | 0)) return false
        target.opaque = opaque
        at = opaqueEnd
      } else {
        at = this.#endOfValue(slot, source, at, end, target)
        if (at < 0) return false
        target.spans[slot * SPAN_SIZE + 3] = at
      }
      from = this.#slotEnds[index] ?? 0
    }
    const rest = this.#bytes.length - from
    if (rest !== end - at || !isSame(this.#view, from, view, viewAt + at, rest)) return false
    this.#place(field, this.#fieldCount, at - from, target)
    target.fieldCount = this.#fieldCount
    return true
  }

  /** A layout that takes this header too; null when it differs in more than values. */
  widened(scanned: ScannedHeader, source: Buffer, start: number, end: number): HeaderLayout | null {
    const isAlike =
      scanned.code === this.code &&
      scanned.flag === this.flag &&
      scanned.version === this.version &&
      scanned.fieldCount === this.#fieldCount
    if (!isAlike) return null
    const varies = Uint8Array.from(this.#varies)
    const own = this.#values(this.#spans, this.#opaqueStart, this.#opaqueEnd)
    const other = this.#values(scanned.spans, scanned.opaqueStart, scanned.opaqueEnd)
    let from = 0
    let at = start
    for (const [index, [slot, valueStart, valueEnd]] of own.entries()) {
      const [otherSlot, otherStart, otherEnd] = other[index] ?? [OPAQUE_SLOT, 0, 0]
      const isSkeleton =
        slot === otherSlot && areSame(this.#bytes, from, valueStart, source, at, otherStart)
      if (!isSkeleton) return null
      if (
        slot !== OPAQUE_SLOT &&
        !areSame(this.#bytes, valueStart, valueEnd, source, otherStart, otherEnd)
      ) {
        varies[slot] = 1
      }
      from = valueEnd
      at = otherEnd
    }
    if (!areSame(this.#bytes, from, this.#bytes.length, source, at, end)) return null
    return new HeaderLayout(scanned, source, start, end, varies)
  }

  /** All values and the opaque, as they follow each other: slot, start, end. */
  #values(
    spans: Int32Array,
    opaqueStart: number,
    opaqueEnd: number,
  ): readonly (readonly [slot: number, start: number, end: number])[] {
    const values: [number, number, number][] = [[OPAQUE_SLOT, opaqueStart, opaqueEnd]]
    for (let field = 0; field < this.#fieldCount; field++) {
      const span = field * SPAN_SIZE
      values.push([field, spans[span + 2] ?? 0, spans[span + 3] ?? 0])
    }
    return values.sort((left, right) => left[1] - right[1])
  }

  /** Where the value of a field ends that starts at `at`; -1 when it is not of the form that the field had. */
  #endOfValue(
    field: number,
    source: Buffer,
    at: number,
    end: number,
    target: ScannedHeader,
  ): number {
    const isString = this.#bytes[(this.#spans[field * SPAN_SIZE + 2] ?? 0) - 1] === QUOTE
    if (!isString) return endOfLiteral(source, at, end)
    const found = endOfString(source, at, end)
    if (found < 0) return -1
    target.escapes[field] = found & 1
    return found >> 1
  }

  /** Brings the spans of some fields, all `shift` bytes further than here. */
  #place(first: number, end: number, shift: number, target: ScannedHeader): void {
    const own = this.#spans
    const { spans, escapes } = target
    for (let field = first; field < end; field++) escapes[field] = this.#escapes[field] ?? 0
    for (let at = first * SPAN_SIZE; at < end * SPAN_SIZE; at++) spans[at] = (own[at] ?? 0) + shift
  }
}

/** Words may overlap at the end, so that no single bytes are left. */
function isSame(
  left: DataView,
  leftAt: number,
  right: DataView,
  rightAt: number,
  length: number,
): boolean {
  if (length < 4) {
    for (let index = 0; index < length; index++) {
      if (left.getUint8(leftAt + index) !== right.getUint8(rightAt + index)) return false
    }
    return true
  }
  const last = length - 4
  for (let index = 0; index < last; index += 4) {
    if (left.getInt32(leftAt + index, true) !== right.getInt32(rightAt + index, true)) return false
  }
  return left.getInt32(leftAt + last, true) === right.getInt32(rightAt + last, true)
}

function areSame(
  left: Buffer,
  leftStart: number,
  leftEnd: number,
  right: Buffer,
  rightStart: number,
  rightEnd: number,
): boolean {
  return left.compare(right, rightStart, rightEnd, leftStart, leftEnd) === 0
}
