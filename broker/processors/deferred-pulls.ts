/**
 * Pulls of peers that have not taken their last answers yet: they are asked again, in their order, as the peer takes what waits for it.
 *
 * Without this a consumer that sends many pulls and reads slowly would have all their messages lie in the broker's memory.
 */
import type { Timers } from '../../common/ports.ts'
import type { Connection } from '../../remoting/connection.ts'

/** No further messages are answered to a peer that has not taken so much. */
const OUTPUT_BYTES_MAX = 128 * 1024
/** How long a peer that takes nothing is left alone. */
const RETRY_MS = 20

/** Who is asked again. */
export interface DeferredPull {
  readonly connection: Connection
  retry(): void
}

interface Waiting {
  readonly pulls: DeferredPull[]
  /** Those before it have been asked again. */
  next: number
}

export class DeferredPulls {
  readonly #timers: Pick<Timers, 'after' | 'soon'>
  readonly #waiting = new Map<Connection, Waiting>()
  #isScheduled = false

  constructor(timers: Pick<Timers, 'after' | 'soon'>) {
    this.#timers = timers
  }

  /** True when an answer with messages has to wait. */
  mustWait({ outputBytes }: Connection): boolean {
    return outputBytes > OUTPUT_BYTES_MAX
  }

  add(pull: DeferredPull): void {
    const waiting = this.#waiting.get(pull.connection)
    if (waiting === undefined) this.#waiting.set(pull.connection, { pulls: [pull], next: 0 })
    else waiting.pulls.push(pull)
    if (this.#isScheduled) return
    this.#isScheduled = true
    // What was written in this turn leaves at its end; only a peer that does not read keeps its pulls waiting.
    this.#timers.soon(() => this.#retry())
  }

  #retry(): void {
    let hasProgress = false
    for (const [connection, waiting] of [...this.#waiting]) {
      if (!connection.isOpen) this.#waiting.delete(connection)
      else if (this.#resume(connection, waiting)) hasProgress = true
    }
    this.#isScheduled = this.#waiting.size > 0
    if (!this.#isScheduled) return
    if (hasProgress) this.#timers.soon(() => this.#retry())
    else this.#timers.after(RETRY_MS, () => this.#retry())
  }

  /** True when a pull was asked again. */
  #resume(connection: Connection, waiting: Waiting): boolean {
    const first = waiting.next
    const end = waiting.pulls.length
    while (waiting.next < end && !this.mustWait(connection)) {
      waiting.pulls[waiting.next++]?.retry()
    }
    if (waiting.next === waiting.pulls.length) this.#waiting.delete(connection)
    return waiting.next > first
  }
}
