import { expect, test } from 'vitest'
import {
  optionalBoolean,
  optionalInt,
  optionalLong,
  optionalString,
  requireInt,
  requireLong,
  requireString,
} from './header-fields.ts'

const fields = new Map([
  ['text', 'T'],
  ['int', '-2147483648'],
  ['long', '1700000000000'],
  ['yes', 'TRUE'],
  ['no', '1'],
  ['word', 'x'],
  ['huge', '9223372036854775807'],
  ['float', '1.5'],
  ['spaced', ' 1'],
])

test('fields are read by their type', () => {
  expect(requireString(fields, 'text')).toBe('T')
  expect(requireInt(fields, 'int')).toBe(-2_147_483_648)
  expect(requireLong(fields, 'long')).toBe(1_700_000_000_000)
})

test('absent optional fields are null', () => {
  expect(optionalString(fields, 'none')).toBeNull()
  expect(optionalInt(fields, 'none')).toBeNull()
  expect(optionalLong(fields, 'none')).toBeNull()
  expect(optionalBoolean(fields, 'none')).toBeNull()
})

test('an absent required field is named as Java names it', () => {
  expect(() => requireInt(fields, 'queueId')).toThrow('the custom field <queueId> is null')
})

test.each(['word', 'float', 'spaced', 'long'])('the value of %s is no int', (name) => {
  expect(() => requireInt(fields, name)).toThrow(`the custom field <${name}> is not an int`)
})

test('a long that a number cannot hold exactly is refused', () => {
  expect(() => requireLong(fields, 'huge')).toThrow('the custom field <huge> is not a long')
})
