import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { Leadership } from './leadership.ts'
import { createBrokerWorld } from './testing-world.ts'
import { SimulatedDisk } from '../simulation/disk.ts'
import { SimulatedTime } from '../simulation/time.ts'
import type { ConsumerOffsets } from './consumer-offsets.ts'

interface World {
  readonly time: SimulatedTime
  readonly disk: SimulatedDisk
  readonly offsets: ConsumerOffsets
  readonly leadership: Leadership
  readonly transfers: number[]
}

/** A member that leads, and gives each transfer up. */
async function leading(ended: () => void = () => undefined): Promise<World> {
  const time = new SimulatedTime()
  const disk = new SimulatedDisk({ clock: time, totalBytes: 1024 ** 3 })
  const { parts } = await createBrokerWorld({}, { time, disk })
  const transfers: number[] = []
  const leadership = new Leadership({
    member: {
      replication: null,
      elections: 1,
      epochs: [],
      term: 7,
      facts: null,
      leaderAddress: null,
      start: () => Promise.resolve(),
      transfer: () => {
        transfers.push(time.now())
        return null
      },
      remove: () => null,
      passTerm: () => undefined,
      close: () => Promise.resolve(),
    },
    parts,
    outerApi: {
      hasRegistered: true,
      start: () => undefined,
      pause: () => undefined,
      close: () => Promise.resolve(),
    },
    services: [],
    servers: () => [{ endConnections: () => Promise.resolve(ended()) }],
    newEndpoint: () => null,
    timers: time,
    logger: silentLogger,
  })
  leadership.begin()
  await time.settle()
  return { time, disk, offsets: parts.offsets, leadership, transfers }
}

test('a leader that hands over takes no requests for two seconds, and goes on when nobody leads by then', async () => {
  const { time, leadership, transfers } = await leading()

  void leadership.handOver(null)
  await time.advance(1900)
  const during = leadership.isOpen
  await time.advance(200)

  expect(transfers).toHaveLength(1)
  expect(during).toBe(false)
  expect(leadership.isOpen).toBe(true)
})

// Goal: what is answered while leadership goes is in the log. Method: the hand-over before had another end, and its time is over now.
test('a hand-over soon after another one keeps requests out as long as any', async () => {
  const { time, leadership } = await leading()
  void leadership.handOver(null)
  await time.advance(1000)
  leadership.end()
  await time.advance(500)
  leadership.begin()
  await time.settle()

  void leadership.handOver(null)
  await time.advance(1000)

  expect(leadership.isOpen).toBe(false)
})

// Goal: a leader whose disk has no room left hands over to one that has. Method: the log takes nothing, also no offsets.
test('a hand-over goes on when the log does not take the offsets, and they reach it later if it comes to nothing', async () => {
  const { time, disk, offsets, leadership, transfers } = await leading()
  offsets.commit('G', 'T', 0, 7)
  disk.foreignBytes = disk.totalBytes

  const handedOver = leadership.handOver(null)
  const refusal = offsets.flush().catch(String)
  await time.advance(5000)
  disk.foreignBytes = 0
  await time.advance(10_000)
  const flushed = offsets.flush()
  await time.settle()

  expect(await refusal).toContain('the disk is full')
  expect(await handedOver).toBeNull()
  expect(transfers).toHaveLength(1)
  await flushed
  expect(offsets.query('G', 'T', 0)).toBe(7)
})

test('connections end a moment after leading: what clients are told before has reached them', async () => {
  let ends = 0
  const { time, leadership } = await leading(() => ends++)

  leadership.end()
  await time.advance(100)
  const [endsAtOnce, isLeaving] = [ends, leadership.isLeaving]
  await time.advance(200)

  expect([endsAtOnce, isLeaving]).toEqual([0, true])
  expect([ends, leadership.isLeaving]).toEqual([1, true])
})

test('who comes while the address of the group still leads here is ended too, and nobody after that', async () => {
  let ends = 0
  const { time, leadership } = await leading(() => ends++)

  leadership.end()
  await time.advance(300)
  const between = [ends, leadership.isLeaving]
  await time.advance(2_000)
  const after = [ends, leadership.isLeaving]
  await time.advance(10_000)

  expect(between).toEqual([1, true])
  expect(after).toEqual([2, false])
  expect(ends).toBe(2)
})

test('a member that leads again leaves those alone who came since its connections ended', async () => {
  let ends = 0
  const { time, leadership } = await leading(() => ends++)
  leadership.end()
  await time.advance(300)

  leadership.begin()
  await time.advance(10_000)

  expect(ends).toBe(1)
})

test('a member that leads again before that ends them first: clients of the new time keep theirs', async () => {
  let ends = 0
  const { time, leadership } = await leading(() => ends++)
  leadership.end()
  await time.advance(100)

  leadership.begin()
  const [endsBefore, isLeaving] = [ends, leadership.isLeaving]
  await time.advance(200)

  expect([endsBefore, isLeaving]).toEqual([1, false])
  expect(ends).toBe(1)
})
