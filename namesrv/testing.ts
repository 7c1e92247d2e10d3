/** Registrations for the tests of this folder. */
import { ZERO_DATA_VERSION } from '../remoting/bodies/data-version.ts'
import type { DataVersion } from '../remoting/bodies/data-version.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import type { TopicConfig, TopicConfigTable } from '../remoting/bodies/topic-config.ts'
import type { Registration, RouteTableOptions } from './route-table.ts'

export function topicTable(
  topics: readonly (string | TopicConfig)[],
  version: Partial<DataVersion> = {},
): TopicConfigTable {
  const configs = topics.map((topic) => (typeof topic === 'string' ? topicConfig(topic) : topic))
  return {
    dataVersion: { ...ZERO_DATA_VERSION, ...version },
    topics: new Map(configs.map((config) => [config.topicName, config])),
    mappings: new Map(),
  }
}

export function registration(given: Partial<Registration> = {}): Registration {
  return {
    clusterName: 'c1',
    brokerName: 'broker-a',
    brokerId: 0,
    brokerAddr: '10.0.0.1:10911',
    haServerAddr: '10.0.0.1:10912',
    zoneName: null,
    heartbeatTimeoutMs: null,
    enableActingMaster: false,
    term: 0,
    topicTable: topicTable(['TBW102', 'T1']),
    connectionId: 1,
    part: 'whole',
    ...given,
  }
}

export const DEFAULT_OPTIONS: RouteTableOptions = {
  supportActingMaster: false,
  deleteTopicWithBrokerRegistration: false,
  notifyMinBrokerIdChanged: false,
}
