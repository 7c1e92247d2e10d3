import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createRuntime } from './runtime.ts'
import type { Socket } from './ports.ts'

const { disk, network, clock, timers, random } = createRuntime()

function temporaryFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gantry-runtime-'))
  onTestFinished(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}

test('a file gives back what was written, short at its end', async () => {
  const file = disk.openSync(path.join(temporaryFolder(), 'f'), 'write')
  const target = Buffer.alloc(8)

  file.writeSync(Buffer.from('0123456789'), 2, 6, 4)
  await file.datasync()

  expect(file.sizeSync()).toBe(10)
  expect(file.readSync(target, 1, 7, 4)).toBe(6)
  expect(await file.read(target, 0, 3, 9)).toBe(1)
  expect(target.toString('latin1')).toBe('7234567\0')
  file.truncateSync(5)
  expect(file.sizeSync()).toBe(5)
  file.closeSync()
  file.closeSync()
})

test('files are for the user and the group of the process alone', async () => {
  const folder = temporaryFolder()
  const [opened, created] = [path.join(folder, 'opened'), path.join(folder, 'created')]

  disk.openSync(opened, 'write').closeSync()
  await disk.createFile(created, 4096)

  for (const file of [opened, created]) expect(fs.statSync(file).mode & 0o007).toBe(0)
})

test('what does not exist is null or empty, but cannot be opened to read', () => {
  const missing = path.join(temporaryFolder(), 'missing', 'deeper')

  expect(disk.readFileSync(missing)).toBeNull()
  expect(disk.statusSync(missing)).toBeNull()
  expect(disk.listSync(missing)).toEqual([])
  expect(() => disk.openSync(missing, 'read')).toThrow('ENOENT')
  disk.removeSync(missing)
})

test('folders are made with their parents, listed in byte order, renamed and removed', () => {
  const folder = temporaryFolder()
  const deep = path.join(folder, 'a', 'b')

  disk.makeDirectorySync(deep)
  for (const name of ['10', '9', 'Z', 'a'])
    disk.openSync(path.join(deep, name), 'write').closeSync()
  disk.renameSync(path.join(deep, '9'), path.join(deep, '8'))
  disk.syncDirectorySync(deep)

  expect(disk.listSync(deep).map(({ name }) => name)).toEqual(['10', '8', 'Z', 'a'])
  expect(disk.listSync(folder)).toEqual([{ name: 'a', isDirectory: true }])
  disk.removeSync(path.join(folder, 'a'))
  expect(disk.statusSync(deep)).toBeNull()
})

test('a folder of many files goes without the event loop, and one that is absent is fine', async () => {
  const folder = temporaryFolder()
  const tree = path.join(folder, 'tree')
  for (let index = 0; index < 300; index++) {
    disk.makeDirectorySync(path.join(tree, String(index)))
    disk.openSync(path.join(tree, String(index), 'file'), 'write').closeSync()
  }

  const removal = disk.removeTree(tree)

  expect(disk.listSync(tree)).toHaveLength(300)
  await removal
  expect(disk.listSync(folder)).toEqual([])
  await disk.removeTree(tree)
})

test('the space of a disk is known', () => {
  const space = disk.spaceSync(os.tmpdir())

  expect(space.totalBytes).toBeGreaterThan(space.availableBytes)
  expect(space.availableBytes).toBeGreaterThan(0)
})

// As `df` and UtilAll.getDiskPartitionSpaceUsedPercent reckon: here 700 of 800 blocks are used, and 200 are kept for the superuser.
test('what a file system keeps for the superuser is neither used nor to be had', () => {
  const blocks = { bsize: 4096, frsize: 4096, blocks: 1000, bfree: 300, bavail: 100 }
  const space = { type: 0, ...blocks, files: 0, ffree: 0 }
  const statfs = vi.spyOn(fs, 'statfsSync').mockReturnValue(space)
  onTestFinished(() => statfs.mockRestore())

  expect(disk.spaceSync('/')).toEqual({ totalBytes: 800 * 4096, availableBytes: 100 * 4096 })
})

test('a lock is exclusive within a process and free after its release', () => {
  const file = path.join(temporaryFolder(), 'store', 'lock')

  const first = disk.lockSync(file)
  expect(disk.lockSync(file)).toBeNull()
  first?.release()
  first?.release()
  const second = disk.lockSync(file)

  expect(first).not.toBeNull()
  expect(second).not.toBeNull()
  second?.release()
})

