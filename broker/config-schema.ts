/** The keys of `broker.conf` which Gantry honours: RocketMQ's names, units and defaults (BrokerConfig, MessageStoreConfig, NettyServerConfig). */
import { choice, flag, integer, text } from '../common/config.ts'
import { DEFAULT_DELAY_LEVELS } from '../common/delay-levels.ts'
import type { ConfigKey } from '../common/config.ts'

type Text = ConfigKey<string>
type Integer = ConfigKey<number>
type Flag = ConfigKey<boolean>
type Choice<Names extends string> = ConfigKey<Names>

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const PORT = { min: 1, max: 65_535 }

/** Who the broker is and where it listens. */
export const IDENTITY_KEYS: {
  readonly brokerClusterName: Text
  readonly brokerName: Text
  readonly brokerId: Integer
  readonly brokerRole: Choice<'ASYNC_MASTER' | 'SYNC_MASTER' | 'SLAVE'>
  readonly brokerIP1: Text
  readonly bindAddress: Text
  readonly listenPort: Integer
  readonly namesrvAddr: Text
  readonly metricsPromExporterPort: Integer
  readonly metricsPromExporterHost: Text
} = {
  brokerClusterName: text('DefaultCluster', {
    description: 'The cluster that this broker belongs to.',
  }),
  brokerName: text('', { description: 'The name of the broker group; empty: the host name.' }),
  brokerId: integer(0, {
    description: 'The id under which the broker registers; 0 is the master.',
    min: 0,
    max: 0,
  }),
  brokerRole: choice('ASYNC_MASTER', ['ASYNC_MASTER', 'SYNC_MASTER', 'SLAVE'], {
    description:
      'ASYNC_MASTER or SYNC_MASTER; members of a group are elected, so SLAVE is refused.',
  }),
  brokerIP1: text('', {
    description:
      'The address that clients are told; empty or 0.0.0.0: the leader Service on Kubernetes, else the first address of the machine.',
  }),
  bindAddress: text('0.0.0.0', { description: 'The address to listen on.' }),
  listenPort: integer(10911, {
    description: 'The port for clients; two below it is the VIP port.',
    min: 3,
    max: 65_535,
  }),
  namesrvAddr: text('', {
    description:
      'Name servers as host:port;host:port; names are resolved again every 30 s. NAMESRV_ADDR of the environment where it is not given.',
    live: true,
  }),
  metricsPromExporterPort: integer(5557, {
    description: 'The admin port: health, metrics and facts over HTTP.',
    ...PORT,
  }),
  metricsPromExporterHost: text('', {
    description: 'The address of the admin port; empty: all.',
  }),
}

