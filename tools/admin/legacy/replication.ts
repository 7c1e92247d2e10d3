/** mqadmin's commands about masters, slaves and controllers: of the members of a broker group, which elect their leader themselves. */
import {
  brokerEpochs,
  controllerMetadata,
  electLeader,
  haStatus,
  syncStates,
} from '../../../client/group-state.ts'
import type { FollowerStatus, Replica } from '../../../client/group-state.ts'
import { RequestCode } from '../../../remoting/request-code.ts'
import { BROKER, CLUSTER, brokersOf, option, repeat } from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { humanTime, javaLine } from '../table.ts'

const FOLLOWER_WIDTHS = [32, 16, -16, -16, -16, -16]
const FOLLOWER_HEAD = [
  ...['#SlaveAddr', '#SlaveAckOffset', '#Diff', '#TransferSpeed(KB/s)', '#Status'],
  '#TransferFromWhere',
]

async function showHaStatus(session: Session, flags: LegacyFlags): Promise<void> {
  for (const broker of await brokersOf(session, flags)) {
    const { isLeader, maxOffset, inSyncCount, followers, self } = await haStatus(
      session.admin,
      broker,
    )
    session.line()
    if (isLeader) {
      session.line(`#MasterAddr\t${broker}`)
      session.line(`#MasterCommitLogMaxOffset\t${maxOffset}`)
      session.line(`#SlaveNum\t${followers.length}`)
      session.line(`#InSyncSlaveNum\t${inSyncCount}`)
      session.line(javaLine(FOLLOWER_WIDTHS, FOLLOWER_HEAD))
      for (const follower of followers) session.line(followerLine(follower))
    } else {
      session.line(`#MasterAddr\t${self.leader}`)
      session.line(`#CommitLogMaxOffset\t${self.maxOffset}`)
      session.line(`#TransferSpeed(KB/s)\t${(self.bytesPerSecond / 1024).toFixed(2)}`)
      session.line(`#LastReadTime\t${humanTime(self.lastReadAt)}`)
      session.line(`#LastWriteTime\t${humanTime(self.lastWriteAt)}`)
      session.line(`#MasterFlushOffset\t${self.leaderFlushOffset}`)
    }
  }
}

function followerLine(follower: FollowerStatus): string {
  const { address, ackOffset, diff, bytesPerSecond, isInSync, transferFrom } = follower
  const speed = (bytesPerSecond / 1024).toFixed(2)
  const status = isInSync ? 'OK' : 'Fall Behind'
  return javaLine(FOLLOWER_WIDTHS, [address, ackOffset, diff, speed, status, transferFrom])
}

async function resetMasterFlushOffset(session: Session, flags: LegacyFlags): Promise<void> {
  const masterFlushOffset = flags.needNumber('o')
  await session.admin.ask(flags.need('b'), {
    code: RequestCode.RESET_MASTER_FLUSH_OFFSET,
    extFields: { masterFlushOffset: String(masterFlushOffset) },
  })
  session.line(`reset master flush offset to ${masterFlushOffset} success`)
}

async function showControllerMetadata(session: Session, flags: LegacyFlags): Promise<void> {
  const fields = await controllerMetadata(session.admin, flags.need('a'))
  session.line()
  session.line(`#ControllerGroup\t${fields.get('group') ?? ''}`)
  session.line(`#ControllerLeaderId\t${fields.get('controllerLeaderId') ?? ''}`)
  session.line(`#ControllerLeaderAddress\t${fields.get('controllerLeaderAddress') ?? ''}`)
  const peers = (fields.get('peers') ?? '').split(';').filter((peer) => peer !== '')
  for (const peer of peers) session.line(`#Peer:\t${peer}`)
}

async function showSyncStateSet(session: Session, flags: LegacyFlags): Promise<void> {
  const [controller = ''] = flags.need('a').split(';')
  for (const state of await syncStates(
    session.admin,
    controller,
    await brokerNames(session, flags),
  )) {
    session.line()
    session.line(`#brokerName\t${state.brokerName}`)
    session.line(`#MasterBrokerId\t${state.leaderId ?? 'null'}`)
    session.line(`#MasterAddr\t${state.leaderAddress}`)
    session.line(`#MasterEpoch\t${state.leaderEpoch}`)
    session.line(`#SyncStateSetEpoch\t${state.syncStateSetEpoch}`)
    session.line(`#SyncStateSetNums\t${state.inSync.length}`)
    for (const replica of state.inSync) session.line(`\nInSyncReplica:\t${replicaText(replica)}`)
    for (const replica of state.notInSync) {
      session.line(`\nNotInSyncReplica:\t${replicaText(replica)}`)
    }
  }
}

