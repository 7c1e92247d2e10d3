/** The messages that were recalled and would be due about now, by `topic+uniqueId` (Java: TimerMessageStore.buildDeleteKey). */

/** A message is due so much after its tick at most. */
const TICK_MAX_MS = 60_000

export class Recalled {
  /** Until when a key is kept: nothing that is due later can be meant. */
  readonly #until = new Map<string, number>()

  /** `tick` is that of the message that is recalled. */
  add(key: string, tick: number): void {
    this.#until.set(key, tick + TICK_MAX_MS)
  }

  has(topic: string, uniqueKey: string): boolean {
    if (this.#until.size === 0) return false
    // Java brokers before 5.3 took the unique id alone.
    return this.#until.has(recallKey(topic, uniqueKey)) || this.#until.has(uniqueKey)
  }

  delete(key: string): void {
    this.#until.delete(key)
  }

  /** Forgets keys that nothing can need which is due at `dueTime` or later. */
  forgetBefore(dueTime: number): void {
    if (this.#until.size === 0) return
    for (const [key, until] of this.#until) if (until < dueTime) this.#until.delete(key)
  }

  clear(): void {
    this.#until.clear()
  }
}

export function recallKey(topic: string, uniqueKey: string): string {
  return `${topic}+${uniqueKey}`
}