/** Topics, groups and clients. */
export const SERVICE_KEYS: {
  readonly brokerPermission: Integer
  readonly defaultTopicQueueNums: Integer
  readonly autoCreateTopicEnable: Flag
  readonly autoCreateSubscriptionGroup: Flag
  readonly clusterTopicEnable: Flag
  readonly brokerTopicEnable: Flag
  readonly traceTopicEnable: Flag
  readonly msgTraceTopicName: Text
  readonly traceOn: Flag
  readonly regionId: Text
  readonly validateSystemTopicWhenUpdateTopic: Flag
  readonly enableMixedMessageType: Flag
  readonly clearRetryTopicWhenDeleteTopic: Flag
  readonly startAcceptSendRequestTimeStamp: Integer
  readonly rejectTransactionMessage: Flag
  readonly storeReplyMessageEnable: Flag
  readonly transactionTimeOut: Integer
  readonly transactionCheckInterval: Integer
  readonly transactionCheckMax: Integer
  readonly transactionOpMsgMaxSize: Integer
  readonly transactionOpBatchInterval: Integer
  readonly longPollingEnable: Flag
  readonly shortPollingTimeMills: Integer
  readonly litePullMessageEnable: Flag
  readonly enablePropertyFilter: Flag
  readonly notifyConsumerIdsChangedEnable: Flag
  readonly flushConsumerOffsetInterval: Integer
  readonly registerNameServerPeriod: Integer
  readonly enableSplitRegistration: Flag
  readonly splitRegistrationSize: Integer
  readonly registerBrokerTimeoutMills: Integer
  readonly splitMetadataSize: Integer
  readonly channelExpiredTimeout: Integer
  readonly serverChannelMaxIdleTimeSeconds: Integer
  readonly sendThreadPoolQueueCapacity: Integer
  readonly pullThreadPoolQueueCapacity: Integer
  readonly defaultQueryMaxNum: Integer
  readonly coldDataFlowControlEnable: Flag
  readonly cgColdReadThreshold: Integer
  readonly globalColdReadThreshold: Integer
} = {
  brokerPermission: integer(6, {
    description: '6: read and write, 4: read only (sends are answered 16), 2: write only.',
    min: 0,
    max: 6,
    live: true,
  }),
  defaultTopicQueueNums: integer(8, {
    description: 'Queues of TBW102, an upper limit for topics created by a send.',
    unit: 'queues',
    min: 1,
    max: 1024,
    live: true,
  }),
  autoCreateTopicEnable: flag(true, {
    description: 'A send to an unknown topic creates it; read at start for TBW102.',
  }),
  autoCreateSubscriptionGroup: flag(true, {
    description: 'An unknown consumer group is created at its first heartbeat or pull.',
    live: true,
  }),
  clusterTopicEnable: flag(true, {
    description: 'The topic named like the cluster exists and may be inherited from.',
  }),
  brokerTopicEnable: flag(true, {
    description: 'The topic named like the broker exists and may be inherited from.',
  }),
  traceTopicEnable: flag(false, { description: 'The trace topic is created at start.' }),
  msgTraceTopicName: text('RMQ_SYS_TRACE_TOPIC', { description: 'The name of the trace topic.' }),
  traceOn: flag(true, {
    description: 'Clients are told that they may send traces (TRACE_ON).',
    live: true,
  }),
  regionId: text('DefaultRegion', {
    description: 'MSG_REGION of stored messages and send answers.',
  }),
  validateSystemTopicWhenUpdateTopic: flag(true, {
    description: 'System topics cannot be changed by tools.',
    live: true,
  }),
  enableMixedMessageType: flag(false, {
    description: 'Topics may have message.type=MIXED.',
    live: true,
  }),
  clearRetryTopicWhenDeleteTopic: flag(true, {
    description: 'Deleting a topic also deletes its POP retry topics.',
    live: true,
  }),
  startAcceptSendRequestTimeStamp: integer(0, {
    description: 'Sends before this time are refused.',
    unit: 'ms since 1970',
    min: 0,
    live: true,
  }),
  rejectTransactionMessage: flag(false, {
    description: 'Transactional messages are refused.',
    live: true,
  }),
  storeReplyMessageEnable: flag(true, {
    description: 'Replies to requests of other clients are stored, not only delivered.',
    live: true,
  }),
  transactionTimeOut: integer(6000, {
    description:
      'The age at which the producers of an open transaction are asked for the first time.',
    unit: 'ms',
    min: 0,
    live: true,
  }),
  transactionCheckInterval: integer(30_000, {
    description: 'The time from one check of an open transaction to the next.',
    unit: 'ms',
    min: 1000,
    live: true,
  }),
  transactionCheckMax: integer(15, {
    description: 'After so many checks a transaction goes to TRANS_CHECK_MAX_TIME_TOPIC.',
    min: 1,
    live: true,
  }),
  transactionOpMsgMaxSize: integer(4096, {
    description: 'Decisions about transactions are written when they fill so much.',
    unit: 'bytes',
    min: 16,
    max: 1024 * 1024,
    live: true,
  }),
  transactionOpBatchInterval: integer(3000, {
    description: 'Decisions about transactions are written after this time at the latest.',
    unit: 'ms',
    min: 0,
    live: true,
  }),
  longPollingEnable: flag(true, {
    description: 'A pull that finds nothing is held until a message comes.',
    live: true,
  }),
  shortPollingTimeMills: integer(1000, {
    description: 'How long a pull is held when longPollingEnable is false.',
    unit: 'ms',
    min: 1,
    max: 60_000,
    live: true,
  }),
  enablePropertyFilter: flag(false, {
    description: 'Consumers may subscribe by SQL92 expressions over message properties.',
    live: true,
  }),
  litePullMessageEnable: flag(true, {
    description: 'Lite pull consumers are served.',
    live: true,
  }),
  notifyConsumerIdsChangedEnable: flag(true, {
    description: 'Members of a consumer group are told at once when others come or go.',
    live: true,
  }),
  flushConsumerOffsetInterval: integer(5000, {
    description:
      'consumerOffset.json is written so long after a change; the log has the offsets within a second.',
    unit: 'ms',
    min: 100,
    max: 600_000,
  }),
  registerNameServerPeriod: integer(30_000, {
    description: 'The broker registers with every name server this often.',
    unit: 'ms',
    min: 1000,
    max: 60_000,
  }),
  enableSplitRegistration: flag(true, {
    description:
      'Name servers are told of many topics in several requests, and of a few changed ones by themselves. ' +
      'Off for Java name servers with deleteTopicWithBrokerRegistration.',
  }),
  splitRegistrationSize: integer(800, {
    description: 'Topics in one such request.',
    unit: 'topics',
    min: 2,
    max: 20_000,
  }),
  registerBrokerTimeoutMills: integer(24_000, {
    description: 'How long one registration may take.',
    unit: 'ms',
    min: 100,
    max: 60_000,
  }),
  splitMetadataSize: integer(2000, {
    description: 'Topics or groups in one page of requests 21 and 201.',
    unit: 'entries',
    min: 1,
    max: 100_000,
  }),
  channelExpiredTimeout: integer(120_000, {
    description: 'A client that has not been heard of for this long is forgotten.',
    unit: 'ms',
    min: 1000,
    max: 86_400_000,
  }),
  serverChannelMaxIdleTimeSeconds: integer(120, {
    description: 'A connection without traffic is closed after this time.',
    unit: 's',
    min: 1,
    max: 86_400,
  }),
  sendThreadPoolQueueCapacity: integer(10_000, {
    description: 'Sends that may wait for the store at a time; more are answered 2.',
    unit: 'requests',
    min: 1,
    max: 1_000_000,
    live: true,
  }),
  pullThreadPoolQueueCapacity: integer(100_000, {
    description: 'Pulls that may be held at a time; more are answered at once.',
    unit: 'requests',
    min: 1,
    max: 10_000_000,
    live: true,
  }),
  defaultQueryMaxNum: integer(32, {
    description: 'Most messages of a query by unique id.',
    unit: 'messages',
    min: 1,
    max: 64,
    live: true,
  }),
  coldDataFlowControlEnable: flag(false, {
    description: 'Consumer groups that read much of what is no longer in memory are held back.',
    live: true,
  }),
  cgColdReadThreshold: integer(3 * MIB, {
    description:
      'What a group may read of that in five seconds, unless it has a threshold of its own.',
    unit: 'bytes',
    min: 0,
    live: true,
  }),
  globalColdReadThreshold: integer(100 * MIB, {
    description: 'The same for all groups together.',
    unit: 'bytes',
    min: 0,
    live: true,
  }),
}

