/** Which timers are done with, delivered or recalled: a bit for each queue offset of the timer topic, in pages. */

const PAGE_SIZE = 4096
const PAGE_BITS = PAGE_SIZE * 8

interface Page {
  /** Null once all bits are set. */
  bits: Uint8Array | null
  count: number
}

export class ResolvedTimers {
  readonly #pages = new Map<number, Page>()

  has(queueOffset: number): boolean {
    const page = this.#pages.get(Math.floor(queueOffset / PAGE_BITS))
    if (page === undefined) return false
    const bit = queueOffset % PAGE_BITS
    return page.bits === null || ((page.bits[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0
  }

  add(queueOffset: number): void {
    const index = Math.floor(queueOffset / PAGE_BITS)
    let page = this.#pages.get(index)
    if (page === undefined) this.#pages.set(index, (page = newPage()))
    const { bits } = page
    if (bits === null) return
    const bit = queueOffset % PAGE_BITS
    const before = bits[bit >> 3] ?? 0
    const after = before | (1 << (bit & 7))
    if (after === before) return
    bits[bit >> 3] = after
    page.count++
    if (page.count === PAGE_BITS) page.bits = null
  }

  /** Forgets pages that lie wholly below a queue offset. */
  forgetBelow(queueOffset: number): void {
    const first = Math.floor(queueOffset / PAGE_BITS)
    for (const index of this.#pages.keys()) if (index < first) this.#pages.delete(index)
  }
}

function newPage(): Page {
  return { bits: new Uint8Array(PAGE_SIZE), count: 0 }
}
