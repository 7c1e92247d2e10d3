import assert from 'node:assert/strict'
import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { SimulatedDisk } from '../simulation/disk.ts'
import { SimulatedNetwork } from '../simulation/network.ts'
import { SeededRandom } from '../simulation/random.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { MessageStore } from '../store/message-store.ts'
import { TEST_HOST, put, testConfig, testMessage } from '../store/testing.ts'
import { PutStatus } from '../store/types.ts'
import { RaftMember } from './raft-member.ts'

interface TestMember {
  readonly disk: SimulatedDisk
  readonly store: MessageStore
  readonly member: RaftMember
}

/** Members with their stores, wired as in a broker, each on a disk of its own. */
class World {
  readonly time: SimulatedTime = new SimulatedTime()
  readonly failures: unknown[] = []
  readonly members: readonly TestMember[]
  readonly #random = new SeededRandom(1)
  readonly #network = new SimulatedNetwork({
    timers: this.time,
    random: this.#random,
    latencyMs: 2,
  })

  constructor(size: number) {
    this.members = Array.from({ length: size }, (_, id) => this.#newMember(id, size))
  }

  /** The one that takes messages. */
  get leader(): TestMember {
    const leader = this.members.find(({ member }) => {
      const facts = member.facts
      return facts?.role === 'leader' && facts.isReady
    })
    return leader ?? assert.fail('nobody leads')
  }

  async start(): Promise<void> {
    for (const { store } of this.members) await store.start()
    for (const { member } of this.members) await member.start()
  }

  async send(): Promise<PutStatus> {
    const result = put(this.leader.store, testMessage())
    await this.time.advance(100)
    return (await result).status
  }

  #newMember(id: number, size: number): TestMember {
    const { time } = this
    const disk = new SimulatedDisk({ clock: time })
    const network = this.#network.of(`n${id}`)
    const runtime = { clock: time, timers: time, random: this.#random, disk, network }
    const config = testConfig({ flushDiskType: 'SYNC_FLUSH' })
    const onFailure = (error: unknown) => this.failures.push(error)
    const member: RaftMember = new RaftMember({
      runtime,
      logger: silentLogger,
      storePathRootDir: config.storePathRootDir,
      group: 'test/broker-a',
      id,
      peers: Array.from({ length: size }, (_, peer) => ({
        id: peer,
        host: `n${peer}`,
        port: 40_911,
      })),
      listenHost: `n${id}`,
      clientPort: 10_911,
      store: () => store,
      tables: () => ({ save: () => null, install: () => undefined }),
      events: {
        onLeading: () => undefined,
        onFollowing: () => undefined,
        onNoRoom: (successor) => member.transfer(successor),
      },
      onFailure,
    })
    const store = new MessageStore({
      config,
      runtime,
      logger: silentLogger,
      storeHost: () => TEST_HOST,
      onFailure,
      replication: member.replication,
    })
    return { disk, store, member }
  }
}

function fill(disk: SimulatedDisk): void {
  disk.foreignBytes = disk.totalBytes
}

// Goal: nothing of a leader's waits in its log when another one leads. Method: a member that is elected, whose disk does not take the first
// record of its term.
test('a leader that was not ready yet leaves nothing behind that would keep the next leader from cutting its log', async () => {
  const world = new World(1)
  const { store, member, disk } = world.members[0] ?? assert.fail()
  await store.start()
  disk.holdSyncs()
  await member.start()
  await world.time.advance(3000)
  expect([member.facts?.role, member.facts?.isReady]).toEqual(['leader', false])

  await world.time.advance(5000)

  expect(member.facts?.role).not.toBe('leader')
  store.truncateTo(store.commitOffset)
  expect(store.endOffset).toBe(store.commitOffset)
  expect(world.failures).toEqual([])
})

test('a leader whose disk is full lets a member with room lead, and follows again when it has room itself', async () => {
  const world = new World(3)
  await world.start()
  await world.time.advance(20_000)
  const full = world.leader
  fill(full.disk)

  await world.time.advance(3000)

  expect(world.leader).not.toBe(full)
  expect(await world.send()).toBe(PutStatus.OK)
  full.disk.foreignBytes = 0
  await world.time.advance(10_000)
  expect(full.store.commitOffset).toBe(world.leader.store.commitOffset)
  expect(world.failures).toEqual([])
})

test.each([2, 3])(
  'when the disks of %i of three members are full the leader stays',
  async (count) => {
    const world = new World(3)
    await world.start()
    await world.time.advance(20_000)
    const { leader } = world
    const { term } = leader.member
    const others = world.members.filter((member) => member !== leader)
    for (const { disk } of [leader, ...others].slice(0, count)) fill(disk)

    await world.time.advance(30_000)

    expect(world.leader.member.term).toBe(term)
  },
)

// Method: whoever leads is the only one without room, again and again.
test('a member gives way for want of room every 10 s at most', async () => {
  const world = new World(3)
  await world.start()
  await world.time.advance(20_000)
  const leaders: { readonly until: number; readonly leader: TestMember }[] = []
  let { leader } = world
  for (let step = 0; step < 600; step++) {
    for (const { disk } of world.members) disk.foreignBytes = 0
    fill(leader.disk)
    await world.time.advance(100)
    const now = world.members.find(({ member }) => member.facts?.role === 'leader') ?? leader
    if (now !== leader) leaders.push({ until: world.time.monotonic(), leader })
    leader = now
  }

  const rests = leaders.flatMap((left, index) => {
    const again = leaders.slice(index + 1).find((later) => later.leader === left.leader)
    return again === undefined ? [] : [again.until - left.until]
  })
  expect(rests.length).toBeGreaterThan(5)
  expect(Math.min(...rests)).toBeGreaterThan(9000)
  expect(world.failures).toEqual([])
})
