/** Clients of a simulated group of whole brokers: all kinds of messages at once, each with rules of its own. */
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { BatchFeature } from './batch-feature.ts'
import { BrokerClient } from './broker-client.ts'
import { DelayFeature } from './delay-feature.ts'
import { FilterFeature } from './filter-feature.ts'
import { LightFeature } from './light-feature.ts'
import { LockFeature } from './lock-feature.ts'
import { OffsetFeature } from './offset-feature.ts'
import { OrderlyFeature } from './orderly-feature.ts'
import { PlainFeature } from './plain-feature.ts'
import { PopFeature } from './pop-feature.ts'
import { RecallFeature } from './recall-feature.ts'
import { RequestFeature } from './request-feature.ts'
import { RetryFeature } from './retry-feature.ts'
import { send } from './sender.ts'
import { TransactionFeature } from './transaction-feature.ts'
import type { Feature } from './feature.ts'
import type { Load } from './load.ts'
import type { Member } from './member.ts'
import type { WorkloadName } from './settings.ts'
import type { WorkloadOptions } from './workload.ts'

const RETRY_MS = 200
const PROBES = 'Probes'

const FEATURES: Readonly<
  Record<Exclude<WorkloadName, 'store'>, (options: WorkloadOptions) => readonly Feature[]>
> = {
  broker: (options) => [
    new PlainFeature(options),
    new DelayFeature(options),
    new TransactionFeature(options),
  ],
  pops: (options) => [...FEATURES.broker(options), new PopFeature(options)],
  retries: (options) => [new RetryFeature(options), new PlainFeature(options)],
  recalls: (options) => [new RecallFeature(options), new PlainFeature(options)],
  orderly: (options) => [new OrderlyFeature(options), new PlainFeature(options)],
  offsets: (options) => [new OffsetFeature(options), new PlainFeature(options)],
  locks: (options) => [new LockFeature(options), new PlainFeature(options)],
  filters: (options) => [new FilterFeature(options), new PlainFeature(options)],
  light: (options) => [new LightFeature(options), new PlainFeature(options)],
  requests: (options) => [new RequestFeature(options), new PlainFeature(options)],
  batches: (options) => [new BatchFeature(options), new PlainFeature(options)],
}

export class BrokerLoad implements Load {
  readonly #options: WorkloadOptions
  readonly #features: readonly Feature[]
  readonly #byTopic: ReadonlyMap<string, Feature>
  readonly #probes = new Set<string>()
  #operations = 0
  #working = 0

  constructor(options: WorkloadOptions, workload: keyof typeof FEATURES) {
    this.#options = options
    this.#features = FEATURES[workload](options)
    this.#byTopic = new Map(this.#features.map((feature) => [feature.topic, feature]))
    const { checker } = options
    checker.onOther = (key, topic, reconsumeTimes) => {
      for (const feature of this.#features) feature.other?.(key, topic, reconsumeTimes)
    }
    checker.isOfClients = (topic) => topic === PROBES || this.#byTopic.has(topic)
    checker.onMessage = (key, topic) => {
      if (topic === PROBES) return this.#probes.has(key) ? null : 'nobody sent it'
      return this.#byTopic.get(topic)?.committed(key) ?? null
    }
  }

  get counts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = { operations: this.#operations, acknowledged: 0 }
    for (const feature of this.#features) {
      for (const [name, count] of Object.entries(feature.counts)) {
        counts[name] = (counts[name] ?? 0) + count
      }
    }
    return counts
  }

  get isDone(): boolean {
    return this.#working === 0
  }

  start(): void {
    const { settings } = this.#options
    for (let id = 0; id < settings.clients; id++) {
      this.#working++
      const client = new BrokerClient(this.#options, `c${id}`)
      for (const feature of this.#features) feature.join?.(client)
      void this.#work(client, id === 0)
    }
  }

  probe(member: Member, key: string, done: (isAcknowledged: boolean) => void): void {
    const client = new BrokerClient(this.#options, 'probe')
    client.follow(member)
    this.#probes.add(key)
    const message = { topic: PROBES, queueId: 0, key, properties: [], bodyBytes: 0 }
    void send(client, message).then(async (answer) => {
      await client.remoting.close()
      done(answer !== null)
    })
  }

  missing(): string | null {
    for (const feature of this.#features) {
      const missing = feature.missing()
      if (missing !== null) return missing
    }
    return null
  }

  checkEnd(): void {
    for (const feature of this.#features) feature.checkEnd()
  }

  checkTable(): void {
    // The broker's own tables are looked at through what they do.
  }

  async #work(client: BrokerClient, isFirst: boolean): Promise<void> {
    const { settings, random, operations } = this.#options
    if (isFirst) await this.#makeTopics(client)
    while (this.#operations < operations) {
      await client.sleep(-Math.log(1 - random.next()) * settings.thinkMs)
      this.#operations++
      const feature = this.#features[random.integer(this.#features.length)]
      await feature?.operate(client)
    }
    this.#working--
  }

  /** Others that come before it make topics by their first message. */
  async #makeTopics(client: BrokerClient): Promise<void> {
    for (const topic of [PROBES, ...this.#byTopic.keys()]) {
      for (let isMade = false; !isMade;) {
        const { perm } = topicConfig(topic, { readQueueNums: 2, writeQueueNums: 2 })
        const answer = await client.ask({
          code: RequestCode.UPDATE_AND_CREATE_TOPIC,
          extFields: {
            topic,
            defaultTopic: 'TBW102',
            readQueueNums: '2',
            writeQueueNums: '2',
            perm: String(perm),
            topicFilterType: 'SINGLE_TAG',
            topicSysFlag: '0',
            order: 'false',
          },
        })
        isMade = answer?.code === ResponseCode.SUCCESS
        if (!isMade) await client.sleep(RETRY_MS)
      }
    }
  }
}