/** The log and its derived files; the store documents the formats. */
export const STORE_KEYS: {
  readonly storePathRootDir: Text
  readonly storePathCommitLog: Text
  readonly mappedFileSizeCommitLog: Integer
  readonly mappedFileSizeConsumeQueue: Integer
  readonly flushDiskType: Choice<'ASYNC_FLUSH' | 'SYNC_FLUSH'>
  readonly flushIntervalCommitLog: Integer
  readonly flushCommitLogThoroughInterval: Integer
  readonly flushIntervalConsumeQueue: Integer
  readonly flushConsumeQueueThoroughInterval: Integer
  readonly syncFlushTimeout: Integer
  readonly warmMapedFileEnable: Flag
  readonly maxMessageSize: Integer
  readonly messageIndexEnable: Flag
  readonly maxHashSlotNum: Integer
  readonly maxIndexNum: Integer
  readonly maxMsgsNumBatch: Integer
  readonly fileReservedTime: Integer
  readonly deleteWhen: Text
  readonly cleanResourceInterval: Integer
  readonly diskMaxUsedSpaceRatio: Integer
  readonly diskSpaceCleanForciblyRatio: Integer
  readonly diskSpaceWarningLevelRatio: Integer
  readonly maxTransferBytesOnMessageInMemory: Integer
  readonly maxTransferCountOnMessageInMemory: Integer
  readonly maxTransferBytesOnMessageInDisk: Integer
  readonly maxTransferCountOnMessageInDisk: Integer
  readonly accessMessageInMemoryMaxRatio: Integer
  readonly messageDelayLevel: Text
  readonly enableLmq: Flag
  readonly enableMultiDispatch: Flag
  readonly maxLmqConsumeQueueNum: Integer
} = {
  storePathRootDir: text('', { description: 'The data folder; empty: $HOME/store.' }),
  storePathCommitLog: text('', {
    description: 'The folder of the CommitLog; empty: commitlog in the data folder.',
  }),
  mappedFileSizeCommitLog: integer(GIB, {
    description: 'Size of a CommitLog segment.',
    unit: 'bytes',
    min: 4096,
    max: 2 * GIB - 1,
  }),
  mappedFileSizeConsumeQueue: integer(6_000_000, {
    description: 'Size of a ConsumeQueue file: 20 bytes for each entry.',
    unit: 'bytes',
    min: 20,
    max: 2 * GIB - 1,
  }),
  flushDiskType: choice('ASYNC_FLUSH', ['ASYNC_FLUSH', 'SYNC_FLUSH'], {
    description: 'SYNC_FLUSH answers a send after fdatasync, ASYNC_FLUSH after the write.',
  }),
  flushIntervalCommitLog: integer(500, {
    description: 'Interval of the asynchronous flush.',
    unit: 'ms',
    min: 1,
    max: 600_000,
  }),
  flushCommitLogThoroughInterval: integer(10_000, {
    description: 'The flush ignores how little is dirty this often.',
    unit: 'ms',
    min: 1,
    max: 3_600_000,
  }),
  flushIntervalConsumeQueue: integer(1000, {
    description: 'Interval of the ConsumeQueue flush.',
    unit: 'ms',
    min: 1,
    max: 600_000,
  }),
  flushConsumeQueueThoroughInterval: integer(60_000, {
    description: 'The ConsumeQueue flush ignores how little is dirty this often.',
    unit: 'ms',
    min: 1,
    max: 3_600_000,
  }),
  syncFlushTimeout: integer(5000, {
    description: 'A send whose flush takes longer is answered FLUSH_DISK_TIMEOUT.',
    unit: 'ms',
    min: 1,
    max: 600_000,
  }),
  warmMapedFileEnable: flag(false, {
    description:
      'The next CommitLog segment is filled with zeroes before it is needed; with SYNC_FLUSH a part of it always is.',
  }),
  maxMessageSize: integer(4 * MIB, {
    description: 'Largest message body.',
    unit: 'bytes',
    min: 1024,
    max: 128 * MIB,
  }),
  messageIndexEnable: flag(true, { description: 'Messages are indexed by key and unique id.' }),
  maxHashSlotNum: integer(5_000_000, {
    description: 'Hash slots of an index file.',
    unit: 'slots',
    min: 1,
    max: 100_000_000,
  }),
  maxIndexNum: integer(20_000_000, {
    description: 'Entries of an index file.',
    unit: 'entries',
    min: 2,
    max: 100_000_000,
  }),
  maxMsgsNumBatch: integer(64, {
    description: 'Most messages of a query by key.',
    unit: 'messages',
    min: 1,
    max: 1024,
  }),
  fileReservedTime: integer(72, {
    description: 'Segments older than this are deleted.',
    unit: 'hours',
    min: 1,
    max: 8_760_000,
    live: true,
  }),
  deleteWhen: text('04', { description: 'Hours of the day for deleting, as 04;16.', live: true }),
  cleanResourceInterval: integer(10_000, {
    description: 'Interval of the cleaning check.',
    unit: 'ms',
    min: 100,
    max: 3_600_000,
  }),
  diskMaxUsedSpaceRatio: integer(75, {
    description: 'Disk use that starts deleting at any hour.',
    unit: '%',
    min: 10,
    max: 95,
    live: true,
  }),
  diskSpaceCleanForciblyRatio: integer(85, {
    description: 'Disk use that deletes segments younger than fileReservedTime.',
    unit: '%',
    min: 30,
    max: 85,
    live: true,
  }),
  diskSpaceWarningLevelRatio: integer(90, {
    description: 'Disk use at which sends are refused.',
    unit: '%',
    min: 35,
    max: 90,
    live: true,
  }),
  maxTransferBytesOnMessageInMemory: integer(262_144, {
    description: 'Bytes of one pull answer from memory.',
    unit: 'bytes',
    min: 1,
    max: GIB,
  }),
  maxTransferCountOnMessageInMemory: integer(32, {
    description: 'Messages of one pull answer from memory.',
    unit: 'messages',
    min: 1,
    max: 100_000,
  }),
  maxTransferBytesOnMessageInDisk: integer(65_536, {
    description: 'Bytes of one pull answer from disk.',
    unit: 'bytes',
    min: 1,
    max: GIB,
  }),
  maxTransferCountOnMessageInDisk: integer(8, {
    description: 'Messages of one pull answer from disk.',
    unit: 'messages',
    min: 1,
    max: 100_000,
  }),
  accessMessageInMemoryMaxRatio: integer(40, {
    description: 'Share of the memory that counts as holding the end of the log.',
    unit: '%',
    min: 0,
    max: 100,
  }),
  messageDelayLevel: text(DEFAULT_DELAY_LEVELS, {
    description: 'The delays of the levels from 1 on; units s, m, h, d.',
  }),
  enableLmq: flag(false, {
    description: 'Light queues: %LMQ% names are queues that need no topic.',
  }),
  enableMultiDispatch: flag(false, {
    description:
      'With enableLmq: a message stands in the light queues of its INNER_MULTI_DISPATCH too.',
  }),
  maxLmqConsumeQueueNum: integer(20_000, {
    description: 'Light queues of this broker; messages that need another one are refused.',
    unit: 'queues',
    min: 0,
    max: 1_000_000,
  }),
}

