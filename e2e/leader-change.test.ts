/**
 * What a change of the leader costs consumers: the leader of three is killed, and hands over, again and again, while a group of official
 * clients consumes. Nothing is lost, and hardly anything is consumed twice: each member keeps its queues.
 *
 * GANTRY_E2E_LEADER_CHANGES sets how often (4).
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { buildClients, events, startClient } from './clients.ts'
import type { ClientProcess } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { environmentVariable, figures } from './environment.ts'
import { covers } from './features.ts'
import { numberAt } from './json.ts'
import { handOver, killLeader } from './leader.ts'

const CHANGES = Number(environmentVariable('GANTRY_E2E_LEADER_CHANGES') || '4')
const OFFSET = 11_100
const RATE = 100
/** Longer than an election, with all that clients do about it. */
const RESUMED_MS = 60_000
const BETWEEN_MS = 6000
/** What is on its way when the connection breaks, at each change. */
const TWICE_MAX = 20

let data: string
let server: DevServer

beforeAll(async () => {
  await buildClients()
  data = await mkdtemp(join(tmpdir(), 'gantry-leader-change-'))
  server = await startDevServer({ portOffset: OFFSET, groups: 1, members: 3, config: {}, data })
})

afterAll(async () => {
  await server?.stop()
  if (data !== undefined) await rm(data, { recursive: true })
})

test.for(['java-5.5.0', 'java-4.9.8', 'go'] as const)(
  'the members of a %s group keep their queues when the leader changes',
  { timeout: 120_000 + CHANGES * (RESUMED_MS + BETWEEN_MS) },
  async (client, { task }) => {
    covers(task, 'M23', 'M36')
    const topic = `Change-${client.replaceAll('.', '_')}-${Date.now().toString(36)}`
    const flags = { topic, group: `${topic}-g`, rate: RATE }
    const load = startClient(client, 'control-load', server.namesrv, flags)
    onTestFinished(async () => {
      await load.kill()
    })
    await consumedBy(load, 5 * RATE)

    for (let change = 0; change < CHANGES; change++) {
      await (change % 2 === 0 ? killLeader(data) : handOver(data, server.namesrv))
      await consumedBy(load, consumed(load) + 2 * RATE)
      await delay(BETWEEN_MS)
    }
    const { summary } = await load.stop()

    figures('leader-change', { client, changes: CHANGES, summary })
    expect(numberAt(summary, 'lostCount')).toBe(0)
    expect(numberAt(summary, 'redelivered')).toBeLessThanOrEqual(CHANGES * TWICE_MAX)
  },
)

function consumed(load: ClientProcess): number {
  const last = events(load.lines, 'progress').at(-1)
  return last === undefined ? 0 : numberAt(last, 'consumedDistinct')
}

async function consumedBy(load: ClientProcess, count: number): Promise<void> {
  await expect.poll(() => consumed(load), { timeout: RESUMED_MS }).toBeGreaterThanOrEqual(count)
}
