import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { formatFastjson, parseFastjson } from '../remoting/bodies/fastjson.ts'
import type { BodyValue } from '../remoting/bodies/fastjson.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { AdminClient } from './admin.ts'
import { brokerEpochs, electLeader, haStatus, syncStates } from './group-state.ts'
import { startServer, testRuntime } from './testing.ts'
import type { Answer } from './testing.ts'

function answering(body: BodyValue, extFields: Readonly<Record<string, string>> = {}): Answer {
  return () => ({ code: ResponseCode.SUCCESS, extFields, body: formatFastjson(body) })
}

async function asked<Found>(
  code: RequestCode,
  answer: Answer,
  use: (admin: AdminClient, address: string) => Promise<Found>,
) {
  await using broker = await startServer({ [code]: answer })
  await using client = new RemotingClient({ ...testRuntime, logger: silentLogger })
  const found = await use(new AdminClient(client), broker.address)
  return { found, command: broker.requests[0]?.command }
}

test('the leader tells of its followers', async () => {
  const follower = {
    addr: 'h:1',
    slaveAckOffset: 70,
    diff: 30,
    inSync: true,
    transferFromWhere: 70,
  }
  const { found } = await asked(
    RequestCode.GET_BROKER_HA_STATUS,
    answering({
      master: true,
      masterCommitLogMaxOffset: 100,
      inSyncSlaveNums: 1,
      haConnectionInfo: [follower],
    }),
    haStatus,
  )

  expect(found).toMatchObject({ isLeader: true, maxOffset: 100, inSyncCount: 1 })
  expect(found.followers).toEqual([
    {
      ...{ address: 'h:1', ackOffset: 70, diff: 30, bytesPerSecond: 0 },
      ...{ isInSync: true, transferFrom: 70 },
    },
  ])
})

test('the members of a group are asked for by its name', async () => {
  const replica = { brokerName: 'b', brokerId: 2, brokerAddress: 'h:1', alive: false }
  const info = { masterBrokerId: null, masterEpoch: 3, notInSyncReplicas: [replica] }
  const { found, command } = await asked(
    RequestCode.CONTROLLER_GET_SYNC_STATE_DATA,
    answering({ replicasInfoTable: new Map([['b', info]]) }),
    (admin, address) => syncStates(admin, address, ['b']),
  )

  expect(parseFastjson(Buffer.from(command?.body ?? ''))).toEqual(['b'])
  expect(found).toEqual([
    {
      ...{ brokerName: 'b', leaderId: null, leaderAddress: '', leaderEpoch: 3 },
      ...{ syncStateSetEpoch: 0, inSync: [] },
      notInSync: [{ brokerName: 'b', brokerId: 2, address: 'h:1', isAlive: false }],
    },
  ])
})

test('the last epoch ends where the log does', async () => {
  const { found } = await asked(
    RequestCode.GET_BROKER_EPOCH_CACHE,
    answering({
      ...{ clusterName: 'c', brokerName: 'b', brokerId: 1, maxOffset: 90 },
      epochList: [
        { epoch: 1, startOffset: 0, endOffset: 50 },
        { epoch: 4, startOffset: 50, endOffset: 60 },
      ],
    }),
    brokerEpochs,
  )

  expect(found.epochs).toEqual([
    { epoch: 1, startOffset: 0, endOffset: 50 },
    { epoch: 4, startOffset: 50, endOffset: 90 },
  ])
})

test('a member is elected by its id, whoever is furthest without one', async () => {
  const answer = answering({ brokerAddrs: new Map([[0, 'h:1']]) }, { masterAddress: 'h:1' })
  const code = RequestCode.CONTROLLER_ELECT_MASTER
  const named = await asked(code, answer, (admin, address) =>
    electLeader(admin, address, { brokerName: 'b', brokerId: 0 }),
  )
  const unnamed = await asked(code, answer, (admin, address) =>
    electLeader(admin, address, { brokerName: 'b' }),
  )

  expect(named.command?.extFields.get('brokerId')).toBe('0')
  expect(unnamed.command?.extFields.has('brokerId')).toBe(false)
  expect(named.found).toMatchObject({ leaderAddress: 'h:1', addresses: new Map([[0, 'h:1']]) })
})