function replicaText({ brokerName, brokerId, address, isAlive }: Replica): string {
  const who = `brokerName='${brokerName}', brokerId=${brokerId}`
  return `ReplicaIdentity{${who}, brokerAddress='${address}', alive=${isAlive}}`
}

async function brokerNames(session: Session, flags: LegacyFlags): Promise<readonly string[]> {
  const brokerName = flags.text('b')
  if (brokerName !== null) return [brokerName]
  const cluster = flags.text('c')
  if (cluster === null) throw new AdminError('usage', 'either -b or -c is needed')
  return (await session.leaders(cluster)).map((leader) => leader.brokerName)
}

async function electMaster(session: Session, flags: LegacyFlags): Promise<void> {
  const brokerName = flags.need('bn')
  const clusterName = flags.need('c')
  const election = await electLeader(session.admin, flags.need('a'), {
    ...{ brokerName, brokerId: flags.needNumber('b') },
  })
  session.line()
  session.line(`#ClusterName\t${clusterName}`)
  session.line(`#BrokerName\t${brokerName}`)
  session.line(`#BrokerMasterAddr\t${election.leaderAddress}`)
  session.line(`#MasterEpoch\t${election.leaderEpoch}`)
  session.line(`#SyncStateSetEpoch\t${election.syncStateSetEpoch}`)
  for (const [id, address] of election.addresses) session.line(`\t#Broker\t${id}\t${address}`)
}

async function getBrokerEpoch(session: Session, flags: LegacyFlags): Promise<void> {
  for (const name of await brokerNames(session, flags)) {
    const { address } = await session.leaderNamed(name)
    const { clusterName, brokerName, brokerId, epochs } = await brokerEpochs(session.admin, address)
    session.line()
    session.line(`#clusterName\t${clusterName}`)
    session.line(`#brokerName\t${brokerName}`)
    session.line(`#brokerAddr\t${address}`)
    session.line(`#brokerId\t${brokerId}`)
    for (const { epoch, startOffset, endOffset } of epochs) {
      const entry = `epoch=${epoch}, startOffset=${startOffset}, endOffset=${endOffset}`
      session.line(`#Epoch: EpochEntry{${entry}}`)
    }
  }
}

const CONTROLLER = option('a', 'controllerAddress', 'a broker of the group', true)
const INTERVAL = option('i', 'interval', 'again every so many seconds')
const BROKER_NAME = option('b', 'brokerName', 'broker name')

export const REPLICATION_COMMANDS: readonly LegacyCommand[] = [
  {
    name: 'haStatus',
    description: 'Fetch ha runtime status data.',
    options: [BROKER, CLUSTER, INTERVAL],
    run: (session, flags) => repeat(session, flags, () => showHaStatus(session, flags)),
  },
  {
    name: 'getSyncStateSet',
    description: 'Fetch syncStateSet for target brokers.',
    options: [CONTROLLER, BROKER_NAME, CLUSTER, INTERVAL],
    run: (session, flags) => repeat(session, flags, () => showSyncStateSet(session, flags)),
  },
  {
    name: 'getBrokerEpoch',
    description: 'Fetch broker epoch entries.',
    options: [BROKER_NAME, CLUSTER, INTERVAL],
    run: (session, flags) => repeat(session, flags, () => getBrokerEpoch(session, flags)),
  },
  {
    name: 'getControllerMetaData',
    description: "Get controller cluster's metadata: each broker group is its own controller.",
    options: [CONTROLLER],
    run: showControllerMetadata,
  },
  {
    name: 'electMaster',
    description: 'Re-elect the specified broker as master.',
    options: [
      CONTROLLER,
      option('b', 'brokerId', 'ordinal of the member that shall lead', true),
      option('bn', 'brokerName', 'broker name', true),
      option('c', 'clusterName', 'cluster name', true),
    ],
    run: electMaster,
  },
  {
    name: 'resetMasterFlushOffset',
    description: 'Reset master flush offset in slave: changes nothing, as on a Java master.',
    options: [
      option('b', 'brokerAddr', 'address of one broker', true),
      option('o', 'offset', 'the offset', true),
    ],
    run: resetMasterFlushOffset,
  },
]