/** The members of the group, as users of DLedger name them. */
export const GROUP_KEYS: {
  readonly enableDLegerCommitLog: Flag
  readonly dLegerGroup: Text
  readonly dLegerPeers: Text
  readonly dLegerSelfId: Text
} = {
  enableDLegerCommitLog: flag(false, {
    description: 'Replicates the CommitLog among the members that `dLegerPeers` names.',
  }),
  dLegerGroup: text('', { description: 'The name of the group; empty: `brokerName`.' }),
  dLegerPeers: text('', {
    description:
      'Its members as `n0-host:port;n1-host:port`. Counts when a member starts without a group; later the group itself knows.',
  }),
  dLegerSelfId: text('n0', { description: 'Which of `dLegerPeers` this member is.' }),
}

/** Switches of RocketMQ whose effect a broker must not silently lack: `true` is refused until Gantry has it. */
export const REFUSED_KEYS: {
  readonly aclEnable: Flag
  readonly enableControllerMode: Flag
} = {
  aclEnable: flag(false, {
    description:
      'Access control of 4.x by `plain_acl.yml`, so true is refused: use `authenticationEnabled` and `authorizationEnabled`.',
  }),
  enableControllerMode: flag(false, {
    description: 'Controller mode; the groups of Gantry elect by themselves, so true is refused.',
  }),
}

