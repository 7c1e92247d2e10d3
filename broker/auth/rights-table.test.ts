/** Reliability S1: who may make each request that a broker serves is what `testdata/rights.txt` says; whoever changes it changes that. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { encodeBatchAcks } from '../../remoting/bodies/pop-bodies.ts'
import { RequestCode, requestCodeName } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { success } from '../processors/answers.ts'
import { withRights } from '../request-rights.ts'
import { FakeConnection, FakeRequest } from '../testing.ts'
import { ROOT, securedWorld } from './testing.ts'
import { signed } from '../../remoting/signature.ts'
import type { SecuredWorld } from './testing.ts'
import type { Credentials } from '../../common/credentials.ts'
import type { Processor } from '../../remoting/connection.ts'

const EXPECTED = new URL('../testdata/rights.txt', import.meta.url)

/** Nothing lies there. */
const NOWHERE = '1000000000'

/** Of every request at once, about the topic T and the group G. */
const FIELDS: Readonly<Record<string, string>> = {
  ...{ topic: 'T', b: 'T', group: 'G', groupName: 'G', consumerGroup: 'G', offset: NOWHERE },
  ...{ srcGroup: 'G', destGroup: 'G', compareGroup: 'G', commitLogOffset: NOWHERE },
}

function bodyOfAll(): Buffer {
  const ack = {
    ...{ consumerGroup: 'G', topic: 'T', retry: '0', startOffset: 0, queueId: 0 },
    ...{ reviveQueueId: 0, popTime: 1, invisibleTime: 1, distances: [0] },
  }
  const acks: unknown = JSON.parse(encodeBatchAcks('broker-a', [ack]).toString())
  const subscription = { topic: 'T', subString: '*', tagsSet: [], codeSet: [] }
  const consumer = {
    ...{ groupName: 'G', consumeType: 'CONSUME_PASSIVELY', messageModel: 'CLUSTERING' },
    ...{ consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET', subscriptionDataSet: [subscription] },
  }
  const all = {
    ...{ clientID: 'c', clientId: 'c', topic: 'T', group: 'G', groupName: 'G', consumerGroup: 'G' },
    ...{ producerDataSet: [], consumerDataSet: [consumer], subscriptionData: subscription },
    ...{ mqSet: [{ topic: 'T', brokerName: 'broker-a', queueId: 0 }] },
    ...{ topicConfigList: [{ topicName: 'T' }], groupConfigList: [{ groupName: 'G' }] },
    ...(acks as object),
  }
  return Buffer.from(JSON.stringify(all))
}

/** A user without permissions, one who may send and consume, one who may do everything with topics and groups, the administrator. */
const ASKERS = {
  anonymous: null,
  stranger: { accessKey: 'stranger', secretKey: 'secret' },
  client: { accessKey: 'client', secretKey: 'secret' },
  keeper: { accessKey: 'keeper', secretKey: 'secret' },
  super: ROOT,
} as const satisfies Record<string, Credentials | null>

async function worldOfAskers(): Promise<SecuredWorld> {
  const world = await securedWorld()
  const may = {
    stranger: [],
    client: [
      { resource: 'Topic:T', actions: ['Pub', 'Sub'], decision: 'Allow' },
      { resource: 'Group:G', actions: ['Sub'], decision: 'Allow' },
    ],
    keeper: ['Topic:*', 'Group:*'].map((resource) => ({
      ...{ resource, actions: ['All'], decision: 'Allow' },
    })),
  }
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
  for (const [username, entries] of Object.entries(may)) {
    const user = { extFields: { username }, body: json({ password: 'secret' }) }
    await world.ask({ code: RequestCode.AUTH_CREATE_USER, ...user })
    if (entries.length === 0) continue
    const acl = {
      extFields: { subject: `User:${username}` },
      body: json({ policies: [{ entries }] }),
    }
    await world.ask({ code: RequestCode.AUTH_UPDATE_ACL, ...acl })
  }
  return world
}

/** Whether a request comes to its processor. */
async function isAllowed(
  guarded: (processor: Processor) => Processor,
  code: number,
  credentials: Credentials | null,
): Promise<boolean> {
  const content = { code, extFields: FIELDS, body: bodyOfAll() }
  const { extFields } = credentials === null ? content : signed(content, credentials)
  const fields = extFields instanceof Map ? Object.fromEntries(extFields) : extFields
  const request = new FakeRequest({
    ...content,
    extFields: fields,
    connection: new FakeConnection(1),
  })
  await guarded((given) => given.respond(success()))(request)
  return request.response?.code !== ResponseCode.NO_PERMISSION
}

test('who may make which request', async () => {
  const { access, processors } = await worldOfAskers()
  const closed = {
    config: { values: { allowUnauthenticatedAdmin: false, autoCreateTopicEnable: true } },
    topics: { get: () => ({}) },
    isOfSuperUser: () => false,
  }
  const lines = ['code  request  without access control, allowUnauthenticatedAdmin=false | with it']
  for (const code of [...processors.byCode.keys(), 4711].toSorted((left, right) => left - right)) {
    const isOpen = await isAllowed((processor) => withRights(code, processor, closed), code, null)
    const names: string[] = []
    for (const [name, credentials] of Object.entries(ASKERS)) {
      const isFree = await isAllowed(
        (processor) => access.guarded(code, processor),
        code,
        credentials,
      )
      if (isFree) names.push(name)
    }
    const request = requestCodeName(code) ?? 'one that nobody knows'
    lines.push(
      `${code}  ${request}  ${isOpen ? 'everybody' : 'administrators'} | ${names.join(' ')}`,
    )
  }

  expect(`${lines.join('\n')}\n`).toBe(readFileSync(EXPECTED, 'utf8'))
})
