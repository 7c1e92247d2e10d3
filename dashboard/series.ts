/** The values of one picture that are kept over time. Pure. */
import { diskRatioOf } from '../client/cluster-picture.ts'
import type { ClusterPicture } from '../client/cluster-picture.ts'
import type { BrokerRates } from './api-types.ts'

/** What is not known now is left out. */
export function* seriesOf(
  picture: ClusterPicture,
  rates: ReadonlyMap<string, BrokerRates>,
): Generator<readonly [string, number], void> {
  let inTps = 0
  let outTps = 0
  for (const each of rates.values()) {
    inTps += each.inTps
    outTps += each.outTps
  }
  if (rates.size > 0) {
    yield ['in', inTps]
    yield ['out', outTps]
  }
  for (const { brokerName, picture: own, problem } of picture.brokers) {
    if (own === null || problem !== null) continue
    const prefix = `broker:${brokerName}`
    const of = rates.get(brokerName)
    if (of !== undefined) {
      yield [`${prefix}:in`, of.inTps]
      yield [`${prefix}:out`, of.outTps]
      yield [`${prefix}:cpu`, of.cpu]
    }
    const disk = diskRatioOf(own.broker)
    if (disk !== null) yield [`${prefix}:disk`, disk]
    const lags = own.broker.members.flatMap(({ lagBytes }) => (lagBytes === null ? [] : [lagBytes]))
    if (lags.length > 1) yield [`${prefix}:lag`, Math.max(...lags)]
  }
  let total = 0
  for (const { name, lag, isSystem, isStale, consumeTps } of picture.groups.values()) {
    if (isSystem || isStale) continue
    total += lag
    yield [`group:${name}:lag`, lag]
    if (consumeTps > 0) yield [`group:${name}:out`, consumeTps]
  }
  yield ['lag', total]
  for (const { name, kind, inTps: rate } of picture.topics.values()) {
    if (kind === 'system' || kind === 'retry' || kind === 'deadLetter') continue
    yield [`topic:${name}:in`, rate]
  }
}
