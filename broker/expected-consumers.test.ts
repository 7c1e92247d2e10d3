import fc from 'fast-check'
import { beforeEach, expect, test } from 'vitest'
import { decodeConsumerIdList } from '../remoting/bodies/client-connections.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { pullFields } from '../remoting/pull-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { EXPECTED_MS } from './client-registry.ts'
import { FakeConnection } from './testing.ts'
import { createBrokerWorld } from './testing-world.ts'
import type { FakeRequest } from './testing.ts'
import type { BrokerWorld } from './testing-world.ts'

/** Longer than a change waits to be noted. */
const NOTED_MS = 1000

let world: BrokerWorld

beforeEach(async () => {
  world = await createBrokerWorld()
  await lead()
})

async function lead(): Promise<void> {
  for (const service of world.processors.leaderServices) service.startLeading()
  await pass(0)
}

async function pass(ms: number): Promise<void> {
  await world.time.advance(ms)
  await world.time.settle()
}

/** The process is killed, and another one leads with what is on the disk. */
async function killAndLead(): Promise<void> {
  const { time, disk } = world
  time.killProcess()
  disk.kill()
  world = await createBrokerWorld({}, { time, disk })
  await lead()
}

interface Heartbeat {
  readonly clientId?: string
  readonly group?: string
  readonly model?: string
  readonly subVersion?: number
  readonly forwarded?: boolean
}

function heartbeat(connection: FakeConnection, given: Heartbeat = {}): Promise<FakeRequest> {
  const { clientId = `client-${connection.id}`, group = 'G', model = 'CLUSTERING' } = given
  const subVersion = given.subVersion ?? 1
  const consumer = {
    groupName: group,
    consumeType: 'CONSUME_PASSIVELY',
    messageModel: model,
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
    unitMode: false,
    subscriptionDataSet: [{ topic: 'T', subString: '*', tagsSet: [], codeSet: [], subVersion }],
  }
  const data = { clientID: clientId, producerDataSet: [], consumerDataSet: [consumer] }
  return world.call({
    code: RequestCode.HEART_BEAT,
    connection,
    body: Buffer.from(JSON.stringify(data)),
    ...(given.forwarded === true ? { extFields: { gantryForwarded: 'true' } } : {}),
  })
}

async function members(group = 'G'): Promise<readonly string[]> {
  const extFields = { consumerGroup: group }
  const code = RequestCode.GET_CONSUMER_LIST_BY_GROUP
  const { response } = await world.call({ code, extFields })
  if (response?.code !== ResponseCode.SUCCESS) return []
  const body = response.body ?? Buffer.alloc(0)
  return decodeConsumerIdList(Buffer.isBuffer(body) ? body : Buffer.concat(body))
}

function unregister(connection: FakeConnection, clientId: string): Promise<FakeRequest> {
  const extFields = { clientID: clientId, consumerGroup: 'G' }
  return world.call({ code: RequestCode.UNREGISTER_CLIENT, connection, extFields })
}

function pull(subVersion: number): Promise<FakeRequest> {
  const extFields = {
    ...pullFields({ consumerGroup: 'G', topic: 'T', queueId: 0, queueOffset: 0 }),
    sysFlag: '0',
    subVersion: String(subVersion),
  }
  return world.call({ code: RequestCode.PULL_MESSAGE, extFields })
}

/** Codes of the notices that a client was sent. */
function notices(connection: FakeConnection): readonly number[] {
  return connection.sent.map(({ code }) => code)
}

test('the members of a group at a leader that is killed are members at the next one, which tells nobody', async () => {
  for (const id of [1, 2, 3]) await heartbeat(new FakeConnection(id))
  await pass(NOTED_MS)

  await killAndLead()
  const first = new FakeConnection(12)
  await heartbeat(first, { clientId: 'client-2' })

  expect(await members()).toEqual(['client-2', 'client-1', 'client-3'])
  expect(notices(first)).toEqual([])
})

test('who is not heard in time is a member no more, and the others are told', async () => {
  for (const id of [1, 2]) await heartbeat(new FakeConnection(id))
  await pass(NOTED_MS)
  await killAndLead()
  const there = new FakeConnection(12)
  await heartbeat(there, { clientId: 'client-2' })
  await pass(EXPECTED_MS - NOTED_MS)
  const before = await members()

  await pass(2 * NOTED_MS)

  expect(before).toEqual(['client-2', 'client-1'])
  expect(await members()).toEqual(['client-2'])
  expect(notices(there)).toEqual([RequestCode.NOTIFY_CONSUMER_IDS_CHANGED])
  await pass(NOTED_MS)
  await killAndLead()
  expect(await members()).toEqual(['client-2'])
})

