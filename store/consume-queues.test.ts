import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ConsumeQueue } from './consume-queue.ts'
import { decodeConsumeQueueUnit } from './consume-queue-unit.ts'
import { ConsumeQueues } from './consume-queues.ts'
import { isNoRoom } from '../common/errors.ts'
import { simulatedWorld } from './testing.ts'

const UNITS_PER_FILE = 50

function queuesOn(
  world: ReturnType<typeof simulatedWorld>,
  maxUnwrittenBytes?: number,
): ConsumeQueues {
  const fileSize = UNITS_PER_FILE * 20
  const limit = maxUnwrittenBytes === undefined ? {} : { maxUnwrittenBytes }
  return new ConsumeQueues({ disk: world.disk, directory: '/cq', fileSize, ...limit })
}

function offsetsOf(queue: ConsumeQueue): readonly number[] {
  const units = Buffer.alloc(20 * 5000)
  const count = queue.readUnits(queue.minOffset, 5000, units)
  return Array.from({ length: count }, (_, index) => {
    return decodeConsumeQueueUnit(units, index * 20)?.physicalOffset ?? -1
  })
}

function tolerateFullDisk(write: () => void): void {
  try {
    write()
  } catch (error) {
    if (!isNoRoom(error)) throw error
  }
}

describe('the queues of a store', () => {
  test('are found by name and by the bytes of a record, among thousands', () => {
    const queues = queuesOn(simulatedWorld())
    const names = Array.from({ length: 700 }, (_, index) => `T${index.toString(36)}`)
    const made = names.flatMap((name) => [0, 1, 7].map((id) => queues.getOrCreate(name, id)))

    const found = names.flatMap((name) => {
      const record = Buffer.from(`..${name}..`)
      return [0, 1, 7].map((id) => queues.getOrCreateByBytes(record, 2, 2 + name.length, id))
    })

    expect(found.every((queue, index) => queue === made[index])).toBe(true)
    expect(made.every((queue) => queues.get(queue.topic, queue.queueId) === queue)).toBe(true)
    expect(queues.get('T1', 2)).toBe(null)
    expect(queues.get('T', 0)).toBe(null)
    expect([...queues.all()]).toHaveLength(2100)
  })

  test('names with the same hash are kept apart', () => {
    const queues = queuesOn(simulatedWorld())

    const made = ['AaAa', 'BBBB', 'AaBB', 'BBAa'].map((name) => queues.getOrCreate(name, 0))

    expect(new Set(made).size).toBe(4)
    expect(queues.getOrCreateByBytes(Buffer.from('AaBB'), 0, 4, 0)).toBe(made[2])
  })

  test('refuse a record whose topic would leave the folder', () => {
    const queues = queuesOn(simulatedWorld())

    expect(() => queues.getOrCreateByBytes(Buffer.from('../x'), 0, 4, 0)).toThrow('impossible')
  })

  // Goal: a queue reads the same however its units are spread over memory and files.
  // Method: random histories against a plain array, with little memory, small files, and a disk that is full at times.
  test('hold what was appended, through writes, truncations and short memory', () => {
    const step = fc.record({
      type: fc.constantFrom('append', 'append', 'append', 'write', 'writeAll', 'truncate', 'full'),
      queue: fc.nat(5),
      count: fc.integer({ min: 1, max: 60 }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(20), (steps, blocks) => {
        const world = simulatedWorld()
        const queues = queuesOn(world, blocks * 160)
        const expected: number[][] = Array.from({ length: 6 }, () => [])
        let physicalOffset = 0
        for (const { type, queue: index, count } of steps) {
          const queue = queues.getOrCreate('T', index)
          const units = expected[index] ?? []
          if (type === 'append') {
            for (let appended = 0; appended < count; appended++) {
              queue.append(units.length, (physicalOffset += 100), 100, -index)
              units.push(physicalOffset)
            }
          } else if (type === 'write') {
            tolerateFullDisk(() => queue.writePending())
          } else if (type === 'writeAll') {
            tolerateFullDisk(() => queues.writePending())
          } else if (type === 'full') {
            world.disk.failOn('write', 1 + (count % 3), 'ENOSPC')
          } else {
            physicalOffset = Math.max(0, physicalOffset - count * 50)
            for (const [each, of] of expected.entries()) {
              queues.getOrCreate('T', each).truncateToPhysical(physicalOffset)
              while ((of.at(-1) ?? -1) >= physicalOffset) of.pop()
            }
          }
          for (const [each, of] of expected.entries()) {
            expect(offsetsOf(queues.getOrCreate('T', each))).toEqual(of)
          }
        }

        for (const _ of steps) tolerateFullDisk(() => queues.writePending())
        queues.writePending()
        const reopened = queuesOn(world)
        reopened.load(Number.MAX_SAFE_INTEGER)
        for (const [each, of] of expected.entries()) {
          expect(offsetsOf(reopened.getOrCreate('T', each))).toEqual(of)
        }
      }),
      { numRuns: 60 },
    )
  })

  test('list each queue once that has something to write or to sync', async () => {
    const queues = queuesOn(simulatedWorld())
    const [one, other] = [queues.getOrCreate('T', 0), queues.getOrCreate('T', 1)]
    one.append(0, 100, 100, 0)
    one.append(1, 200, 100, 0)
    other.append(0, 300, 100, 0)

    const dirty = queues.takeDirty()
    one.writePending()
    await one.flush()
    one.takeChangedFolders()
    queues.putBack(dirty)

    expect(dirty.map(({ queueId }) => queueId)).toEqual([0, 1])
    const left = queues.takeDirty().filter(({ isDirty }) => isDirty)
    expect(left.map(({ queueId }) => queueId)).toEqual([1])
    expect(queues.takeDirty()).toEqual([])
  })

  test('write the queues that have waited longest when memory is short', () => {
    const world = simulatedWorld()
    const queues = queuesOn(world, 160 * 10)
    for (let id = 0; id < 40; id++) queues.getOrCreate('T', id).append(0, 100 * id, 100, 0)

    const unwritten = [...queues.all()].filter(({ hasUnwritten }) => hasUnwritten)

    expect(unwritten.map(({ queueId }) => queueId)).toEqual(
      Array.from({ length: 10 }, (_, index) => 30 + index),
    )
  })
})
