/**
 * How a broker group stands, in the words in which tools ask for it: 907 as for a master and its slaves, 1002, 1005 and 1006 as for a
 * controller. A broker group needs no controller: its members elect their leader by Raft, so any of them is one for its own group.
 */
import { formatFastjson } from '../../remoting/bodies/fastjson.ts'
import { isJsonArray } from '../../remoting/bodies/json-members.ts'
import { parseFastjson } from '../../remoting/bodies/fastjson.ts'
import { RemotingError } from '../../remoting/errors.ts'
import { optionalLong, requireString } from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { answer, success } from './answers.ts'
import type { RaftFacts, RaftMember } from '../../common/admin-contract.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { Epoch } from '../group-member.ts'
import type { BrokerParts } from '../parts.ts'

/** What the processors know of the group's consensus. */
export interface GroupView {
  facts(): RaftFacts
  /** The terms of the log, the oldest first. */
  epochs(): readonly Epoch[]
  /** Hands the leadership to a member, or to the one that is furthest; returns why not, or null when it has begun. */
  transfer(to: number | null): string | null
}

/** Java's `haMaxGapNotInSync`: how many bytes behind the leader a member counts as in sync. */
const IN_SYNC_MAX_BYTES = 256 * 1024 * 1024
/** A member that has not answered for so many ticks of the leader is not there. */
const SILENT_TICKS = 100

/** The processors of this family by code. */
export function groupStateProcessors(
  parts: BrokerParts,
  group: GroupView,
): ReadonlyMap<number, Processor> {
  const answering =
    (handle: (request: RemotingRequest) => ResponseContent): Processor =>
    (request) =>
      request.respond(handle(request))
  return new Map<number, Processor>([
    [RequestCode.GET_BROKER_HA_STATUS, answering(() => haStatus(parts, group.facts()))],
    [RequestCode.CONTROLLER_GET_METADATA_INFO, answering(() => metadata(parts, group.facts()))],
    [
      RequestCode.CONTROLLER_GET_SYNC_STATE_DATA,
      answering((request) => syncState(parts, group.facts(), request)),
    ],
    [RequestCode.GET_BROKER_EPOCH_CACHE, answering(() => epochCache(parts, group))],
    [
      RequestCode.CONTROLLER_ELECT_MASTER,
      answering((request) => electMaster(parts, group, request)),
    ],
  ])
}

export interface PeerState {
  readonly member: RaftMember
  readonly matchOffset: number
  readonly behind: number
  readonly isAlive: boolean
  readonly isInSync: boolean
}

/** The other members as this one sees them; nothing is known of them unless it leads. */
export function peersOf({ id, endOffset, members, peers }: RaftFacts): readonly PeerState[] {
  return members
    .filter((member) => member.id !== id)
    .map((member) => {
      const peer = peers.find((candidate) => candidate.id === member.id)
      const matchOffset = peer?.matchOffset ?? 0
      const silentFor = peer?.ticksSinceAnswer ?? Number.POSITIVE_INFINITY
      const behind = Math.max(0, endOffset - matchOffset)
      const isAlive = silentFor < SILENT_TICKS
      return {
        member,
        matchOffset,
        behind,
        isAlive,
        isInSync: isAlive && behind <= IN_SYNC_MAX_BYTES,
      }
    })
}

/** The last epoch is open: the tool ends it at `maxOffset`. */
function epochCache({ config, store }: BrokerParts, group: GroupView): ResponseContent {
  const { brokerClusterName, brokerName, brokerId } = config.values
  const epochs = group.epochs()
  return success(
    undefined,
    formatFastjson({
      clusterName: brokerClusterName,
      brokerName,
      brokerId,
      maxOffset: store.endOffset,
      epochList: epochs.map(({ term, startOffset }, at) => ({
        epoch: term,
        startOffset,
        endOffset: epochs[at + 1]?.startOffset ?? store.endOffset,
      })),
    }),
  )
}

