/** A million timers that wait: what a start takes to know them, and the memory that they take then (budget: 200 MiB). */
import process from 'node:process'
import { expect, test } from 'vitest'
import { SimulatedTime } from '../../simulation/time.ts'
import { TimerIndex } from './timer-index.ts'

const TIMERS = 1_000_000
const MIB = 1024 * 1024
const BUDGET_MIB = 200
const FIRST_DUE = 1_800_000_000_000
const SPREAD_MS = 3 * 24 * 3600 * 1000

test('a million timers', async () => {
  const clock = new SimulatedTime()
  const store = {
    tagsCodes: (topic: string, _queueId: number, from: number, target: Float64Array): number => {
      if (topic !== 'rmq_sys_wheel_timer') return 0
      const count = Math.min(target.length, TIMERS - from)
      // Scattered over three days; the code is the due time × 4.
      for (let index = 0; index < count; index++) {
        target[index] = (FIRST_DUE + (((from + index) * 7919) % SPREAD_MS)) * 4
      }
      return count
    },
    minOffsetInQueue: () => 0,
    maxOffsetInQueue: (topic: string) => (topic === 'rmq_sys_wheel_timer' ? TIMERS : 0),
    physicalOffsetAt: () => null,
    recordAt: () => null,
  }
  const soon = (task: () => void): void => void setImmediate(task)
  const index = new TimerIndex({ store, clock, timers: { soon } })
  const before = usedBytes()
  const cpuBefore = process.cpuUsage()

  await index.load()

  const { user } = process.cpuUsage(cpuBefore)
  const usedMib = (usedBytes() - before) / MIB
  process.stdout.write(
    `${index.count} timers: ${(user / 1e6).toFixed(2)} CPU seconds, at most ${usedMib.toFixed(1)} MiB\n`,
  )
  expect(index.count).toBe(TIMERS)
  expect(usedMib).toBeLessThan(BUDGET_MIB)
})

/** Everything that V8 holds, garbage included: an upper bound. */
function usedBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
