/** Pops: what is popped is invisible for its time, what is acknowledged never comes again, and everything is acknowledged in the end. */
import { recordsIn } from './answered-records.ts'
import { propertyOf } from '../common/properties.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { keyOf } from './checker.ts'
import { pop } from './popper.ts'
import { sendPlain } from './sender.ts'
import { apartMs } from './tolerance.ts'
import type { StoredMessage } from '../common/message.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { WorkloadOptions } from './workload.ts'

const GROUP = 'Workers'
const TOPIC = 'Tasks'
const RETRY_TOPIC = `%RETRY%${GROUP}_${TOPIC}`
const CONSUMERS = 2
const INVISIBLE_MIN_MS = 1500
const INVISIBLE_RANGE_MS = 4000
const PAUSE_MS = 50
/** After healing all has come back and is acknowledged: times of invisibility, what clocks are apart, and elections. */
const BACK_MS = 30_000

/** A time in which only one consumer has the message, by the clock of the broker. */
interface Lease {
  readonly from: number
  until: number
}

/** Where a message lies: as it was sent, or a copy that brought it back. */
interface Place {
  readonly name: string
  readonly task: Task
  readonly leases: Lease[]
  /** When its consumer heard that it is acknowledged in time. */
  doneMs: number | null
}

interface Task {
  readonly key: string
  readonly places: Map<string, Place>
  /** Of the leader under whom it was sent. */
  readonly reign: number
  /** How many copies there are of each attempt. */
  readonly copies: Map<number, number>
}

interface Popped {
  readonly place: Place
  readonly lease: Lease
  /** What it is acknowledged by. */
  readonly handle: Readonly<Record<string, string>>
}

export class PopFeature implements Feature {
  readonly topic: string = TOPIC
  readonly counts: Record<string, number> = { acknowledged: 0, popped: 0, done: 0 }
  readonly #options: WorkloadOptions
  readonly #tasks = new Map<string, Task>()
  /** Sent for certain, and not acknowledged by a consumer as far as anybody knows. */
  readonly #open = new Set<Task>()
  /** When everything was healed: from then on consumers acknowledge all that they get. */
  #healedMs: number | null = null
  #sequence = 0
  #consumers = 0

  constructor(options: WorkloadOptions) {
    this.#options = options
  }

  join(client: BrokerClient): void {
    if (this.#consumers++ < CONSUMERS) void this.#consume(client)
  }

  async operate(client: BrokerClient): Promise<void> {
    const key = `p${this.#sequence++}`
    const task = this.#taskOf(key)
    const answer = await sendPlain(client, this.#options, { topic: TOPIC, key })
    if (answer === null) return
    this.#count('acknowledged')
    // Otherwise it has been popped before.
    if (task.places.size === 0) this.#open.add(task)
  }

  committed(key: string): string | null {
    return this.#tasks.has(key) ? null : 'nobody sent it'
  }

  other(key: string, topic: string, reconsumeTimes: number): void {
    if (topic === RETRY_TOPIC) this.#copied(this.#taskOf(key), reconsumeTimes)
  }

  missing(): string | null {
    const { engine } = this.#options
    this.#healedMs ??= engine.now
    const [first] = this.#open
    if (first === undefined) return null
    const missing = `${this.#open.size} popped messages, ${first.key} among them`
    if (engine.now > this.#healedMs + BACK_MS) {
      engine.violate('what is not acknowledged comes back in time', missing)
    }
    return missing
  }

  checkEnd(): void {
    // What is missing has been waited for.
  }

  async #consume(client: BrokerClient): Promise<void> {
    const { engine, random, settings } = this.#options
    while (engine.violation === null) {
      await client.sleep(PAUSE_MS + random.next() * settings.thinkMs)
      for (const popped of await this.#pop(client)) {
        const choice = this.#healedMs === null ? random.integer(10) : 0
        if (choice < 7) await this.#acknowledge(client, popped)
        else if (choice < 8) await this.#change(client, popped)
      }
    }
  }

  async #pop(client: BrokerClient): Promise<readonly Popped[]> {
    const { engine, random } = this.#options
    const invokedMs = engine.now
    const answer = await pop(client, {
      consumerGroup: GROUP,
      topic: TOPIC,
      maxMessages: 1 + random.integer(8),
      invisibleTime: INVISIBLE_MIN_MS + random.integer(INVISIBLE_RANGE_MS),
      attemptId: null,
    })
    if (answer?.code !== ResponseCode.SUCCESS) return []
    const popTime = Number(answer.extFields.get('popTime'))
    const until = popTime + Number(answer.extFields.get('invisibleTime'))
    const messages = recordsIn(answer.body, this.#options) ?? []
    return messages.map((message) => {
      const key = keyOf(message.body.toString('latin1'))
      const handle = handleOf(message, answer)
      const place = this.#placeOf(
        key,
        `${handle['topic']}/${handle['queueId']}@${handle['offset']}`,
      )
      const lease = { from: popTime, until }
      engine.note(`${client.id} pops ${key} of ${place.name}, ${popTime} to ${until}`)
      this.#check(place, lease, invokedMs)
      place.leases.push(lease)
      if (place.doneMs === null) this.#open.add(place.task)
      this.#count('popped')
      return { place, lease, handle }
    })
  }

