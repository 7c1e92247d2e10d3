/**
 * Three real brokers of one group under faults, with the official Java client sending all the while: nothing that was acknowledged is
 * lost, moved or reordered, and what a reader has seen stays.
 *
 * Needs root, `ip`, `nft`, a C compiler and a JDK. GANTRY_CHAOS_ROUNDS: faults of each kind (1).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ChaosGroup, MEMBERS } from './chaos/group.ts'
import type { GroupOptions } from './chaos/group.ts'
import { ChaosLoad } from './chaos/load.ts'
import { MemberNetwork } from './chaos/member-network.ts'
import { buildJournal } from './chaos/power-loss.ts'
import { SmallDisk } from './chaos/small-disk.ts'
import { buildClients } from './clients.ts'
import { environmentVariable, figures } from './environment.ts'
import { covers } from './features.ts'

const ROUNDS = Number(environmentVariable('GANTRY_CHAOS_ROUNDS') || 1)
const ROUND_TIMEOUT_MS = 120_000
const ACK_TIMEOUT_MS = 60_000
/** Longer than an election, shorter than a client's patience. */
const FAULT_MS = 5_000
const SETTLED_MS = 1_000
/** Answers that had left before the fault have arrived by then. */
const IN_FLIGHT_MS = 200
const SMALL_DISK_MIB = 400
/** How many of the blocks that were not synced reach the disk all the same. */
const SURVIVING = 0.5
const TIMEOUT = 120_000 + ROUNDS * ROUND_TIMEOUT_MS

const network = new MemberNetwork('gchaos', '10.97.61', MEMBERS)
let folder = ''
let group: ChaosGroup | null = null
let load: ChaosLoad | null = null
const disks: SmallDisk[] = []

beforeAll(buildClients)

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gantry-chaos-'))
  await network.up()
})

afterEach(async () => {
  await load?.kill()
  await group?.destroy()
  load = null
  group = null
  for (const disk of disks.splice(0)) await disk.unmount()
  await network.down()
  rmSync(folder, { recursive: true, force: true })
})

describe.each(['ASYNC_FLUSH', 'SYNC_FLUSH'])('with %s', (flushDiskType) => {
  test('kill -9 of the leader', { timeout: TIMEOUT }, async ({ task }) => {
    covers(task, 'M36')
    await suffer(`kill of the leader, ${flushDiskType}`, { flushDiskType }, async (members) => {
      const leader = await members.leader()
      await members.kill(leader)
      return async (resumed) => {
        await resumed
        members.startMember(leader)
      }
    })
  })

  test('a leader that is stopped for a while', { timeout: TIMEOUT }, async () => {
    await suffer(`stop of the leader, ${flushDiskType}`, { flushDiskType }, async (members) => {
      const leader = await members.leader()
      members.pause(leader)
      return async () => {
        await sleep(FAULT_MS)
        members.resume(leader)
      }
    })
  })
})

/** Pairs of (from, to) whose packets are dropped, by the leader and the two others. */
const PARTITIONS = {
  'the leader alone': (leader: number, one: number, two: number) => [
    [leader, one],
    [one, leader],
    [leader, two],
    [two, leader],
  ],
  'a leader that is not heard': (leader: number, one: number, two: number) => [
    [leader, one],
    [leader, two],
  ],
  'a leader that does not hear': (leader: number, one: number, two: number) => [
    [one, leader],
    [two, leader],
  ],
  'a follower alone': (leader: number, one: number, two: number) => [
    [leader, one],
    [one, leader],
    [one, two],
    [two, one],
  ],
  'a bridge over one follower': (leader: number, _one: number, two: number) => [
    [leader, two],
    [two, leader],
  ],
} as const

test.each(Object.entries(PARTITIONS))(
  'a partition: %s',
  { timeout: TIMEOUT },
  async (name, pairs) => {
    const config = { flushDiskType: 'ASYNC_FLUSH' }
    await suffer(`partition: ${name}`, config, async (members) => {
      const leader = await members.leader()
      const [one = 0, two = 0] = others(leader)
      for (const [from = 0, to = 0] of pairs(leader, one, two)) await network.cut(from, to)
      return async () => {
        await sleep(FAULT_MS)
        await network.heal()
      }
    })
  },
)

