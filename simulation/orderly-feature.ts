/**
 * Pops in order: a group has one batch of a queue at a time, each begins with the first message that is not acknowledged, and none is
 * passed over.
 */
import { recordsIn } from './answered-records.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { keyOf } from './checker.ts'
import { pop } from './popper.ts'
import { PlainSends } from './sender.ts'
import { apartMs } from './tolerance.ts'
import type { StoredMessage } from '../common/message.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { WorkloadOptions } from './workload.ts'

const GROUP = 'Readers'
const TOPIC = 'Chapters'
const QUEUES = 2
const CONSUMERS = 2
const INVISIBLE_MIN_MS = 1500
const INVISIBLE_RANGE_MS = 4000
const PAUSE_MS = 50
const ATTEMPTS = 3
/** After healing all has come back and is acknowledged: times of invisibility, what clocks are apart, and elections. */
const BACK_MS = 30_000
/** One message after the other is acknowledged, of those too that nobody had before healing. */
const BACKLOG_MS = 250

/** One message in the hands of a consumer, until a time by the clock of the broker. */
interface Lease {
  readonly queueOffset: number
  readonly attemptId: string
  readonly from: number
  until: number
}

interface Queue {
  /** Of the messages that nobody has acknowledged. */
  leases: Lease[]
  /** Queue offsets that a consumer has asked to acknowledge, with success or without an answer. */
  readonly asked: Set<number>
  /** Those of which consumers have heard in time that they are acknowledged, since the queue was popped from before them. */
  readonly done: Set<number>
  /** All below are in `done`. */
  doneTo: number
  /** All below are in `asked`. */
  askedTo: number
}

interface Popped {
  readonly queue: Queue
  readonly queueId: number
  readonly lease: Lease
  readonly extraInfo: string
  /** No other pop of the same attempt may be under way, which would take the batch over. */
  readonly isSure: boolean
}

