/** A small cluster as its brokers tell of it, for tests. */
import type {
  PictureBroker,
  PictureGroup,
  PictureTopic,
} from '../remoting/bodies/broker-picture.ts'
import type { BrokerState } from './cluster-picture.ts'

export const TEST_NOW = 1_700_000_000_000

export function testBroker(given: Partial<PictureBroker> = {}): PictureBroker {
  return {
    cluster: 'c',
    brokerName: 'a',
    address: '10.0.0.1:10911',
    version: 1,
    now: TEST_NOW,
    bootTimestamp: TEST_NOW - 60_000,
    memberId: 0,
    role: 'leader',
    term: 1,
    commitOffset: 100,
    endOffset: 100,
    members: [{ id: 0, role: 'leader', address: '10.0.0.1:10912', lagBytes: 0, isAlive: true }],
    diskUsedBytes: 30,
    diskTotalBytes: 100,
    commitLogBytes: 10,
    oldestMessageTimestamp: null,
    readOnlyReason: null,
    dispatchBehindBytes: 0,
    brokerPermission: 6,
    putTotal: 0,
    putBytesTotal: 0,
    getTotal: 0,
    cpuMicros: 0,
    residentBytes: 0,
    topics: 0,
    groups: 0,
    ...given,
  }
}

export function testTopic(
  topic: string,
  queues: PictureTopic['queues'],
  given: Partial<PictureTopic> = {},
): PictureTopic {
  return {
    topic,
    readQueueNums: queues.length,
    writeQueueNums: queues.length,
    perm: 6,
    order: false,
    isSystem: false,
    attributes: new Map<string, string>(),
    inTps: 0,
    inBytesTps: 0,
    queues,
    ...given,
  }
}

export function testGroup(group: string, given: Partial<PictureGroup> = {}): PictureGroup {
  return { group, config: null, online: null, progress: [], ...given }
}

/** Connected members that subscribe to topics. */
export function testOnline(
  clientIds: readonly string[],
  topics: readonly string[],
): PictureGroup['online'] {
  return {
    consumeType: 'CONSUME_PASSIVELY',
    messageModel: 'CLUSTERING',
    consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
    subscriptions: topics.map((topic) => ({ topic, expression: '*' })),
    clientCount: clientIds.length,
    clients: clientIds.map((clientId) => ({
      clientId,
      clientAddr: '10.0.0.9:4711',
      language: 'JAVA',
      version: 1,
    })),
  }
}

export function testBrokerState(
  brokerName: string,
  parts: {
    readonly broker?: Partial<PictureBroker>
    readonly topics?: readonly PictureTopic[]
    readonly groups?: readonly PictureGroup[]
    readonly problem?: string | null
    readonly isRefused?: boolean
    readonly isTruncated?: boolean
  } = {},
): BrokerState {
  return {
    brokerName,
    cluster: 'c',
    address: '10.0.0.1:10911',
    problem: parts.problem ?? null,
    isRefused: parts.isRefused ?? false,
    pictureAt: TEST_NOW,
    picture: {
      broker: testBroker({ brokerName, ...parts.broker }),
      topics: parts.topics ?? [],
      groups: parts.groups ?? [],
      producers: [],
      isTruncated: parts.isTruncated ?? false,
    },
  }
}
