/**
 * A real file system fills up, by a file of somebody else: sends are refused before the disk says no, reading goes on, and sends are
 * taken again by themselves.
 *
 *   e2e/on-loop-device ext4 256M npx vitest run --project e2e e2e/disk-full
 */
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createRuntime } from '../common/runtime.ts'
import { fsck } from '../store/fsck.ts'
import { get, openStore, put, testMessage } from '../store/testing.ts'
import type { TestWorld } from '../store/testing.ts'
import type { Retention } from '../store/types.ts'

const CYCLES = Number(process.env['GANTRY_DISK_FULL_CYCLES'] ?? 5)
const MEBIBYTE = 1024 * 1024
const BODY = Buffer.alloc(4000, 'x')

/** Without unread messages to spare, a disk this full would be cleaned of the oldest ones. */
const NOBODY_HAS_READ: Retention = {
  slowestRead: () =>
    Promise.resolve({
      physicalOffset: 0,
      topic: 'Orders',
      consumerGroup: 'slow',
      isProtected: true,
    }),
  readOffset: () => 0,
  reserveHours: () => null,
}

function worldOf(folder: string): TestWorld {
  return {
    kind: 'real',
    runtime: createRuntime(),
    root: path.join(folder, 'store'),
    settle: (promise) => promise,
    cleanUp: () => undefined,
  }
}

/** Takes all of the space but so many bytes. */
function fillDisk(folder: string, leave: number): void {
  const { bavail, bsize } = fs.statfsSync(folder)
  const descriptor = fs.openSync(path.join(folder, 'foreign'), 'w')
  try {
    const block = Buffer.alloc(MEBIBYTE, 1)
    for (let left = bavail * bsize - leave; left > 0; left -= block.length) {
      fs.writeSync(descriptor, block)
    }
  } catch {
    // Full earlier than it said: as good.
  } finally {
    fs.closeSync(descriptor)
  }
}

test(`a disk that fills up ${CYCLES} times costs no message and needs no restart`, async () => {
  const folder = process.env['GANTRY_LOOP_DIR'] ?? ''
  expect(folder, 'run it by e2e/on-loop-device').not.toBe('')
  const world = worldOf(folder)
  const { store, failures } = await openStore(
    world,
    {
      mappedFileSizeCommitLog: 8 * MEBIBYTE,
      mappedFileSizeConsumeQueue: 20_000,
      flushDiskType: 'SYNC_FLUSH',
    },
    NOBODY_HAS_READ,
  )
  let sent = 0
  const send = async (): Promise<boolean> => {
    const { status } = await put(store, testMessage({ body: BODY }))
    if (status === 'OK') sent++
    return status === 'OK'
  }
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    for (let count = 0; count < 200; count++) expect(await send()).toBe(true)
    // By turns above the warning level, and so that the very next write finds nothing.
    fillDisk(folder, cycle % 2 === 0 ? 12 * MEBIBYTE : 0)
    for (let tries = 0; tries < 10_000 && (await send()); tries++) await wait(1)
    expect(store.status().readOnlyReason).not.toBeNull()
    const found = await get(store, { queueOffset: sent - 1 })
    expect(found.records).toHaveLength(1)

    fs.rmSync(path.join(folder, 'foreign'))
    let isTaken = false
    for (let tries = 0; tries < 100 && !isTaken; tries++) {
      await wait(100)
      isTaken = await send()
    }
    expect(isTaken).toBe(true)
  }

  expect(failures).toEqual([])
  expect(store.maxOffsetInQueue('Orders', 0)).toBe(sent)
  await store.close()
  expect(fsck({ disk: world.runtime.disk, root: world.root })).toMatchObject({
    problems: [],
    records: sent,
    units: sent,
  })
})
