import { beforeEach, expect, test } from 'vitest'
import { RequestCode } from '../../remoting/request-code.ts'
import { FakeConnection } from '../testing.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { MessageModel } from '../../remoting/bodies/heartbeat-data.ts'
import type { FakeRequestOptions } from '../testing.ts'
import type { BrokerWorld } from '../testing-world.ts'

let world: BrokerWorld

beforeEach(async () => {
  world = await createBrokerWorld()
})

function heartbeat(connection: FakeConnection, messageModel: MessageModel): FakeRequestOptions {
  const data = {
    clientID: `client-${connection.id}`,
    producerDataSet: [],
    consumerDataSet: [
      {
        groupName: 'G',
        consumeType: 'CONSUME_PASSIVELY',
        messageModel,
        consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
        unitMode: false,
        subscriptionDataSet: [
          { topic: 'T', subString: '*', tagsSet: [], codeSet: [], subVersion: 1 },
        ],
      },
    ],
  }
  return { code: RequestCode.HEART_BEAT, connection, body: Buffer.from(JSON.stringify(data)) }
}

test.each([
  { model: 'CLUSTERING', told: [RequestCode.NOTIFY_CONSUMER_IDS_CHANGED] },
  { model: 'BROADCASTING', told: [] },
] as const)(
  'a second member of a $model group makes the first hear: $told',
  async ({ model, told }) => {
    const [first, second] = [new FakeConnection(1), new FakeConnection(2)]
    await world.call(heartbeat(first, model))
    first.sent.length = 0

    await world.call(heartbeat(second, model))

    expect(first.sent.map(({ code }) => code)).toEqual(told)
    expect(world.parts.clients.consumerIds('G')).toEqual(['client-1', 'client-2'])
  },
)
