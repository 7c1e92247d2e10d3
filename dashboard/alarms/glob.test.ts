import { assert, property, string, stringMatching } from 'fast-check'
import { expect, test } from 'vitest'
import { matchesGlob } from './glob.ts'

test.each([
  ['*', '', true],
  ['*', 'anything', true],
  ['shop-*', 'shop-1', true],
  ['shop-*', 'shop', false],
  ['?', 'a', true],
  ['?', '', false],
  ['a*b*c', 'aXbYbZc', true],
  ['a*b*c', 'aXbYbZ', false],
  ['a.c', 'abc', false],
  ['group *, topic orders', 'group g, topic orders', true],
])('%s and %s', (pattern, name, matches) => {
  expect(matchesGlob(pattern, name)).toBe(matches)
})

test('it means the same as a regular expression', () => {
  const short = stringMatching(/^[ab*?]{0,8}$/u)
  assert(
    property(short, stringMatching(/^[ab]{0,10}$/u), (pattern, name) => {
      const expression = pattern.replaceAll('*', '.*').replaceAll('?', '.')
      expect(matchesGlob(pattern, name)).toBe(new RegExp(`^${expression}$`, 'u').test(name))
    }),
  )
})

test('a name without signs means itself', () => {
  assert(
    property(string(), string(), (name, other) => {
      const plain = name.replaceAll(/[*?]/gu, '')
      expect(matchesGlob(plain, plain)).toBe(true)
      expect(matchesGlob(plain, other)).toBe(plain === other)
    }),
  )
})
