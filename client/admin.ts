/** Administration of one broker or name server at a time: each call names the address that it asks (`host:port`). */
import { formatJavaProperties, parseJavaProperties } from '../common/java-properties.ts'
import { decodeClusterInfo } from '../remoting/bodies/cluster-info.ts'
import type { ClusterInfo } from '../remoting/bodies/cluster-info.ts'
import { decodeConsumeStats } from '../remoting/bodies/consume-stats.ts'
import type { ConsumeStats } from '../remoting/bodies/consume-stats.ts'
import { decodeKvTable, decodeTopicList } from '../remoting/bodies/simple-bodies.ts'
import {
  decodeSubscriptionGroupTable,
  encodeSubscriptionGroupConfig,
  encodeSubscriptionGroupList,
} from '../remoting/bodies/subscription-group-config.ts'
import type {
  SubscriptionGroupConfig,
  SubscriptionGroupTable,
} from '../remoting/bodies/subscription-group-config.ts'
import { decodeTopicConfigTable, encodeTopicConfigList } from '../remoting/bodies/topic-config.ts'
import type { TopicConfig, TopicConfigTable } from '../remoting/bodies/topic-config.ts'
import { decodeTopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import type { TopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import { decodeTopicStatsTable } from '../remoting/bodies/topic-stats-table.ts'
import type { TopicQueueStats } from '../remoting/bodies/topic-stats-table.ts'
import type { RemotingClient } from '../remoting/client.ts'
import type { RemotingCommand, RequestContent } from '../remoting/command.ts'
import { requireInt, requireLong } from '../remoting/header-fields.ts'
import { RequestCode, requestCodeName } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { rejection } from './errors.ts'

export const DEFAULT_ADMIN_TIMEOUT_MS = 5_000

/** One queue of a topic on the broker that is asked. */
export interface QueueOfBroker {
  readonly topic: string
  readonly queueId: number
}

/** Who a name server shall forget. */
export interface BrokerIdentity {
  readonly clusterName: string
  readonly brokerName: string
  readonly brokerAddr: string
  readonly brokerId: number
}

/**
 * Typed calls. All reject with `RemotingError` when the peer cannot be asked, or with `ClientError` (`rejected`, carrying the
 * response code and remark) when it answers with an error.
 */
export class AdminClient {
  readonly #client: Pick<RemotingClient, 'invoke'>
  readonly #timeoutMs: number

  /** The client stays its owner's. */
  constructor(
    client: Pick<RemotingClient, 'invoke'>,
    timeoutMs: number = DEFAULT_ADMIN_TIMEOUT_MS,
  ) {
    this.#client = client
    this.#timeoutMs = timeoutMs
  }

  // --- name servers ---

  /** Null when the name server knows no such topic. */
  async route(nameServer: string, topic: string): Promise<TopicRouteData | null> {
    const answer = await this.ask(
      nameServer,
      {
        code: RequestCode.GET_ROUTEINFO_BY_TOPIC,
        extFields: { topic, acceptStandardJsonOnly: 'true' },
      },
      [ResponseCode.TOPIC_NOT_EXIST],
    )
    return answer.code === ResponseCode.SUCCESS ? decodeTopicRouteData(answer.body) : null
  }

  async clusterInfo(nameServer: string): Promise<ClusterInfo> {
    return decodeClusterInfo(
      (await this.ask(nameServer, { code: RequestCode.GET_BROKER_CLUSTER_INFO })).body,
    )
  }

  async topicList(nameServer: string): Promise<readonly string[]> {
    const request = { code: RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER }
    return decodeTopicList((await this.ask(nameServer, request)).body).topics
  }

  /** Takes the write bit from all topics of a broker group; resolves with their number. */
  async wipeWritePermission(nameServer: string, brokerName: string): Promise<number> {
    const code = RequestCode.WIPE_WRITE_PERM_OF_BROKER
    const { extFields } = await this.ask(nameServer, { code, extFields: { brokerName } })
    return requireInt(extFields, 'wipeTopicCount')
  }

  /** Makes all topics of a broker group readable and writable; resolves with their number. */
  async addWritePermission(nameServer: string, brokerName: string): Promise<number> {
    const code = RequestCode.ADD_WRITE_PERM_OF_BROKER
    const { extFields } = await this.ask(nameServer, { code, extFields: { brokerName } })
    return requireInt(extFields, 'addTopicCount')
  }

  async unregisterBroker(nameServer: string, broker: BrokerIdentity): Promise<void> {
    const { clusterName, brokerName, brokerAddr, brokerId } = broker
    await this.ask(nameServer, {
      code: RequestCode.UNREGISTER_BROKER,
      extFields: { clusterName, brokerName, brokerAddr, brokerId: String(brokerId) },
    })
  }

  /** Forgets the route of a topic; its brokers keep it until `deleteTopic`. */
  async deleteTopicRoute(nameServer: string, topic: string): Promise<void> {
    await this.ask(nameServer, {
      code: RequestCode.DELETE_TOPIC_IN_NAMESRV,
      extFields: { topic },
    })
  }

  async putKv(
    nameServer: string,
    entry: { readonly namespace: string; readonly key: string; readonly value: string },
  ): Promise<void> {
    await this.ask(nameServer, { code: RequestCode.PUT_KV_CONFIG, extFields: { ...entry } })
  }

  /** Null when there is no such key. */
  async getKv(nameServer: string, namespace: string, key: string): Promise<string | null> {
    const request = { code: RequestCode.GET_KV_CONFIG, extFields: { namespace, key } }
    const answer = await this.ask(nameServer, request, [ResponseCode.QUERY_NOT_FOUND])
    return answer.extFields.get('value') ?? null
  }

  async deleteKv(nameServer: string, namespace: string, key: string): Promise<void> {
    await this.ask(nameServer, {
      code: RequestCode.DELETE_KV_CONFIG,
      extFields: { namespace, key },
    })
  }

  async updateNamesrvConfig(
    nameServer: string,
    entries: Readonly<Record<string, string>>,
  ): Promise<void> {
    await this.ask(nameServer, {
      code: RequestCode.UPDATE_NAMESRV_CONFIG,
      body: Buffer.from(formatJavaProperties(Object.entries(entries))),
    })
  }

  async getNamesrvConfig(nameServer: string): Promise<ReadonlyMap<string, string>> {
    return configOf(await this.ask(nameServer, { code: RequestCode.GET_NAMESRV_CONFIG }))
  }

  // --- topics and consumer groups of a broker ---

  /** Creates a topic or changes it. */
  async createTopic(broker: string, config: TopicConfig): Promise<void> {
    const attributes = [...config.attributes].map(([name, value]) => `+${name}=${value}`).join(',')
    await this.ask(broker, {
      code: RequestCode.UPDATE_AND_CREATE_TOPIC,
      extFields: {
        topic: config.topicName,
        defaultTopic: 'TBW102',
        readQueueNums: String(config.readQueueNums),
        writeQueueNums: String(config.writeQueueNums),
        perm: String(config.perm),
        topicFilterType: config.topicFilterType,
        topicSysFlag: String(config.topicSysFlag),
        order: String(config.order),
        ...(attributes === '' ? {} : { attributes }),
      },
    })
  }

  async createTopics(broker: string, configs: readonly TopicConfig[]): Promise<void> {
    await this.ask(broker, {
      code: RequestCode.UPDATE_AND_CREATE_TOPIC_LIST,
      body: encodeTopicConfigList(configs),
    })
  }

  async deleteTopic(broker: string, topic: string): Promise<void> {
    await this.ask(broker, { code: RequestCode.DELETE_TOPIC_IN_BROKER, extFields: { topic } })
  }

  async getAllTopicConfig(broker: string): Promise<TopicConfigTable> {
    return decodeTopicConfigTable(
      (await this.ask(broker, { code: RequestCode.GET_ALL_TOPIC_CONFIG })).body,
    )
  }

  /** Creates a consumer group or changes it. */
  async createGroup(broker: string, config: SubscriptionGroupConfig): Promise<void> {
    await this.ask(broker, {
      code: RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
      body: encodeSubscriptionGroupConfig(config),
    })
  }

  async createGroups(broker: string, configs: readonly SubscriptionGroupConfig[]): Promise<void> {
    await this.ask(broker, {
      code: RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
      body: encodeSubscriptionGroupList(configs),
    })
  }

  async deleteGroup(
    broker: string,
    groupName: string,
    options: { readonly cleanOffset: boolean },
  ): Promise<void> {
    await this.ask(broker, {
      code: RequestCode.DELETE_SUBSCRIPTIONGROUP,
      extFields: { groupName, cleanOffset: String(options.cleanOffset) },
    })
  }

  async getAllSubscriptionGroup(broker: string): Promise<SubscriptionGroupTable> {
    return decodeSubscriptionGroupTable(
      (await this.ask(broker, { code: RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG })).body,
    )
  }

  // --- the broker itself ---

  /** Sets live keys. */
  async updateBrokerConfig(
    broker: string,
    entries: Readonly<Record<string, string>>,
  ): Promise<void> {
    await this.ask(broker, {
      code: RequestCode.UPDATE_BROKER_CONFIG,
      body: Buffer.from(formatJavaProperties(Object.entries(entries))),
    })
  }

  async getBrokerConfig(broker: string): Promise<ReadonlyMap<string, string>> {
    return configOf(await this.ask(broker, { code: RequestCode.GET_BROKER_CONFIG }))
  }

  async brokerRuntimeInfo(broker: string): Promise<ReadonlyMap<string, string>> {
    return decodeKvTable(
      (await this.ask(broker, { code: RequestCode.GET_BROKER_RUNTIME_INFO })).body,
    )
  }

  // --- progress ---

  /** How far a group has come on this broker; in one topic when given, else in all of its own. */
  async consumeStats(
    broker: string,
    consumerGroup: string,
    topic: string | null = null,
  ): Promise<ConsumeStats> {
    const answer = await this.ask(broker, {
      code: RequestCode.GET_CONSUME_STATS,
      extFields: { consumerGroup, ...(topic === null ? {} : { topic }) },
    })
    return decodeConsumeStats(answer.body)
  }

  async topicStats(broker: string, topic: string): Promise<readonly TopicQueueStats[]> {
    const code = RequestCode.GET_TOPIC_STATS_INFO
    return decodeTopicStatsTable((await this.ask(broker, { code, extFields: { topic } })).body)
  }

  /** The next queue offset to be written. */
  async maxOffset(broker: string, queue: QueueOfBroker): Promise<number> {
    return this.#offset(broker, { code: RequestCode.GET_MAX_OFFSET, extFields: fieldsOf(queue) })
  }

  async minOffset(broker: string, queue: QueueOfBroker): Promise<number> {
    return this.#offset(broker, { code: RequestCode.GET_MIN_OFFSET, extFields: fieldsOf(queue) })
  }

  /** The first queue offset whose message was stored at `timestamp` (milliseconds since 1970) or later. */
  async searchOffset(broker: string, queue: QueueOfBroker, timestamp: number): Promise<number> {
    return this.#offset(broker, {
      code: RequestCode.SEARCH_OFFSET_BY_TIMESTAMP,
      extFields: { ...fieldsOf(queue), timestamp: String(timestamp) },
    })
  }

  /** The committed queue offset of a group; null when there is none. */
  async consumerOffset(
    broker: string,
    queue: QueueOfBroker,
    consumerGroup: string,
  ): Promise<number | null> {
    const answer = await this.ask(
      broker,
      {
        code: RequestCode.QUERY_CONSUMER_OFFSET,
        // Without the second field the broker would answer 0 for a group which never came here.
        extFields: { ...fieldsOf(queue), consumerGroup, setZeroIfNotFound: 'false' },
      },
      [ResponseCode.QUERY_NOT_FOUND],
    )
    return answer.code === ResponseCode.SUCCESS ? requireLong(answer.extFields, 'offset') : null
  }

  /** Commits the next queue offset to be consumed. */
  async updateConsumerOffset(
    broker: string,
    queue: QueueOfBroker,
    commit: { readonly consumerGroup: string; readonly queueOffset: number },
  ): Promise<void> {
    const { consumerGroup, queueOffset } = commit
    await this.ask(broker, {
      code: RequestCode.UPDATE_CONSUMER_OFFSET,
      extFields: { ...fieldsOf(queue), consumerGroup, commitOffset: String(queueOffset) },
    })
  }

  async #offset(broker: string, request: RequestContent): Promise<number> {
    return requireLong((await this.ask(broker, request)).extFields, 'offset')
  }

  /** Any request; resolves with an answer of SUCCESS or of an `expected` code. */
  async ask(
    address: string,
    request: RequestContent,
    expected: readonly number[] = [],
  ): Promise<RemotingCommand> {
    const answer = await this.#client.invoke(address, request, this.#timeoutMs)
    if (answer.code === ResponseCode.SUCCESS || expected.includes(answer.code)) return answer
    const name = requestCodeName(request.code) ?? String(request.code)
    throw rejection(`${name} at ${address}`, answer)
  }
}

function fieldsOf({ topic, queueId }: QueueOfBroker): Readonly<Record<string, string>> {
  return { topic, queueId: String(queueId) }
}

function configOf({ body }: RemotingCommand): ReadonlyMap<string, string> {
  const entries = parseJavaProperties(body.toString('utf8'))
  return new Map(entries.map(({ key, value }) => [key, value]))
}
