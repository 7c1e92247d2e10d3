/**
 * Orderly consumption: consumers lock a queue, and only then read and commit it. A queue has one owner at a time, is given to whoever asks
 * when nobody has it, and its next owner goes on exactly where the last one has ended.
 *
 * Of a request without an answer nobody knows when it is obeyed: all go on in another group then, whose locks and offsets are its own.
 */
import { decodeLockedQueues, encodeLockBatchBody } from '../remoting/bodies/lock-batch-body.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { LOCK_LIVE_MS } from '../broker/queue-locks.ts'
import { pull } from './puller.ts'
import { PlainSends } from './sender.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { WorkloadOptions } from './workload.ts'

const TOPIC = 'Ledgers'
const QUEUES = 2
const CONSUMERS = 3
const PAUSE_MS = 30
const BATCHES_MAX = 3
/** A member's clock may go 3 % wrong. */
const DRIFT = 0.04
/** After healing, and after the locks of those who are gone, all is consumed: elections, and turns of the consumers. */
const CONSUMED_MS = 30_000

/** Whoever was told to have a queue, until it begins to give it back. */
interface Owner {
  readonly clientId: string
  /** For the how manieth time anybody led. */
  readonly reign: number
  readonly sinceMs: number
  /** By the fastest clock, and by the slowest one. */
  readonly surelyUntilMs: number
  readonly perhapsUntilMs: number
}

interface Queue {
  readonly queueId: number
  readonly owners: Map<string, Owner>
  /** Requests of owners, and of those who want to be, that have begun or come to an end. */
  turns: number
  /** How many of them are under way. */
  pending: number
  /** The last answered commit, and the leader who answered it; null: nobody has committed. */
  progress: { readonly queueOffset: number; readonly reign: number | null } | null
}

/** Consumers that have had an answer each time. */
interface Group {
  readonly name: string
  isOver: boolean
  readonly queues: readonly Queue[]
}

export class LockFeature implements Feature {
  readonly topic: string = TOPIC
  readonly counts: Record<string, number> = {
    acknowledged: 0,
    locked: 0,
    refused: 0,
    consumed: 0,
    followed: 0,
    left: 0,
    groups: 0,
  }
  readonly #options: WorkloadOptions
  readonly #sends: PlainSends
  #group: Group
  #consumers = 0
  #sequence = 0
  #healedMs: number | null = null

  constructor(options: WorkloadOptions) {
    this.#options = options
    this.#sends = new PlainSends(options, { topic: TOPIC, queues: QUEUES })
    this.#group = this.#begin()
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
    const { engine, checker } = this.#options
    this.#healedMs ??= engine.now
    for (const { queueId, progress } of this.#group.queues) {
      const end = checker.queues.get(`${TOPIC}/${queueId}`) ?? 0
      const done = progress?.queueOffset ?? 0
      if (done >= end) continue
      const fact = `queue ${queueId} is consumed to ${done} of ${end}`
      if (engine.now > this.#healedMs + LOCK_LIVE_MS * (1 + DRIFT) + CONSUMED_MS) {
        engine.violate('a lock ends a minute after its owner', fact)
      }
      return fact
    }
    return null
  }

  checkEnd(): void {
    // What is missing has been waited for.
  }

  async #consume(client: BrokerClient): Promise<void> {
    const { engine, random, settings } = this.#options
    let clientId = this.#newName(client)
    while (engine.violation === null) {
      await client.sleep(PAUSE_MS + random.next() * settings.thinkMs)
      client.followLeader()
      const group = this.#group
      const queue = group.queues[random.integer(QUEUES)]
      if (queue === undefined || !(await this.#lock(client, clientId, group, queue))) continue
      await this.#work(client, clientId, group, queue)
      // Whoever dies leaves its locks behind, and comes back under another name.
      const isDead = this.#healedMs === null && random.integer(40) === 0
      if (!isDead) await this.#unlock(client, clientId, group, queue)
      else {
        this.#count('left')
        clientId = this.#newName(client)
      }
    }
  }

  async #lock(
    client: BrokerClient,
    clientId: string,
    group: Group,
    queue: Queue,
  ): Promise<boolean> {
    const { engine, random } = this.#options
    const reign = this.#reignOf(client)
    const invokedMs = engine.now
    const isAlone = queue.pending === 0
    const { turns } = queue
    const answer = await this.#ask(client, RequestCode.LOCK_BATCH_MQ, { clientId, group, queue })
    const hasNoOther = isAlone && queue.turns === turns + 2
    if (answer === null) return false
    const isGiven = decodeLockedQueues(answer.body).some(({ queueId }) => queueId === queue.queueId)
    engine.note(`${clientId} asks for ${queue.queueId} of ${group.name}: ${isGiven}`)
    const isSure = reign !== null && this.#reignOf(client) === reign
    if (isSure)
      this.#checkAnswer({ clientId, group, queue }, { isGiven, reign, invokedMs, hasNoOther })
    if (!isGiven) {
      this.#count('refused')
      // Whoever gives back what another one has changes nothing.
      if (random.integer(4) === 0) await this.#unlock(client, clientId, group, queue)
      return false
    }
    this.#count('locked')
    queue.owners.set(clientId, {
      clientId,
      reign: isSure ? reign : -1,
      sinceMs: engine.now,
      surelyUntilMs: invokedMs + LOCK_LIVE_MS * (1 - DRIFT),
      perhapsUntilMs: engine.now + LOCK_LIVE_MS * (1 + DRIFT),
    })
    return true
  }

