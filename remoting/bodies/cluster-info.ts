/** ClusterInfo (protocol §13.3), the answer body of GET_BROKER_CLUSTER_INFO (106), and the member group of 901. */
import { formatFastjson, parseFastjson } from './fastjson.ts'
import { asObject, optionalObject, textEntries, textList } from './json-members.ts'
import { brokerDataOf, brokerDataRecord } from './topic-route-data.ts'
import type { BrokerData } from './topic-route-data.ts'

export interface ClusterInfo {
  readonly brokers: ReadonlyMap<string, BrokerData>
  /** Broker names by cluster. */
  readonly clusters: ReadonlyMap<string, readonly string[]>
}

export function encodeClusterInfo(info: ClusterInfo): Buffer {
  return formatFastjson({
    brokerAddrTable: new Map(
      [...info.brokers].map(([name, brokerData]) => [name, brokerDataRecord(brokerData)]),
    ),
    clusterAddrTable: info.clusters,
  })
}

export function decodeClusterInfo(body: Buffer): ClusterInfo {
  const json = asObject(parseFastjson(body), 'ClusterInfo')
  const brokers = optionalObject(json, 'brokerAddrTable')
  const clusters = optionalObject(json, 'clusterAddrTable')
  return {
    brokers: new Map(
      (brokers === null ? [] : textEntries(brokers)).map(([name, value]) => [
        name,
        brokerDataOf(asObject(value, `brokerAddrTable.${name}`)),
      ]),
    ),
    clusters: new Map(
      (clusters === null ? [] : textEntries(clusters)).map(([name]) => [
        name,
        clusters === null ? [] : textList(clusters, name),
      ]),
    ),
  }
}

export interface BrokerMemberGroup {
  readonly cluster: string
  readonly brokerName: string
  readonly brokerAddrs: ReadonlyMap<number, string>
}

/** The answer body of GET_BROKER_MEMBER_GROUP (901). */
export function encodeBrokerMemberGroup(group: BrokerMemberGroup): Buffer {
  return formatFastjson({ brokerMemberGroup: { ...group } })
}

export function decodeBrokerMemberGroup(body: Buffer): BrokerMemberGroup {
  const answer = asObject(parseFastjson(body), 'member group')
  const { cluster, brokerName, brokerAddrs } = brokerDataOf(
    asObject(answer.get('brokerMemberGroup'), 'brokerMemberGroup'),
  )
  return { cluster, brokerName, brokerAddrs }
}
