import { expect, test } from 'vitest'
import { PLANTS } from './planted.ts'
import { simulate } from './run.ts'
import type { Plant } from './planted.ts'

const SEEDS = 40

/** The first broken rule among some seeds; null when there is none. */
async function find({ name, workload = 'store' }: Plant): Promise<string | null> {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { violation } = await simulate({
      seed,
      members: 3,
      operations: 800,
      planted: name,
      workload,
    })
    if (violation !== null) return violation.rule
  }
  return null
}

const BUGS = PLANTS.filter(({ name }) => name !== 'nothing')

// Goal: the rules are alive. Method: each bug is put in, and one of the first seeds has to break a rule.
test.each(BUGS)('$name is found: $what', { timeout: 300_000 }, async (plant) => {
  expect(await find(plant)).not.toBe(null)
})

test('without a bug the same faults break no rule', { timeout: 300_000 }, async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const result = await simulate({
      seed,
      members: 3,
      operations: 800,
      planted: 'nothing',
      workload: 'store',
    })
    expect(result.violation).toBe(null)
  }
})
