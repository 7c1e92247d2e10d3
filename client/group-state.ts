/** How a broker group stands, as its members tell it in the words of RocketMQ's masters, slaves and controllers. */
import { brokerAddressesOf } from '../remoting/bodies/topic-route-data.ts'
import { formatFastjson, parseFastjson } from '../remoting/bodies/fastjson.ts'
import type { JsonObject, JsonValue } from '../remoting/bodies/fastjson.ts'
import {
  asObject,
  booleanMember,
  integerMember,
  listMember,
  optionalObject,
  optionalText,
  textEntries,
  textMember,
} from '../remoting/bodies/json-members.ts'
import { RequestCode } from '../remoting/request-code.ts'
import type { AdminClient } from './admin.ts'

/** Of a follower, as the leader sees it. */
export interface FollowerStatus {
  readonly address: string
  readonly ackOffset: number
  readonly diff: number
  readonly bytesPerSecond: number
  readonly isInSync: boolean
  readonly transferFrom: number
}

export interface HaStatus {
  readonly isLeader: boolean
  /** The end of the leader's log; 0 at a follower. */
  readonly maxOffset: number
  readonly inSyncCount: number
  readonly followers: readonly FollowerStatus[]
  /** What a follower tells of itself. */
  readonly self: {
    readonly leader: string
    readonly maxOffset: number
    readonly bytesPerSecond: number
    readonly lastReadAt: number
    readonly lastWriteAt: number
    readonly leaderFlushOffset: number
  }
}

export async function haStatus(admin: AdminClient, broker: string): Promise<HaStatus> {
  const json = await bodyOf(admin, broker, RequestCode.GET_BROKER_HA_STATUS)
  const self = optionalObject(json, 'haClientRuntimeInfo') ?? new Map<string, JsonValue>()
  return {
    isLeader: booleanMember(json, 'master', false),
    maxOffset: integerMember(json, 'masterCommitLogMaxOffset', 0),
    inSyncCount: integerMember(json, 'inSyncSlaveNums', 0),
    followers: listMember(json, 'haConnectionInfo').map((item) => {
      const follower = asObject(item, 'haConnectionInfo')
      return {
        address: textMember(follower, 'addr'),
        ackOffset: integerMember(follower, 'slaveAckOffset', 0),
        diff: integerMember(follower, 'diff', 0),
        bytesPerSecond: integerMember(follower, 'transferredByteInSecond', 0),
        isInSync: booleanMember(follower, 'inSync', false),
        transferFrom: integerMember(follower, 'transferFromWhere', 0),
      }
    }),
    self: {
      leader: optionalText(self, 'masterAddr') ?? '',
      maxOffset: integerMember(self, 'maxOffset', 0),
      bytesPerSecond: integerMember(self, 'transferredByteInSecond', 0),
      lastReadAt: integerMember(self, 'lastReadTimestamp', 0),
      lastWriteAt: integerMember(self, 'lastWriteTimestamp', 0),
      leaderFlushOffset: integerMember(self, 'masterFlushOffset', 0),
    },
  }
}

/** The fields of the answer, which has no body: `group`, `controllerLeaderId`, `controllerLeaderAddress`, `peers`. */
export async function controllerMetadata(
  admin: AdminClient,
  broker: string,
): Promise<ReadonlyMap<string, string>> {
  return (await admin.ask(broker, { code: RequestCode.CONTROLLER_GET_METADATA_INFO })).extFields
}

export interface Replica {
  readonly brokerName: string
  readonly brokerId: number
  readonly address: string
  readonly isAlive: boolean
}

export interface SyncState {
  readonly brokerName: string
  readonly leaderId: number | null
  readonly leaderAddress: string
  readonly leaderEpoch: number
  readonly syncStateSetEpoch: number
  readonly inSync: readonly Replica[]
  readonly notInSync: readonly Replica[]
}

