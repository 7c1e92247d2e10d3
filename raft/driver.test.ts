import assert from 'node:assert/strict'
import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { SimulatedDisk } from '../simulation/disk.ts'
import { SimulatedNetwork } from '../simulation/network.ts'
import { SeededRandom } from '../simulation/random.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { RaftDriver } from './driver.ts'
import { MemoryLog } from './testing-log.ts'

const PORT = 10_912

/** A member: its machine's disk and log, and the process while it runs. */
class Machine {
  readonly id: number
  disk: SimulatedDisk
  log = new MemoryLog()
  driver: RaftDriver | null = null
  isReady = false
  failure: unknown = null
  readonly #world: World

  constructor(world: World, id: number) {
    this.#world = world
    this.id = id
    this.disk = new SimulatedDisk({ clock: world.time })
  }

  /** `configured` are the members that it is told of at its start: as many, or these. */
  async start(configured: number | readonly number[]): Promise<void> {
    const ids =
      typeof configured === 'number'
        ? Array.from({ length: configured }, (_, id) => id)
        : configured
    const { time, random, network } = this.#world
    this.disk.makeDirectorySync('/data')
    const driver = new RaftDriver({
      runtime: {
        clock: time,
        timers: time,
        random,
        disk: this.disk,
        network: network.of(`n${this.id}`),
      },
      logger: silentLogger,
      storePathRootDir: '/data',
      group: 'test/broker-a',
      id: this.id,
      peers: ids.map((id) => ({ id, host: `n${id}`, port: PORT })),
      listenHost: `n${this.id}`,
      clientPort: 10_911,
      log: this.log,
      tables: this.log,
      preferredLeader: null,
      tickMs: 20,
      electionTicks: 50,
      heartbeatTicks: 5,
      onRole: () => {
        this.isReady = false
      },
      onReady: () => {
        this.isReady = true
      },
      onFailure: (error) => {
        this.failure = error
      },
    })
    this.driver = driver
    this.log.onGrown = (endOffset) => driver.logGrown(endOffset)
    this.log.onPersisted = (offset) => driver.logPersisted(offset)
    await driver.start()
  }

  /** kill -9; the disk and the log stay. */
  async kill(): Promise<void> {
    this.isReady = false
    this.#world.network.killHost(`n${this.id}`)
    await this.driver?.close()
    this.driver = null
  }

