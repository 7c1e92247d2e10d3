/** Acknowledgements whose record is late, or refused: success is told only of what a new leader knows too. */
import { expect, test, vi } from 'vitest'
import { ResponseCode } from '../../remoting/response-code.ts'
import { PutStatus } from '../../store/types.ts'
import { createPopWorld, textsOf } from './testing.ts'
import type { PutResult } from '../../store/types.ts'
import type { Popped, PopWorld } from './testing.ts'

const REFUSED: PutResult = {
  status: PutStatus.SERVICE_NOT_AVAILABLE,
  reason: 'too much waits',
  physicalOffsets: [],
  queueOffset: 0,
  storeTimestamp: 0,
}

async function worldWithOnePopped(): Promise<{ readonly world: PopWorld; readonly a: Popped }> {
  const world = await createPopWorld()
  await world.send('a')
  const [a] = await world.pop({ invisibleTime: '10000' })
  if (a === undefined) throw new Error('nothing was popped')
  return { world, a }
}

test('an acknowledgement that is sent again is answered when the first one is committed', async () => {
  const { world, a } = await worldWithOnePopped()
  const { store } = world.parts
  const put = store.put.bind(store)
  const held: (() => void)[] = []
  const spy = vi.spyOn(store, 'put').mockImplementation((messages, waitForFlush, done) => {
    held.push(() => put(messages, waitForFlush, done))
  })

  const first = await world.ack(a)
  const again = await world.ack(a)
  const answered = [first.response, again.response]
  spy.mockRestore()
  for (const go of held) go()
  await world.time.settle()

  expect(answered).toEqual([null, null])
  expect([first.response?.code, again.response?.code]).toEqual([
    ResponseCode.SUCCESS,
    ResponseCode.SUCCESS,
  ])
})

test('a message whose acknowledgement was refused comes back at its time', async () => {
  const { world, a } = await worldWithOnePopped()
  const spy = vi
    .spyOn(world.parts.store, 'put')
    .mockImplementation((_messages, _waits, done) => done(REFUSED))

  const answer = await world.ack(a)
  spy.mockRestore()
  await world.time.advance(10_200)
  const back = await world.pop()

  expect(answer.response?.code).toBe(ResponseCode.SYSTEM_ERROR)
  expect(textsOf(back)).toEqual(['a'])
})
