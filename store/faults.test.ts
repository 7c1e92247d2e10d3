/**
 * Faults of the disk at every operation of a script (reliability R8): nothing is acknowledged after a failure, nothing acknowledged
 * is lost. GANTRY_FAULT_STEP=1 fails each single operation in turn; without it every seventh.
 */
import process from 'node:process'
import { describe, expect, test } from 'vitest'
import { decodeRecord } from '../common/message-codec.ts'
import { SeededRandom } from '../simulation/random.ts'
import { fsck } from './fsck.ts'
import type { MessageStore } from './message-store.ts'
import { get, openStore, put, simulatedWorld, testMessage } from './testing.ts'
import type { StoreConfig } from './types.ts'

type World = ReturnType<typeof simulatedWorld>
type FlushDiskType = StoreConfig['flushDiskType']

const OPERATIONS = 1000
const STEP = Number(process.env['GANTRY_FAULT_STEP'] ?? 7)
const QUEUES = 3

interface Outcome {
  readonly acked: readonly (readonly string[])[]
  readonly failures: readonly Error[]
  readonly operations: number
}

function operationsOf(world: World): number {
  return Object.values(world.disk.counts).reduce((sum, count) => sum + count, 0)
}

/** Sends, lets time pass, and sends again until the script has done its disk operations or the store has failed. */
async function runScript(world: World, flushDiskType: FlushDiskType): Promise<Outcome> {
  const acked: string[][] = Array.from({ length: QUEUES }, () => [])
  let opened: Awaited<ReturnType<typeof openStore>>
  try {
    opened = await openStore(world, { flushDiskType })
  } catch (error) {
    return { acked, failures: [error as Error], operations: operationsOf(world) }
  }
  const { store, failures } = opened
  for (let round = 0; operationsOf(world) < OPERATIONS; round++) {
    const hadFailed = failures.length > 0
    const bodies = Array.from(
      { length: QUEUES },
      (_, queueId) => `${round}.${queueId}${'x'.repeat((round * 37) % 1500)}`,
    )
    const results = await world.settle(
      Promise.all(
        bodies.map((body, queueId) =>
          put(store, testMessage({ queueId, body, properties: { KEYS: `k${round}` } })),
        ),
      ),
    )
    for (const [queueId, { status }] of results.entries()) {
      if (status !== 'OK') continue
      expect(hadFailed).toBe(false)
      acked[queueId]?.push(bodies[queueId] ?? '')
    }
    if (hadFailed) break
    await world.time.advance(700)
  }
  return { acked, failures, operations: operationsOf(world) }
}

async function bodiesOf(world: World, store: MessageStore, queueId: number): Promise<string[]> {
  const bodies: string[] = []
  for (let next = 0; next < store.maxOffsetInQueue('Orders', queueId); next = bodies.length) {
    const found = await world.settle(get(store, { queueId, queueOffset: next }))
    expect(found.status).toBe('FOUND')
    bodies.push(...found.records.map((record) => decodeRecord(record).body.toString()))
  }
  return bodies
}

/** The n-th operation of any kind fails; then the machine loses power (or only the process dies), and the store opens again. */
async function sweep(nth: number, code: string, flushDiskType: FlushDiskType): Promise<Outcome> {
  const world = simulatedWorld()
  world.disk.failOn('any', nth, code)

  const outcome = await runScript(world, flushDiskType)

  if (flushDiskType === 'SYNC_FLUSH') world.cutPower(new SeededRandom(nth))
  else world.kill()
  const { store, failures } = await openStore(world, { flushDiskType })
  for (const [queueId, acked] of outcome.acked.entries()) {
    const kept = await bodiesOf(world, store, queueId)
    expect(kept.filter((body) => acked.includes(body))).toEqual(acked)
    expect(new Set(kept).size).toBe(kept.length)
  }
  expect(failures).toEqual([])
  await world.settle(store.close())
  expect(fsck({ disk: world.disk, root: '/store' }).problems).toEqual([])
  return outcome
}

/** The operations to fail at. */
function operations(): readonly number[] {
  return Array.from({ length: Math.floor(OPERATIONS / STEP) }, (_, index) => 1 + index * STEP)
}

describe.each(['SYNC_FLUSH', 'ASYNC_FLUSH'] as const)('a fault of the disk with %s', (type) => {
  test('the script does a thousand operations', async () => {
    const { acked, failures, operations: count } = await runScript(simulatedWorld(), type)

    expect(failures).toEqual([])
    expect(count).toBeGreaterThanOrEqual(OPERATIONS)
    expect(acked[0]?.length).toBeGreaterThan(40)
  })

  test.each(['EIO', 'ENOSPC', 'EROFS'])(
    '%s at operation k',
    async (code) => {
      let failed = 0
      for (const nth of operations()) {
        const { failures } = await sweep(nth, code, type)
        if (failures.length > 0) failed++
      }

      // A full or read-only disk is no failure, but when a sync says so.
      if (code === 'EIO') expect(failed).toBeGreaterThan(operations().length * 0.9)
      else expect(failed).toBeLessThan(operations().length)
    },
    240_000,
  )
})
