import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { SimulatedDisk } from '../simulation/disk.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { COARSE, FINE, History, SERIES_MAX, loadHistory, saveHistory } from './history.ts'

const START = 1_700_000_400_000
const HOUR = 3_600_000

function recorded(count: number, value: (at: number) => number): History {
  const history = new History()
  for (let at = 0; at < count; at++) {
    history.record(START + at * FINE.stepMs, [['in', value(at)]])
  }
  return history
}

test('the last values are read with their times, oldest first', () => {
  const history = recorded(3, (at) => at + 1)

  const { times, series, stepMs } = history.read(['in'], 5 * FINE.stepMs)

  expect(stepMs).toBe(FINE.stepMs)
  expect(series['in']).toEqual([null, null, 1, 2, 3])
  expect(times.at(-1)).toBe(START + 2 * FINE.stepMs)
})

test('what is older than an hour is overwritten in the fine ring and averaged in the coarse one', () => {
  const history = recorded(FINE.count + 60, () => 4)

  const fine = history.read(['in'], HOUR)
  const coarse = history.read(['in'], 4 * HOUR)

  expect(fine.series['in']).toHaveLength(FINE.count)
  expect(fine.series['in']?.every((value) => value === 4)).toBe(true)
  expect(coarse.stepMs).toBe(COARSE.stepMs)
  expect(coarse.series['in']?.filter((value) => value !== null)).toEqual(
    Array.from({ length: 7 }, () => 4),
  )
})

test('a coarse value is the mean of what came in its time', () => {
  const history = recorded(60, (at) => at)

  expect(history.read(['in'], 24 * HOUR).series['in']?.at(-1)).toBe(29.5)
})

test('a gap is not known, and stays so in the values of former rounds', () => {
  const history = recorded(FINE.count, () => 1)
  history.record(START + (FINE.count + 10) * FINE.stepMs, [['in', 2]])

  const values = history.read(['in'], 12 * FINE.stepMs).series['in'] ?? []

  expect(values[0]).toBe(1)
  expect(values.slice(1, -1).every((value) => value === null)).toBe(true)
  expect(values.at(-1)).toBe(2)
})

test('a clock that goes back changes nothing', () => {
  const history = recorded(3, (at) => at)
  history.record(START, [['in', 99]])

  expect(history.read(['in'], 3 * FINE.stepMs).series['in']).toEqual([0, 1, 2])
})

test('series beyond the limit are left out, and make room when they are no longer known', () => {
  const history = new History()
  const names = Array.from({ length: SERIES_MAX + 1 }, (_, at) => [`s${at}`, 1] as const)
  history.record(START, names)

  expect(history.size).toBe(SERIES_MAX)
  history.record(START + 8 * 24 * HOUR, [['s0', 1]])
  history.prune()
  expect(history.size).toBe(1)
})

test('what is written is read again, on any disk', async () => {
  const disk = new SimulatedDisk({ clock: new SimulatedTime() })
  disk.makeDirectorySync('/d')
  const history = recorded(10, (at) => at / 2)
  await saveHistory(disk, '/d/history.bin', history)

  const again = loadHistory(disk, '/d/history.bin', silentLogger)

  expect(again.read(['in'], HOUR)).toEqual(history.read(['in'], HOUR))
  expect(again.read(['in'], 24 * HOUR)).toEqual(history.read(['in'], 24 * HOUR))
})

test('a file that is cut or changed at any place is never a crash', () => {
  const file = Buffer.concat(recorded(5, () => 1).encode())

  for (let length = 0; length < Math.min(file.length, 400); length++) {
    expect(new History().restore(file.subarray(0, length))).toBe(false)
  }
  for (let at = 0; at < 120; at++) {
    const changed = Buffer.from(file)
    changed[at] = (changed[at] ?? 0) ^ 0xff
    expect(() => new History().restore(changed)).not.toThrow()
  }
})