  #checkAnswer(
    { clientId, group, queue }: Asked,
    {
      isGiven,
      reign,
      invokedMs,
      hasNoOther,
    }: {
      readonly isGiven: boolean
      readonly reign: number
      readonly invokedMs: number
      readonly hasNoOther: boolean
    },
  ): void {
    const { engine } = this.#options
    const owners = [...queue.owners.values()].filter((owner) => owner.clientId !== clientId)
    const what = `queue ${queue.queueId} of ${group.name}, asked for by ${clientId}`
    const owner = owners.find(
      (one) => one.reign === reign && one.sinceMs <= invokedMs && engine.now < one.surelyUntilMs,
    )
    if (isGiven && owner !== undefined) {
      engine.violate('a queue has one owner at a time', `${what}, is ${owner.clientId}'s`)
    }
    const isFree = owners.every(
      (one) => one.perhapsUntilMs < invokedMs || (one.reign !== -1 && one.reign < reign),
    )
    if (!isGiven && isFree && hasNoOther) {
      engine.violate('a queue that nobody has is given', what)
    }
  }

  /** Reads and commits, behind what the owner before has. */
  async #work(client: BrokerClient, clientId: string, group: Group, queue: Queue): Promise<void> {
    const { engine, random } = this.#options
    const owner = queue.owners.get(clientId)
    const batches = 1 + random.integer(BATCHES_MAX)
    for (let batch = 0; batch < batches; batch++) {
      const from = await this.#progress(client, group, queue)
      if (from === null) return
      const place = { consumerGroup: group.name, topic: TOPIC, queueId: queue.queueId }
      const pulled = await pull(client, this.#options, place, from)
      if (pulled === null || pulled.next <= from || group.isOver) return
      // Another leader may have given the queue to another consumer.
      if (owner === undefined || owner.reign !== this.#reignOf(client)) return
      const answer = await client.ask({
        code: RequestCode.UPDATE_CONSUMER_OFFSET,
        extFields: { ...fieldsOf(group, queue), commitOffset: String(pulled.next) },
      })
      if (answer?.code !== ResponseCode.SUCCESS) return this.#end(group)
      engine.note(`${clientId} commits ${pulled.next} of ${queue.queueId} of ${group.name}`)
      this.#count('consumed', pulled.next - from)
      const reign = owner.reign === this.#reignOf(client) ? owner.reign : null
      queue.progress = { queueOffset: pulled.next, reign }
    }
  }

  /** Where the group is, as the leader says; exactly where the last owner has ended, for the same leader. */
  async #progress(client: BrokerClient, group: Group, queue: Queue): Promise<number | null> {
    const reign = this.#reignOf(client)
    const known = queue.progress
    const answer = await client.ask({
      code: RequestCode.QUERY_CONSUMER_OFFSET,
      extFields: { ...fieldsOf(group, queue), setZeroIfNotFound: 'false' },
    })
    if (answer === null) return null
    const isFound = answer.code === ResponseCode.SUCCESS
    const from = isFound ? Number(answer.extFields.get('offset')) : 0
    const isSure = reign !== null && this.#reignOf(client) === reign && known?.reign === reign
    if (!isSure || group.isOver || queue.progress !== known) return from
    this.#count('followed')
    if (from !== known.queueOffset) {
      const fact = `queue ${queue.queueId} of ${group.name}: ${from}, after ${known.queueOffset}`
      this.#options.engine.violate('owners go on where the last one has ended', fact)
    }
    return from
  }

  async #unlock(client: BrokerClient, clientId: string, group: Group, queue: Queue): Promise<void> {
    const owner = queue.owners.get(clientId)
    if (owner !== undefined) {
      queue.owners.set(clientId, { ...owner, surelyUntilMs: this.#options.engine.now })
    }
    const answer = await this.#ask(client, RequestCode.UNLOCK_BATCH_MQ, { clientId, group, queue })
    if (answer !== null && owner !== undefined && owner.reign === this.#reignOf(client)) {
      queue.owners.delete(clientId)
    }
  }

  /** Null when there was no answer, with which the group is over. */
  async #ask(
    client: BrokerClient,
    code: number,
    { clientId, group, queue }: Asked,
  ): Promise<RemotingCommand | null> {
    const { name: consumerGroup } = group
    const queues = [{ topic: TOPIC, brokerName: 'broker-a', queueId: queue.queueId }]
    const body = encodeLockBatchBody({ consumerGroup, clientId, onlyThisBroker: false, queues })
    queue.turns++
    queue.pending++
    const answer = await client.ask({ code, extFields: {}, body })
    queue.turns++
    queue.pending--
    if (answer?.code === ResponseCode.SUCCESS) return group.isOver ? null : answer
    this.#end(group)
    return null
  }

  #end(group: Group): void {
    group.isOver = true
    if (this.#group === group) this.#group = this.#begin()
  }

  #begin(): Group {
    const queues = Array.from({ length: QUEUES }, (_, queueId) => ({
      queueId,
      owners: new Map<string, Owner>(),
      turns: 0,
      pending: 0,
      progress: null,
    }))
    this.#count('groups')
    return { name: `Scribes-${this.#sequence++}`, isOver: false, queues }
  }

  /** Of the leader whom the client asks; null when nobody is sure that it leads. */
  #reignOf(client: BrokerClient): number | null {
    const { checker } = this.#options
    return checker.leader === client.host ? checker.reigns : null
  }

  #newName(client: BrokerClient): string {
    return `${client.id}-${this.#sequence++}`
  }

  #count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by
  }
}

interface Asked {
  readonly clientId: string
  readonly group: Group
  readonly queue: Queue
}

function fieldsOf(group: Group, { queueId }: Queue): Readonly<Record<string, string>> {
  return { consumerGroup: group.name, topic: TOPIC, queueId: String(queueId) }
}
