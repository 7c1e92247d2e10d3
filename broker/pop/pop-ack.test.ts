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

interface PoppedWorld {
  readonly world: PopWorld
  readonly a: Popped
}

async function worldWithPopped(order: string, ...more: readonly string[]): Promise<PoppedWorld> {
  const world = await createPopWorld()
  for (const text of ['a', ...more]) await world.send(text)
  const [a] = await world.pop({ queueId: '0', invisibleTime: '10000', order })
  if (a === undefined) throw new Error('nothing was popped')
  return { world, a }
}

test.each([
  ['any', 'false'],
  ['their', 'true'],
])(
  'an acknowledgement of pops in %s order that is sent again is answered when the first one is committed',
  async (_which, order) => {
    const { world, a } = await worldWithPopped(order)
    const { store } = world.parts
    const put = store.put.bind(store)
    const held: (() => void)[] = []
    const spy = vi.spyOn(store, 'put').mockImplementation((messages, wait, done) => {
      held.push(() => put(messages, wait, done))
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
  },
)

// As a leader that was deposed, does not know it, and is asked about what its successor has given out.
test('an acknowledgement of a pop that this leader does not know is a success when the group has it', async () => {
  const { world, a } = await worldWithPopped('false')
  const spy = vi
    .spyOn(world.parts.store, 'put')
    .mockImplementation((_messages, _waits, done) => done(REFUSED))
  const [start = '', , ...rest] = a.handle.split(' ')
  const unknown = { ...a, handle: [start, '1', ...rest].join(' ') }

  const refused = await world.ack(unknown)
  spy.mockRestore()
  const taken = await world.ack(unknown)

  expect(refused.response?.code).toBe(ResponseCode.SYSTEM_ERROR)
  expect(taken.response?.code).toBe(ResponseCode.SUCCESS)
})

test('a message whose acknowledgement was refused comes back at its time', async () => {
  const { world, a } = await worldWithPopped('false')
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

test('orderly: an acknowledgement that was refused and is sent again is recorded', async () => {
  const { world, a } = await worldWithPopped('true', 'b')
  const spy = vi
    .spyOn(world.parts.store, 'put')
    .mockImplementation((_messages, _waits, done) => done(REFUSED))

  const refused = await world.ack(a)
  spy.mockRestore()
  const again = await world.ack(a)
  const after = await world.restart()
  await after.time.advance(10_200)
  const back = await after.pop({ queueId: '0', order: 'true' })

  expect(refused.response?.code).toBe(ResponseCode.SYSTEM_ERROR)
  expect(again.response?.code).toBe(ResponseCode.SUCCESS)
  expect(textsOf(back)).toEqual(['b'])
})

// Goal: nothing of a batch is handed out twice at a time. Method: the log has the group's offset, and not the acknowledgement behind it.
test('orderly: a new leader that knows the offset of an acknowledgement alone keeps the rest of the batch invisible', async () => {
  const { world, a } = await worldWithPopped('true', 'b', 'c')
  const spy = vi.spyOn(world.parts.store, 'put').mockImplementation(() => undefined)
  await world.ack(a)
  spy.mockRestore()
  const flushed = world.parts.offsets.flush()
  await world.time.settle()
  await flushed

  const after = await world.restart()
  const during = await after.pop({ queueId: '0', order: 'true' })
  await after.time.advance(10_200)
  const back = await after.pop({ queueId: '0', order: 'true' })

  expect(during).toEqual([])
  expect(textsOf(back)).toEqual(['b', 'c'])
})
