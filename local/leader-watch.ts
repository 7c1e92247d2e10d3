/** Finds out who leads a broker group, from the admin ports of its members: now and then while all is well, in a hurry when the leader may be gone. */
import type { RaftFacts } from '../common/admin-contract.ts'
import type { Timer, Timers } from '../common/ports.ts'

const STEADY_MS = 100
const HURRY_MS = 30
/** Whoever takes longer to answer is as good as gone: a stopped process must not hide its successor. */
const ANSWER_MS = 300

export type LeaderFacts = Pick<RaftFacts, 'role' | 'term' | 'isReady'>

export interface LeaderWatchOptions {
  /** Names of the members that run. */
  readonly members: () => readonly string[]
  /** Null: no answer. */
  readonly ask: (member: string) => Promise<LeaderFacts | null>
  readonly timers: Timers
  /** Called when the answer has changed. Null: nobody leads, or nobody says so. */
  readonly onLeader: (member: string | null) => void
}

export class LeaderWatch {
  readonly #options: LeaderWatchOptions
  #leader: string | null = null
  #term = 0
  #timer: Timer | null = null
  #isAsking = false
  #isHurried = false
  #isClosed = false

  constructor(options: LeaderWatchOptions) {
    this.#options = options
  }

  get leader(): string | null {
    return this.#leader
  }

  start(): void {
    this.hurry()
  }

  /** Asks at once: something has happened to the leader. */
  hurry(): void {
    if (this.#isClosed) return
    if (this.#isAsking) {
      this.#isHurried = true
      return
    }
    this.#timer?.cancel()
    this.#isAsking = true
    void this.#look().then((delayMs) => {
      this.#isAsking = false
      if (this.#isClosed) return
      const waitMs = this.#isHurried ? 0 : delayMs
      this.#isHurried = false
      this.#timer = this.#options.timers.after(waitMs, () => this.hurry())
    })
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  /** Resolves with the pause until the next look. */
  async #look(): Promise<number> {
    const present = this.#options.members()
    // While the leader says that it leads, nobody else has to be asked.
    if (this.#leader !== null && present.includes(this.#leader)) {
      const facts = await this.#ask(this.#leader)
      if (facts?.role === 'leader' && facts.isReady) {
        this.#term = Math.max(this.#term, facts.term)
        return STEADY_MS
      }
    }
    const answers = await Promise.all(
      present.map(async (member) => ({ member, facts: await this.#ask(member) })),
    )
    const leading = answers
      .filter(({ facts }) => facts?.role === 'leader' && facts.isReady && facts.term >= this.#term)
      .toSorted((left, right) => (right.facts?.term ?? 0) - (left.facts?.term ?? 0))[0]
    this.#term = Math.max(this.#term, leading?.facts?.term ?? 0)
    this.#set(leading?.member ?? null)
    return leading === undefined ? HURRY_MS : STEADY_MS
  }

  #ask(member: string): Promise<LeaderFacts | null> {
    return new Promise((resolve) => {
      const timer = this.#options.timers.after(ANSWER_MS, () => resolve(null))
      void this.#options.ask(member).then((facts) => {
        timer.cancel()
        resolve(facts)
      })
    })
  }

  #set(leader: string | null): void {
    if (leader === this.#leader || this.#isClosed) return
    this.#leader = leader
    this.#options.onLeader(leader)
  }
}
