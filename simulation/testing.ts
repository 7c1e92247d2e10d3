/** How many random histories the model-based tests run: few in each run of the tests, GANTRY_HISTORIES of each kind when that is set. */
import process from 'node:process'

const GIVEN = process.env['GANTRY_HISTORIES']
/** Of a slow machine on which other tests run. */
const HISTORY_MS = 2_000

/** Of one test, whatever their number. */
export const HISTORIES_TIMEOUT_MS: number = 120_000 + Number(GIVEN ?? 0) * HISTORY_MS

export function histories(usual: number): number {
  return Number(GIVEN ?? usual)
}