function haStatus({ clock }: BrokerParts, facts: RaftFacts): ResponseContent {
  const isMaster = facts.role === 'leader'
  const peers = isMaster ? peersOf(facts) : []
  const leader = facts.members.find(({ id }) => id === facts.leader)
  return success(
    undefined,
    formatFastjson({
      master: isMaster,
      masterCommitLogMaxOffset: isMaster ? facts.endOffset : 0,
      inSyncSlaveNums: peers.filter(({ isInSync }) => isInSync).length,
      haConnectionInfo: peers.map(({ member, matchOffset, behind, isInSync }) => ({
        addr: member.address,
        slaveAckOffset: matchOffset,
        diff: behind,
        inSync: isInSync,
        transferredByteInSecond: 0,
        transferFromWhere: matchOffset,
      })),
      haClientRuntimeInfo: {
        masterAddr: leader?.address ?? '',
        transferredByteInSecond: 0,
        maxOffset: facts.endOffset,
        lastReadTimestamp: clock.now(),
        lastWriteTimestamp: clock.now(),
        masterFlushOffset: facts.commitOffset,
        activated: facts.leader !== null,
      },
    }),
  )
}

function metadata(parts: BrokerParts, facts: RaftFacts): ResponseContent {
  const isLeader = facts.role === 'leader'
  const leader = facts.members.find(({ id }) => id === facts.leader)
  return success({
    group: parts.config.values.brokerName,
    controllerLeaderId: facts.leader === null ? '' : `n${facts.leader}`,
    // Tools go on asking there, so it is the address that clients are told.
    controllerLeaderAddress: isLeader ? parts.brokerAddress() : (leader?.address ?? ''),
    isLeader: String(isLeader),
    peers: facts.members.map(({ id, address }) => `n${id}-${address}`).join(';'),
  })
}

function syncState(
  parts: BrokerParts,
  facts: RaftFacts,
  request: RemotingRequest,
): ResponseContent {
  const { brokerName } = parts.config.values
  const asked = parseFastjson(request.command.body)
  if (!isJsonArray(asked)) {
    throw new RemotingError('malformed', 'the body is no list of broker names')
  }
  // A controller knows all groups of its cluster, a group only itself.
  if (!asked.includes(brokerName)) {
    return success(undefined, formatFastjson({ replicasInfoTable: new Map() }))
  }
  const self = { brokerName, brokerId: facts.id, brokerAddress: parts.brokerAddress(), alive: true }
  const identity = ({ member, isAlive }: PeerState) => ({
    brokerName,
    brokerId: member.id,
    brokerAddress: member.address,
    alive: isAlive,
  })
  const peers = peersOf(facts)
  const info = {
    masterBrokerId: facts.leader,
    masterAddress: facts.role === 'leader' ? parts.brokerAddress() : '',
    masterEpoch: facts.term,
    syncStateSetEpoch: facts.term,
    inSyncReplicas: [self, ...peers.filter(({ isInSync }) => isInSync).map(identity)],
    notInSyncReplicas: peers.filter(({ isInSync }) => !isInSync).map(identity),
  }
  return success(undefined, formatFastjson({ replicasInfoTable: new Map([[brokerName, info]]) }))
}

/** A member is asked for by its id; the one that leads already is confirmed. */
function electMaster(
  parts: BrokerParts,
  group: GroupView,
  request: RemotingRequest,
): ResponseContent {
  const fields = request.command.extFields
  const brokerName = requireString(fields, 'brokerName')
  const wanted = optionalLong(fields, 'brokerId')
  const facts = group.facts()
  if (brokerName !== parts.config.values.brokerName) {
    const remark = `this broker is of the group ${parts.config.values.brokerName}, not ${brokerName}`
    return answer(ResponseCode.INVALID_PARAMETER, remark)
  }
  if (wanted !== null && !facts.members.some(({ id }) => id === wanted)) {
    return answer(ResponseCode.INVALID_PARAMETER, `brokerId ${wanted} is no member of the group`)
  }
  if (facts.role !== 'leader' || wanted !== facts.id) {
    const reason = group.transfer(wanted)
    if (reason !== null) return answer(ResponseCode.SYSTEM_ERROR, reason)
    const remoteAddress = request.connection.remoteAddress
    parts.logger.info({ to: wanted, remoteAddress }, 'the leadership is handed over')
  }
  const masterBrokerId = wanted ?? facts.id
  const member = facts.members.find(({ id }) => id === masterBrokerId)
  return success(
    {
      masterBrokerId: String(masterBrokerId),
      masterAddress: masterBrokerId === facts.id ? parts.brokerAddress() : (member?.address ?? ''),
      masterEpoch: String(facts.term),
      syncStateSetEpoch: String(facts.term),
    },
    formatFastjson({
      cluster: parts.config.values.brokerClusterName,
      brokerName,
      brokerAddrs: new Map(facts.members.map(({ id, address }) => [id, address])),
    }),
  )
}