/** Of the named groups those that the broker knows: its own. */
export async function syncStates(
  admin: AdminClient,
  broker: string,
  brokerNames: readonly string[],
): Promise<readonly SyncState[]> {
  const body = formatFastjson(brokerNames)
  const json = await bodyOf(admin, broker, RequestCode.CONTROLLER_GET_SYNC_STATE_DATA, body)
  const table = optionalObject(json, 'replicasInfoTable')
  return (table === null ? [] : textEntries(table)).map(([brokerName, value]) => {
    const info = asObject(value, 'replicasInfoTable')
    const leaderId = integerMember(info, 'masterBrokerId', -1)
    return {
      brokerName,
      leaderId: leaderId < 0 ? null : leaderId,
      leaderAddress: optionalText(info, 'masterAddress') ?? '',
      leaderEpoch: integerMember(info, 'masterEpoch', 0),
      syncStateSetEpoch: integerMember(info, 'syncStateSetEpoch', 0),
      inSync: listMember(info, 'inSyncReplicas').map(replicaOf),
      notInSync: listMember(info, 'notInSyncReplicas').map(replicaOf),
    }
  })
}

function replicaOf(value: JsonValue): Replica {
  const json = asObject(value, 'ReplicaIdentity')
  return {
    brokerName: textMember(json, 'brokerName'),
    brokerId: integerMember(json, 'brokerId', 0),
    address: optionalText(json, 'brokerAddress') ?? '',
    isAlive: booleanMember(json, 'alive', false),
  }
}

export interface Election {
  readonly leaderAddress: string
  readonly leaderEpoch: number
  readonly syncStateSetEpoch: number
  /** Of all members, by their ids. */
  readonly addresses: ReadonlyMap<number, string>
}

/** Asks the leader to hand over to a member; to the one that is furthest when none is named. */
export async function electLeader(
  admin: AdminClient,
  broker: string,
  { brokerName, brokerId }: { readonly brokerName: string; readonly brokerId?: number | undefined },
): Promise<Election> {
  const { extFields, body } = await admin.ask(broker, {
    code: RequestCode.CONTROLLER_ELECT_MASTER,
    extFields: { brokerName, ...(brokerId === undefined ? {} : { brokerId: String(brokerId) }) },
  })
  const group = optionalObject(asObject(parseFastjson(body), 'BrokerMemberGroup'), 'brokerAddrs')
  return {
    leaderAddress: extFields.get('masterAddress') ?? '',
    leaderEpoch: Number(extFields.get('masterEpoch') ?? 0),
    syncStateSetEpoch: Number(extFields.get('syncStateSetEpoch') ?? 0),
    addresses: group === null ? new Map<number, string>() : brokerAddressesOf(group),
  }
}

export interface BrokerEpochs {
  readonly clusterName: string
  readonly brokerName: string
  readonly brokerId: number
  readonly epochs: readonly {
    readonly epoch: number
    readonly startOffset: number
    readonly endOffset: number
  }[]
}

/** The terms of a broker's log, the oldest first. */
export async function brokerEpochs(admin: AdminClient, broker: string): Promise<BrokerEpochs> {
  const json = await bodyOf(admin, broker, RequestCode.GET_BROKER_EPOCH_CACHE)
  const list = listMember(json, 'epochList').map((item) => asObject(item, 'epochList'))
  const maxOffset = integerMember(json, 'maxOffset', 0)
  return {
    clusterName: optionalText(json, 'clusterName') ?? '',
    brokerName: optionalText(json, 'brokerName') ?? '',
    brokerId: integerMember(json, 'brokerId', 0),
    epochs: list.map((entry, index) => ({
      epoch: integerMember(entry, 'epoch'),
      startOffset: integerMember(entry, 'startOffset'),
      // The last one is open.
      endOffset: index === list.length - 1 ? maxOffset : integerMember(entry, 'endOffset', 0),
    })),
  }
}

async function bodyOf(
  admin: AdminClient,
  broker: string,
  code: RequestCode,
  body?: Buffer,
): Promise<JsonObject> {
  const answer = await admin.ask(broker, { code, ...(body === undefined ? {} : { body }) })
  return asObject(parseFastjson(answer.body), 'answer')
}
