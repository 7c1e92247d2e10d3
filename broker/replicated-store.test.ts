import assert from 'node:assert/strict'
import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { RaftDriver } from '../raft/driver.ts'
import { SimulatedDisk } from '../simulation/disk.ts'
import { SimulatedNetwork } from '../simulation/network.ts'
import { SeededRandom } from '../simulation/random.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { MessageStore } from '../store/message-store.ts'
import { TEST_HOST, testConfig, testMessage } from '../store/testing.ts'
import { ReplicatedStore } from './replicated-store.ts'
import type { PutResult, StoreConfig } from '../store/types.ts'

const PORT = 40_911
const SIZE = 3

class Machine {
  readonly id: number
  disk: SimulatedDisk
  store: MessageStore | null = null
  driver: RaftDriver | null = null
  isReady = false
  readonly failures: unknown[] = []
  readonly #world: World

  constructor(world: World, id: number) {
    this.#world = world
    this.id = id
    this.disk = new SimulatedDisk({ clock: world.time })
  }

  async start(): Promise<void> {
    const { time, random, network, config } = this.#world
    const runtime = {
      clock: time,
      timers: time,
      random,
      disk: this.disk,
      network: network.of(`n${this.id}`),
    }
    const store = new MessageStore({
      config,
      runtime,
      logger: silentLogger,
      storeHost: () => TEST_HOST,
      onFailure: (error) => this.failures.push(error),
      replication: {
        written: (endOffset) => this.driver?.logGrown(endOffset),
        persisted: (offset) => this.driver?.logPersisted(offset),
        refusal: () => null,
      },
    })
    await store.start()
    store.setNotLeading('the member does not lead')
    this.store = store
    this.driver = new RaftDriver({
      runtime,
      logger: silentLogger,
      storePathRootDir: config.storePathRootDir,
      group: 'test/broker-a',
      id: this.id,
      peers: Array.from({ length: SIZE }, (_, id) => ({ id, host: `n${id}`, port: PORT })),
      listenHost: `n${this.id}`,
      clientPort: 10_911,
      log: new ReplicatedStore(store, (problem) => this.failures.push(problem)),
      tables: { save: () => null, install: () => undefined },
      preferredLeader: null,
      tickMs: 20,
      electionTicks: 50,
      heartbeatTicks: 5,
      onRole: () => {
        if (this.isReady) store.setNotLeading('the member does not lead')
        this.isReady = false
      },
      onReady: () => {
        this.isReady = true
        store.setNotLeading(null)
      },
      onFailure: (error) => this.failures.push(error),
    })
    await this.driver.start()
  }

  /** kill -9 of the process, or of the machine with it. */
  async kill(losesUnsynced: boolean): Promise<void> {
    this.isReady = false
    this.#world.network.killHost(`n${this.id}`)
    await this.driver?.close()
    this.driver = null
    this.store = null
    if (losesUnsynced) this.disk.crash(this.#world.random)
    else this.disk.kill()
  }

  get bodies(): readonly string[] {
    const { store } = this
    assert(store !== null)
    const bodies: string[] = []
    for (let offset = 0; offset < store.maxOffsetInQueue('Orders', 0); offset++) {
      const physicalOffset = store.physicalOffsetAt('Orders', 0, offset)
      bodies.push(store.messageAt(physicalOffset ?? -1)?.body.toString() ?? '(none)')
    }
    return bodies
  }
}

class World {
  readonly time = new SimulatedTime()
  readonly random: SeededRandom
  readonly network: SimulatedNetwork
  readonly config: StoreConfig
  readonly machines: readonly Machine[]

  constructor(seed: number, overrides: Partial<StoreConfig> = {}) {
    this.random = new SeededRandom(seed)
    this.config = testConfig(overrides)
    this.network = new SimulatedNetwork({ timers: this.time, random: this.random, latencyMs: 2 })
    this.machines = Array.from({ length: SIZE }, (_, id) => new Machine(this, id))
  }

