import { describe, expect, test } from 'vitest'
import { fsck } from './fsck.ts'
import { openStore, put, simulatedWorld, testMessage } from './testing.ts'

type World = ReturnType<typeof simulatedWorld>

const LOG = '/store/commitlog/00000000000000000000'
const QUEUE = '/store/consumequeue/Orders/0/00000000000000000000'

/** A closed store with 40 messages in two queues. */
async function closedStore(): Promise<World> {
  const world = simulatedWorld()
  const { store } = await openStore(world)
  for (let index = 0; index < 40; index++) {
    const message = testMessage({
      queueId: index % 2,
      body: `${index}`.repeat(100),
      properties: { TAGS: 'T', KEYS: 'k' },
    })
    await world.settle(put(store, message))
  }
  await world.settle(store.close())
  return world
}

const check = (world: World): ReturnType<typeof fsck> => fsck({ disk: world.disk, root: '/store' })

describe('fsck', () => {
  test('calls a closed store sound, and changes nothing in it', async () => {
    const world = await closedStore()
    const writes = { ...world.disk.counts }

    const report = check(world)

    expect(report).toMatchObject({
      ...{ records: 40, units: 40, queues: 2, tornTail: null, pendingUnits: 0 },
      ...{ problems: [], problemCount: 0 },
    })
    // By unique id and by tag.
    expect(report.indexEntries).toBe(80)
    expect({ ...world.disk.counts, open: 0 }).toEqual({ ...writes, open: 0 })
  })

  test('calls the store of a killed broker sound, and tells what the next start will do', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world)
    for (let index = 0; index < 5; index++) await world.settle(put(store, testMessage()))
    const end = store.status().maxPhysicalOffset
    world.kill()
    const torn = Buffer.from([0, 0, 0, 120, 0xda, 0xa3, 0x20, 0xa7, 1, 2, 3])
    world.disk.openSync(LOG, 'write').writeSync(torn, 0, torn.length, end)

    const report = check(world)

    expect(report).toMatchObject({ records: 5, pendingUnits: 5, problems: [] })
    expect(report.tornTail).toContain(`${LOG}: badLength at offset ${end}`)
  })

  test.each([
    ['a record', LOG, 300, 'at offset 244'],
    ['the offset in a unit', QUEUE, 27, 'unit 1 points at'],
    ['the size in a unit', QUEUE, 31, 'unit 1 points at'],
    ['the tags code in a unit', QUEUE, 39, 'unit 1 has tags code'],
  ])('finds damage to %s', async (_name, path, position, sentence) => {
    const world = await closedStore()
    world.disk.corrupt(path, position, 0x01)

    const report = check(world)

    expect(report.problemCount).toBeGreaterThan(0)
    expect(report.problems.join('\n')).toContain(
      path === LOG ? LOG : '/store/consumequeue/Orders/0',
    )
    if (path !== LOG) expect(report.problems.join('\n')).toContain(sentence)
  })

  test('finds units that are missing, units too many, and a queue that is gone', async () => {
    const world = await closedStore()
    const file = world.disk.openSync(QUEUE, 'write')
    const stray = Buffer.alloc(20)
    stray.writeInt32BE(244, 4)
    stray.writeInt32BE(100, 8)
    file.writeSync(Buffer.alloc(20), 0, 20, 19 * 20)
    file.writeSync(stray, 0, 20, 21 * 20)
    world.disk.removeSync('/store/consumequeue/Orders/1')

    const { problems } = check(world)

    expect(problems).toContainEqual(expect.stringContaining('no unit 19 for the record'))
    expect(problems).toContainEqual(expect.stringContaining('unit 21 points at 244'))
    expect(problems.filter((problem) => problem.startsWith('Orders/1'))).toHaveLength(20)
  })

  test('finds a log that is gone, and a configuration file that cannot be parsed', async () => {
    const world = await closedStore()
    world.disk.removeSync('/store/commitlog')
    world.disk.makeDirectorySync('/store/config')
    const file = world.disk.openSync('/store/config/topics.json', 'write')
    file.writeSync(Buffer.from('{"a"'), 0, 4, 0)

    const { problems } = check(world)

    expect(problems).toContainEqual(expect.stringContaining('the CommitLog is missing'))
    expect(problems).toContainEqual(expect.stringContaining('/store/config/topics.json'))
  })

  test('reads the numeric keys without quotes of a Java broker', async () => {
    const world = await closedStore()
    world.disk.makeDirectorySync('/store/config')
    const text = '{"offsetTable":{"T@G":{0:5,1:7}}}'
    const file = world.disk.openSync('/store/config/consumerOffset.json', 'write')
    file.writeSync(Buffer.from(text), 0, text.length, 0)

    expect(check(world)).toMatchObject({ configFiles: 1, problems: [] })
  })

  test('does not take the records of a deleted topic for lost units', async () => {
    const world = simulatedWorld()
    const { store } = await openStore(world)
    for (let index = 0; index < 5; index++) await world.settle(put(store, testMessage()))
    store.deleteTopic('Orders')
    await world.settle(put(store, testMessage({ topic: 'Other' })))
    await world.settle(store.close())

    expect(check(world)).toMatchObject({ records: 6, units: 1, problems: [] })
  })
})
