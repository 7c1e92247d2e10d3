import { describe, expect, test } from 'vitest'
import { SimulatedDisk } from '../simulation/disk.ts'
import { SeededRandom } from '../simulation/random.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { StateFile } from './state-file.ts'
import { TermsFile } from './terms-file.ts'
import { voters } from './testing-group.ts'

function diskWithFolder(): SimulatedDisk {
  const disk = new SimulatedDisk({ clock: new SimulatedTime() })
  disk.makeDirectorySync('/data/store/raft')
  return disk
}

describe('the state file', () => {
  test('starts without a term, a vote or a life', () => {
    const file = StateFile.open(diskWithFolder(), '/data/store')

    expect(file.hardState).toEqual({ term: 0, votedFor: null })
    expect(file.incarnation).toBe(0)
  })

  test('has what was saved last after any crash', () => {
    for (let seed = 0; seed < 50; seed++) {
      const disk = diskWithFolder()
      const file = StateFile.open(disk, '/data/store')
      file.save({ term: 7, votedFor: 2 }, 99)
      file.save({ term: 8, votedFor: null })

      disk.crash(new SeededRandom(seed))

      const reopened = StateFile.open(disk, '/data/store')
      expect(reopened.hardState).toEqual({ term: 8, votedFor: null })
      expect(reopened.incarnation).toBe(99)
    }
  })

  // What a failed sync leaves reads well from the page cache, and no later sync writes it.
  test('has on disk what it tells of when it is opened after a failed sync', () => {
    for (let seed = 0; seed < 50; seed++) {
      const disk = diskWithFolder()
      const file = StateFile.open(disk, '/data/store')
      file.save({ term: 7, votedFor: 2 }, 99)
      disk.failOn('datasync', 1, 'EIO')
      expect(() => file.save({ term: 8, votedFor: 1 })).toThrow('EIO')
      disk.kill()
      const told = StateFile.open(disk, '/data/store').hardState

      disk.crash(new SeededRandom(seed))

      expect(StateFile.open(disk, '/data/store').hardState).toEqual(told)
    }
  })

  test('falls back to the slot before one that is torn', () => {
    const disk = diskWithFolder()
    const file = StateFile.open(disk, '/data/store')
    file.save({ term: 1, votedFor: 0 }, 5)
    file.save({ term: 2, votedFor: 1 })
    disk.openSync('/data/store/raft/state', 'write').writeSync(Buffer.from([1]), 0, 1, 30)

    expect(StateFile.open(disk, '/data/store').hardState).toEqual({ term: 1, votedFor: 0 })
  })

  test('names the file when both slots are damaged', () => {
    const disk = diskWithFolder()
    StateFile.open(disk, '/data/store').save({ term: 1, votedFor: 0 })
    disk.openSync('/data/store/raft/state', 'write').writeSync(Buffer.alloc(2048, 1), 0, 2048, 0)

    expect(() => StateFile.open(disk, '/data/store')).toThrow('/data/store/raft/state')
  })
})

describe('the file of terms', () => {
  test('drops what starts at or after the end of the log, which was never appended', () => {
    const disk = diskWithFolder()
    const file = new TermsFile(disk, '/data/store')
    file.write({
      epochs: [
        { term: 1, startOffset: 0 },
        { term: 4, startOffset: 100 },
      ],
      configurations: [
        { offset: 0, members: voters(1) },
        { offset: 100, members: voters(3) },
      ],
    })

    expect(file.read(101)?.configurations).toHaveLength(2)
    expect(file.read(100)).toEqual({
      epochs: [{ term: 1, startOffset: 0 }],
      configurations: [{ offset: 0, members: voters(1) }],
    })
  })

  test.each(['', '{', '{"format":2}', '{"format":1,"epochs":[{}],"configurations":[]}'])(
    'names the file that holds %j',
    (text) => {
      const disk = diskWithFolder()
      const file = disk.openSync('/data/store/raft/terms.json', 'write')
      file.writeSync(Buffer.from(text), 0, text.length, 0)

      expect(() => new TermsFile(disk, '/data/store').read(0)).toThrow(
        '/data/store/raft/terms.json',
      )
    },
  )
})
