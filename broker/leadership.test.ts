import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { Leadership } from './leadership.ts'
import { createBrokerWorld } from './testing-world.ts'
import type { SimulatedTime } from '../simulation/time.ts'

interface World {
  readonly time: SimulatedTime
  readonly leadership: Leadership
  readonly transfers: number[]
}

/** A member that leads, and gives each transfer up. */
async function leading(ended: () => void = () => undefined): Promise<World> {
  const { time, parts } = await createBrokerWorld()
  const transfers: number[] = []
  const leadership = new Leadership({
    member: {
      replication: null,
      elections: 1,
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
  return { time, leadership, transfers }
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

test('connections end a moment after leading: what clients are told before has reached them', async () => {
  let ends = 0
  const { time, leadership } = await leading(() => ends++)

  leadership.end()
  await time.advance(100)
  const [endsAtOnce, isLeaving] = [ends, leadership.isLeaving]
  await time.advance(200)

  expect([endsAtOnce, isLeaving]).toEqual([0, true])
  expect([ends, leadership.isLeaving]).toEqual([1, false])
})
