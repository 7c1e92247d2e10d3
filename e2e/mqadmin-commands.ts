/** Every command of the official mqadmin 5.5.0: what it is asked, what its answer must show, and the verdict for the documentation. */
import { notApplicable, refused, runOf, toBroker, works } from './mqadmin-command.ts'
import type { Args, MqadminCommand, MqadminWorld, Verdict } from './mqadmin-command.ts'
import { GROUPS, MESSAGES, TOPICS } from './mqadmin-data-commands.ts'

const BROKERS: readonly MqadminCommand[] = [
  works(
    'clusterList',
    runOf(
      () => [],
      ({ cluster, brokerName, broker }) => [
        new RegExp(`${cluster} +${brokerName} +0 +${broker} +V5_5_0 .*true`, 'u'),
      ],
    ),
    runOf(
      () => ['-m'],
      ({ cluster, brokerName }) => [
        new RegExp(`${cluster} +${brokerName} +\\d+ +\\d+ +\\d+ +\\d+`, 'u'),
      ],
    ),
  ),
  works(
    'brokerStatus',
    runOf(toBroker, () => [/brokerVersionDesc +: V5_5_0/u, /putTps +: [\d.]+ [\d.]+ [\d.]+/u]),
    runOf(
      ({ cluster }) => ['-c', cluster],
      () => ['commitLogMaxOffset'],
    ),
  ),
  works(
    'updateBrokerConfig',
    runOf(
      ({ broker }) => ['-b', broker, '-k', 'fileReservedTime', '-v', '71'],
      () => ['update broker config success'],
    ),
  ),
  works(
    'getBrokerConfig',
    runOf(toBroker, () => [/fileReservedTime += +71/u]),
  ),
  works(
    'cleanExpiredCQ',
    runOf(toBroker, () => ['success']),
  ),
  works(
    'deleteExpiredCommitLog',
    runOf(toBroker, () => ['success']),
  ),
  works(
    'cleanUnusedTopic',
    runOf(toBroker, () => ['success']),
  ),
  works(
    'wipeWritePerm',
    runOf(
      ({ brokerName }) => ['-b', brokerName],
      () => [/OK, \d+/u],
    ),
  ),
  works(
    'addWritePerm',
    runOf(
      ({ brokerName }) => ['-b', brokerName],
      () => [/OK, \d+/u],
    ),
  ),
  works(
    'haStatus',
    runOf(toBroker, ({ broker }) => [`#MasterAddr\t${broker}`, '#InSyncSlaveNum']),
    runOf(
      ({ cluster }) => ['-c', cluster],
      () => ['#MasterCommitLogMaxOffset'],
    ),
  ),
  {
    ...works(
      'resetMasterFlushOffset',
      runOf(
        ({ broker }) => ['-b', broker, '-o', '0'],
        () => ['reset master flush offset to 0 success'],
      ),
    ),
    note: 'changes nothing, as on a Java master: what is acknowledged is never taken back',
  },
  works(
    'getColdDataFlowCtrInfo',
    runOf(toBroker, ({ broker }) => [broker]),
  ),
  works(
    'updateColdDataFlowCtrGroupConfig',
    runOf(
      ({ broker, group }) => ['-b', broker, '-g', group, '-v', '1048576'],
      () => ['success'],
    ),
  ),
  works(
    'removeColdDataFlowCtrGroupConfig',
    runOf(
      ({ broker, group }) => ['-b', broker, '-g', group],
      () => ['success'],
    ),
  ),
  notApplicable('setCommitLogReadAheadMode', ({ broker }) => ['-b', broker, '-m', '0'], /={12}/u),
  {
    ...works(
      'switchTimerEngine',
      runOf(
        ({ broker }) => ['-b', broker, '-e', 'F'],
        () => ['success'],
      ),
    ),
    note: 'to `F`, the time wheel in files; `R` is refused, there is no RocksDB',
  },
  works(
    'exportMetadata',
    runOf(
      ({ cluster, folder }) => ['-c', cluster, '-f', folder],
      () => ['metadata.json success'],
    ),
  ),
  works(
    'exportConfigs',
    runOf(
      ({ cluster, folder }) => ['-c', cluster, '-f', folder],
      () => ['configs.json success'],
    ),
  ),
  works(
    'exportMetrics',
    runOf(
      ({ cluster, folder }) => ['-c', cluster, '-f', folder],
      () => ['metrics.json success'],
    ),
  ),
  {
    ...works(
      'rocksDBConfigToJson',
      runOf(
        ({ cluster }) => ['-c', cluster, '-t', 'topics'],
        () => ['broker export done.'],
      ),
    ),
    note: 'topics, groups and offsets are JSON files at all times',
  },
]

