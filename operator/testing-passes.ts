/** The operator of a small world over time, with deaths in the middle of its work. */
import type { World } from './testing.ts'

class CrashError extends Error {}

/** Runs a world pass by pass; the operator dies in the middle of one when it is told to. */
export class Passes {
  /** Calls until the operator dies; null: it lives. */
  crashIn: number | null = null
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  /** To be called before each call of the operator. */
  countCall(): void {
    if (this.crashIn === null) return
    this.crashIn -= 1
    if (this.crashIn < 0) throw new CrashError('the operator is gone')
  }

  async run(limitMs: number): Promise<void> {
    const end = this.#world.clock.now() + limitMs
    while (this.#world.clock.now() < end) {
      let pause = 1_000
      try {
        pause = await this.#world.pass()
      } catch (error) {
        if (!(error instanceof CrashError)) throw error
      }
      if (this.crashIn !== null && this.crashIn < 0) {
        this.crashIn = null
        this.#world.restartOperator()
      }
      this.#world.advance(Math.min(pause, 2_000))
    }
  }
}
