import { expect, test } from 'vitest'
import { iterateRecords } from '../../common/message-codec.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { testMessage } from '../../store/testing.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { FakeRequest } from '../testing.ts'
import type { BrokerWorld } from '../testing-world.ts'

const FIRST_SEGMENT = '/store/commitlog/00000000000000000000'

/** Two messages with the key `k`, of which the first `rotten` are damaged on the disk, and no memory of them. */
async function rotted(rotten: number): Promise<BrokerWorld> {
  const before = await createBrokerWorld()
  for (const body of ['first', 'second']) {
    const message = testMessage({ topic: 'Orders', body, properties: { KEYS: 'k' } })
    before.parts.store.put([message], 'inTime', () => undefined)
    await before.time.settle()
  }
  before.time.killProcess()
  before.disk.kill()
  const world = await createBrokerWorld({}, before)
  for (let queueOffset = 0; queueOffset < rotten; queueOffset++) {
    const at = world.parts.store.physicalOffsetAt('Orders', 0, queueOffset) ?? 0
    world.disk.corrupt(FIRST_SEGMENT, at + 100, 1)
  }
  return world
}

function queryByKey(world: BrokerWorld): Promise<FakeRequest> {
  const times = { beginTimestamp: '0', endTimestamp: '9223372036854775807' }
  const extFields = { topic: 'Orders', key: 'k', maxNum: '32', ...times }
  return world.call({ code: RequestCode.QUERY_MESSAGE, extFields })
}

function bodiesOf({ response }: FakeRequest): readonly string[] {
  const bytes = Buffer.concat([response?.body ?? []].flat())
  return [...iterateRecords(bytes)].map(({ body }) => body.toString())
}

test.each([
  [0, ResponseCode.SUCCESS, ['second', 'first'], undefined],
  [1, ResponseCode.SUCCESS, ['second'], '1 messages that may have the key [k] cannot be read'],
  [2, ResponseCode.SYSTEM_ERROR, [], '2 messages that may have the key [k] cannot be read'],
] as const)(
  'a query by key of two messages of which %s are damaged',
  async (rotten, code, bodies, remark) => {
    const world = await rotted(rotten)

    const answered = await queryByKey(world)

    expect(answered.response?.code).toBe(code)
    expect(bodiesOf(answered)).toEqual(bodies)
    if (remark === undefined) expect(answered.response?.remark).toBeUndefined()
    else expect(answered.response?.remark).toContain(remark)
  },
)
