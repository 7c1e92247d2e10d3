/**
 * Random histories against what a transaction promises, whatever dies in between: a message is visible once if its producer commits it and never
 * otherwise, and each one is decided or expires.
 *
 * A producer decides when it sends: commit or roll back. It says so at once, later, twice, or not at all until it is asked, and then perhaps that it
 * does not know yet. Meanwhile time passes, offsets are saved or not, the broker
 * loses and wins its leadership, is killed, or its machine loses what was not synced.
 */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test, vi } from 'vitest'
import { SeededRandom } from '../../simulation/random.ts'
import { HISTORIES_TIMEOUT_MS, histories } from '../../simulation/testing.ts'
import { CHECK_MAX_TIME_TOPIC, HALF_TOPIC, TRANSACTION_GROUP } from '../names.ts'
import { COMMIT, ROLLBACK, TransactionWorld, UNKNOWN } from './testing.ts'
import type { Random } from '../../common/ports.ts'
import type { Sent } from './testing.ts'

const HISTORIES = histories(40)
const KEYS = {
  flushDiskType: 'SYNC_FLUSH',
  transactionCheckMax: '4',
  transactionOpMsgMaxSize: '24',
}

vi.setConfig({ testTimeout: HISTORIES_TIMEOUT_MS })

interface Promised {
  readonly sent: Sent
  readonly decision: number
  /** The broker has said that it did so. */
  isAnswered: boolean
}

class History {
  readonly at: TransactionWorld
  readonly #random: Random
  readonly #all = new Map<string, Promised>()

  constructor(at: TransactionWorld, random: Random) {
    this.at = at
    this.#random = random
  }

  async step(step: string): Promise<void> {
    const { time } = this.at.world
    if (step === 'send') return this.#send()
    if (step === 'end') return this.#end(false)
    if (step === 'die-in-end') return this.#end(true)
    if (step === 'answer') return this.#answerChecks(2)
    if (step === 'save') return this.at.saveOffsets()
    if (step === 'kill') return this.at.restart(null)
    if (step === 'lead') return this.at.leadAgain()
    if (step === 'power') return this.at.restart(this.#random)
    await time.advance(this.#random.integer(40_000))
  }

  async #send(): Promise<void> {
    const name = `m${this.#all.size}`
    const isCommit = this.#random.integer(2) === 0
    const immunity = this.#random.integer(4) === 0 ? '45' : ''
    const sent = await this.at.prepare(name, [['CHECK_IMMUNITY_TIME_IN_SECONDS', immunity]])
    this.#all.set(name, { sent, decision: isCommit ? COMMIT : ROLLBACK, isAnswered: false })
  }

  async #end(isLast: boolean): Promise<void> {
    const names = [...this.#all.keys()]
    const promised = this.#all.get(names[this.#random.integer(names.length || 1)] ?? '')
    if (promised === undefined) return
    if (isLast) {
      // What the request has begun goes on in nobody's memory.
      const { processors } = this.at.world
      const { sent, decision } = promised
      processors.transactions
        .end({ ...sent, producerGroup: 'P', isCommit: decision === COMMIT, isFromCheck: false })
        .catch(() => undefined)
      for (let turns = this.#random.integer(4); turns > 0; turns--) await Promise.resolve()
      if (this.#random.integer(2) === 0) this.at.world.time.runSoon()
      return this.at.restart(this.#random.integer(2) === 0 ? null : this.#random)
    }
    const { response } = await this.at.end(promised.sent, promised.decision)
    if (response?.code === 0) promised.isAnswered = true
  }

  /** Answers what has been asked; one of `doubt` answers is that it is not known yet. */
  async #answerChecks(doubt: number): Promise<void> {
    for (const check of this.at.checks()) {
      const promised = this.#all.get(check.name)
      if (promised === undefined) throw new Error(`${check.name} was never sent`)
      const isKnown = doubt === 0 || this.#random.integer(doubt) === 0
      const decision = isKnown ? promised.decision : UNKNOWN
      const { response } = await this.at.end(check, decision, { fromTransactionCheck: 'true' })
      if (isKnown && response?.code === 0) promised.isAnswered = true
    }
  }

  /** From now on every check is answered; then all that was promised must have come true. */
  async finish(): Promise<void> {
    for (let round = 0; round < 40; round++) {
      await this.at.world.time.advance(8000)
      await this.#answerChecks(0)
    }

    const visible = await this.at.names()
    const expired = await this.at.names(CHECK_MAX_TIME_TOPIC)
    const { processors, parts } = this.at.world
    assert.equal(processors.transactions.openByTopic.size, 0)
    assert.equal(visible.length, new Set(visible).size)
    assert.equal(expired.length, new Set(expired).size)
    for (const [name, { decision, isAnswered }] of this.#all) {
      const isVisible = visible.includes(name)
      const isExpired = expired.includes(name)
      assert(!(isVisible && isExpired), name)
      if (decision === ROLLBACK) assert(!isVisible, name)
      else assert(isVisible || isExpired, name)
      if (decision === COMMIT && isAnswered) assert(isVisible, name)
    }
    const done = parts.offsets.query(TRANSACTION_GROUP, HALF_TOPIC, 0) ?? 0
    assert.equal(done, parts.store.maxOffsetInQueue(HALF_TOPIC, 0))
  }
}

const STEP = fc.oneof(
  { weight: 6, arbitrary: fc.constant('send') },
  { weight: 4, arbitrary: fc.constant('end') },
  { weight: 3, arbitrary: fc.constant('answer') },
  { weight: 3, arbitrary: fc.constant('wait') },
  { weight: 1, arbitrary: fc.constant('save') },
  { weight: 1, arbitrary: fc.constant('die-in-end') },
  { weight: 1, arbitrary: fc.constant('kill') },
  { weight: 1, arbitrary: fc.constant('power') },
  { weight: 1, arbitrary: fc.constant('lead') },
)

test('what is committed is visible once, and nothing else, over kills and lost writes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(STEP, { minLength: 4, maxLength: 40 }),
      fc.integer({ min: 0, max: 0xffff }),
      async (steps, seed) => {
        const at = await TransactionWorld.create(KEYS)
        const history = new History(at, new SeededRandom(seed))
        for (const step of steps) await history.step(step)
        await history.finish()
      },
    ),
    { numRuns: HISTORIES },
  )
})
