import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { formatBaseline, formatReport, isTargetMet } from './report.ts'
import { FORMAT, parseComparison, withScenarios } from './results.ts'
import type { Comparison, PairResult } from './results.ts'
import { SCENARIOS } from './scenarios.ts'
import { compare, median } from './statistics.ts'

const PAIRS: readonly PairResult[] = [
  pair({ rate: 600, delay: 2 }, { rate: 100, delay: 4 }),
  pair({ rate: 900, delay: 3 }, { rate: 120, delay: 9 }),
  pair({ rate: 700, delay: 1 }, { rate: 140, delay: 5 }),
]

test('a ratio is that of the medians, and its spread is that of the pairs', () => {
  const { gantry, java, ratio, spread } = compare(PAIRS, 'rate', 'more')

  expect({ gantry, java }).toEqual({ gantry: 700, java: 120 })
  expect(ratio).toBeCloseTo(700 / 120)
  expect(spread).toEqual([5, 7.5])
})

test('where less is better the ratio still says how many times better Gantry is', () => {
  const { ratio, spread } = compare(PAIRS, 'delay', 'less')

  expect(ratio).toBe(2.5)
  expect(spread).toEqual([2, 5])
})

test('a side without a figure leaves the other side alone', () => {
  const compared = compare([pair({ rate: 5 }, {})], 'rate', 'more')

  expect(compared).toEqual({ gantry: 5, java: null, ratio: null, spread: null })
})

test('the median of an even number of values lies between the middle ones', () => {
  expect(median([4, 1, 3, 2])).toBe(2.5)
  expect(median([])).toBeNull()
})

test('a target is met at its bound and missed beyond it', () => {
  const metric = { id: 'rate', title: '', unit: '', better: 'more' } as const
  const ratio = 700 / 120

  expect(isTargetMet({ ...metric, target: { type: 'ratio', atLeast: ratio } }, PAIRS)).toBe(true)
  expect(isTargetMet({ ...metric, target: { type: 'ratio', atLeast: 5.9 } }, PAIRS)).toBe(false)
  expect(isTargetMet({ ...metric, target: { type: 'limit', atMost: 700 } }, PAIRS)).toBe(true)
  expect(isTargetMet({ ...metric, target: { type: 'limit', atMost: 699 } }, PAIRS)).toBe(false)
  const relative = { type: 'relative', to: 'delay' } as const
  expect(isTargetMet({ ...metric, target: { ...relative, atLeast: 350 } }, PAIRS)).toBe(true)
  expect(isTargetMet({ ...metric, target: { ...relative, atMost: 349 } }, PAIRS)).toBe(false)
  expect(isTargetMet(metric, PAIRS)).toBeNull()
})

test('every figure has an id of its own that begins with its scenario, and refers to one that exists', () => {
  const metrics = SCENARIOS.flatMap((scenario) => scenario.metrics)
  const ids = metrics.map(({ id }) => id)
  const strays = SCENARIOS.flatMap((scenario) =>
    scenario.metrics.filter(({ id }) => !id.startsWith(`${scenario.id}.`)),
  )
  const references = metrics.flatMap(({ target }) =>
    target?.type === 'relative' ? [target.to] : [],
  )

  expect(new Set(ids).size).toBe(ids.length)
  expect(strays).toEqual([])
  expect(references.filter((id) => !ids.includes(id))).toEqual([])
})

test('the report has a row for each figure, what was missed, the problems and the notes', () => {
  const report = formatReport(comparisonOf([{ id: 'start', pairs: STARTS }]), '## Notes\n\nmine\n')

  expect(report).toContain('| on an empty store | s | 2.00 | 9.00 | 4.50 | 4.50 … 4.50 |')
  expect(report).toContain('≤ 1.5 s | **missed** |')
  expect(report).toContain('- on an empty store: 2.00 s, wanted ≤ 1.5 s')
  expect(report).toContain('- Java: it was slow')
  expect(report.endsWith('## Notes\n\nmine\n')).toBe(true)
})

test('results come back from their file as they were', () => {
  const comparison = comparisonOf([{ id: 'start', pairs: STARTS }])

  expect(parseComparison(JSON.stringify(comparison))).toEqual(comparison)
  expect(() => parseComparison('{"format":99}')).toThrow('not a comparison of format 1')
})

test('scenarios of a later run take the place of the same ones, and say when they were measured', () => {
  const first = comparisonOf([
    { id: 'start', pairs: [] },
    { id: 'memory', pairs: [] },
  ])
  const later = { ...comparisonOf([{ id: 'start', pairs: STARTS }]), date: '2026-02-03T04:05:06Z' }

  const merged = withScenarios(first, later)

  expect(merged.scenarios.map(({ id, pairs }) => [id, pairs.length])).toEqual([
    ['start', 1],
    ['memory', 0],
  ])
  expect(merged.date).toBe(first.date)
  expect(parseComparison(JSON.stringify(merged))).toEqual(merged)
  expect(formatReport(merged, '')).toContain(
    `*Measured in a run of its own, 2026-02-03 04:05 UTC, on ${first.machine.cpu}, pairs 3, only start.*`,
  )
})

test('an earlier Gantry stands in the place of the Java broker', () => {
  const report = formatBaseline(comparisonOf([{ id: 'start', pairs: STARTS }]), 'abc1234')

  expect(report).toContain('| | unit | now | abc1234 | ratio | spread |')
  expect(report).toContain('| on an empty store | s | 2.00 | 9.00 | 4.50 | 4.50 … 4.50 |')
  expect(report).toContain('- abc1234: it was slow')
})

test('docs/performance.md is the report of the newest results', () => {
  const folder = join(import.meta.dirname, 'results')
  const newest = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.json'))
        .sort()
        .at(-1)
    : undefined
  const document = join(import.meta.dirname, '..', 'docs', 'performance.md')
  const notes = readFileSync(join(import.meta.dirname, 'performance-notes.md'), 'utf8')

  const expected =
    newest === undefined
      ? null
      : formatReport(parseComparison(readFileSync(join(folder, newest), 'utf8')), notes)

  expect(existsSync(document) ? readFileSync(document, 'utf8') : null).toBe(expected)
})

const STARTS: readonly PairResult[] = [
  {
    first: 'java',
    gantry: { figures: { 'start.empty': 2, 'start.again': 1 }, problems: [] },
    java: { figures: { 'start.empty': 9 }, problems: ['it was slow'] },
  },
]

function pair(
  gantry: Readonly<Record<string, number>>,
  java: Readonly<Record<string, number>>,
): PairResult {
  return {
    first: 'gantry',
    gantry: { figures: gantry, problems: [] },
    java: { figures: java, problems: [] },
  }
}

function comparisonOf(scenarios: Comparison['scenarios']): Comparison {
  return {
    format: FORMAT,
    date: '2026-01-02T03:04:05.000Z',
    gantry: '0.1.0',
    rocketmq: '5.5.0',
    machine: {
      cpu: 'a processor',
      cores: 2,
      memoryBytes: 2 ** 34,
      kernel: 'Linux 6',
      fileSystem: 'ext4',
      node: 'v26.0.0',
      java: '17',
    },
    options: { pairs: 3, only: 'start' },
    scenarios,
  }
}
