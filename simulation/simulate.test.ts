import { expect, test } from 'vitest'
import { recordsIn } from './answered-records.ts'
import { replay } from './replay.ts'
import { simulate } from './run.ts'

const SHORT = { members: 3, operations: 250, planted: null, workload: 'store' } as const

/** Seeds that have found something once. What a seed does changes with the code: what they found has tests of its own where it was fixed. */
const REGRESSIONS = [1, 5, 10, 15, 16, 22, 42, 81] as const

test.each(REGRESSIONS)(
  'seed %i, which broke a rule once, keeps all',
  { timeout: 120_000 },
  async (seed) => {
    const result = await simulate({
      seed,
      members: 3,
      operations: 1500,
      planted: null,
      workload: 'store',
    })

    expect(result.violation).toBe(null)
  },
)

test.each([1, 2, 3, 4])('a group of three keeps all rules (seed %i)', async (seed) => {
  const result = await simulate({ ...SHORT, seed })

  expect(result.violation).toBe(null)
  expect(result.counts['acknowledged']).toBeGreaterThan(20)
})

test('members leave a group and others come, and it keeps all rules', async () => {
  const result = await simulate({ ...SHORT, operations: 700, seed: 9 })

  expect(result.violation).toBe(null)
  expect(result.faults['member removed']).toBeGreaterThan(0)
  expect(result.faults['member added']).toBeGreaterThan(0)
})

test('a group of five keeps all rules', async () => {
  const result = await simulate({ ...SHORT, seed: 1, members: 5 })

  expect(result.violation).toBe(null)
})

test.each([1, 2])('a group of whole brokers keeps all rules (seed %i)', async (seed) => {
  const result = await simulate({ ...SHORT, seed, workload: 'broker' })

  expect(result.violation).toBe(null)
  expect(result.counts['delayed']).toBeGreaterThan(5)
})

test.each([
  'retries',
  'recalls',
  'orderly',
  'offsets',
  'locks',
  'filters',
  'light',
  'requests',
  'batches',
] as const)('a group of whole brokers keeps all rules of %s', async (workload) => {
  const result = await simulate({ ...SHORT, seed: 1, workload })

  expect(result.violation).toBe(null)
  expect(result.counts['acknowledged']).toBeGreaterThan(20)
})

test.each([
  [76, 'the record of one rots on the disk of the leader'],
  [200_076, 'a clock is set back between one and the time of its message'],
])('seed %i of recalls, in which %s, keeps all', async (seed) => {
  const result = await simulate({ ...SHORT, operations: 400, seed, workload: 'recalls' })

  expect(result.violation).toBe(null)
})

test('a consumer that is given a damaged record takes none, and says so', () => {
  let reports = 0
  const onDamage = (): void => {
    reports++
  }

  expect(recordsIn(Buffer.alloc(200, 1), { onDamage })).toBe(null)
  expect(recordsIn(Buffer.alloc(0), { onDamage })).toEqual([])
  expect(reports).toBe(1)
})

test('two runs of a seed are compared line by line', async () => {
  const result = await replay({ ...SHORT, seed: 3 })

  expect(result.violation).toBe(null)
})

test('a seed is the same run to the bit each time, and another seed is another run', async () => {
  const whole = { ...SHORT, seed: 7, workload: 'broker' } as const
  const first = await simulate({ ...SHORT, seed: 7 })
  const second = await simulate({ ...SHORT, seed: 7 })
  const firstWhole = await simulate(whole)
  const secondWhole = await simulate(whole)
  const other = await simulate({ ...SHORT, seed: 8 })

  expect(second.hashes).toEqual(first.hashes)
  expect(second).toEqual(first)
  expect(secondWhole).toEqual(firstWhole)
  expect(other.hash).not.toBe(first.hash)
})
