import { describe, expect, test } from 'vitest'
import { SimulatedDisk } from './disk.ts'
import { SeededRandom } from './random.ts'
import { SimulatedTime } from './time.ts'

function newDisk(): SimulatedDisk {
  const disk = new SimulatedDisk({ clock: new SimulatedTime() })
  disk.makeDirectorySync('/d')
  return disk
}

function write(disk: SimulatedDisk, path: string, text: string, position = 0): void {
  disk.openSync(path, 'write').writeSync(Buffer.from(text), 0, text.length, position)
}

describe('the simulated disk', () => {
  test('keeps what was synced over a power cut and loses the rest', () => {
    const disk = newDisk()
    write(disk, '/d/a', 'old')
    disk.openSync('/d/a', 'write').datasyncSync()
    disk.syncDirectorySync('/d')
    write(disk, '/d/a', 'new')
    write(disk, '/d/b', 'unnamed')
    disk.openSync('/d/b', 'write').datasyncSync()

    disk.crash()

    expect(disk.readFileSync('/d/a')?.toString()).toBe('old')
    expect(disk.readFileSync('/d/b')).toBe(null)
  })

  test('keeps everything over a kill, but handles and locks are dead', () => {
    const disk = newDisk()
    write(disk, '/d/a', 'text')
    const handle = disk.openSync('/d/a', 'write')
    expect(disk.lockSync('/d/lock')).not.toBe(null)
    expect(disk.lockSync('/d/lock')).toBe(null)

    disk.kill()

    expect(disk.readFileSync('/d/a')?.toString()).toBe('text')
    expect(() => handle.sizeSync()).toThrow('EIO')
    expect(disk.lockSync('/d/lock')).not.toBe(null)
  })

  test('tells a process of a sync that was held in the time of that process', async () => {
    const [world, process] = [new SimulatedTime(), new SimulatedTime()]
    const disk = new SimulatedDisk({ clock: world, latency: { timers: process, of: () => 1 } })
    disk.makeDirectorySync('/d')
    let isHeard = false
    disk.holdSyncs()
    void disk
      .openSync('/d/a', 'write')
      .datasync()
      .then(() => {
        isHeard = true
      })
    await process.advance(1)

    disk.releaseSyncs()
    await world.advance(10)
    expect(isHeard).toBe(false)

    await process.advance(1)
    expect(isHeard).toBe(true)
  })

  test('undoes an unsynced rename', () => {
    const disk = newDisk()
    write(disk, '/d/a', 'one')
    disk.openSync('/d/a', 'write').datasyncSync()
    disk.syncDirectorySync('/d')
    disk.renameSync('/d/a', '/d/b')

    disk.crash()

    expect(disk.readFileSync('/d/a')?.toString()).toBe('one')
    expect(disk.readFileSync('/d/b')).toBe(null)
  })

  test('has a folder for every file after an undone rename of a folder', () => {
    const disk = newDisk()
    disk.makeDirectorySync('/d/old/sub')
    disk.openSync('/d/old/sub/a', 'write')
    disk.syncDirectorySync('/d/old/sub')
    disk.renameSync('/d/old', '/d/new')

    disk.crash()

    expect(disk.readFileSync('/d/old/sub/a')).not.toBe(null)
    expect(disk.statusSync('/d/old')?.isDirectory).toBe(true)
    expect(disk.statusSync('/d/old/sub')?.isDirectory).toBe(true)
  })

  test('tears unsynced writes at sectors, by chance and reproducibly', () => {
    const outcomes = Array.from({ length: 20 }, (_, seed) => {
      const disk = newDisk()
      const file = disk.openSync('/d/a', 'write')
      file.truncateSync(4096)
      file.datasyncSync()
      disk.syncDirectorySync('/d')
      write(disk, '/d/a', 'x'.repeat(4096))
      disk.crash(new SeededRandom(seed))
      return disk.readFileSync('/d/a')?.toString('latin1') ?? ''
    })

    expect(new Set(outcomes).size).toBeGreaterThan(15)
    for (const content of outcomes) {
      for (let at = 0; at < 4096; at += 512) {
        expect(['x'.repeat(512), '\0'.repeat(512)]).toContain(content.slice(at, at + 512))
      }
    }
  })

  test('reads zeroes where nothing was written, and short at the end', () => {
    const disk = newDisk()
    const file = disk.openSync('/d/a', 'write')
    write(disk, '/d/a', 'ab', 5000)
    const target = Buffer.alloc(10, 0xff)

    expect(file.readSync(target, 0, 10, 4998)).toBe(4)
    expect(target.subarray(0, 5)).toEqual(Buffer.from([0, 0, 97, 98, 0xff]))
    file.truncateSync(5001)
    file.truncateSync(5003)
    expect(file.readSync(target, 0, 10, 5000)).toBe(3)
    expect(target.subarray(0, 3)).toEqual(Buffer.from([97, 0, 0]))
  })

  test('fails the operation it is told to, and is full when it is full', () => {
    const disk = new SimulatedDisk({ clock: new SimulatedTime(), totalBytes: 10 * 4096 })
    disk.makeDirectorySync('/d')
    disk.failOn('write', 2, 'EIO')
    write(disk, '/d/a', 'first')

    expect(() => write(disk, '/d/a', 'second')).toThrow('EIO')
    expect(disk.readFileSync('/d/a')?.toString()).toBe('sect'.slice(0, 3) + 'st')
    disk.foreignBytes = 9 * 4096
    expect(() => write(disk, '/d/a', 'third', 4096)).toThrow('ENOSPC')
  })
})
