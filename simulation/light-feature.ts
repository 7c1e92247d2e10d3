/**
 * Light queues: each holds exactly the messages that name it, in the order of the log and without gaps, whoever led when they were sent;
 * and a reader gets all of them.
 */
import { recordsIn } from './answered-records.ts'
import { LIGHT_PREFIX, LIGHT_QUEUE_ID, LIGHT_SEPARATOR } from '../common/light-queues.ts'
import { pullFields } from '../remoting/pull-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { keyOf } from './checker.ts'
import { send } from './sender.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { WorkloadOptions } from './workload.ts'

const TOPIC = 'Feeds'
const QUEUES = 2
const GROUP = `${LIGHT_PREFIX}readers`
const NAMES: readonly string[] = ['all', 'some', 'few'].map((name) => LIGHT_PREFIX + name)
const PAUSE_MS = 50

interface LightQueue {
  readonly name: string
  /** Keys of the committed messages that name it. */
  readonly keys: string[]
  /** How far the reader is. */
  read: number
}

export class LightFeature implements Feature {
  readonly topic: string = TOPIC
  readonly counts: Record<string, number> = { acknowledged: 0, light: 0 }
  readonly #options: WorkloadOptions
  /** The light queues that each message names. */
  readonly #sent = new Map<string, readonly string[]>()
  readonly #queues: readonly LightQueue[] = NAMES.map((name) => ({ name, keys: [], read: 0 }))
  #hasReader = false
  #sequence = 0

  constructor(options: WorkloadOptions) {
    this.#options = options
  }

  join(client: BrokerClient): void {
    if (this.#hasReader) return
    this.#hasReader = true
    void this.#read(client)
  }

  async operate(client: BrokerClient): Promise<void> {
    const { random, settings } = this.#options
    const key = `f${this.#sequence++}`
    // The first is named by all messages, the last by few.
    const names = NAMES.filter((_, index) => random.integer(1 + 2 * index) === 0)
    const bodyBytes = random.integer(settings.bodyBytes)
    this.#sent.set(key, names)
    const answer = await send(client, {
      topic: TOPIC,
      queueId: random.integer(QUEUES),
      key,
      properties: [['INNER_MULTI_DISPATCH', names.join(LIGHT_SEPARATOR)]],
      bodyBytes,
    })
    if (answer !== null) this.#count('acknowledged')
  }

  committed(key: string): string | null {
    const names = this.#sent.get(key)
    if (names === undefined) return 'nobody sent it'
    for (const { name, keys } of this.#queues) if (names.includes(name)) keys.push(key)
    return null
  }

  missing(): string | null {
    const behind = this.#queues.find(({ keys, read }) => read < keys.length)
    if (behind === undefined) return null
    return `${behind.name} is read to ${behind.read} of ${behind.keys.length}`
  }

  checkEnd(): void {
    // What is missing has been waited for.
  }

  async #read(client: BrokerClient): Promise<void> {
    const { engine, random, settings } = this.#options
    while (engine.violation === null) {
      await client.sleep(PAUSE_MS + random.next() * settings.thinkMs)
      const queue = this.#queues[random.integer(this.#queues.length)]
      // Now and then from the beginning, as another reader.
      if (queue !== undefined) await this.#pull(client, queue, random.integer(8) === 0)
    }
  }

  async #pull(client: BrokerClient, queue: LightQueue, isAgain: boolean): Promise<void> {
    const { engine } = this.#options
    const { name, keys } = queue
    const from = isAgain ? 0 : queue.read
    const place = { topic: name, queueId: LIGHT_QUEUE_ID, queueOffset: from }
    const answer = await client.ask({
      code: RequestCode.PULL_MESSAGE,
      extFields: pullFields({ consumerGroup: GROUP, ...place }),
    })
    if (answer?.code !== ResponseCode.SUCCESS) return
    const messages = recordsIn(answer.body, this.#options)
    if (messages === null) return
    const given = messages.map(({ body }) => keyOf(body.toString('latin1')))
    const next = Number(answer.extFields.get('nextBeginOffset'))
    const wanted = keys.slice(from, next)
    this.#count('light', given.length)
    if (next !== from + given.length || given.join() !== wanted.join()) {
      const fact = `${name} has ${given.join()} from ${from} to ${next}, ${wanted.join()} are right`
      engine.violate('light queues hold what names them, in order', fact)
    }
    queue.read = Math.max(queue.read, next)
  }

  #count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by
  }
}
