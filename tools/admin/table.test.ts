import { expect, test } from 'vitest'
import { humanTime, javaLine, render } from './table.ts'
import { versionName } from '../../remoting/version-name.ts'

const ANSWER = {
  columns: ['topic', 'lag'],
  rows: [
    { topic: 'Orders', lag: 7 },
    { topic: 'A', lag: null },
  ],
}

test('columns of Java are filled up at the right or at the left, and never cut', () => {
  expect(javaLine([4, -4, 2], ['a', 'b', 'long'])).toBe('a        b  long')
})

test('a table is as wide as its widest cell, and unknown values are dashes', () => {
  expect(render(ANSWER, 'table')).toBe('TOPIC   LAG\nOrders  7\nA       -\n')
})

test('JSON and YAML have the data, names only the first column', () => {
  expect(JSON.parse(render(ANSWER, 'json'))).toEqual(ANSWER.rows)
  expect(render({ ...ANSWER, data: { a: 1 } }, 'yaml')).toBe('a: 1\n')
  expect(render(ANSWER, 'name')).toBe('Orders\nA\n')
})

test('a time that is not known is shown as none', () => {
  expect(humanTime(0)).toBe('')
  expect(humanTime(new Date(2026, 0, 31, 1, 2, 3, 4).getTime())).toBe('2026-01-31 01:02:03,004')
})

test.each([
  [213, 'V4_0_0'],
  [233, 'V4_1_0'],
  [232, 'V4_1_0_SNAPSHOT'],
  [409, 'V4_9_8'],
  [441, 'V5_1_4'],
  [513, 'V5_5_0'],
  [100, '100'],
])('the version %i is called %s', (ordinal, name) => {
  expect(versionName(ordinal)).toBe(name)
})