  get leader(): Machine {
    const leader = this.machines.find(({ isReady }) => isReady)
    assert(leader !== undefined, 'somebody leads')
    return leader
  }

  async startAll(): Promise<void> {
    for (const machine of this.machines) await machine.start()
    await this.time.advance(5000)
  }

  /** Sends through whoever leads now; resolves with the status, null when nobody answers in time. */
  async send(body: string): Promise<string | null> {
    const { store } = this.leader
    let result: PutResult | null = null
    store?.put([testMessage({ body })], 'inTime', (answer) => {
      result = answer
    })
    for (let wait = 0; wait < 500 && result === null; wait++) await this.time.advance(10)
    return statusOf(result)
  }
}

function statusOf(result: PutResult | null): string | null {
  return result?.status ?? null
}

test.each(['ASYNC_FLUSH', 'SYNC_FLUSH'] as const)(
  'with %s messages are in every store, with the same bytes',
  async (flushDiskType) => {
    const world = new World(1, { flushDiskType })
    await world.startAll()
    const statuses = new Set<string | null>()

    for (let id = 0; id < 60; id++)
      statuses.add(await world.send(`message ${id} ${'x'.repeat(300)}`))
    await world.time.advance(1000)

    expect(statuses).toEqual(new Set(['OK']))
    const logs = world.machines.map(
      async ({ store }) => await store?.readRecords(0, store.endOffset),
    )
    const [first, ...others] = await Promise.all(logs)
    for (const other of others) expect(first?.equals(other ?? Buffer.alloc(0))).toBe(true)
    for (const { bodies, failures } of world.machines) {
      expect(bodies).toHaveLength(60)
      expect(failures).toEqual([])
    }
  },
)

test('after the leader is killed the next one has everything acknowledged, and goes on with its offsets', async () => {
  const world = new World(2)
  await world.startAll()
  const acknowledged: string[] = []
  for (let id = 0; id < 20; id++) {
    if ((await world.send(`a${id}`)) === 'OK') acknowledged.push(`a${id}`)
  }
  const old = world.leader
  await old.kill(false)

  await world.time.advance(2000)
  for (let id = 0; id < 20; id++) {
    if ((await world.send(`b${id}`)) === 'OK') acknowledged.push(`b${id}`)
  }
  await old.start()
  await world.time.advance(5000)

  expect(acknowledged).toHaveLength(40)
  for (const { bodies } of world.machines) expect(bodies).toEqual(acknowledged)
})

test('what a deposed leader had appended alone is cut, with its queue entries, and refused', async () => {
  const world = new World(3)
  await world.startAll()
  await world.send('kept')
  const old = world.leader
  for (const { id } of world.machines) {
    world.network.cut(`n${old.id}`, `n${id}`)
    world.network.cut(`n${id}`, `n${old.id}`)
  }
  const status = await world.send('alone')
  await world.time.advance(3000)
  const second = await world.send('other')

  world.network.healAll()
  await world.time.advance(5000)

  expect([status, second]).not.toContain(null)
  expect(status).not.toBe('OK')
  for (const { bodies, failures } of world.machines) {
    expect(bodies).toEqual(['kept', 'other'])
    expect(failures).toEqual([])
  }
})

test.each([0, 1, 2, 3, 4, 5])(
  'with SYNC_FLUSH nothing acknowledged is lost when all machines lose power at once (seed %i)',
  async (seed) => {
    const world = new World(seed, { flushDiskType: 'SYNC_FLUSH' })
    await world.startAll()
    const acknowledged: string[] = []
    for (let id = 0; id < 15; id++) {
      if ((await world.send(`a${id}`)) === 'OK') acknowledged.push(`a${id}`)
    }
    for (const machine of world.machines) await machine.kill(true)

    await world.startAll()
    await world.send('after')
    await world.time.advance(1000)

    for (const { bodies } of world.machines) {
      expect(bodies.filter((body) => body !== 'after')).toEqual(acknowledged)
    }
  },
)
