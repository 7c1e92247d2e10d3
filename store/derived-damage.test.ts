/**
 * Damage to files that are derived from the CommitLog (reliability R21): built anew or refused by name, and never a wrong message.
 *
 * GANTRY_DAMAGE_FLIPS sets how many single bits of each file are flipped (8; 100 for a release).
 */
import process from 'node:process'
import { describe, expect, test } from 'vitest'
import { decodeRecord } from '../common/message-codec.ts'
import { SeededRandom } from '../simulation/random.ts'
import { StoreError } from './errors.ts'
import { fsck } from './fsck.ts'
import type { MessageStore } from './message-store.ts'
import { get, openStore, put, simulatedWorld, testMessage } from './testing.ts'

type World = ReturnType<typeof simulatedWorld>

const CONFIG = { maxHashSlotNum: 101, maxIndexNum: 60, mappedFileSizeConsumeQueue: 20 * 60 }
const TOPICS = ['Orders', 'Bills']
const QUEUES = 2
const PER_QUEUE = 80
const CUT_STEP = 512
const FLIPS = Number(process.env['GANTRY_DAMAGE_FLIPS'] ?? 8)

/** Equal sizes, so that a flipped bit of an offset may well lead to another record. */
const bodyOf = (topic: string, queueId: number, index: number): string =>
  `${topic}.${queueId}.${index}`.padEnd(topic === 'Orders' ? 134 : 135, '.')

const keyOf = (topic: string, queueId: number, index: number): string =>
  `${topic}.${queueId}.${index}`.padEnd(16, '_')

/** What a store had on disk when it was stopped in order, or killed. */
async function image(isClean: boolean): Promise<ReadonlyMap<string, Buffer>> {
  const world = simulatedWorld()
  const { store } = await openStore(world, CONFIG)
  for (let index = 0; index < PER_QUEUE; index++) {
    for (const topic of TOPICS) {
      for (let queueId = 0; queueId < QUEUES; queueId++) {
        const properties = { KEYS: keyOf(topic, queueId, index) }
        const body = bodyOf(topic, queueId, index)
        await world.settle(put(store, testMessage({ topic, queueId, body, properties })))
      }
    }
    if (index % 30 === 29) await world.time.advance(3000)
  }
  if (isClean) await world.settle(store.close())
  return new Map(filesBelow(world, '/store'))
}

function* filesBelow(world: World, folder: string): Generator<readonly [string, Buffer], void> {
  for (const { name, isDirectory } of world.disk.listSync(folder)) {
    const path = `${folder}/${name}`
    if (isDirectory) yield* filesBelow(world, path)
    else yield [path, world.disk.readFileSync(path) ?? Buffer.alloc(0)]
  }
}

function worldOf(files: ReadonlyMap<string, Buffer>): World {
  const world = simulatedWorld()
  for (const [path, bytes] of files) {
    world.disk.makeDirectorySync(path.slice(0, path.lastIndexOf('/')))
    const file = world.disk.openSync(path, 'write')
    file.truncateSync(bytes.length)
    file.writeSync(bytes, 0, bytes.length, 0)
  }
  return world
}

/** All messages of all queues, or null when the store noticed on the way that a file is damaged. */
async function readAll(world: World, store: MessageStore): Promise<readonly string[] | null> {
  const bodies: string[] = []
  for (const topic of TOPICS) {
    for (let queueId = 0; queueId < QUEUES; queueId++) {
      for (let next = 0; next < store.maxOffsetInQueue(topic, queueId);) {
        const found = await world.settle(get(store, { topic, queueId, queueOffset: next }))
        if (found.status !== 'FOUND') return null
        bodies.push(...found.records.map((record) => decodeRecord(record).body.toString()))
        next = found.nextBeginOffset
      }
    }
  }
  return bodies
}

function expected(): readonly string[] {
  return TOPICS.flatMap((topic) =>
    Array.from({ length: QUEUES }, (_, queueId) =>
      Array.from({ length: PER_QUEUE }, (__, index) => bodyOf(topic, queueId, index)),
    ).flat(),
  )
}

/** Asks for some keys; answers how many were missed, and throws for a wrong message. */
function missedKeys(store: MessageStore): number {
  let missed = 0
  for (let index = 0; index < PER_QUEUE; index += 7) {
    const key = keyOf('Orders', 1, index)
    const { records } = store.queryByKey({
      ...{ topic: 'Orders', key, maxMessages: 8 },
      ...{ beginTimestamp: 0, endTimestamp: Number.MAX_SAFE_INTEGER },
    })
    const bodies = records.map((record) => decodeRecord(record).body.toString())
    if (bodies.length === 0) missed++
    else expect(bodies).toEqual([bodyOf('Orders', 1, index)])
  }
  return missed
}