// Goal: no lock outlives its process, and none is taken twice. Method: a child takes it, says so, and is killed.
test('a lock holds against other processes and dies with its process', async () => {
  const file = path.join(temporaryFolder(), 'lock')
  const program = `
    import { createRuntime } from ${JSON.stringify(path.resolve(import.meta.dirname, 'runtime.ts'))}
    const lock = createRuntime().disk.lockSync(${JSON.stringify(file)})
    console.log(lock === null ? 'refused' : 'locked')
    setInterval(() => lock, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program])
  const errors: Buffer[] = []
  child.stderr.on('data', (bytes: Buffer) => errors.push(bytes))
  const said = await new Promise<string>((resolve) => {
    child.stdout.once('data', (bytes: Buffer) => resolve(String(bytes)))
  })

  const whileHeld = disk.lockSync(file)
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await exited
  const afterwards = disk.lockSync(file)
  afterwards?.release()

  expect(said).toBe('locked\n')
  expect(whileHeld).toBeNull()
  expect(afterwards).not.toBeNull()
  expect(Buffer.concat(errors).toString()).toBe('')
})

test("a Java broker's lock file is taken over, anything else at its place is not touched", () => {
  const folder = temporaryFolder()
  const java = path.join(folder, 'java')
  const other = path.join(folder, 'other')
  fs.writeFileSync(java, 'lock')
  fs.writeFileSync(other, 'something that matters')

  const lock = disk.lockSync(java)
  lock?.release()

  expect(lock).not.toBeNull()
  expect(() => disk.lockSync(other)).toThrow('is not a lock file')
  expect(fs.readFileSync(other, 'utf8')).toBe('something that matters')
})

/** A server that sends everything back. */
async function echoServer() {
  const closed: (Error | null)[] = []
  const accepted: Socket[] = []
  const listener = await network.listen('127.0.0.1', 0, (socket) => {
    accepted.push(socket)
    return {
      onData: (bytes) => void socket.write(Buffer.from(bytes)),
      onDrain: () => undefined,
      onClose: (error) => closed.push(error),
    }
  })
  onTestFinished(() => listener.close())
  return { listener, accepted, closed }
}

test('bytes cross a connection in order, also when several buffers are written together', async () => {
  const { listener } = await echoServer()
  const sent = Buffer.alloc(3_000_000, 'gantry')
  const received: Buffer[] = []
  let size = 0
  const all = new Promise<void>((resolve) => {
    void network.connect({
      host: '127.0.0.1',
      port: listener.port,
      timeoutMs: 5_000,
      onSocket: (socket) => {
        socket.write(sent.subarray(0, 5))
        socket.writeAll([sent.subarray(5, 9), sent.subarray(9)])
        return {
          onData: (bytes) => {
            received.push(bytes)
            size += bytes.length
            if (size < sent.length) return
            socket.destroy()
            resolve()
          },
          onDrain: () => undefined,
          onClose: () => undefined,
        }
      },
    })
  })

  await all

  expect(Buffer.concat(received).equals(sent)).toBe(true)
})

// Goal: pausing an accepted socket holds the peer back, and loses nothing. Method: more bytes than the kernel keeps, paused after the first.
test('an accepted socket that was paused goes on where it stopped', async () => {
  const sent = Buffer.alloc(20_000_000, 'back-pressure')
  const received: Buffer[] = []
  const { promise: paused, resolve: onPaused } = Promise.withResolvers<Socket>()
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<Error | null>()
  const listener = await network.listen('127.0.0.1', 0, (socket) => ({
    onData: (bytes) => {
      received.push(Buffer.from(bytes))
      if (received.length > 1) return
      socket.pause()
      onPaused(socket)
    },
    onDrain: () => undefined,
    onClose: onClosed,
  }))
  onTestFinished(() => listener.close())
  await network.connect({
    host: '127.0.0.1',
    port: listener.port,
    timeoutMs: 5_000,
    onSocket: (socket) => {
      socket.write(sent)
      socket.end()
      return { onData: () => undefined, onDrain: () => undefined, onClose: () => undefined }
    },
  })

  const socket = await paused
  for (let turn = 0; turn < 50; turn++) await nextTurn()
  const countWhilePaused = received.length
  socket.resume()

  expect(await closed).toBeNull()
  expect(countWhilePaused).toBe(1)
  expect(Buffer.concat(received).equals(sent)).toBe(true)
})

test('both ends hear of a close exactly once and know their addresses', async () => {
  const { listener, accepted, closed } = await echoServer()
  const ended = new Promise<Error | null>((resolve) => {
    void network.connect({
      host: 'localhost',
      port: listener.port,
      timeoutMs: 5_000,
      onSocket: (socket) => {
        expect(socket.remotePort).toBe(listener.port)
        socket.end()
        return { onData: () => undefined, onDrain: () => undefined, onClose: resolve }
      },
    })
  })

  expect(await ended).toBeNull()
  expect(accepted.map(({ remoteHost, localPort }) => [remoteHost, localPort])).toEqual([
    ['127.0.0.1', listener.port],
  ])
  expect(closed).toEqual([null])
})

test('a busy port and a closed one are the errors of the system', async () => {
  const { listener } = await echoServer()
  const handler = { onData: () => undefined, onDrain: () => undefined, onClose: () => undefined }

  const again = network.listen('127.0.0.1', listener.port, () => handler)
  await expect(again).rejects.toMatchObject({ code: 'EADDRINUSE' })
  await listener.close()
  const connecting = network.connect({
    host: '127.0.0.1',
    port: listener.port,
    timeoutMs: 5_000,
    onSocket: () => handler,
  })
  await expect(connecting).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('names are resolved and addresses are their own names', async () => {
  expect(await network.resolve('127.0.0.1')).toEqual(['127.0.0.1'])
  expect(await network.resolve('localhost')).toContain('127.0.0.1')
  expect(network.localAddresses()).not.toContain('127.0.0.1')
})

test('timers fire once or again and again until they are cancelled', async () => {
  const fired: string[] = []
  const startedAt = clock.monotonic()

  const never = timers.after(1, () => fired.push('never'))
  never.cancel()
  await new Promise<void>((resolve) => {
    timers.soon(() => fired.push('soon'))
    const every = timers.every(2, () => {
      fired.push('every')
      if (fired.length < 3) return
      every.cancel()
      resolve()
    })
  })
  await new Promise<void>((resolve) => {
    timers.after(5, resolve)
  })

  expect(fired).toEqual(['soon', 'every', 'every'])
  expect(clock.monotonic() - startedAt).toBeGreaterThan(4)
  expect(Math.abs(clock.now() - Date.now())).toBeLessThan(1_000)
})

test('random numbers stay in their bounds', () => {
  const integers = Array.from({ length: 200 }, () => random.integer(3))

  expect(new Set(integers)).toEqual(new Set([0, 1, 2]))
  expect(random.next()).toBeLessThan(1)
  expect(random.bytes(16)).toHaveLength(16)
})
