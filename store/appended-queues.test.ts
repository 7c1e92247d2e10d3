import { describe, expect, test } from 'vitest'
import { AppendedQueues } from './appended-queues.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import { ConsumeQueues } from './consume-queues.ts'
import { simulatedWorld } from './testing.ts'

const SIZE = 100

function someQueues(): { readonly queues: ConsumeQueues; readonly all: readonly ConsumeQueue[] } {
  const { disk } = simulatedWorld()
  const queues = new ConsumeQueues({ disk, directory: '/cq', fileSize: 1000 })
  return { queues, all: [0, 1, 2].map((id) => queues.getOrCreate('T', id)) }
}

function noted(count: number): AppendedQueues {
  const { all } = someQueues()
  const appended = new AppendedQueues()
  for (let index = 0; index < count; index++) {
    const queue = all[index % all.length]
    if (queue !== undefined) appended.note(queue, index * SIZE)
  }
  return appended
}

describe('the queues of what was appended', () => {
  test('are found by the places of the records, in their order', () => {
    const appended = noted(9)

    expect([0, 1, 2, 5, 8].map((index) => appended.take(index * SIZE)?.queueId)).toEqual([
      0, 1, 2, 2, 2,
    ])
    expect(appended.take(9 * SIZE)).toBeNull()
  })

  test('of records that are none of these are not known', () => {
    const appended = noted(3)

    expect(appended.take(SIZE / 2)).toBeNull()
    expect(appended.take(SIZE)?.queueId).toBe(1)
    expect(appended.take(SIZE)).toBeNull()
  })

  test('are forgotten from the oldest on when there are many', () => {
    const appended = noted(5000)

    expect(appended.take(0)).toBeNull()
    expect(appended.take(4999 * SIZE)?.queueId).toBe(4999 % 3)
  })
})

test('a record that stands where another one was cut is not taken for it', () => {
  const { queues, all } = someQueues()
  const [first] = all
  if (first !== undefined) queues.noteAppended(first, 700)

  const found = queues.ofRecord(700, Buffer.from('..U'), 2, 3, 0)

  expect([found.topic, found.queueId]).toEqual(['U', 0])
})
