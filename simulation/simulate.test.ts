import { expect, test } from 'vitest'
import { simulate } from './run.ts'

const SHORT = { members: 3, operations: 250, planted: null }

/** Seeds which once broke a rule, with what was wrong. */
const REGRESSIONS = [
  [5, 'a member went on behind a write that had failed'],
  [10, 'records that find no room on a member’s disk ended its process with an assertion'],
  [15, 'the checkpoint promised what a cut had taken from the log'],
  [16, 'after forced deletion a start knew nothing of what had been committed'],
  [21, 'a read for another member was taken for rot when the log was cut under it'],
  [22, 'records that rot had reached made a promise fail unheard'],
  [42, 'a leader with rot in its log ended the processes of its followers'],
  [59, 'a configuration that lies before a known one ended the process'],
  [81, 'a leader whose first record found no room could not lead again'],
  [84, 'a leader counted records as sent that it had not written'],
  [98, 'a checkpoint that was never synced let rot pass for a torn tail'],
] as const

test.each(REGRESSIONS)('seed %i holds: %s', { timeout: 120_000 }, async (seed) => {
  const result = await simulate({ seed, members: 3, operations: 2000, planted: null })

  expect(result.violation).toBe(null)
})

test.each([1, 2, 3, 4])('a group of three keeps all rules (seed %i)', async (seed) => {
  const result = await simulate({ ...SHORT, seed })

  expect(result.violation).toBe(null)
  expect(result.counts['acknowledged']).toBeGreaterThan(50)
})

test('a group of five keeps all rules', async () => {
  const result = await simulate({ ...SHORT, seed: 1, members: 5 })

  expect(result.violation).toBe(null)
})

test('a seed is the same run to the bit each time, and another seed is another run', async () => {
  const first = await simulate({ ...SHORT, seed: 7 })
  const second = await simulate({ ...SHORT, seed: 7 })
  const other = await simulate({ ...SHORT, seed: 8 })

  expect(second.hashes).toEqual(first.hashes)
  expect(second).toEqual(first)
  expect(other.hash).not.toBe(first.hash)
})
