import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { StoreError } from './errors.ts'
import { readConfigFile, writeConfigFile } from './config-store.ts'
import { openStore, put, realWorld, simulatedWorld, testMessage } from './testing.ts'
import type { TestWorld } from './testing.ts'

async function failureOf(world: TestWorld): Promise<StoreError> {
  try {
    await openStore(world)
  } catch (error) {
    if (error instanceof StoreError) return error
    throw error
  }
  throw new Error('the store opened')
}

describe('the data folder', () => {
  test('in use by another store is refused, and free again after it closed', async () => {
    const world = realWorld()
    const { store } = await openStore(world)
    await world.settle(put(store, testMessage()))

    const failure = await failureOf(world)
    expect(failure.code).toBe('locked')
    expect(failure.message).toContain(world.root)
    expect((await world.settle(put(store, testMessage()))).status).toBe('OK')
    await store.close()

    const again = await openStore(world)
    expect(again.store.maxOffsetInQueue('Orders', 0)).toBe(2)
    await again.store.close()
    world.cleanUp()
  })

  test('that holds something else is refused and left as it was', async () => {
    const world = realWorld()
    mkdirSync(world.root)
    writeFileSync(`${world.root}/thesis.txt`, 'chapter one')

    const failure = await failureOf(world)

    expect(failure.code).toBe('foreign')
    expect(failure.message).toContain('thesis.txt')
    expect(readdirSync(world.root)).toEqual(['thesis.txt'])
    expect(readFileSync(`${world.root}/thesis.txt`, 'utf8')).toBe('chapter one')
    world.cleanUp()
  })

  test('that is a file is refused', async () => {
    const world = realWorld()
    writeFileSync(world.root, 'x')

    const failure = await failureOf(world)

    expect(failure.code).toBe('unwritable')
    world.cleanUp()
  })

  test('that cannot be written is refused', async () => {
    const world = simulatedWorld()
    world.disk.failOn('open', 1, 'EROFS')

    const failure = await failureOf(world)

    expect(failure.code).toBe('unwritable')
    expect(failure.message).toContain('EROFS')
  })

  test('of a fresh volume, with what the file system and the broker put there first, is taken', async () => {
    const world = realWorld()
    for (const name of ['lost+found', 'config', 'raft'])
      mkdirSync(`${world.root}/${name}`, { recursive: true })

    const { store } = await openStore(world)

    await store.close()
    world.cleanUp()
  })

  test('has full-size files under the names of RocketMQ', async () => {
    const world = realWorld()
    const { store } = await openStore(world)
    await world.settle(put(store, testMessage({ properties: { KEYS: 'k' } })))
    expect(readdirSync(world.root)).toContain('abort')

    await store.close()

    const names = execFileSync('find', ['.', '-type', 'f', '-printf', '%P %s\n'], {
      cwd: world.root,
      encoding: 'utf8',
    })
    expect(
      names
        .replace(/index\/\d{17} /, 'index/INDEX ')
        .split('\n')
        .sort((left, right) => left.localeCompare(right)),
    ).toEqual([
      '',
      'checkpoint 4096',
      'commitlog/00000000000000000000 16384',
      'consumequeue/Orders/0/00000000000000000000 1000',
      'index/INDEX 20444',
      'lock 0',
      'queuepositions 97',
    ])
    world.cleanUp()
  })
})

describe('a configuration file', () => {
  const path = '/store/config/topics.json'

  test('is read back, and the previous content is kept beside it', async () => {
    const { disk } = simulatedWorld()
    expect(readConfigFile(disk, path, JSON.parse)).toBe(null)
    await writeConfigFile(disk, path, ['{"version":1}'])
    await writeConfigFile(disk, path, ['{"version":2}'])

    expect(readConfigFile(disk, path, JSON.parse)).toEqual({ version: 2 })
    expect(disk.readFileSync(`${path}.bak`)?.toString()).toBe('{"version":1}')
  })

  test.each(['', '{"versi'])('that holds %j is replaced by its backup', async (damaged) => {
    const { disk } = simulatedWorld()
    await writeConfigFile(disk, path, ['{"version":1}'])
    await writeConfigFile(disk, path, ['{"version":2}'])
    const file = disk.openSync(path, 'write')
    file.truncateSync(0)
    file.writeSync(Buffer.from(damaged), 0, damaged.length, 0)

    expect(readConfigFile(disk, path, JSON.parse)).toEqual({ version: 1 })
  })

  test('without a readable backup is an error that names it', async () => {
    const { disk } = simulatedWorld()
    await writeConfigFile(disk, path, ['{"versi'])

    expect(() => readConfigFile(disk, path, JSON.parse)).toThrow(path)
  })

  test('is the old or the new one after a power cut at any operation', async () => {
    for (let nth = 1; nth < 12; nth++) {
      for (const operation of [
        'open',
        'truncate',
        'write',
        'datasync',
        'rename',
        'syncDirectory',
      ] as const) {
        const { disk } = simulatedWorld()
        await writeConfigFile(disk, path, ['{"version":1}'])
        await writeConfigFile(disk, path, ['{"version":2}'])
        disk.failOn(operation, nth, 'EIO')
        let isWritten = true
        try {
          await writeConfigFile(disk, path, ['{"version":3}'])
        } catch {
          isWritten = false
        }
        disk.crash()

        const versions = isWritten ? [{ version: 3 }] : [{ version: 2 }, { version: 3 }]
        expect(versions).toContainEqual(readConfigFile(disk, path, JSON.parse))
      }
    }
  })
})
