/** What a start finds of the ends of ConsumeQueues, which `queuepositions` tells. */
import { expect, test } from 'vitest'
import { MARKS_TOPIC, deliveryMark } from '../common/delivery-mark.ts'
import type { Disk } from '../common/ports.ts'
import { fsck } from './fsck.ts'
import { QueuePositionsFile, readQueuePositions } from './queue-positions.ts'
import { openStore, put, simulatedWorld, testMessage } from './testing.ts'

/** More than are synced at a time, so that a round goes through them in several steps. */
const QUEUES = 12
const LAST = QUEUES - 1
const ROUND_MS = 1000

// Goal: no message is lost to consumers, and no queue offset given twice. Method: a message comes while a round waits for the first
// queues' syncs; the round then writes its unit too, behind the end that it has noted.
test.each(['a stop', 'a power cut'])(
  'a message that came in the middle of a round is still in its queue after %s',
  async (end) => {
    const world = simulatedWorld()
    const { store } = await openStore(world)
    for (let queueId = 0; queueId < QUEUES; queueId++) {
      await world.settle(put(store, testMessage({ queueId })))
    }
    world.disk.holdSyncs()
    await world.time.advance(ROUND_MS)
    await world.settle(put(store, testMessage({ queueId: LAST })))
    world.disk.releaseSyncs()
    for (let round = 0; round < 3; round++) {
      await world.time.advance(ROUND_MS)
      await world.settle(put(store, testMessage({ queueId: 0 })))
    }
    await world.time.advance(ROUND_MS * 20)

    if (end === 'a stop') await world.settle(store.close())
    else world.cutPower(null)
    const { store: again } = await openStore(world)

    expect(again.maxOffsetInQueue('Orders', LAST)).toBe(2)
    expect(await world.settle(put(again, testMessage({ queueId: LAST })))).toMatchObject({
      queueOffset: 2,
    })
    await world.settle(again.close())
    expect(fsck({ disk: world.disk, root: '/store' }).problems).toEqual([])
  },
)

// Goal: what has been delivered is known after a start that derives twice. Method: the noted end of a queue is wrong, which recovery finds
// when it has met the marks already.
test('marks of delivered messages are all there when a start turns to deriving everything anew', async () => {
  const world = simulatedWorld()
  const { store } = await openStore(world)
  for (let count = 0; count < 2; count++) await world.settle(put(store, testMessage()))
  await world.time.advance(ROUND_MS)
  for (let parked = 0; parked < 3; parked++) {
    const preparedTransactionOffset = deliveryMark(2, parked)
    await world.settle(put(store, { ...testMessage({ queueId: 1 }), preparedTransactionOffset }))
  }
  await world.settle(put(store, testMessage()))
  world.kill()
  await noteEnd(world.disk, 1)

  const { store: again } = await openStore(world)

  const parkedOffsets = new Float64Array(4)
  expect(again.tagsCodes(MARKS_TOPIC, 2, 0, parkedOffsets)).toBe(3)
  expect([...parkedOffsets]).toEqual([0, 1, 2, 0])
  expect(again.maxOffsetInQueue('Orders', 0)).toBe(3)
})

/** Lets `queuepositions` say that all queues end at `maxOffset`. */
async function noteEnd(disk: Disk, maxOffset: number): Promise<void> {
  const path = '/store/queuepositions'
  const positions = readQueuePositions(disk, path)
  if (positions === null) throw new Error('positions have been written')
  const queues = positions.queues.map((queue) => ({ ...queue, maxOffset }))
  await new QueuePositionsFile(disk, path).add({ ...positions, queues })
}
