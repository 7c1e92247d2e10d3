import { beforeEach, expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { PersistedFile, tablePieces } from './persisted-table.ts'
import type { ConfigFolder } from './persisted-table.ts'

/** A folder whose writes end when the test says so. */
class SlowFolder implements ConfigFolder {
  readonly written: string[] = []
  readonly #pending: (() => void)[] = []
  failure: Error | null = null
  atOnce = 0
  atOnceMax = 0

  read(): null {
    return null
  }

  async write(_name: string, pieces: Iterable<string>): Promise<boolean> {
    this.atOnce++
    this.atOnceMax = Math.max(this.atOnceMax, this.atOnce)
    const content = Array.from(pieces).join('')
    await new Promise<void>((resolve) => this.#pending.push(resolve))
    this.atOnce--
    if (this.failure !== null) throw this.failure
    this.written.push(content)
    return true
  }

  replace(): void {
    this.written.push('replaced')
  }

  finishOne(): void {
    this.#pending.shift()?.()
  }
}

let time: SimulatedTime
let folder: SlowFolder
let state: string
let file: PersistedFile

beforeEach(() => {
  time = new SimulatedTime()
  folder = new SlowFolder()
  state = 'a'
  file = new PersistedFile({
    name: 'x.json',
    folder,
    timers: time,
    logger: silentLogger,
    render: () => [state],
    mayReplace: () => Promise.resolve(() => true),
    written: () => undefined,
  })
})

async function finishOne(): Promise<void> {
  await time.settle()
  folder.finishOne()
  await time.settle()
}

test('a save that comes while the file is being written is written after it', async () => {
  const first = file.save()
  await time.settle()
  state = 'b'
  let isSecondDone = false
  const second = file.save().then(() => (isSecondDone = true))

  await finishOne()
  const afterFirst = [isSecondDone, [...folder.written]]
  await finishOne()
  await Promise.all([first, second])

  expect(afterFirst).toEqual([false, ['a']])
  expect(folder.written).toEqual(['a', 'b'])
  expect(folder.atOnceMax).toBe(1)
})

test('all saves before a write begins share it', async () => {
  const saves = [file.save(), file.save(), file.save()]

  await finishOne()
  await Promise.all(saves)

  expect(folder.written).toEqual(['a'])
})

test('after a write that failed the next one is tried', async () => {
  folder.failure = new Error('disk full')
  const problem = file.save().catch((error: unknown) => error)
  await finishOne()
  expect(await problem).toEqual(new Error('disk full'))
  folder.failure = null

  const saved = file.save()
  await finishOne()
  await saved

  expect(folder.written).toEqual(['a'])
})

test('settled waits for what is planned and what is under way, and for no outcome', async () => {
  folder.failure = new Error('disk full')
  const problem = file.save().catch((error: unknown) => error)
  let isSettled = false
  const settled = file.settled().then(() => (isSettled = true))

  await time.settle()
  const before = isSettled
  await finishOne()
  await Promise.all([problem, settled])

  expect(await problem).toEqual(new Error('disk full'))
  expect(before).toBe(false)
  expect(isSettled).toBe(true)
})

test.each([0, 1, 999, 1000, 1001, 2500])('a table of %i entries is one text in pieces', (count) => {
  const entries = Array.from({ length: count }, (_, index) => `"k${index}":${index}`)

  const pieces = Array.from(tablePieces('{"t":{', entries, '}}'))

  expect(pieces.join('')).toBe(`{"t":{${entries.join(',')}}}`)
  expect(pieces.length).toBe(Math.floor(count / 1000) + 1)
})
