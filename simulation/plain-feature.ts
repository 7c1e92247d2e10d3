/** Messages without more, sent, and read behind the offset that their group has committed. */
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { pull } from './puller.ts'
import { placeOf, send } from './sender.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { WorkloadOptions } from './workload.ts'

const GROUP = 'Readers'
const QUEUES = 2

export class PlainFeature implements Feature {
  readonly topic = 'Orders'
  readonly counts: Record<string, number> = { acknowledged: 0, read: 0, offsets: 0 }
  readonly #options: WorkloadOptions
  readonly #sent = new Set<string>()
  readonly #acknowledged = new Map<string, number>()
  /** The furthest offset that the group was to commit, by queue. */
  readonly #told: number[] = []
  #sequence = 0

  constructor(options: WorkloadOptions) {
    this.#options = options
  }

  async operate(client: BrokerClient): Promise<void> {
    const { random, settings } = this.#options
    const queueId = random.integer(QUEUES)
    const bodyBytes = random.integer(settings.bodyBytes)
    if (random.integer(3) === 0) await this.#read(client, queueId)
    else await this.#send(client, queueId, bodyBytes)
  }

  committed(key: string): string | null {
    return this.#sent.has(key) ? null : 'nobody sent it'
  }

  missing(): string | null {
    return null
  }

  checkEnd(): void {
    const { checker, engine } = this.#options
    for (const [key, physicalOffset] of this.#acknowledged) {
      if (checker.byKey(key)?.physicalOffset === physicalOffset) continue
      engine.violate('nothing acknowledged is lost', `${key} at ${physicalOffset}`)
    }
  }

  async #send(client: BrokerClient, queueId: number, bodyBytes: number): Promise<void> {
    const { checker, engine } = this.#options
    const key = `o${this.#sequence++}`
    this.#sent.add(key)
    const answer = await send(client, {
      topic: this.topic,
      queueId,
      key,
      properties: [],
      bodyBytes,
    })
    if (answer === null) return
    this.counts['acknowledged'] = (this.counts['acknowledged'] ?? 0) + 1
    const { physicalOffset, queueOffset } = placeOf(answer)
    this.#acknowledged.set(key, physicalOffset)
    const record = checker.byKey(key)
    if (record?.physicalOffset === physicalOffset && record.queueOffset === queueOffset) return
    const told = `${key} as offset ${queueOffset} at ${physicalOffset}`
    const truth = record === null ? 'nothing' : `${record.queueOffset} at ${record.physicalOffset}`
    engine.violate('acknowledgements tell the truth', `${told}, but it is ${truth}`)
  }

  /** A consumer that begins anew goes on where its group was, and never behind what the group has read. */
  async #read(client: BrokerClient, queueId: number): Promise<void> {
    const { engine } = this.#options
    const queue = { consumerGroup: GROUP, topic: this.topic, queueId: String(queueId) }
    const progress = await client.ask({
      code: RequestCode.QUERY_CONSUMER_OFFSET,
      extFields: { ...queue, setZeroIfNotFound: 'true' },
    })
    if (progress === null) return
    const found = progress.code === ResponseCode.SUCCESS
    const from = found ? Number(progress.extFields.get('offset')) : 0
    if (from > (this.#told[queueId] ?? 0)) {
      const fact = `${from} of queue ${queueId}, where ${this.#told[queueId] ?? 0} was the most`
      engine.violate('groups have the progress that their consumers told', fact)
    }
    const pulled = await pull(client, this.#options, { ...queue, queueId }, from)
    if (pulled === null) return
    const { messages, next } = pulled
    this.counts['read'] = (this.counts['read'] ?? 0) + messages.length
    this.#told[queueId] = Math.max(this.#told[queueId] ?? 0, next)
    this.counts['offsets'] = (this.counts['offsets'] ?? 0) + 1
    await client.tell({
      code: RequestCode.UPDATE_CONSUMER_OFFSET,
      extFields: { ...queue, commitOffset: String(next) },
    })
  }
}