test('who left or was cut off before is not expected, who leaves afterwards no more', async () => {
  const connections = [1, 2, 3, 4].map((id) => new FakeConnection(id))
  for (const connection of connections) await heartbeat(connection)
  await pass(NOTED_MS)
  connections[0]?.close()
  await unregister(connections[1] ?? new FakeConnection(0), 'client-2')
  await pass(NOTED_MS)

  await killAndLead()
  const expected = await members()
  await unregister(new FakeConnection(14), 'client-4')

  expect(expected).toEqual(['client-3', 'client-4'])
  expect(await members()).toEqual(['client-3'])
})

test('connections that end because leading ends take nobody out', async () => {
  const connections = [1, 2].map((id) => new FakeConnection(id))
  for (const connection of connections) await heartbeat(connection)
  await pass(NOTED_MS)

  const stopped = world.processors.leaderServices
    .toReversed()
    .map((service) => service.stopLeading())
  for (const connection of connections) connection.close()
  await pass(NOTED_MS)
  await Promise.all(stopped)

  expect(await members()).toEqual([])
  await lead()
  expect(await members()).toEqual(['client-1', 'client-2'])
})

test('members of a broadcasting group are not expected: they share nothing', async () => {
  await heartbeat(new FakeConnection(1), { model: 'BROADCASTING' })
  await pass(NOTED_MS)

  await killAndLead()

  expect(await members()).toEqual([])
})

test('who is expected pulls by the newest subscription that was heard, and is shown to nobody as connected', async () => {
  const created = world.parts.topics.put(topicConfig('T'))
  await pass(0)
  await created
  const connection = new FakeConnection(1)
  await heartbeat(connection, { subVersion: 1 })
  await pass(NOTED_MS)
  await heartbeat(connection, { subVersion: 5 })
  await pass(NOTED_MS)

  await killAndLead()
  const [known, newer] = [await pull(5), await pull(6)]
  const extFields = { consumerGroup: 'G' }
  const code = RequestCode.GET_CONSUMER_CONNECTION_LIST
  const shown = await world.call({ code, extFields })

  expect(known.response?.code).toBe(ResponseCode.PULL_NOT_FOUND)
  expect(newer.response?.code).toBe(ResponseCode.SUBSCRIPTION_NOT_LATEST)
  expect(shown.response?.code).toBe(ResponseCode.CONSUMER_NOT_ONLINE)
  expect(world.parts.clients.consumerGroups).toEqual([])
})

test('clients that another member passes on over one connection are members each', async () => {
  const connection = new FakeConnection(1)
  for (const clientId of ['a', 'b', 'c']) await heartbeat(connection, { clientId, forwarded: true })
  const all = await members()
  await unregister(connection, 'b')
  const direct = new FakeConnection(2)
  await heartbeat(direct, { clientId: 'c' })

  expect(all).toEqual(['a', 'b', 'c'])
  expect(await members()).toEqual(['c', 'a'])
  await pass(EXPECTED_MS + NOTED_MS)
  expect(await members()).toEqual(['c'])
  direct.close()
  expect(await members()).toEqual([])
})

test('a group of more members than one change holds is known as a whole', async () => {
  const ids = Array.from({ length: 180 }, (_, index) => `${'long-'.repeat(40)}${index}`)
  for (const [index, clientId] of ids.entries()) {
    await heartbeat(new FakeConnection(index), { clientId })
  }
  await pass(5 * NOTED_MS)

  await killAndLead()

  expect(new Set(await members())).toEqual(new Set(ids))
})

interface Step {
  readonly type: 'heartbeat' | 'close' | 'unregister' | 'kill' | 'wait'
  readonly client: number
}

const step: fc.Arbitrary<Step> = fc.record({
  type: fc.constantFrom<Step['type']>(
    ...(['heartbeat', 'heartbeat', 'heartbeat', 'close', 'unregister', 'kill', 'wait'] as const),
  ),
  client: fc.integer({ min: 0, max: 4 }),
})

// Goal: the list is the members of before and who came since, without who left, through any number of leaders.
// Method: random histories against two sets, of those connected and those expected.
test('the list is what a model says, whatever happens', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      world = await createBrokerWorld()
      await lead()
      const connected = new Map<number, FakeConnection>()
      const expected = new Set<number>()
      for (const { type, client } of steps) {
        const connection = connected.get(client)
        if (type === 'heartbeat') {
          const own = connection ?? new FakeConnection(client)
          await heartbeat(own)
          connected.set(client, own)
          expected.delete(client)
        } else if (type === 'close') {
          connection?.close()
          connected.delete(client)
        } else if (type === 'unregister') {
          await unregister(connection ?? new FakeConnection(client), `client-${client}`)
          connected.delete(client)
          expected.delete(client)
        } else if (type === 'wait') {
          await pass(EXPECTED_MS + NOTED_MS)
          expected.clear()
        } else {
          await pass(2 * NOTED_MS)
          await killAndLead()
          for (const id of connected.keys()) expected.add(id)
          connected.clear()
        }
        const all = [...connected.keys(), ...expected].map((id) => `client-${id}`)
        expect((await members()).toSorted()).toEqual(all.toSorted())
      }
    }),
    { numRuns: 60 },
  )
})
