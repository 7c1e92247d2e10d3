import { beforeEach, expect, test } from 'vitest'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { FakeRequest } from '../testing.ts'
import { createBrokerWorld } from '../testing-world.ts'
import { compatibleAdminProcessors } from './compatible-admin.ts'
import { groupStateProcessors } from './group-state.ts'
import type { RaftFacts } from '../../common/admin-contract.ts'
import type { Processor } from '../../remoting/connection.ts'

const MIB = 1024 * 1024
const LEADER: RaftFacts = {
  id: 0,
  incarnation: 1,
  role: 'leader',
  term: 5,
  leader: 0,
  isReady: true,
  commitOffset: 900 * MIB,
  endOffset: 1000 * MIB,
  members: [0, 1, 2].map((id) => ({
    id,
    role: 'voter',
    incarnation: 1,
    address: `member-${id}:10913`,
  })),
  peers: [
    { id: 1, matchOffset: 999 * MIB, lagBytes: MIB, ticksSinceAnswer: 1 },
    { id: 2, matchOffset: 100 * MIB, lagBytes: 900 * MIB, ticksSinceAnswer: 1 },
  ],
}

let facts: RaftFacts
let transfers: (number | null)[]
let byCode: ReadonlyMap<number, Processor>

beforeEach(async () => {
  const { parts } = await createBrokerWorld()
  facts = LEADER
  transfers = []
  byCode = groupStateProcessors(parts, {
    facts: () => facts,
    epochs: () => [
      { term: 3, startOffset: 0 },
      { term: 5, startOffset: 700 },
    ],
    transfer: (to) => {
      transfers.push(to)
      return null
    },
  })
})

async function ask(
  code: number,
  extFields: Readonly<Record<string, string>> = {},
  body: unknown = null,
): Promise<FakeRequest> {
  const request = new FakeRequest({ code, extFields, body: Buffer.from(JSON.stringify(body)) })
  await byCode.get(code)?.(request)
  return request
}

function jsonOf(request: FakeRequest): unknown {
  return JSON.parse(String(request.response?.body))
}

test('the HA status of the leader has a line for each other member', async () => {
  const answer = await ask(RequestCode.GET_BROKER_HA_STATUS)

  expect(jsonOf(answer)).toMatchObject({
    master: true,
    masterCommitLogMaxOffset: 1000 * MIB,
    inSyncSlaveNums: 1,
    haConnectionInfo: [
      { addr: 'member-1:10913', slaveAckOffset: 999 * MIB, diff: MIB, inSync: true },
      { addr: 'member-2:10913', slaveAckOffset: 100 * MIB, diff: 900 * MIB, inSync: false },
    ],
  })
})

test('the HA status of a follower names its leader', async () => {
  facts = { ...LEADER, id: 1, role: 'follower', peers: [] }

  const answer = await ask(RequestCode.GET_BROKER_HA_STATUS)

  expect(jsonOf(answer)).toMatchObject({
    master: false,
    haConnectionInfo: [],
    haClientRuntimeInfo: { masterAddr: 'member-0:10913', maxOffset: 1000 * MIB, activated: true },
  })
})

test('a group tells of itself what a controller would', async () => {
  const answer = await ask(RequestCode.CONTROLLER_GET_METADATA_INFO)

  expect(answer.response?.extFields).toEqual({
    group: 'broker-a',
    controllerLeaderId: 'n0',
    controllerLeaderAddress: '10.0.0.1:10911',
    isLeader: 'true',
    peers: 'n0-member-0:10913;n1-member-1:10913;n2-member-2:10913',
  })
})

test('members that are far behind or silent are not in the sync state set', async () => {
  const [first, second] = LEADER.peers
  if (first === undefined || second === undefined) throw new Error('two peers')
  facts = { ...LEADER, peers: [{ ...first, ticksSinceAnswer: 1000 }, second] }

  const answer = await ask(RequestCode.CONTROLLER_GET_SYNC_STATE_DATA, {}, ['broker-a', 'other'])

  expect(jsonOf(answer)).toMatchObject({
    replicasInfoTable: {
      'broker-a': {
        masterBrokerId: 0,
        masterEpoch: 5,
        inSyncReplicas: [{ brokerId: 0, alive: true }],
        notInSyncReplicas: [
          { brokerId: 1, alive: false },
          { brokerId: 2, alive: true },
        ],
      },
    },
  })
})

test('a group knows nothing of other groups', async () => {
  const answer = await ask(RequestCode.CONTROLLER_GET_SYNC_STATE_DATA, {}, ['other'])

  expect(jsonOf(answer)).toEqual({ replicasInfoTable: {} })
})

test('electing another member hands the leadership over to it', async () => {
  const answer = await ask(RequestCode.CONTROLLER_ELECT_MASTER, {
    brokerName: 'broker-a',
    brokerId: '2',
  })

  expect(transfers).toEqual([2])
  expect(answer.response?.extFields).toMatchObject({
    masterBrokerId: '2',
    masterAddress: 'member-2:10913',
  })
})

test('electing the leader changes nothing', async () => {
  const fields = { brokerName: 'broker-a', brokerId: '0' }

  const answer = await ask(RequestCode.CONTROLLER_ELECT_MASTER, fields)

  expect(transfers).toEqual([])
  expect(answer.response?.code).toBe(ResponseCode.SUCCESS)
})

test.each([
  { brokerName: 'other', brokerId: '0' },
  { brokerName: 'broker-a', brokerId: '7' },
])('electing %o is refused: it is no member of this group', async (fields) => {
  const answer = await ask(RequestCode.CONTROLLER_ELECT_MASTER, fields)

  expect(transfers).toEqual([])
  expect(answer.response?.code).toBe(ResponseCode.INVALID_PARAMETER)
})

test.each([
  ['F', ResponseCode.SUCCESS],
  ['R', ResponseCode.INVALID_PARAMETER],
])('the timer engine %s is answered %i', async (engine, code) => {
  const request = new FakeRequest({
    code: RequestCode.SWITCH_TIMER_ENGINE,
    extFields: { E_T: engine },
  })

  await compatibleAdminProcessors().get(RequestCode.SWITCH_TIMER_ENGINE)?.(request)

  expect(request.response?.code).toBe(code)
})

test('the terms of the log are told as epochs, each ending where the next one begins', async () => {
  const request = new FakeRequest({ code: RequestCode.GET_BROKER_EPOCH_CACHE })

  await byCode.get(RequestCode.GET_BROKER_EPOCH_CACHE)?.(request)

  expect(JSON.parse(String(request.response?.body))).toMatchObject({
    brokerId: 0,
    epochList: [
      { epoch: 3, startOffset: 0, endOffset: 700 },
      { epoch: 5, startOffset: 700 },
    ],
  })
})
