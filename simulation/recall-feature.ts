/** Messages for a later time that are taken back: what a broker has said to be recalled never comes, everything else does, once. */
import { PropertyName } from '../common/properties.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { send } from './sender.ts'
import { earliestAt } from './tolerance.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { WorkloadOptions } from './workload.ts'

const DELAY_MIN_MS = 2000
const DELAY_RANGE_MS = 12_000
/** Some recalls come when the message is about to. */
const LATE_MS = 1500
const ATTEMPTS = 3

type Recall =
  | 'none'
  /** The message may come, or not. */
  | 'asked'
  | 'done'
  /** Too late, says a broker. */
  | 'refused'

interface Call {
  readonly key: string
  readonly dueMs: number
  isAcknowledged: boolean
  isDelivered: boolean
  recall: Recall
}

export class RecallFeature implements Feature {
  readonly topic = 'Calls'
  readonly counts: Record<string, number> = {
    acknowledged: 0,
    delivered: 0,
    recalled: 0,
    refused: 0,
  }
  readonly #options: WorkloadOptions
  readonly #calls = new Map<string, Call>()
  /** Acknowledged, to come, and not there yet. */
  readonly #waiting = new Set<Call>()
  #recalling = 0
  #sequence = 0

  constructor(options: WorkloadOptions) {
    this.#options = options
  }

  async operate(client: BrokerClient): Promise<void> {
    const { random, settings } = this.#options
    const delayMs = DELAY_MIN_MS + random.integer(DELAY_RANGE_MS)
    const recallAfterMs = random.integer(3) === 0 ? null : random.integer(delayMs + LATE_MS)
    const call: Call = {
      key: `r${this.#sequence++}`,
      dueMs: earliestAt(this.#options, delayMs),
      isAcknowledged: false,
      isDelivered: false,
      recall: 'none',
    }
    this.#calls.set(call.key, call)
    const answer = await send(client, {
      topic: this.topic,
      queueId: random.integer(2),
      key: call.key,
      properties: [[PropertyName.TIMER_DELAY_MS, String(delayMs)]],
      bodyBytes: random.integer(settings.bodyBytes),
    })
    if (answer === null) return
    this.#count('acknowledged')
    call.isAcknowledged = true
    this.#note(call)
    const handle = answer.extFields.get('recallHandle')
    if (handle !== undefined && recallAfterMs !== null) {
      void this.#recall(client, call, handle, recallAfterMs)
    }
  }

  committed(key: string): string | null {
    const { engine } = this.#options
    const call = this.#calls.get(key)
    if (call === undefined) return 'nobody sent it'
    call.isDelivered = true
    this.#count('delivered')
    this.#note(call)
    if (call.recall === 'done') return 'it was recalled'
    return engine.now >= call.dueMs ? null : `it is due at ${call.dueMs} at the earliest`
  }

  missing(): string | null {
    if (this.#recalling > 0) return `${this.#recalling} recalls`
    for (const { key } of this.#waiting) {
      return `${this.#waiting.size} messages for a later time, ${key} among them`
    }
    return null
  }

  checkEnd(): void {
    // What is missing has been waited for.
  }

  async #recall(
    client: BrokerClient,
    call: Call,
    recallHandle: string,
    afterMs: number,
  ): Promise<void> {
    const { engine } = this.#options
    this.#recalling++
    await client.sleep(afterMs)
    for (let attempt = 0; attempt < ATTEMPTS && call.recall !== 'done'; attempt++) {
      const wasAsked = call.recall === 'asked'
      call.recall = 'asked'
      this.#note(call)
      const answer = await client.ask({
        code: RequestCode.RECALL_MESSAGE,
        extFields: { producerGroup: 'Producers', topic: this.topic, recallHandle },
      })
      engine.note(`${client.id} recalls ${call.key}: ${answer?.code} ${answer?.remark ?? ''}`)
      if (answer === null) continue
      if (answer.code === ResponseCode.SUCCESS) this.#recalled(call)
      // One that nobody has answered may have been taken all the same.
      else if (!wasAsked) this.#refused(call)
      break
    }
    this.#recalling--
  }

  #recalled(call: Call): void {
    const { engine, settings } = this.#options
    call.recall = 'done'
    this.#count('recalled')
    // By another clock it may have been due before.
    if (!call.isDelivered || settings.clocks !== 'exact') return
    engine.violate('what is recalled does not come', `${call.key} was there before`)
  }

  #refused(call: Call): void {
    call.recall = 'refused'
    this.#count('refused')
    this.#note(call)
  }

  #note(call: Call): void {
    const { isAcknowledged, isDelivered, recall } = call
    const isToCome = recall === 'none' || recall === 'refused'
    if (isAcknowledged && !isDelivered && isToCome) this.#waiting.add(call)
    else this.#waiting.delete(call)
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}
