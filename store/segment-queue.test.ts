import { expect, test } from 'vitest'
import { SimulatedDisk } from '../simulation/disk.ts'
import { SeededRandom } from '../simulation/random.ts'
import { FilePool } from './file-pool.ts'
import { SegmentQueue } from './segment-queue.ts'

const SIZE = 4096
const SEGMENTS = 5
const CLOCK = { now: () => 0, monotonic: () => 0 }

function queueOn(disk: SimulatedDisk): SegmentQueue {
  return new SegmentQueue({
    disk,
    files: new FilePool(disk, 10),
    directory: '/log',
    segmentSize: SIZE,
  })
}

test('a power cut while old segments are removed never leaves a gap between those that come back', async () => {
  const firsts = new Set<number>()
  for (let seed = 0; seed < 100; seed++) {
    const disk = new SimulatedDisk({ clock: CLOCK })
    const queue = queueOn(disk)
    for (let index = 0; index < SEGMENTS; index++) queue.create(index * SIZE, true)
    const removals = [queue.dropFirst(), queue.dropFirst(), queue.dropFirst()]
    for (const removal of removals) removal.catch(() => undefined)
    for (let turn = 0; turn < seed % 30; turn++) await Promise.resolve()

    disk.crash(new SeededRandom(seed))
    const after = queueOn(disk)
    after.load(SEGMENTS * SIZE)

    expect(after.endOffset).toBe(SEGMENTS * SIZE)
    firsts.add(after.firstOffset)
  }
  // The cuts came at all times.
  expect(firsts.size).toBeGreaterThan(2)
})