  /** The volume is replaced by an empty one. */
  wipe(): void {
    this.disk = new SimulatedDisk({ clock: this.#world.time })
    this.log = new MemoryLog()
  }
}

class World {
  readonly time = new SimulatedTime()
  readonly random: SeededRandom
  readonly network: SimulatedNetwork
  readonly machines: Machine[]

  constructor(size: number, seed = 1) {
    this.random = new SeededRandom(seed)
    this.network = new SimulatedNetwork({ timers: this.time, random: this.random, latencyMs: 2 })
    this.machines = Array.from({ length: size }, (_, id) => new Machine(this, id))
  }

  get leader(): Machine {
    const leader = this.machines.find(
      ({ isReady, driver }) => isReady && driver?.raft?.role === 'leader',
    )
    assert(leader !== undefined, 'somebody leads')
    return leader
  }

  get followers(): readonly Machine[] {
    return this.machines.filter((machine) => machine !== this.leader)
  }

  machine(id: number): Machine {
    const machine = this.machines[id]
    assert(machine !== undefined)
    return machine
  }

  async startAll(): Promise<void> {
    for (const machine of this.machines) await machine.start(this.machines.length)
    await this.time.advance(5000)
  }
}

test('three empty members found a group, elect a leader and replicate', async () => {
  const world = new World(3)
  await world.startAll()

  for (let id = 0; id < 20; id++) world.leader.log.append(`m${id}`)
  await world.time.advance(500)

  const expected = Array.from({ length: 20 }, (_, id) => `m${id}`)
  for (const { log } of world.machines) expect(log.texts).toEqual(expected)
  for (const { log } of world.machines) expect(log.knownCommitOffset).toBe(log.endOffset)
})

test('a group is not founded while a configured member is missing', async () => {
  const world = new World(3)
  await world.machine(0).start(3)
  await world.machine(1).start(3)

  await world.time.advance(20_000)

  expect(world.machine(0).driver?.raft).toBe(null)
})

/** Less than an election timeout, from when all have started. */
const TOGETHER_MS = 900

test.each([1, 2, 3, 4, 5])(
  'members that start at about the same time lead at once (seed %i)',
  async (seed) => {
    const world = new World(3, seed)
    for (const machine of world.machines) {
      await machine.start(3)
      await world.time.advance(world.random.integer(2000))
    }

    await world.time.advance(TOGETHER_MS)
    expect(world.leader.id).toBe(0)
    world.leader.log.append('before')
    await world.time.advance(500)

    for (const machine of world.machines) await machine.kill()
    for (const machine of world.machines.toReversed()) {
      await machine.start(3)
      await world.time.advance(world.random.integer(200))
    }
    await world.time.advance(TOGETHER_MS)
    expect(world.leader.log.texts).toEqual(['before'])
  },
)

test('a first member whose log is behind lets the next one lead', async () => {
  const world = new World(3)
  await world.startAll()
  await world.machine(0).kill()
  await world.time.advance(2000)
  world.leader.log.append('after the first')
  await world.time.advance(1000)
  for (const machine of world.machines) if (machine.driver !== null) await machine.kill()

  for (const machine of world.machines) await machine.start(3)
  await world.time.advance(TOGETHER_MS)

  expect(world.leader.id).not.toBe(0)
  expect(world.leader.log.texts).toEqual(['after the first'])
})

test('who comes to a group that has a leader takes nothing from it', async () => {
  const world = new World(3)
  await world.startAll()
  const { leader } = world
  const term = leader.driver?.raft?.term
  const [follower] = world.followers
  assert(follower !== undefined && term !== undefined)
  await follower.kill()

  await follower.start(3)
  await world.time.advance(3000)

  expect(world.leader).toBe(leader)
  expect(follower.driver?.raft?.term).toBe(term)
  expect(follower.driver?.raft?.leader).toBe(leader.id)
})

test('when the leader is killed another leads within a fraction of the election timeout', async () => {
  const world = new World(3)
  await world.startAll()
  world.leader.log.append('before')
  await world.time.advance(100)
  await world.leader.kill()

  await world.time.advance(600)

  expect(world.leader.log.texts).toEqual(['before'])
})

test('a restarted member goes on where it was', async () => {
  const world = new World(3)
  await world.startAll()
  const [follower] = world.followers
  assert(follower !== undefined)
  await follower.kill()
  world.leader.log.append('meanwhile')
  await world.time.advance(1000)

  await follower.start(3)
  await world.time.advance(3000)

  expect(follower.log.texts).toEqual(['meanwhile'])
  expect(follower.driver?.raft?.configuration.members.map(({ role }) => role)).toEqual([
    'voter',
    'voter',
    'voter',
  ])
})

test('a member with an empty disk comes back as a learner, and becomes a voter when it has everything', async () => {
  const world = new World(3)
  await world.startAll()
  for (let id = 0; id < 10; id++) world.leader.log.append(`m${id}`)
  await world.time.advance(500)
  const [follower] = world.followers
  assert(follower !== undefined)
  await follower.kill()
  follower.wipe()

  await follower.start(3)
  await world.time.advance(10_000)

  expect(follower.log.texts).toHaveLength(10)
  const members = world.leader.driver?.raft?.configuration.members
  expect(members?.map(({ role }) => role)).toEqual(['voter', 'voter', 'voter'])
  expect(members?.find(({ id }) => id === follower.id)?.incarnation).toBe(
    follower.driver?.incarnation,
  )
})

test('a member that was away answers a leader that has got a new disk meanwhile', async () => {
  const world = new World(5)
  await world.startAll()
  const [absent, replaced] = world.followers
  assert(absent !== undefined && replaced !== undefined)
  await absent.kill()
  await replaced.kill()
  replaced.wipe()
  await replaced.start(5)
  await world.time.advance(5000)
  world.leader.driver?.transferLeadership(replaced.id)
  await world.time.advance(3000)
  expect(world.leader).toBe(replaced)

  await absent.start(5)
  await world.time.advance(5000)

  expect(world.leader).toBe(replaced)
  expect(absent.log.endOffset).toBe(replaced.log.endOffset)
  expect(absent.driver?.raft?.commitOffset).toBe(replaced.log.endOffset)
})

// Goal: whoever has everything can be elected. Method: a majority is up, of which one has a new disk, one was away when it got it, and one
// lacks the newest record.
test('a member that was away votes for one that has got a new disk meanwhile', async () => {
  const world = new World(5)
  await world.startAll()
  const [absent, replaced, behind, third] = world.followers
  const first = world.leader
  assert(absent !== undefined && replaced !== undefined)
  assert(behind !== undefined && third !== undefined)
  await absent.kill()
  await replaced.kill()
  replaced.wipe()
  await replaced.start(5)
  await world.time.advance(5000)
  await behind.kill()
  world.leader.log.append('newest')
  await world.time.advance(1000)
  expect(replaced.log.texts).toEqual(['newest'])
  await first.kill()
  await third.kill()

  await absent.start(5)
  await behind.start(5)
  await world.time.advance(20_000)

  expect(world.leader).toBe(replaced)
  expect(absent.log.texts).toEqual(['newest'])
})

// Goal: a learner is not forgotten. Method: the leader that takes it in is cut off and loses that record with its power, so that the
// learner alone has it.
test('a learner asks again when the leader that took it in has fallen before that was committed', async () => {
  const world = new World(3)
  await world.startAll()
  const old = world.leader
  const [other, wiped] = world.followers
  assert(other !== undefined && wiped !== undefined)
  await wiped.kill()
  wiped.wipe()
  world.network.cut(`n${old.id}`, `n${other.id}`)
  world.network.cut(`n${other.id}`, `n${old.id}`)
  const { endOffset } = old.log
  await wiped.start(3)
  await world.time.advance(500)
  expect(wiped.driver?.raft?.configuration.offset).toBe(endOffset)

  await old.kill()
  old.log.truncateTo(endOffset)
  world.network.healAll()
  await old.start(3)
  await world.time.advance(20_000)

  const members = world.leader.driver?.raft?.configuration.members
  expect(members?.map(({ role }) => role)).toEqual(['voter', 'voter', 'voter'])
  expect(wiped.log.endOffset).toBe(world.leader.log.endOffset)
})

// Method: the only member that the new one can reach follows, and the leader has come to the group after the two have met.
test('who wants to be taken in asks a leader too of which it was not told at its start', async () => {
  const world = new World(4)
  const [first, second, third, fourth] = [0, 1, 2, 3].map((id) => world.machine(id))
  assert(first !== undefined && second !== undefined && third !== undefined && fourth !== undefined)
  await first.start([0, 1])
  await second.start([0, 1])
  await world.time.advance(5000)
  const leader = world.leader
  world.network.cut(`n${leader.id}`, 'n3')
  world.network.cut('n3', `n${leader.id}`)
  await fourth.start([0, 1, 3])
  await world.time.advance(1000)
  await third.start([0, 1, 2])
  await world.time.advance(10_000)
  leader.driver?.transferLeadership(third.id)
  await world.time.advance(2000)
  expect(world.leader).toBe(third)

  await world.time.advance(10_000)

  const members = world.leader.driver?.raft?.configuration.members
  expect(members?.map(({ id, role }) => `${id} ${role}`).toSorted()).toEqual([
    '0 voter',
    '1 voter',
    '2 voter',
    '3 voter',
  ])
})

/** One member of three is cut off from the other two while a fourth comes, to which it is connected before that belongs to the group. */
async function groupWithNewcomer(): Promise<{
  readonly world: World
  readonly absent: Machine
  readonly newcomer: Machine
  readonly others: readonly [Machine, Machine]
}> {
  const world = new World(4)
  const [first, second, absent, newcomer] = [0, 1, 2, 3].map((id) => world.machine(id))
  assert(first !== undefined && second !== undefined)
  assert(absent !== undefined && newcomer !== undefined)
  for (const machine of [first, second, absent]) await machine.start([0, 1, 2])
  await world.time.advance(5000)
  expect(world.leader).toBe(first)
  for (const { id } of [first, second]) {
    world.network.cut(`n${id}`, `n${absent.id}`)
    world.network.cut(`n${absent.id}`, `n${id}`)
  }
  await newcomer.start([0, 1, 2, 3])
  await world.time.advance(5000)
  return { world, absent, newcomer, others: [first, second] }
}

test('a member answers a leader that has come to the group while it was cut off', async () => {
  const { world, absent, newcomer } = await groupWithNewcomer()
  world.leader.driver?.transferLeadership(newcomer.id)
  await world.time.advance(3000)
  expect(world.leader).toBe(newcomer)

  newcomer.log.append('newest')
  await world.time.advance(5000)

  expect(absent.log.texts).toEqual(['newest'])
  expect(absent.driver?.raft?.commitOffset).toBe(newcomer.log.endOffset)
})

// Method: the fourth alone has the newest record, and needs the votes of both that are left.
test('a member votes for one that has come to the group while it was cut off', async () => {
  const { world, absent, newcomer, others } = await groupWithNewcomer()
  const [first, second] = others
  await second.kill()
  first.log.append('newest')
  await world.time.advance(500)
  expect(newcomer.log.texts).toEqual(['newest'])
  await first.kill()
  world.network.healAll()

  await second.start([0, 1, 2, 3])
  await world.time.advance(20_000)

  expect(world.leader).toBe(newcomer)
  expect(absent.log.texts).toEqual(['newest'])
})

test('two wiped members do not found a group without the third', async () => {
  const world = new World(3)
  await world.startAll()
  world.leader.log.append('precious')
  await world.time.advance(500)
  const [one, two] = world.followers
  assert(one !== undefined && two !== undefined)
  for (const machine of world.machines) await machine.kill()
  one.wipe()
  two.wipe()

  await one.start(3)
  await two.start(3)
  await world.time.advance(20_000)

  expect([one.isReady, two.isReady]).toEqual([false, false])
})

test('a group of one grows to three, with what it held before there was a group', async () => {
  const world = new World(3)
  const first = world.machine(0)
  await first.start(1)
  await world.time.advance(3000)
  for (let id = 0; id < 10; id++) first.log.append(`m${id}`)
  await first.kill()

  for (const machine of world.machines) await machine.start(3)
  await world.time.advance(10_000)

  for (const { log } of world.machines) expect(log.texts).toHaveLength(10)
  const members = world.leader.driver?.raft?.configuration.members
  expect(members?.map(({ role }) => role)).toEqual(['voter', 'voter', 'voter'])
})

test('a member behind the start of the log is given the start and the tables', async () => {
  const world = new World(3)
  await world.startAll()
  const [follower] = world.followers
  assert(follower !== undefined)
  await follower.kill()
  for (let id = 0; id < 10; id++) world.leader.log.append(`m${id}`)
  await world.time.advance(200)
  const { log } = world.leader
  log.dropBelow(log.batchEnd(0, log.endOffset - 30))
  log.table = { topics: ['t'] }

  await follower.start(3)
  await world.time.advance(10_000)

  expect(follower.log.startOffset).toBe(log.startOffset)
  expect(follower.log.texts).toEqual(log.texts)
  expect(follower.log.table).toEqual({ topics: ['t'] })
})

test('a leader that is cut off commits nothing more, and gives way', async () => {
  const world = new World(3)
  await world.startAll()
  const old = world.leader
  for (const other of world.followers) {
    world.network.cut(`n${old.id}`, `n${other.id}`)
    world.network.cut(`n${other.id}`, `n${old.id}`)
  }
  const committed = old.log.knownCommitOffset
  old.log.append('lost')
  await world.time.advance(6000)
  expect(old.log.knownCommitOffset).toBe(committed)
  world.leader.log.append('kept')

  world.network.healAll()
  await world.time.advance(5000)

  for (const machine of world.machines) expect(machine.log.texts).toEqual(['kept'])
})

test('a read is confirmed by the leader only', async () => {
  const world = new World(3)
  await world.startAll()
  const confirmed = world.leader.driver?.confirmRead()
  const refused = world.followers[0]?.driver?.confirmRead()

  await world.time.advance(100)

  expect(await confirmed).toBe(world.leader.log.endOffset)
  expect(await refused).toBe(null)
})
