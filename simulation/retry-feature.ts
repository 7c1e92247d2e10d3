/**
 * Messages that consumers give back: each comes again with one more attempt, until it is consumed or a dead letter. Nothing is lost on the
 * way, and nothing comes that was not given back.
 */
import { decodeRecord } from '../common/message-codec.ts'
import { decodeOffsetMessageId } from '../common/message-id.ts'
import { PropertyName, propertyOf } from '../common/properties.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { keyOf } from './checker.ts'
import { pull } from './puller.ts'
import { sendPlain } from './sender.ts'
import { earliestAt } from './tolerance.ts'
import type { StoredMessage } from '../common/message.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { ConsumedQueue } from './puller.ts'
import type { WorkloadOptions } from './workload.ts'

const GROUP = 'Menders'
const TOPIC = 'Jobs'
const RETRY_TOPIC = `%RETRY%${GROUP}`
const DEAD_TOPIC = `%DLQ%${GROUP}`
const QUEUES: readonly ConsumedQueue[] = [
  { consumerGroup: GROUP, topic: TOPIC, queueId: 0 },
  { consumerGroup: GROUP, topic: TOPIC, queueId: 1 },
  { consumerGroup: GROUP, topic: RETRY_TOPIC, queueId: 0 },
]
const CONSUMERS = 2
const ATTEMPTS_MAX = 3
/** Of `messageDelayLevel`. */
const LEVELS_MS = [1000, 5000] as const
const PAUSE_MS = 50
const AGAIN_MS = 200

/** All that was done to give one attempt of a message back, to be tried again or as a dead letter. */
interface GivenBack {
  /** How often consumers decided so: more than once when the attempt came in several copies. */
  decisions: number
  /** How often brokers were asked: again and again, until one of them has answered. */
  asked: number
  /** When its copy may come first. */
  dueMs: number
  copies: number
}

interface Job {
  readonly key: string
  /** Records in its topic or the retry topic that no consumer has decided about. */
  open: number
  consumed: number
  dead: number
  /** By `again` or `dead`, and the attempt that was given back. */
  readonly givenBack: Map<string, GivenBack>
  /** Answered with success, and the copy is not there. */
  awaited: number
}

export class RetryFeature implements Feature {
  readonly topic: string = TOPIC
  readonly counts: Record<string, number> = { acknowledged: 0, consumed: 0, again: 0, dead: 0 }
  readonly #options: WorkloadOptions
  readonly #jobs = new Map<string, Job>()
  /** Those with something open or awaited. */
  readonly #unfinished = new Set<Job>()
  #sequence = 0
  #consumers = 0

  constructor(options: WorkloadOptions) {
    this.#options = options
  }

  join(client: BrokerClient): void {
    const consumer = this.#consumers++
    for (const [index, queue] of QUEUES.entries()) {
      if (index % CONSUMERS === consumer) void this.#consume(client, queue)
    }
  }

  async operate(client: BrokerClient): Promise<void> {
    const key = `j${this.#sequence++}`
    const job = { key, open: 0, consumed: 0, dead: 0, givenBack: new Map(), awaited: 0 }
    this.#jobs.set(key, job)
    const answer = await sendPlain(client, this.#options, { topic: TOPIC, key })
    if (answer !== null) this.#count('acknowledged')
  }

  committed(key: string): string | null {
    const job = this.#jobs.get(key)
    if (job === undefined) return 'nobody sent it'
    job.open++
    this.#note(job)
    return null
  }

  other(key: string, topic: string, reconsumeTimes: number): void {
    if (topic !== RETRY_TOPIC && topic !== DEAD_TOPIC) return
    const { engine } = this.#options
    const isDead = topic === DEAD_TOPIC
    const job = this.#jobs.get(key)
    const what = `${key} comes to ${topic} with attempt ${reconsumeTimes}`
    const given = job?.givenBack.get(nameOf(isDead, reconsumeTimes - 1))
    if (job === undefined || given === undefined || given.copies >= given.asked) {
      const fact = `${what}, asked for ${given?.asked ?? 0} times`
      engine.violate('what comes again was given back', fact)
      return
    }
    if (!isDead && engine.now < given.dueMs) {
      const fact = `${what} at ${engine.now}, and is due at ${given.dueMs}`
      engine.violate('what was given back comes when it is due', fact)
    }
    given.copies++
    this.#count(isDead ? 'dead' : 'again')
    if (given.copies <= given.decisions) job.awaited--
    if (isDead) job.dead++
    else job.open++
    this.#note(job)
  }

  missing(): string | null {
    for (const { key, open, awaited } of this.#unfinished) {
      return `${this.#unfinished.size} jobs; ${key}: ${open} to be consumed, ${awaited} given back`
    }
    return null
  }

  checkEnd(): void {
    for (const job of this.#jobs.values()) this.#checkEnd(job)
    this.#checkDeadLetters()
  }

  /** Every copy is there, and a message whose consumers had an answer each time has one end. */
  #checkEnd({ key, givenBack, consumed, dead, open }: Job): void {
    const { engine, checker } = this.#options
    let wasAnswered = open === 0
    for (const [name, { decisions, asked, copies }] of givenBack) {
      if (copies < decisions) {
        const fact = `${key} (${name}): ${copies} copies, ${decisions} given back`
        engine.violate('nothing that was given back is lost', fact)
      }
      wasAnswered &&= asked === decisions
    }
    if (!wasAnswered || checker.byKey(key) === null || consumed + dead === 1) return
    const fact = `${key} was consumed ${consumed} times, and ${dead} times given up`
    engine.violate('each message is consumed or given up', fact)
  }

  #checkDeadLetters(): void {
    const { engine, checker } = this.#options
    for (const { queue, bytes } of checker.records) {
      if (queue !== `${DEAD_TOPIC}/0`) continue
      const { body, properties } = decodeRecord(bytes)
      const key = keyOf(body.toString('latin1'))
      const topic = propertyOf(properties, PropertyName.DLQ_ORIGIN_TOPIC)
      const id = propertyOf(properties, PropertyName.DLQ_ORIGIN_MESSAGE_ID)
      if (topic === TOPIC && id === key) continue
      const fact = `${key} is said to be ${id} of ${topic}`
      engine.violate('dead letters say where they come from', fact)
    }
  }

