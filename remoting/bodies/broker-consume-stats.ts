/** ConsumeStatsList, the answer body of GET_BROKER_CONSUME_STATS (317): all groups of a broker, topic by topic. */
import { consumeStatsOf, consumeStatsRecord } from './consume-stats.ts'
import { formatFastjson, parseFastjson } from './fastjson.ts'
import { asObject, integerMember, listMember, optionalText, textEntries } from './json-members.ts'
import { malformedBody } from './fastjson.ts'
import type { ConsumeStats } from './consume-stats.ts'

/** One topic of one group. */
export type TopicConsumeStats = ConsumeStats

export interface GroupConsumeStats {
  readonly group: string
  readonly topics: readonly TopicConsumeStats[]
}

export interface BrokerConsumeStats {
  readonly brokerAddr: string
  readonly totalDiff: number
  readonly groups: readonly GroupConsumeStats[]
}

export function encodeBrokerConsumeStats(
  groups: readonly GroupConsumeStats[],
  brokerAddr: string,
): Buffer {
  let totalDiff = 0
  let totalInflightDiff = 0
  for (const { topics } of groups) {
    for (const { queues } of topics) {
      for (const { brokerOffset, consumerOffset, pullOffset } of queues) {
        totalDiff += brokerOffset - consumerOffset
        totalInflightDiff += pullOffset - consumerOffset
      }
    }
  }
  return formatFastjson({
    brokerAddr,
    consumeStatsList: groups.map(
      ({ group, topics }) => new Map([[group, topics.map(consumeStatsRecord)]]),
    ),
    totalDiff,
    totalInflightDiff,
  })
}

export function decodeBrokerConsumeStats(body: Buffer): BrokerConsumeStats {
  const json = asObject(parseFastjson(body), 'ConsumeStatsList')
  const groups: GroupConsumeStats[] = []
  for (const item of listMember(json, 'consumeStatsList')) {
    for (const [group, stats] of textEntries(asObject(item, 'consumeStatsList'))) {
      if (!Array.isArray(stats)) throw malformedBody(`consumeStatsList.${group} is no list`)
      groups.push({ group, topics: stats.map(consumeStatsOf) })
    }
  }
  return {
    brokerAddr: optionalText(json, 'brokerAddr') ?? '',
    totalDiff: integerMember(json, 'totalDiff', 0),
    groups,
  }
}
