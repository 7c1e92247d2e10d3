/** Records that have rotted on the disk of a leader: other members have them whole, and one of them goes on. */
import { expect, test, vi } from 'vitest'
import { PutStatus } from '../../store/types.ts'
import { testMessage } from '../../store/testing.ts'
import { OtherMembers } from '../testing-world.ts'
import { TOPIC, createPopWorld, textsOf } from './testing.ts'
import type { PutResult } from '../../store/types.ts'
import type { PopWorld } from './testing.ts'

const REVIVE_TOPIC = 'rmq_sys_REVIVE_LOG_DefaultCluster'

/** A place of the record's bytes that changes, in each record of a topic that is read until the returned function is called. */
function rot(world: PopWorld, topic: string, placeOf: (record: Buffer) => number): () => void {
  const { store } = world.parts
  const get = store.get.bind(store)
  const spy = vi.spyOn(store, 'get').mockImplementation((request, done) =>
    get(request, (result) => {
      for (const record of request.topic === topic ? result.records : []) {
        const place = placeOf(record)
        record[place] = (record[place] ?? 0) ^ 1
      }
      done(result)
    }),
  )
  return () => spy.mockRestore()
}

async function isFailed({ parts, time }: PopWorld): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<PutResult>()
  parts.store.put([testMessage()], 'inTime', resolve)
  await time.settle()
  return (await promise).status === PutStatus.SERVICE_NOT_AVAILABLE
}

test.each([
  ['body', (record: Buffer) => record.indexOf('a message')],
  ['queue offset', () => 27],
])(
  'a popped message whose %s is damaged does not come back, and does not count as gone: the member fails',
  async (_which, placeOf) => {
    const world = await createPopWorld({}, undefined, new OtherMembers())
    await world.send('a message')
    await world.pop({ invisibleTime: '1000' })
    const end = rot(world, TOPIC, placeOf)

    await world.time.advance(3000)
    end()

    expect(await isFailed(world)).toBe(true)
    expect(textsOf(await world.pop())).toEqual([])
  },
)

test('a record of the revive log that is damaged is passed over by no new leader: the member fails', async () => {
  const world = await createPopWorld({}, undefined, new OtherMembers())
  await world.send('a message')
  await world.pop({ invisibleTime: '60000' })
  const { pops } = world.processors
  const stopped = pops.stopLeading()
  await world.time.settle()
  await stopped
  const end = rot(world, REVIVE_TOPIC, (record) => record.indexOf('"pt":') + 6)

  pops.startLeading()
  await world.time.settle()
  end()

  expect(await isFailed(world)).toBe(true)
})
