/**
 * Batches: the messages of one stand side by side in its queue, in their order; of one that is acknowledged all are there, where the answer
 * said. One that nobody has acknowledged may end early, where the log of a leader that fell has ended.
 */
import { encodeBatchBody } from '../common/message-codec.ts'
import { decodeOffsetMessageId } from '../common/message-id.ts'
import { formatProperties } from '../common/properties.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { WorkloadOptions } from './workload.ts'

const QUEUES = 2
const MESSAGES_MAX = 12
/** Client ids separate those of a batch with it. */
const SEPARATOR = ','

interface Batch {
  readonly keys: readonly string[]
  /** Where the broker says that they are; null until it does. */
  places: readonly number[] | null
}

export class BatchFeature implements Feature {
  readonly topic = 'Batches'
  readonly counts: Record<string, number> = { acknowledged: 0, batches: 0 }
  readonly #options: WorkloadOptions
  readonly #batches: Batch[] = []
  /** The place of each key in its batch. */
  readonly #placeOf = new Map<string, { readonly batch: Batch; readonly index: number }>()

  constructor(options: WorkloadOptions) {
    this.#options = options
  }

  async operate(client: BrokerClient): Promise<void> {
    const { random, settings } = this.#options
    const queueId = random.integer(QUEUES)
    const keys = Array.from(
      { length: 1 + random.integer(MESSAGES_MAX) },
      (_, index) => `b${this.#batches.length}.${index}`,
    )
    const body = encodeBatchBody(
      keys.map((key) => ({
        flag: 0,
        body: Buffer.from(`${key} ${'x'.repeat(random.integer(settings.bodyBytes))}`),
        properties: Buffer.from(formatProperties([['UNIQ_KEY', key]])),
      })),
    )
    const batch: Batch = { keys, places: null }
    this.#batches.push(batch)
    for (const [index, key] of keys.entries()) this.#placeOf.set(key, { batch, index })
    const answer = await client.ask({
      code: RequestCode.SEND_BATCH_MESSAGE,
      extFields: {
        ...{ a: 'Producers', b: this.topic, c: 'TBW102', d: '2', e: String(queueId), f: '0' },
        ...{ g: String(client.now), h: '0', j: '0', m: 'true' },
      },
      body,
    })
    if (answer?.code !== ResponseCode.SUCCESS) return
    batch.places = (answer.extFields.get('msgId') ?? '')
      .split(SEPARATOR)
      .map((id) => decodeOffsetMessageId(id)?.physicalOffset ?? -1)
    this.counts['acknowledged'] = (this.counts['acknowledged'] ?? 0) + 1
    this.counts['batches'] = (this.counts['batches'] ?? 0) + 1
    this.#check(batch)
  }

  committed(key: string): string | null {
    const { checker } = this.#options
    const place = this.#placeOf.get(key)
    if (place === undefined) return 'nobody sent it'
    const { batch, index } = place
    if (index === 0) return null
    const before = checker.byKey(batch.keys[index - 1] ?? '')
    const own = checker.byKey(key)
    if (before === null) return 'the one before it in its batch is not there'
    const isNext = before.queue === own?.queue && before.queueOffset + 1 === own.queueOffset
    return isNext ? null : `the one before it in its batch is ${before.queueOffset}`
  }

  missing(): string | null {
    return null
  }

  checkEnd(): void {
    for (const batch of this.#batches) this.#check(batch)
  }

  #check({ keys, places }: Batch): void {
    if (places === null) return
    const { checker, engine } = this.#options
    const found = keys.map((key) => checker.byKey(key)?.physicalOffset ?? null)
    if (found.join() === places.join()) return
    const fact = `${keys.join()} at ${places.join()}, but they are at ${found.join()}`
    engine.violate('acknowledged batches are there, whole', fact)
  }
}