  #taskOf(key: string): Task {
    let task = this.#tasks.get(key)
    if (task === undefined) {
      this.#tasks.set(
        key,
        (task = { key, places: new Map(), reign: this.#options.checker.reigns, copies: new Map() }),
      )
    }
    return task
  }

  /** A leader that falls between a copy and the record of it leaves both to the next one, which makes another copy. */
  #copied(task: Task, attempt: number): void {
    const { engine, checker } = this.#options
    const mayBeAgain = checker.reigns > task.reign
    const count = (task.copies.get(attempt) ?? 0) + 1
    task.copies.set(attempt, count)
    if (count === 1 || mayBeAgain) return
    engine.violate('a leader brings a message back once', `attempt ${attempt} of ${task.key}`)
  }

  #placeOf(key: string, name: string): Place {
    const task = this.#taskOf(key)
    let place = task.places.get(name)
    if (place === undefined) {
      task.places.set(name, (place = { name, task, leases: [], doneMs: null }))
    }
    return place
  }

  #check({ name, task }: Place, lease: Lease, invokedMs: number): void {
    const { engine } = this.#options
    for (const other of task.places.values()) {
      // Of two copies of one attempt each goes its own way.
      if (other.name !== name && hasTwins(task)) continue
      const what = `${task.key} of ${name} is popped`
      if (other.doneMs !== null && other.doneMs < invokedMs) {
        const fact = `${what} at ${invokedMs}, and was acknowledged at ${other.doneMs} at ${other.name}`
        engine.violate('what is acknowledged never comes again', fact)
      }
      const overlap = other.leases.find(
        ({ from, until }) =>
          from + apartMs(this.#options) < lease.until &&
          lease.from + apartMs(this.#options) < until,
      )
      if (overlap === undefined) continue
      const fact = `${what} from ${lease.from} to ${lease.until}, and of ${other.name} from ${overlap.from} to ${overlap.until}`
      engine.violate('what is popped is invisible', fact)
    }
  }

  async #acknowledge(client: BrokerClient, { place, lease, handle }: Popped): Promise<void> {
    const { engine } = this.#options
    const answer = await client.ask({ code: RequestCode.ACK_MESSAGE, extFields: handle })
    engine.note(`${client.id} acknowledges ${place.task.key} of ${place.name}: ${answer?.code}`)
    if (answer !== null && answer.code !== ResponseCode.SUCCESS) return
    // Without an answer it may be done all the same; if it is not, it comes again.
    this.#open.delete(place.task)
    // Later it may be on its way back already, and comes again.
    if (answer === null || client.now + apartMs(this.#options) >= lease.until) return
    place.doneMs = engine.now
    this.#count('done')
  }

  /** Asks for it to come back at another time. */
  async #change(client: BrokerClient, { place, lease, handle }: Popped): Promise<void> {
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
    place.leases.push({ from, until })
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}

function hasTwins({ copies }: Task): boolean {
  return [...copies.values()].some((count) => count > 1)
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
    topic: isRetry ? RETRY_TOPIC : TOPIC,
    queueId: String(queueId),
    offset: String(queueOffset),
    extraInfo,
  }
}
