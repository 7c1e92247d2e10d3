/** What a member of a group does to its log, and crashes in between. */
import { expect, test } from 'vitest'
import { SimulatedDisk } from '../simulation/disk.ts'
import { SimulatedTime } from '../simulation/time.ts'
import type { MessageStore } from './message-store.ts'
import { openMember, testMessage } from './testing.ts'

const SEGMENT = '/store/commitlog/00000000000000000000'

async function fill(store: MessageStore, time: SimulatedTime, count: number): Promise<void> {
  for (let id = 0; id < count; id++)
    store.put([testMessage({ body: `m${id}` })], 'inTime', () => undefined)
  await time.advance(2000)
}

test.each(['a kill', 'a power cut'])(
  'after a cut of the log and %s the store opens',
  async (end) => {
    const time = new SimulatedTime()
    const disk = new SimulatedDisk({ clock: time })
    const store = await openMember(time, { disk })
    await fill(store, time, 20)
    const cut = store.batchEnd(0, 1000)

    store.setNotLeading('another member leads')
    store.truncateTo(cut)
    if (end === 'a kill') disk.kill()
    else disk.crash()
    time.killProcess()

    const again = await openMember(time, { disk })
    expect(again.endOffset).toBe(cut)
  },
)

test('records that have rotted on disk are given to no other member', async () => {
  const time = new SimulatedTime()
  const disk = new SimulatedDisk({ clock: time })
  await fill(await openMember(time, { disk }), time, 20)
  disk.kill()
  time.killProcess()
  const store = await openMember(time, { disk })

  disk.corrupt(SEGMENT, 150, 1)

  const read = Promise.resolve(store.readRecords(0, store.endOffset))
  await expect(read).rejects.toThrow('badCrc at offset')
})

test('records of the leader that find no room leave the log as it was, and are taken later', async () => {
  const time = new SimulatedTime()
  const source = await openMember(time)
  await fill(source, time, 20)
  const records = await source.readRecords(0, source.endOffset)
  const disk = new SimulatedDisk({ clock: time, totalBytes: 1024 ** 2 })
  const store = await openMember(time, { disk })

  disk.foreignBytes = disk.totalBytes
  disk.failOn('write', 1, 'ENOSPC')
  expect(() => store.appendBytes(records)).toThrow('ENOSPC')
  expect(store.endOffset).toBe(0)
  disk.foreignBytes = 0

  expect(store.appendBytes(records)).toBe(true)
  expect(store.endOffset).toBe(source.endOffset)
})

test('records in memory are laid into the given space when they fit, those on disk never are', async () => {
  const time = new SimulatedTime()
  const disk = new SimulatedDisk({ clock: time })
  const store = await openMember(time, { disk })
  await fill(store, time, 200)
  const space = Buffer.alloc(16 * 1024)
  const youngest = store.batchEnd(0, store.endOffset - 2000)

  const young = await store.readRecords(youngest, store.endOffset, space)
  const tooLarge = await store.readRecords(youngest, store.endOffset, Buffer.alloc(100))
  const old = await store.readRecords(0, store.batchEnd(0, 2000), space)

  expect(young.buffer).toBe(space.buffer)
  expect(tooLarge).toEqual(young)
  expect(old.buffer).not.toBe(space.buffer)
})

test('what another member sends is taken in ranges of any size, over segments and pieces of the buffer', async () => {
  const time = new SimulatedTime()
  const source = await openMember(time)
  await fill(source, time, 700)
  const target = await openMember(time)
  const sizes = [1, 300, 5000, 20_000, 70_000]

  for (let at = 0, turn = 0; at < source.endOffset; turn++) {
    const end = source.batchEnd(at, sizes[turn % sizes.length] ?? 1)
    expect(target.appendBytes(Buffer.from(await source.readRecords(at, end)))).toBe(true)
    expect(target.endOffset).toBe(end)
    at = end
  }
  target.commitTo(target.endOffset)
  await time.advance(2000)

  expect(target.endOffset).toBe(source.endOffset)
  expect(target.maxOffsetInQueue('Orders', 0)).toBe(700)
  for (let offset = 0; offset < 700; offset++) {
    const place = target.physicalOffsetAt('Orders', 0, offset) ?? -1
    expect(target.messageAt(place)?.body.toString()).toBe(`m${offset}`)
  }
})

// Goal: the broker's own services never store a message twice because they did not wait long enough. Method: a group whose other members
// do not answer for a minute.
test('clients hear after a while that no majority has a message, the broker itself what has become of it', async () => {
  const time = new SimulatedTime()
  const store = await openMember(time)
  const answers: string[] = []

  store.put([testMessage()], 'inTime', ({ status }) => answers.push(`client ${status}`))
  store.put([testMessage()], 'written', ({ status }) => answers.push(`service ${status}`))
  store.put([testMessage()], 'certainly', ({ status }) => answers.push(`transaction ${status}`))
  await time.advance(60_000)
  const before = [...answers]
  store.commitTo(store.endOffset)
  await time.advance(100)

  expect(before).toEqual(['client OS_PAGE_CACHE_BUSY'])
  expect(answers.slice(1)).toEqual(['service OK', 'transaction OK'])
})

// Goal: a member that stops leading has the log that Raft knows of, to which the next leader's records are appended. Method: more than the
// log's buffer takes in one piece comes in one turn, so that a part is written before the turn ends.
test('what was written in a turn in whose middle the member stops leading is gone', async () => {
  const time = new SimulatedTime()
  let known = 0
  const written = (offset: number): void => {
    known = offset
  }
  const store = await openMember(time, { written })
  await fill(store, time, 3)
  const before = known
  const answers: string[] = []
  for (let id = 0; id < 10; id++) {
    const message = testMessage({ body: Buffer.alloc(2000) })
    store.put([message], 'inTime', ({ status }) => answers.push(status))
  }

  store.setNotLeading('another member leads')

  expect(store.endOffset).toBe(before)
  expect(new Set(answers)).toEqual(new Set(['SERVICE_NOT_AVAILABLE']))
  await time.advance(2000)
  expect(known).toBe(before)
})