interface Verdict {
  readonly refused: boolean
  readonly noticedLate: boolean
  readonly missed: number
}

async function verdictOn(files: ReadonlyMap<string, Buffer>, path: string): Promise<Verdict> {
  const world = worldOf(files)
  let opened: Awaited<ReturnType<typeof openStore>>
  try {
    opened = await openStore(world, CONFIG)
  } catch (error) {
    expect(error).toBeInstanceOf(StoreError)
    expect(String(error)).toContain(path)
    return { refused: true, noticedLate: false, missed: 0 }
  }
  const first = await readAll(world, opened.store)
  const missed = missedKeys(opened.store)
  // Whoever noticed damage has ended the process; the next one builds anew.
  const noticedLate = first === null || opened.failures.length > 0
  if (!noticedLate) expect(first).toEqual(expected())
  world.kill()
  const { store, failures } = await openStore(world, CONFIG)
  expect(await readAll(world, store)).toEqual(expected())
  // A message behind them gets the next place of its queue.
  const result = await world.settle(put(store, testMessage({ topic: 'Bills', queueId: 1 })))
  expect(result).toMatchObject({ status: 'OK', queueOffset: PER_QUEUE })
  expect(failures).toEqual([])
  await world.settle(store.close())
  // What readers of messages need not look at (the tags code of a unit, chains of the index) is found by fsck, by name.
  const folder = path.slice(0, path.lastIndexOf('/'))
  const { problems } = fsck({ disk: world.disk, root: '/store' })
  expect(problems.filter((problem) => !problem.startsWith(folder))).toEqual([])
  return { refused: false, noticedLate, missed }
}

const derivedFiles = (files: ReadonlyMap<string, Buffer>): readonly string[] =>
  [...files.keys()].filter((path) => !/\/(commitlog|config)\/|\/lock$/.test(path))

describe.each([
  ['stopped in order', true],
  ['killed', false],
] as const)('a store that was %s', (_name, isClean) => {
  test('is whole again when any derived file is gone', async () => {
    const files = await image(isClean)
    for (const path of derivedFiles(files)) {
      const damaged = new Map(files)
      damaged.delete(path)

      const verdict = await verdictOn(damaged, path)

      expect(verdict).toMatchObject({ missed: 0 })
    }
  })

  test('is whole again when any derived file is cut', async () => {
    const files = await image(isClean)
    for (const path of derivedFiles(files)) {
      const bytes = files.get(path) ?? Buffer.alloc(0)
      for (let size = 0; size < bytes.length; size += CUT_STEP) {
        const verdict = await verdictOn(new Map(files).set(path, bytes.subarray(0, size)), path)

        expect(verdict).toMatchObject({ missed: 0 })
      }
    }
  })

  test('never hands out a wrong message when bits of a derived file are flipped', async () => {
    const files = await image(isClean)
    const random = new SeededRandom(21)
    for (const path of derivedFiles(files)) {
      const bytes = files.get(path) ?? Buffer.alloc(0)
      for (let flip = 0; flip < (bytes.length === 0 ? 0 : FLIPS); flip++) {
        const damaged = Buffer.from(bytes)
        const at = random.integer(bytes.length)
        damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << random.integer(8)), at)

        const verdict = await verdictOn(new Map(files).set(path, damaged), path)

        // A flipped entry of the index may hide a message from a query by key; `fsck --rebuild` finds it again.
        if (!path.includes('/index/')) expect(verdict).toMatchObject({ missed: 0 })
      }
    }
  }, 240_000)

  test('never hands out a wrong message when a stretch of a derived file is noise, or lies elsewhere', async () => {
    const files = await image(isClean)
    const random = new SeededRandom(22)
    for (const path of derivedFiles(files)) {
      const bytes = files.get(path) ?? Buffer.alloc(0)
      for (let round = 0; round < (bytes.length === 0 ? 0 : FLIPS); round++) {
        const damaged = Buffer.from(bytes)
        const length = 1 + random.integer(Math.min(300, bytes.length))
        const at = random.integer(bytes.length - length + 1)
        const from = random.integer(bytes.length - length + 1)
        const stretch = bytes.subarray(from, from + length)
        damaged.set(round % 2 === 0 ? random.bytes(length) : stretch, at)

        const verdict = await verdictOn(new Map(files).set(path, damaged), path)

        if (!path.includes('/index/')) expect(verdict).toMatchObject({ missed: 0 })
      }
    }
  }, 240_000)
})
