/** Memory for answers that wait until what they say is recorded; used again and again. */

const SIZE_MIN = 64 * 1024
/** What lies ready beyond this is left to the garbage collector. */
const FREE_BYTES_MAX = 8 * 1024 * 1024

export class AnswerBuffers {
  /** By size, a power of two. */
  readonly #free = new Map<number, Buffer[]>()
  #freeBytes = 0

  /** At least so large; what lies in it is nobody's. */
  take(size: number): Buffer {
    let capacity = SIZE_MIN
    while (capacity < size) capacity *= 2
    const buffer = this.#free.get(capacity)?.pop()
    if (buffer === undefined) return Buffer.allocUnsafeSlow(capacity)
    this.#freeBytes -= capacity
    return buffer
  }

  /** Nobody reads or writes it any more. */
  giveBack(buffer: Buffer): void {
    const { length } = buffer
    if (this.#freeBytes + length > FREE_BYTES_MAX) return
    this.#freeBytes += length
    const free = this.#free.get(length)
    if (free === undefined) this.#free.set(length, [buffer])
    else free.push(buffer)
  }
}