export class OrderlyFeature implements Feature {
  readonly topic: string = TOPIC
  readonly counts: Record<string, number> = { acknowledged: 0, popped: 0, done: 0 }
  readonly #options: WorkloadOptions
  readonly #sends: PlainSends
  readonly #queues: readonly Queue[] = Array.from({ length: QUEUES }, () => ({
    leases: [],
    asked: new Set(),
    done: new Set(),
    doneTo: 0,
    askedTo: 0,
  }))
  #healedMs: number | null = null
  /** Of the longest queue, when all was healed. */
  #backlog = 0
  #consumers = 0
  #attempts = 0

  constructor(options: WorkloadOptions) {
    this.#options = options
    this.#sends = new PlainSends(options, { topic: TOPIC, queues: QUEUES })
  }

  join(client: BrokerClient): void {
    if (this.#consumers++ < CONSUMERS) void this.#consume(client)
  }

  async operate(client: BrokerClient): Promise<void> {
    if ((await this.#sends.send(client)) !== null) this.#count('acknowledged')
  }

  committed(key: string): string | null {
    return this.#sends.committed(key)
  }

  missing(): string | null {
    const { engine } = this.#options
    if (this.#healedMs === null) {
      this.#healedMs = engine.now
      const behind = this.#queues.map(({ askedTo }, queueId) => this.#endOf(queueId) - askedTo)
      this.#backlog = Math.max(0, ...behind)
    }
    for (const [queueId, { askedTo }] of this.#queues.entries()) {
      const end = this.#endOf(queueId)
      if (askedTo >= end) continue
      const missing = `queue ${queueId} is acknowledged to ${askedTo} of ${end}`
      if (engine.now > this.#healedMs + BACK_MS + this.#backlog * BACKLOG_MS) {
        engine.violate('what is not acknowledged comes back in time', missing)
      }
      return missing
    }
    return null
  }

  checkEnd(): void {
    // What is missing has been waited for.
  }

  #endOf(queueId: number): number {
    return this.#options.checker.queues.get(`${TOPIC}/${queueId}`) ?? 0
  }

  async #consume(client: BrokerClient): Promise<void> {
    const { engine, random, settings } = this.#options
    while (engine.violation === null) {
      await client.sleep(PAUSE_MS + random.next() * settings.thinkMs)
      for (const popped of await this.#popAgain(client)) {
        const choice = this.#healedMs === null ? random.integer(12) : 0
        if (choice < 9) await this.#acknowledge(client, popped)
        else if (choice < 10) await this.#change(client, popped)
        // Whoever stops in the middle of a batch gets the rest again.
        else if (choice < 11) break
      }
    }
  }

  /** Without an answer the same attempt is made once more, as it may have the queue. */
  async #popAgain(client: BrokerClient): Promise<readonly Popped[]> {
    const { random } = this.#options
    const attemptId = `a${this.#attempts++}`
    const maxMessages = 1 + random.integer(8)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const popped = await this.#pop(client, attemptId, maxMessages, attempt === 0)
      if (popped !== null) return popped
    }
    return []
  }

  async #pop(
    client: BrokerClient,
    attemptId: string,
    maxMessages: number,
    isSure: boolean,
  ): Promise<readonly Popped[] | null> {
    const { random } = this.#options
    const doneBefore = this.#queues.map(({ doneTo }) => doneTo)
    const answer = await pop(client, {
      consumerGroup: GROUP,
      topic: TOPIC,
      maxMessages,
      invisibleTime: INVISIBLE_MIN_MS + random.integer(INVISIBLE_RANGE_MS),
      attemptId,
    })
    if (answer === null) return null
    if (answer.code !== ResponseCode.SUCCESS) return []
    const messages = recordsIn(answer.body, this.#options)
    if (messages === null) return null
    return this.#queues.flatMap((queue, queueId) => {
      const batch = messages.filter((message) => message.queueId === queueId)
      if (batch.length === 0) return []
      this.#checkBatch(queue, queueId, doneBefore[queueId] ?? 0, batch)
      return this.#take({ queue, queueId, attemptId, isSure }, batch, answer)
    })
  }

  /** Begins behind what is acknowledged, passes nothing over, and has no gaps. */
  #checkBatch(
    queue: Queue,
    queueId: number,
    doneBefore: number,
    batch: readonly StoredMessage[],
  ): void {
    const { engine, checker } = this.#options
    const first = batch[0]?.queueOffset ?? 0
    const what = `queue ${queueId}: a batch begins at ${first}`
    if (first < doneBefore) {
      const fact = `${what}, all below ${doneBefore} is acknowledged`
      engine.violate('what is acknowledged in order never comes again', fact)
    }
    if (first > queue.askedTo) {
      const fact = `${what}, nobody has acknowledged ${queue.askedTo}`
      engine.violate('pops in order pass nothing over', fact)
    }
    for (const [index, { queueOffset, physicalOffset, body }] of batch.entries()) {
      const known = checker.byKey(keyOf(body.toString('latin1')))
      if (known?.physicalOffset === physicalOffset && queueOffset === first + index) continue
      const fact = `${what}, at ${index} there is offset ${queueOffset} at ${physicalOffset}`
      engine.violate('batches are parts of the queue', fact)
    }
  }

  #take(
    {
      queue,
      queueId,
      attemptId,
      isSure,
    }: Pick<Popped, 'queue' | 'queueId' | 'isSure'> & Pick<Lease, 'attemptId'>,
    batch: readonly StoredMessage[],
    answer: RemotingCommand,
  ): readonly Popped[] {
    const { engine } = this.#options
    const from = Number(answer.extFields.get('popTime'))
    const invisibleTime = Number(answer.extFields.get('invisibleTime'))
    const until = from + invisibleTime
    const first = batch[0]?.queueOffset ?? 0
    const last = batch.at(-1)?.queueOffset ?? 0
    const what = `${first} to ${last} of queue ${queueId}, from ${from} to ${until}`
    engine.note(`${attemptId} pops ${what}`)
    this.#checkLeases(queue, { attemptId, from, until }, what)
    const apart = apartMs(this.#options)
    // Who begins with a message takes the ones behind it again, also those that were acknowledged.
    for (const queueOffset of queue.done) if (queueOffset >= first) queue.done.delete(queueOffset)
    queue.leases = queue.leases.filter((lease) => lease.until + apart > from)
    return batch.map(({ queueOffset }) => {
      const lease = { queueOffset, attemptId, from, until }
      // An earlier request of the attempt that is obeyed later takes the batch over for a time that nobody is told.
      if (isSure) queue.leases.push(lease)
      this.#count('popped')
      const extraInfo = `${first} ${from} ${invisibleTime} 999 0 broker-a ${queueId} ${queueOffset}`
      return { queue, queueId, lease, extraInfo, isSure }
    })
  }

  /** While somebody has a message of the queue nobody else gets any. */
  #checkLeases(
    queue: Queue,
    taken: { readonly attemptId: string; readonly from: number; readonly until: number },
    what: string,
  ): void {
    const apart = apartMs(this.#options)
    for (const { queueOffset, attemptId, from, until } of queue.leases) {
      const isOver = taken.from + apart >= until || from + apart >= taken.until
      if (isOver || attemptId === taken.attemptId || queue.asked.has(queueOffset)) continue
      const fact = `${what}, while ${queueOffset} is popped from ${from} to ${until} (${attemptId})`
      this.#options.engine.violate('a queue has one batch at a time', fact)
    }
  }

  async #acknowledge(
    client: BrokerClient,
    { queue, queueId, lease, extraInfo, isSure }: Popped,
  ): Promise<void> {
    const { engine } = this.#options
    const { queueOffset } = lease
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const wasAsked = queue.asked.has(queueOffset)
      queue.asked.add(queueOffset)
      while (queue.asked.has(queue.askedTo)) queue.askedTo++
      const answer = await client.ask({
        code: RequestCode.ACK_MESSAGE,
        extFields: handleOf(queueId, queueOffset, extraInfo),
      })
      engine.note(`${client.id} acknowledges ${queueOffset} of ${queueId}: ${answer?.code}`)
      if (answer === null) continue
      if (answer.code !== ResponseCode.SUCCESS) {
        const fact = `${queueOffset} of queue ${queueId}: ${answer.code} ${answer.remark}`
        if (!wasAsked) engine.violate('handles of pops in order are known', fact)
        return
      }
      // Later it may have come back already.
      if (!isSure || client.now + apartMs(this.#options) >= lease.until) return
      queue.done.add(queueOffset)
      while (queue.done.has(queue.doneTo)) queue.doneTo++
      this.#count('done')
      return
    }
  }

  /** Asks for it to come back at another time. */
  async #change(client: BrokerClient, { queueId, lease, extraInfo }: Popped): Promise<void> {
    const { random } = this.#options
    const invokedAt = client.now
    const answer = await client.ask({
      code: RequestCode.CHANGE_MESSAGE_INVISIBLETIME,
      extFields: {
        ...handleOf(queueId, lease.queueOffset, extraInfo),
        invisibleTime: String(1000 + random.integer(3000)),
      },
    })
    if (answer !== null && answer.code !== ResponseCode.SUCCESS) return
    // Whoever hears nothing does not know whether it still holds.
    lease.until = Math.min(lease.until, invokedAt)
    if (answer === null) return
    const changed = Number(answer.extFields.get('popTime'))
    lease.until = changed + Number(answer.extFields.get('invisibleTime'))
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}

function handleOf(
  queueId: number,
  queueOffset: number,
  extraInfo: string,
): Readonly<Record<string, string>> {
  return {
    consumerGroup: GROUP,
    topic: TOPIC,
    queueId: String(queueId),
    offset: String(queueOffset),
    extraInfo,
  }
}
