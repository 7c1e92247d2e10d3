/** `gantry bench` as users run it, against a name server and a broker of this checkout. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { at, numberAt } from '../e2e/json.ts'
import { ROOT } from '../e2e/environment.ts'
import { Cluster } from './cluster.ts'
import { LoadRunner } from './load.ts'
import type { LoadFlags, LoadResult } from './load.ts'

const PORT = 21_360
/** A multiple of the batches in which a backlog is filled. */
const COUNT = 6_400

const cluster = new Cluster({
  kind: 'gantry',
  folder: mkdtempSync(join(tmpdir(), 'gantry-bench-')),
  port: PORT,
  members: 1,
  config: { flushDiskType: 'ASYNC_FLUSH' },
  checkout: ROOT,
})

beforeAll(async () => {
  await cluster.start()
})

afterAll(async () => {
  await cluster.destroy()
})

test.each(['json', 'rocketmq'])(
  'every message that a producer has sent with %s headers is consumed whole, once and in order',
  async (serialize) => {
    const flags = { topic: `once-${serialize}`, serialize }

    const sent = await load('producer', { ...flags, messages: COUNT })
    const consumed = await load('consumer', { ...flags, crc: true })

    expect(sent.problems).toEqual([])
    expect(at(sent.json, 'send', 'codes')).toEqual({ 0: COUNT })
    expect(consumed.problems).toEqual([])
    expect(at(consumed.json, 'consume')).toMatchObject({
      messages: COUNT,
      corrupt: 0,
      foreign: 0,
      duplicates: 0,
      gaps: 0,
      outOfOrder: 0,
    })
  },
)

test('batches count by message', async () => {
  const sent = await load('producer', { topic: 'batches', messages: 320, batch: 32 })
  const consumed = await load('consumer', { topic: 'batches' })

  expect(at(sent.json, 'send')).toMatchObject({ acknowledged: 320, codes: { 0: 10 } })
  expect(at(consumed.json, 'consume')).toMatchObject({ messages: 320, gaps: 0 })
})

test('a paced load consumes what it sends and accounts the broker', async () => {
  const flags = { topic: 'paced', rate: 500, duration: 2, warmup: 0, pid: cluster.broker.pid }

  const result = await load('latency', flags)

  expect(result.problems).toEqual([])
  expect(numberAt(result.json, 'endToEndMs', 'count')).toBeGreaterThan(0)
  expect(result.rssBytes).toBeGreaterThan(0)
})

test('delayed messages come all, and none before it is due', async () => {
  const delay = { 'delay-ms': 500, 'spread-ms': 500 }

  const result = await load('latency', { topic: 'later', rate: 500, duration: 2, ...delay })

  expect(result.problems).toEqual([])
  expect(result.early).toBe(0)
  expect(numberAt(result.json, 'endToEndMs', 'count')).toBeGreaterThan(0)
})

test('many topics and idle connections are served', async () => {
  const flags = { duration: 1, warmup: 0 }

  const topics = await load('topics', { ...flags, topic: 'many', topics: 20 })
  const connections = await load('connections', { ...flags, idle: 50, heartbeat: true })

  expect([...topics.problems, ...connections.problems]).toEqual([])
})

test('a backlog is filled and read to its end', async () => {
  const result = await load('backlog', { topic: 'backlog', fill: COUNT })

  expect(result.problems).toEqual([])
  expect(at(result.json, 'consume')).toMatchObject({ messages: COUNT, gaps: 0 })
})

test('a load runs for as long as something else does', async () => {
  const flags = { namesrv: cluster.nameServer, topic: 'beside', rate: 200, warmup: 0, duration: 60 }

  const beside = await new LoadRunner().runDuring('producer', flags, () =>
    load('producer', { topic: 'work', messages: COUNT }),
  )

  expect(beside.problems).toEqual([])
  expect(numberAt(beside.json, 'seconds')).toBeLessThan(60)
})

test('a load without a cluster says so', async () => {
  const runner = new LoadRunner()

  await expect(runner.run('producer', { namesrv: '127.0.0.1:1' })).rejects.toThrow(
    'no broker is known at 127.0.0.1:1',
  )
})

function load(scenario: string, flags: LoadFlags): Promise<LoadResult> {
  return new LoadRunner().run(scenario, { namesrv: cluster.nameServer, ...flags })
}
