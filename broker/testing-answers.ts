/** Requests and what a broker answers to them, for tables of bad input. */
import { describe, expect, test } from 'vitest'
import { subscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { RemotingError } from '../remoting/errors.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { createBrokerWorld } from './testing-world.ts'
import type { FakeConnection } from './testing.ts'
import type { BrokerWorld } from './testing-world.ts'

export const TOPIC = 'Orders'
export const GROUP = 'group'

export interface Call {
  readonly code: number
  readonly extFields: Readonly<Record<string, string>>
  readonly body?: Buffer
  readonly connection?: FakeConnection
}

export interface Answer {
  readonly code: number
  readonly remark: string
}

/** What is asked, the request, the code, and what the remark says. */
export type Row = readonly [name: string, call: Call, code: number, remark?: string]

/** Two queues of `TOPIC`, and `GROUP`; nothing else comes to be by use. */
export async function createStrictWorld(
  keys: Readonly<Record<string, string>> = {},
): Promise<BrokerWorld> {
  const world = await createBrokerWorld({
    autoCreateTopicEnable: 'false',
    autoCreateSubscriptionGroup: 'false',
    ...keys,
  })
  const made = [
    world.parts.topics.ensure(topicConfig(TOPIC, { readQueueNums: 2, writeQueueNums: 2 })),
    world.parts.groups.put(subscriptionGroupConfig(GROUP)),
  ]
  await world.time.settle()
  await Promise.all(made)
  return world
}

/** A test for each row: the code is the row's, and the remark has its text. */
export function describeAnswers(
  world: () => BrokerWorld,
  tables: readonly (readonly [what: string, rows: readonly Row[]])[],
): void {
  describe.each(tables)('%s', (_, rows) => {
    test.for(rows)('with %s', async ([, call, code, remark = '']) => {
      const answered = await answerOf(world(), call)

      expect(answered).toEqual({ code, remark: expect.stringContaining(remark) })
    })
  })
}

/** The answer, or that of the dispatcher for a header that cannot be read; a held request is not answered at all. */
export async function answerOf(world: BrokerWorld, call: Call): Promise<Answer> {
  try {
    const { response } = await world.call(call)
    return { code: response?.code ?? -1, remark: response?.remark ?? '' }
  } catch (error) {
    if (!(error instanceof RemotingError)) throw error
    return { code: ResponseCode.SYSTEM_ERROR, remark: error.message }
  }
}

/** The same request without a field. */
export function without(call: Call, name: string): Call {
  const extFields = Object.entries(call.extFields).filter(([field]) => field !== name)
  return { ...call, extFields: Object.fromEntries(extFields) }
}

/** One row for each field that a request must have: the answer names it. */
export function withoutEach(call: Call, names: readonly string[]): readonly Row[] {
  return names.map((name) => [
    `${call.code}: no ${name}`,
    without(call, name),
    ResponseCode.SYSTEM_ERROR,
    `the custom field <${name}> is null`,
  ])
}