const NAME_SERVERS: readonly MqadminCommand[] = [
  works(
    'updateKvConfig',
    runOf(
      () => ['-s', 'ADMIN', '-k', 'key', '-v', 'value'],
      () => ['create or update kv config to namespace success'],
    ),
  ),
  works(
    'deleteKvConfig',
    runOf(
      () => ['-s', 'ADMIN', '-k', 'key'],
      () => ['delete kv config from namespace success'],
    ),
  ),
  works(
    'updateNamesrvConfig',
    runOf(
      () => ['-k', 'waitSecondsForService', '-v', '46'],
      () => ['update name server config success', 'waitSecondsForService : 46'],
    ),
  ),
  works(
    'getNamesrvConfig',
    runOf(
      () => [],
      () => [/waitSecondsForService += +46/u],
    ),
  ),
]

const toController: Args = ({ broker }) => ['-a', broker]
const NO_CONTROLLER = /a broker group has no controller/u

const REPLICATION: readonly MqadminCommand[] = [
  {
    ...works(
      'getControllerMetaData',
      runOf(toController, ({ broker, brokerName }) => [
        `#ControllerGroup\t${brokerName}`,
        `#ControllerLeaderAddress\t${broker}`,
      ]),
    ),
    note: 'asked of a broker: each group is its own controller',
  },
  {
    ...works(
      'getSyncStateSet',
      runOf(
        ({ broker, brokerName }) => ['-a', broker, '-b', brokerName],
        ({ broker, brokerName }) => [
          `#brokerName\t${brokerName}`,
          new RegExp(`InSyncReplica:.*${broker}`, 'u'),
        ],
      ),
    ),
    note: 'asked of a broker of the group',
  },
  {
    ...works(
      'electMaster',
      runOf(
        ({ broker, brokerName, cluster }) => [
          ...['-a', broker, '-b', '0'],
          ...['-bn', brokerName, '-c', cluster],
        ],
        ({ broker }) => [`#BrokerMasterAddr\t${broker}`],
      ),
    ),
    note: 'asked of the leader of the group, hands the leadership to the member with that ordinal',
  },
  {
    ...works(
      'getBrokerEpoch',
      runOf(
        ({ brokerName }) => ['-b', brokerName],
        ({ brokerName }) => [`#brokerName\t${brokerName}`, /#Epoch: EpochEntry\{epoch=\d+, /u],
      ),
    ),
    note: 'the terms of the group',
  },
  notApplicable('getControllerConfig', toController, NO_CONTROLLER),
  notApplicable(
    'updateControllerConfig',
    ({ broker }) => ['-a', broker, '-k', 'a', '-v', 'b'],
    NO_CONTROLLER,
  ),
  notApplicable(
    'cleanBrokerMetadata',
    ({ broker, brokerName, cluster }) => ['-a', broker, '-bn', brokerName, '-c', cluster],
    NO_CONTROLLER,
  ),
  notApplicable(
    'addBroker',
    ({ broker }) => ['-c', broker, '-b', '/broker.conf'],
    /this is no broker container/u,
  ),
  notApplicable(
    'removeBroker',
    ({ broker, cluster, brokerName }) => ['-c', broker, '-b', `${cluster}:${brokerName}:0`],
    /this is no broker container/u,
  ),
]

const LITE_ERROR = /error|there are no lite topics/u

const OTHERS: readonly MqadminCommand[] = [
  notApplicable(
    'exportMetadataInRocksDB',
    ({ folder }) => ['-p', `${folder}/none`, '-t', 'topics'],
    /RocksDB path is invalid/u,
  ),
  {
    ...works(
      'checkRocksdbCqWriteProgress',
      runOf(
        ({ cluster }) => ['-c', cluster],
        ({ brokerName }) => [`${brokerName} check doing`],
      ),
    ),
    note: 'as by a Java broker with ConsumeQueues in files: there is nothing to check',
  },
  {
    ...works(
      'exportPopRecord',
      runOf(toBroker, ({ brokerName }) => [`Export broker records, brokerName=${brokerName}`]),
    ),
    note: 'into files, where they are at all times',
  },
  notApplicable('dumpCompactionLog', ({ folder }) => ['-f', `${folder}/none`], /not exist/u),
  refused('getBrokerLiteInfo', toBroker, LITE_ERROR),
  refused('getParentTopicInfo', ({ topic }) => ['-p', topic], LITE_ERROR),
  refused('getLiteTopicInfo', ({ topic }) => ['-p', topic, '-l', 'x'], LITE_ERROR),
  refused(
    'getLiteClientInfo',
    ({ topic, group }) => ['-p', topic, '-g', group, '-c', 'x'],
    LITE_ERROR,
  ),
  refused('getLiteGroupInfo', ({ topic, group }) => ['-p', topic, '-g', group], LITE_ERROR),
  refused('triggerLiteDispatch', ({ topic, group }) => ['-p', topic, '-g', group], LITE_ERROR),
]

const toBrokerAnd =
  (...args: readonly string[]): Args =>
  ({ broker }) => ['-b', broker, ...args]
const fromTo: Args = ({ broker }) => ['-f', broker, '-t', broker]
const RULE: readonly string[] = ['-s', 'User:u', '-r', 'Topic:t', '-a', 'Pub', '-d']

/** What a change of a user or of policies prints. */
function changed(what: string): (world: MqadminWorld) => readonly string[] {
  return ({ broker }) => [`${what} to ${broker} success.`]
}

const RIGHTS: readonly MqadminCommand[] = [
  works('createUser', runOf(toBrokerAnd('-u', 'u', '-p', 'p'), changed('create user'))),
  works('updateUser', runOf(toBrokerAnd('-u', 'u', '-p', 'q'), changed('update user'))),
  works(
    'getUser',
    runOf(toBrokerAnd('-u', 'u'), () => [/^u +q +Normal +enable/mu]),
  ),
  works(
    'listUser',
    runOf(toBroker, () => [/^u +q +Normal +enable/mu]),
  ),
  works(
    'copyUser',
    runOf(fromTo, () => ['copy user of u from ']),
  ),
  works('createAcl', runOf(toBrokerAnd(...RULE, 'Allow'), changed('create acl'))),
  works('updateAcl', runOf(toBrokerAnd(...RULE, 'Deny'), changed('update acl'))),
  works(
    'getAcl',
    runOf(toBrokerAnd('-s', 'User:u'), () => [/^User:u +Custom +Topic:t +\[Pub\] .*Deny/mu]),
  ),
  works(
    'listAcl',
    runOf(toBroker, () => [/^User:u +Custom +Topic:t +\[Pub\] .*Deny/mu]),
  ),
  works(
    'copyAcl',
    runOf(fromTo, () => ['copy acl of User:u from ']),
  ),
  works('deleteAcl', runOf(toBrokerAnd('-s', 'User:u'), changed('delete acl'))),
  works('deleteUser', runOf(toBrokerAnd('-u', 'u'), changed('delete user'))),
]

/** In the order in which they are run: what one of them makes, a later one needs. */
export const MQADMIN_COMMANDS: readonly MqadminCommand[] = [
  ...TOPICS,
  ...GROUPS,
  ...MESSAGES,
  ...BROKERS,
  ...NAME_SERVERS,
  ...REPLICATION,
  ...OTHERS,
  ...RIGHTS,
]

/** The table of docs/compatibility.md. */
export function mqadminTable(): string {
  const count = (verdict: Verdict) =>
    MQADMIN_COMMANDS.filter((command) => command.verdict === verdict).length
  const rows = MQADMIN_COMMANDS.map(
    ({ name, verdict, note }) => `| \`${name}\` | ${verdict} | ${note ?? ''} |`,
  )
  return [
    `Of its ${MQADMIN_COMMANDS.length} commands ${count('works')} work, ${count('refused')} are refused with the reason, and` +
      ` ${count('does not apply')} do not apply.`,
    '',
    '| command | verdict | |',
    '|---|---|---|',
    ...rows,
  ].join('\n')
}
