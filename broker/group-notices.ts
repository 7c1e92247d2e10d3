/**
 * When the members of a consumer group are told that it has changed.
 *
 * The first change is told at once; those that follow within a tenth of a second are told together. A group of n members that come one
 * after the other would otherwise cost n²/2 notices, and a restart of ten thousand clients minutes of the broker's time.
 */
import type { Timers } from '../common/ports.ts'

/** Far below what a client takes to share the queues anew. */
export const NOTICE_GAP_MS = 100

export class GroupNotices {
  readonly #timers: Pick<Timers, 'after'>
  readonly #tell: (group: string) => void
  /** Groups that have been told of a change a moment ago; true: there has been another one since. */
  readonly #recent = new Map<string, boolean>()

  constructor(timers: Pick<Timers, 'after'>, tell: (group: string) => void) {
    this.#timers = timers
    this.#tell = tell
  }

  changed(group: string): void {
    if (this.#recent.has(group)) this.#recent.set(group, true)
    else this.#tellNow(group)
  }

  #tellNow(group: string): void {
    this.#recent.set(group, false)
    this.#tell(group)
    this.#timers.after(NOTICE_GAP_MS, () => {
      const hasChanged = this.#recent.get(group) === true
      this.#recent.delete(group)
      if (hasChanged) this.#tellNow(group)
    })
  }
}
