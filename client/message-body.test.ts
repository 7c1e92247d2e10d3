import { deflateSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { ClientError } from './errors.ts'
import { messageBody } from './message-body.ts'

const TEXT = Buffer.from('hello hello hello')

test.for([
  ['plain', 0, TEXT],
  ['zlib of old clients', 0x1, deflateSync(TEXT)],
  ['zlib', 0x301, deflateSync(TEXT)],
  ['zstd', 0x201, zstdCompressSync(TEXT)],
] as const)('a %s body is read as it was written', ([, sysFlag, body]) => {
  expect(messageBody({ sysFlag, body }).toString()).toBe(TEXT.toString())
})

test.for([
  ['damaged', 0x301, Buffer.from('no zlib')],
  ['far too large', 0x301, deflateSync(Buffer.alloc(9 * 1024 * 1024))],
  ['LZ4', 0x101, TEXT],
] as const)('a %s body is refused', ([, sysFlag, body]) => {
  expect(() => messageBody({ sysFlag, body })).toThrow(ClientError)
})
