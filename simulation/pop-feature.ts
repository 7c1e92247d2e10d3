/** Pops: what is popped is invisible for its time, what is acknowledged never comes again, and everything is acknowledged in the end. */
import { iterateRecords } from '../common/message-codec.ts'
import { propertyOf } from '../common/properties.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { keyOf } from './checker.ts'
import { send } from './sender.ts'
import type { StoredMessage } from '../common/message.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { WorkloadOptions } from './workload.ts'

const GROUP = 'Workers'
const TOPIC = 'Tasks'
const CONSUMERS = 2
const INVISIBLE_MIN_MS = 1500
const INVISIBLE_RANGE_MS = 4000
const PAUSE_MS = 50

/** A time in which only one consumer has the message, by the clock of the broker. */
interface Lease {
  readonly from: number
  until: number
}

interface Task {
  readonly leases: Lease[]
  /** When its consumer heard that it is acknowledged in time. */
  doneMs: number | null
}

interface Popped {
  readonly key: string
  readonly task: Task
  readonly lease: Lease
  /** What it is acknowledged by. */
  readonly handle: Readonly<Record<string, string>>
}

export class PopFeature implements Feature {
  readonly topic: string = TOPIC
  readonly counts: Record<string, number> = { acknowledged: 0, popped: 0, done: 0 }
  readonly #options: WorkloadOptions
  readonly #tasks = new Map<string, Task>()
  /** Sent for certain, and not acknowledged by a consumer. */
  readonly #open = new Set<string>()
  #sequence = 0
  #consumers = 0

  constructor(options: WorkloadOptions) {
    this.#options = options
  }

  join(client: BrokerClient): void {
    if (this.#consumers++ < CONSUMERS) void this.#consume(client)
  }

  async operate(client: BrokerClient): Promise<void> {
    const { random, settings } = this.#options
    const key = `p${this.#sequence++}`
    const task = { leases: [], doneMs: null }
    this.#tasks.set(key, task)
    const answer = await send(client, {
      topic: TOPIC,
      queueId: random.integer(2),
      key,
      properties: [],
      bodyBytes: random.integer(settings.bodyBytes),
    })
    if (answer === null) return
    this.#count('acknowledged')
    if (!this.#isDone(key)) this.#open.add(key)
  }

  committed(key: string): string | null {
    return this.#tasks.has(key) ? null : 'nobody sent it'
  }

  missing(): string | null {
    for (const key of this.#open) return `${this.#open.size} popped messages, ${key} among them`
    return null
  }

  checkEnd(): void {
    // What is missing has been waited for.
  }

  async #consume(client: BrokerClient): Promise<void> {
    const { engine, random, settings } = this.#options
    while (engine.violation === null) {
      await client.sleep(PAUSE_MS + random.next() * settings.thinkMs)
      for (const popped of await this.#pop(client)) {
        const choice = random.integer(10)
        if (choice < 7) await this.#acknowledge(client, popped)
        else if (choice < 8) await this.#change(client, popped)
      }
    }
  }

  async #pop(client: BrokerClient): Promise<readonly Popped[]> {
    const { engine, random } = this.#options
    const invokedMs = engine.now
    const answer = await client.ask({
      code: RequestCode.POP_MESSAGE,
      extFields: {
        consumerGroup: GROUP,
        topic: TOPIC,
        queueId: '-1',
        maxMsgNums: String(1 + random.integer(8)),
        invisibleTime: String(INVISIBLE_MIN_MS + random.integer(INVISIBLE_RANGE_MS)),
        pollTime: '0',
        bornTime: String(client.now),
        initMode: '0',
        order: 'false',
      },
    })
    if (answer?.code !== ResponseCode.SUCCESS) return []
    const popTime = Number(answer.extFields.get('popTime'))
    const until = popTime + Number(answer.extFields.get('invisibleTime'))
    return Array.from(iterateRecords(answer.body), (message) => {
      const key = keyOf(message.body.toString('latin1'))
      const task = this.#tasks.get(key) ?? { leases: [], doneMs: null }
      const lease = { from: popTime, until }
      this.#check(key, task, lease, invokedMs)
      task.leases.push(lease)
      this.#count('popped')
      return { key, task, lease, handle: handleOf(message, answer) }
    })
  }

  #check(key: string, { leases, doneMs }: Task, lease: Lease, invokedMs: number): void {
    const { engine } = this.#options
    if (doneMs !== null && doneMs < invokedMs) {
      const fact = `${key} is popped at ${invokedMs}, and was acknowledged at ${doneMs}`
      engine.violate('what is acknowledged never comes again', fact)
    }
    const other = leases.find(
      ({ from, until }) => from + this.#apartMs < lease.until && lease.from + this.#apartMs < until,
    )
    if (other === undefined) return
    const fact = `${key} is popped from ${lease.from} to ${lease.until}, and from ${other.from} to ${other.until}`
    engine.violate('what is popped is invisible', fact)
  }

  async #acknowledge(client: BrokerClient, { key, task, lease, handle }: Popped): Promise<void> {
    const answer = await client.ask({ code: RequestCode.ACK_MESSAGE, extFields: handle })
    if (answer?.code !== ResponseCode.SUCCESS) return
    // Later it may be on its way back already, and comes again.
    if (client.now + this.#apartMs >= lease.until) return
    task.doneMs = this.#options.engine.now
    this.#open.delete(key)
    this.#count('done')
  }

  /** Asks for it to come back at another time. */
  async #change(client: BrokerClient, { task, lease, handle }: Popped): Promise<void> {
    const { random } = this.#options
    const invokedAt = client.now
    const invisibleTime = String(1000 + random.integer(3000))
    const answer = await client.ask({
      code: RequestCode.CHANGE_MESSAGE_INVISIBLETIME,
      extFields: { ...handle, invisibleTime },
    })
    if (answer !== null && answer.code !== ResponseCode.SUCCESS) return
    // Whoever hears nothing does not know whether it still holds.
    lease.until = Math.min(lease.until, invokedAt)
    if (answer === null) return
    const from = Number(answer.extFields.get('popTime'))
    const until = from + Number(answer.extFields.get('invisibleTime'))
    task.leases.push({ from, until })
  }

  /** What the clocks of two members may differ by. */
  get #apartMs(): number {
    const { settings, engine } = this.#options
    return settings.clocks === 'exact' ? 0 : 2000 + engine.now * 0.06
  }

  #isDone(key: string): boolean {
    return this.#tasks.get(key)?.doneMs !== null
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}

/** As clients make it of the message and the answer in which it came. */
function handleOf(
  { queueId, queueOffset, properties }: StoredMessage,
  { extFields }: RemotingCommand,
): Readonly<Record<string, string>> {
  const starts = (extFields.get('startOffsetInfo') ?? '').split(';').map((item) => item.split(' '))
  const start = starts.find(([mark, id]) => mark === '0' && id === String(queueId))?.[2] ?? ''
  const times = ['popTime', 'invisibleTime', 'reviveQid'].map((name) => extFields.get(name) ?? '')
  const made = `${start} ${times.join(' ')} 0 broker-a ${queueId} ${queueOffset}`
  const extraInfo = propertyOf(properties, 'POP_CK') ?? made
  const isRetry = extraInfo.split(' ')[4] !== '0'
  return {
    consumerGroup: GROUP,
    topic: isRetry ? `%RETRY%${GROUP}_${TOPIC}` : TOPIC,
    queueId: String(queueId),
    offset: String(queueOffset),
    extraInfo,
  }
}
