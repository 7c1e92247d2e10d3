import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createRuntime } from '../common/runtime.ts'
import { DataFolder, DataFolderError } from './data-folder.ts'
import { statusOf } from './status.ts'

const { disk } = createRuntime()

let parent: string
let root: string

beforeEach(() => {
  parent = mkdtempSync(path.join(os.tmpdir(), 'gantry-test-'))
  root = path.join(parent, 'data')
})

afterEach(() => {
  rmSync(parent, { recursive: true, force: true })
})

function codeOfOpening(folder: string): string {
  try {
    DataFolder.open(folder, disk).close()
  } catch (error) {
    if (error instanceof DataFolderError) return error.code
    throw error
  }
  return 'no error'
}

test('a folder that is missing or empty is taken, and taken again later', () => {
  expect(codeOfOpening(root)).toBe('no error')
  expect(codeOfOpening(root)).toBe('no error')
  const empty = path.join(parent, 'empty')
  mkdirSync(empty)
  expect(codeOfOpening(empty)).toBe('no error')
})

test('a folder with files of somebody else, and a file, are refused and left as they are', () => {
  mkdirSync(root)
  writeFileSync(path.join(root, 'thesis.txt'), 'mine')

  expect(codeOfOpening(root)).toBe('foreign')
  expect(codeOfOpening(path.join(root, 'thesis.txt'))).toBe('foreign')
  expect(disk.listSync(root).map(({ name }) => name)).toEqual(['thesis.txt'])
})

test('a folder that cannot be made is refused with the reason', () => {
  writeFileSync(path.join(parent, 'file'), '')

  expect(codeOfOpening(path.join(parent, 'file', 'data'))).toBe('unwritable')
})

test('state comes back as it was saved, and damaged state is an error that names the file', () => {
  const folder = DataFolder.open(root, disk)
  const slot = { role: 'broker', slot: 1, adminSlot: 2 } as const
  const state = {
    format: 1,
    kube: { version: 5, objects: [], applied: {} },
    slots: { p: slot },
  } as const
  expect(folder.loadState()).toBeNull()

  folder.saveState(state)

  expect(folder.loadState()).toEqual(state)
  const file = path.join(root, '.gantry', 'state.json')
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, 20))
  expect(() => folder.loadState()).toThrow(file)
  writeFileSync(file, '{"format":2}')
  expect(() => folder.loadState()).toThrow('another version')
  folder.close()
})

test('nothing outside of the folder is ever removed', () => {
  const folder = DataFolder.open(root, disk)

  expect(() => folder.removeFolder(parent)).toThrow('not in')
  expect(() => folder.removeFolder(root)).toThrow('not in')
  expect(() => folder.removeFolder(`${root}/../other`)).toThrow('not in')
  folder.close()
})

test('the status of a running cluster is told as JSON and as a table, that of a dead one is not', () => {
  const folder = DataFolder.open(root, disk)
  const pod = {
    name: 'dev-broker-0-0',
    kind: 'broker',
    group: '0',
    role: 'leader',
    pid: 7,
    address: '127.0.0.1:10911',
    dataDir: '/d',
    ready: true,
  }
  folder.writeStatus({ pid: 4711, namesrv: '127.0.0.1:9876', pods: [pod] })

  const json = statusOf(root, 'json', disk, (pid) => pid === 4711)
  const text = statusOf(root, 'text', disk, () => true)
  const dead = statusOf(root, 'json', disk, () => false)
  folder.close()
  const closed = statusOf(root, 'json', disk, () => true)

  expect(JSON.parse(json.stdout)).toEqual({ namesrv: '127.0.0.1:9876', pods: [pod] })
  expect(json.exitCode).toBe(0)
  expect(text.stdout).toMatch(/dev-broker-0-0 +leader +127\.0\.0\.1:10911 +ready +\/d/)
  expect([dead.exitCode, closed.exitCode]).toEqual([3, 3])
  expect(dead.stderr).toContain(root)
})