test('the disk of the leader is full for a while', { timeout: TIMEOUT }, async () => {
  for (let member = 0; member < MEMBERS; member++) {
    disks.push(await SmallDisk.mount(join(folder, `disk-${member}`), SMALL_DISK_MIB))
  }
  const options = {
    config: { flushDiskType: 'ASYNC_FLUSH', mappedFileSizeCommitLog: 16 * 1024 * 1024 },
    dataOf: (member: number) => join(folder, `disk-${member}`),
  }
  await sufferWith('full disk of the leader', options, async (members) => {
    const leader = await members.leader()
    disks[leader]?.fill()
    return async () => {
      await sleep(FAULT_MS)
      disks[leader]?.free()
    }
  })
})

describe('power cuts, SYNC_FLUSH', () => {
  const config = { flushDiskType: 'SYNC_FLUSH', mappedFileSizeCommitLog: 16 * 1024 * 1024 }

  test.each([
    ['nothing unsynced survives', () => false],
    ['some blocks survive', () => Math.random() < SURVIVING],
  ])('of the leader; %s', { timeout: TIMEOUT }, async (what, survives) => {
    const journal = await buildJournal(folder)
    await sufferWith(`power cut of the leader: ${what}`, { config, journal }, async (members) => {
      const leader = await members.leader()
      await members.kill(leader)
      const lost = members.losePower(leader, survives)
      expect(lost.undoneWrites).toBeGreaterThan(0)
      return async (resumed) => {
        await resumed
        members.startMember(leader)
      }
    })
  })

  test.each([
    ['nothing unsynced survives', () => false],
    ['some blocks survive', () => Math.random() < SURVIVING],
  ])('of all members; %s', { timeout: TIMEOUT }, async (what, survives) => {
    const journal = await buildJournal(folder)
    await sufferWith(`power cut of all: ${what}`, { config, journal }, async (members) => {
      await members.killAll()
      for (let member = 0; member < MEMBERS; member++) {
        members.losePower(member, survives)
        members.startMember(member)
      }
      return () => Promise.resolve()
    })
  })
})

/** Brings the fault about; returns how it is repaired. `resumed` resolves when messages are acknowledged again. */
type Fault = (members: ChaosGroup) => Promise<(resumed: Promise<unknown>) => Promise<void>>

function suffer(name: string, config: GroupOptions['config'], fault: Fault): Promise<void> {
  return sufferWith(name, { config }, fault)
}

async function sufferWith(
  name: string,
  options: Omit<GroupOptions, 'network' | 'folder'>,
  fault: Fault,
): Promise<void> {
  group = await ChaosGroup.start({ ...options, network, folder })
  load = await ChaosLoad.start(group.nameServer, 'chaos')
  const gaps: number[] = []
  const ended: string[] = []
  for (let round = 0; round < ROUNDS; round++) {
    await load.acknowledgedAfter(Date.now(), ACK_TIMEOUT_MS)
    const since = Date.now()
    const repair = await fault(group)
    const resumed = load.acknowledgedAfter(Date.now() + IN_FLIGHT_MS, ACK_TIMEOUT_MS)
    resumed.catch(() => undefined)
    await repair(resumed)
    await resumed
    gaps.push(load.longestGap(since))
    ended.push(...group.restartEnded())
    await group.whole()
    await sleep(SETTLED_MS)
  }
  const verdict = await load.verdict()
  const sorted = gaps.toSorted((left, right) => left - right)
  figures(`chaos: ${name}`, {
    rounds: ROUNDS,
    medianMs: sorted[Math.floor(sorted.length / 2)],
    worstMs: sorted.at(-1),
    ended,
    ...verdict,
    violations: verdict.violations.length,
  })
  expect(verdict.violations.slice(0, 20)).toEqual([])
  expect(verdict.acknowledged).toBeGreaterThan(0)
}

function others(member: number): readonly number[] {
  return Array.from({ length: MEMBERS }, (_, other) => other).filter((other) => other !== member)
}
