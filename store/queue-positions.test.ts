import { expect, test } from 'vitest'
import { SimulatedDisk } from '../simulation/disk.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { QueuePositionsFile, readQueuePositions } from './queue-positions.ts'

const PATH = '/store/queuepositions'

function positions(derivedOffset: number) {
  const queues = [{ topic: 'Orders', queueId: 0, minOffset: 0, maxOffset: derivedOffset }]
  return { derivedOffset, logStart: 0, queues, indexFiles: [] }
}

function newDisk(): SimulatedDisk {
  const disk = new SimulatedDisk({ clock: new SimulatedTime() })
  disk.makeDirectorySync('/store')
  return disk
}

test.each(['the first', 'a later'])(
  'when %s batch is forgotten while it is written, nothing of it is found, and the next one is whole',
  async (which) => {
    const disk = newDisk()
    const file = new QueuePositionsFile(disk, PATH)
    if (which === 'a later') await file.add(positions(100))
    disk.holdSyncs()
    const adding = file.add(positions(200))

    file.forget()
    disk.releaseSyncs()
    await adding

    expect(readQueuePositions(disk, PATH)).toBe(null)
    expect(file.needsWhole).toBe(true)
    await file.add(positions(150))
    expect(readQueuePositions(disk, PATH)?.derivedOffset).toBe(150)
  },
)
