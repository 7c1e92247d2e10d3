import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createRuntime } from '../common/runtime.ts'
import { KvConfig, KvConfigError } from './kv-config.ts'

const { disk } = createRuntime()
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gantry-kv-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

test('what was put is there after a restart, in the file form of RocketMQ', () => {
  const path = join(folder, 'sub', 'kvConfig.json')

  KvConfig.open(disk, path).put('ORDER_TOPIC_CONFIG', 'T1', 'broker-a:8;broker-b:8')

  expect(KvConfig.open(disk, path).get('ORDER_TOPIC_CONFIG', 'T1')).toBe('broker-a:8;broker-b:8')
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
    configTable: { ORDER_TOPIC_CONFIG: { T1: 'broker-a:8;broker-b:8' } },
  })
  expect(readdirSync(join(folder, 'sub'))).toEqual(['kvConfig.json'])
})

test('a deleted key is gone after a restart too, its namespace stays', () => {
  const path = join(folder, 'kvConfig.json')
  const kvConfig = KvConfig.open(disk, path)
  kvConfig.put('n', 'k', 'v')

  kvConfig.delete('n', 'k')
  kvConfig.delete('other', 'k')

  const reopened = KvConfig.open(disk, path)
  expect(reopened.get('n', 'k')).toBeNull()
  expect(reopened.list('n')).toEqual(new Map())
  expect(reopened.list('other')).toBeNull()
})

test('a folder that takes no file is told at the start', () => {
  writeFileSync(join(folder, 'file'), '')

  const open = () => KvConfig.open(disk, join(folder, 'file', 'kvConfig.json'))

  expect(open).toThrow(KvConfigError)
  expect(open).toThrow(/kvConfig\.json cannot be/)
})

test('a file that is no KV config is left as it is', () => {
  const path = join(folder, 'kvConfig.json')
  writeFileSync(path, '{"configTable":[1]}')

  expect(() => KvConfig.open(disk, path)).toThrow(/configTable is no object/)
  expect(readFileSync(path, 'utf8')).toBe('{"configTable":[1]}')
})
