import { describe, expect, test } from 'vitest'
import { decodeRecord } from '../common/message-codec.ts'
import { silentLogger } from '../common/log.ts'
import { fsck } from './fsck.ts'
import { rebuild } from './rebuild.ts'
import { get, openStore, put, simulatedWorld, testMessage } from './testing.ts'

const KEY_QUERY = {
  ...{ topic: 'Orders', maxMessages: 4 },
  ...{ beginTimestamp: 0, endTimestamp: Number.MAX_SAFE_INTEGER },
}

describe('rebuilding', () => {
  test('makes damaged queues, index and checkpoint anew from the log', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world)
    for (let index = 0; index < 60; index++) {
      const properties = { KEYS: `k${index}`, TAGS: 'T' }
      await world.settle(put(store, testMessage({ body: `m${index}`, properties })))
    }
    await world.settle(store.close())
    // A tags code, which no reader without a filter looks at.
    world.disk.corrupt('/store/consumequeue/Orders/0/00000000000000000000', 5 * 20 + 15, 0x04)
    expect(fsck({ disk: world.disk, root: '/store' }).problems[0]).toContain('unit 5 has tags code')
    const progress: number[] = []

    const report = await world.settle(
      rebuild({
        runtime: world.runtime,
        logger: silentLogger,
        root: '/store',
        onProgress: (offset) => progress.push(offset),
      }),
    )

    expect(report).toMatchObject({ startOffset: 0, queues: 1 })
    expect(fsck({ disk: world.disk, root: '/store' })).toMatchObject({
      problemCount: 0,
      units: 60,
      pendingUnits: 0,
      tornTail: null,
    })
    world.disk.removeSync('/store/index')
    const { store: again, failures } = await openStore(world)
    const found = await world.settle(get(again, { queueOffset: 59 }))
    expect(found.records.map((record) => decodeRecord(record).body.toString())).toEqual(['m59'])
    expect(again.queryByKey({ ...KEY_QUERY, key: 'k7' }).records).toHaveLength(1)
    expect(failures).toEqual([])
  })

  test('refuses a folder that a broker uses, and one without a log', async () => {
    const world = simulatedWorld()
    await openStore(world)
    const options = { runtime: world.runtime, logger: silentLogger, onProgress: () => undefined }

    await expect(world.settle(rebuild({ ...options, root: '/store' }))).rejects.toMatchObject({
      code: 'locked',
    })
    await expect(rebuild({ ...options, root: '/nothing' })).rejects.toMatchObject({
      code: 'foreign',
    })
  })
})