/** Keys of Gantry's own. */
export const GANTRY_KEYS: {
  readonly advertisedPort: Integer
  readonly allowUnauthenticatedAdmin: Flag
  readonly logLevel: Choice<'trace' | 'debug' | 'info' | 'warn' | 'error'>
  readonly maxConnections: Integer
  readonly protectUnreadMessages: Choice<'KNOWN_GROUPS' | 'ONLINE_GROUPS' | 'NONE'>
} = {
  advertisedPort: integer(0, {
    description:
      'The port that clients are told, for a relay or a mapped port in front; 0: `listenPort`.',
    min: 0,
    max: 65_535,
  }),
  allowUnauthenticatedAdmin: flag(false, {
    description:
      'Without access control everybody may change topics, groups, offsets and the configuration, as with a Java broker; false: only who asks from this machine or signs as a super user, and a topic may be made from a private address while `autoCreateTopicEnable` is true.',
  }),
  logLevel: choice('info', ['trace', 'debug', 'info', 'warn', 'error'], {
    description: 'Events below this level are not logged.',
  }),
  maxConnections: integer(20_000, {
    description: 'Connections of clients; more are closed at once.',
    unit: 'connections',
    min: 1,
    max: 1_000_000,
  }),
  protectUnreadMessages: choice('KNOWN_GROUPS', ['KNOWN_GROUPS', 'ONLINE_GROUPS', 'NONE'], {
    description:
      'Whose unread messages retention keeps, whatever their age and however full the disk is (sends are refused then): of every group that exists and has committed an offset, of those of them that are connected now, or of none (as RocketMQ).',
    live: true,
  }),
}