  /** Nobody else reads the queue, and its consumer lives for ever: it gets every record once. */
  async #consume(client: BrokerClient, queue: ConsumedQueue): Promise<void> {
    const { engine, random, settings } = this.#options
    let position = 0
    while (engine.violation === null) {
      await client.sleep(PAUSE_MS + random.next() * settings.thinkMs)
      const pulled = await pull(client, this.#options, queue, position)
      for (const message of pulled?.messages ?? []) await this.#work(client, queue, message)
      if (pulled === null) continue
      position = pulled.next
      // What nobody has read is kept.
      await client.tell({
        code: RequestCode.UPDATE_CONSUMER_OFFSET,
        extFields: { ...queue, queueId: String(queue.queueId), commitOffset: String(position) },
      })
    }
  }

  async #work(client: BrokerClient, queue: ConsumedQueue, message: StoredMessage): Promise<void> {
    const { random } = this.#options
    const job = this.#jobs.get(keyOf(message.body.toString('latin1')))
    // The pull has told.
    if (job === undefined) return
    if (queue.topic === RETRY_TOPIC) this.#checkOrigin(job, message)
    const choice = random.integer(8)
    if (choice < 3) {
      job.consumed++
      this.#count('consumed')
    } else await this.#giveBack(client, job, message, choice === 3 ? -1 : 1 + (choice % 2))
    job.open--
    this.#note(job)
  }

  /** Asks until somebody answers. */
  async #giveBack(
    client: BrokerClient,
    job: Job,
    { physicalOffset, reconsumeTimes }: StoredMessage,
    delayLevel: number,
  ): Promise<void> {
    const { engine } = this.#options
    const isDead = delayLevel < 0 || reconsumeTimes >= ATTEMPTS_MAX
    const name = nameOf(isDead, reconsumeTimes)
    const dueMs = earliestAt(this.#options, LEVELS_MS[delayLevel - 1] ?? 0)
    const given = job.givenBack.get(name) ?? { decisions: 0, asked: 0, dueMs, copies: 0 }
    job.givenBack.set(name, given)
    given.dueMs = Math.min(given.dueMs, dueMs)
    for (let isAnswered = false; !isAnswered && engine.violation === null;) {
      given.asked++
      const answer = await client.ask({
        code: RequestCode.CONSUMER_SEND_MSG_BACK,
        extFields: {
          offset: String(physicalOffset),
          group: GROUP,
          delayLevel: String(delayLevel),
          originMsgId: job.key,
          originTopic: TOPIC,
          unitMode: 'false',
          maxReconsumeTimes: String(ATTEMPTS_MAX),
        },
      })
      isAnswered = answer?.code === ResponseCode.SUCCESS
      engine.note(`${client.id} gives ${job.key} back (${name}): ${answer?.code}`)
      if (!isAnswered) await client.sleep(AGAIN_MS)
    }
    given.decisions++
    if (given.copies < given.decisions) job.awaited++
  }

  #checkOrigin({ key }: Job, { properties }: StoredMessage): void {
    const { engine, checker } = this.#options
    const topic = propertyOf(properties, PropertyName.RETRY_TOPIC)
    const id = propertyOf(properties, PropertyName.ORIGIN_MESSAGE_ID)
    const origin = decodeOffsetMessageId(id ?? '')?.physicalOffset
    const uniqueKey = propertyOf(properties, PropertyName.UNIQ_KEY)
    if (topic === TOPIC && uniqueKey === key && origin === checker.byKey(key)?.physicalOffset) {
      return
    }
    const fact = `${key} is said to be ${uniqueKey} of ${topic}, at ${origin}`
    engine.violate('retries say where they come from', fact)
  }

  #note(job: Job): void {
    if (job.open > 0 || job.awaited > 0) this.#unfinished.add(job)
    else this.#unfinished.delete(job)
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}

function nameOf(isDead: boolean, attempt: number): string {
  return `${isDead ? 'dead' : 'again'} after attempt ${attempt}`
}
