/**
 * Reads all queues of a topic by itself: no other member shares the work. Each queue has a loop of its own that long-polls its
 * broker and hands over one batch after the other, in order.
 *
 * Progress lies in memory, and with `commit: true` at the brokers too, where a later consumer of the group goes on from it.
 */
import { messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import { iterateRecords } from '../common/message-codec.ts'
import type { StoredMessage } from '../common/message.ts'
import type { Timer, Timers } from '../common/ports.ts'
import type { MessageQueue } from '../remoting/bodies/message-queue.ts'
import type { RemotingClient } from '../remoting/client.ts'
import type { RemotingCommand, RequestContent } from '../remoting/command.ts'
import { requireLong } from '../remoting/header-fields.ts'
import { pullFields } from '../remoting/pull-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { AdminClient } from './admin.ts'
import { rejection } from './errors.ts'
import { ROUTE_LIFETIME_MS, readQueues } from './route.ts'
import type { RouteCache, RoutedQueue } from './route.ts'

const SUSPEND_TIMEOUT_MS = 15_000
/** What is left for the way of a pull that was held to the end. */
const PULL_MARGIN_MS = 15_000
const RETRY_DELAY_MS = 1_000

export interface PullConsumerOptions {
  /** Stays its owner's. */
  readonly client: RemotingClient
  readonly routes: RouteCache
  readonly timers: Timers
  readonly logger: Logger
  readonly consumerGroup: string
  readonly topic: string
  /** Tags: `A || B`; all messages when absent. Brokers compare hashes only: look at the tag where it matters. */
  readonly expression?: string
  /** Where a queue begins of which no committed offset is known. */
  readonly from: 'first' | 'last'
  /** Begin at the group's committed offsets, and commit what was handled. */
  readonly commit: boolean
  /** Most messages at a time; the broker may give fewer. */
  readonly batchSize?: number
  /**
   * Called with each batch, in order within a queue. The next batch of that queue waits for it; when it rejects, the same batch
   * comes again after a second.
   */
  readonly onMessages: (messages: readonly StoredMessage[], queue: MessageQueue) => Promise<void>
}

interface QueueState {
  queue: RoutedQueue
  nextOffset: number | null
  /** What the broker was told of. */
  committedOffset: number | null
}

export class PullConsumer implements AsyncDisposable {
  readonly #options: PullConsumerOptions
  readonly #admin: AdminClient
  readonly #states = new Map<string, QueueState>()
  readonly #loops: Promise<void>[] = []
  readonly #waits = new Set<() => void>()
  #refresh: Timer | null = null
  #updating: Promise<void> | null = null
  #closing: Promise<void> | null = null

  constructor(options: PullConsumerOptions) {
    this.#options = options
    this.#admin = new AdminClient(options.client)
  }

  /**
   * Finds the queues and where to begin in each; resolves once every queue has its place, so that with `from: 'last'` whatever is sent
   * after it is seen. Queues that appear later are read from their first message. Rejects with `ClientError` or `RemotingError`.
   */
  async start(): Promise<void> {
    const { routes, timers, topic } = this.#options
    const route = await routes.refresh(topic)
    for (const queue of route === null ? [] : readQueues(topic, route)) {
      await this.#add(queue, this.#options.from)
    }
    for (const state of this.#states.values()) this.#loops.push(this.#run(state))
    this.#refresh = timers.every(ROUTE_LIFETIME_MS, () => void this.#update())
  }

  /** The next offset to be handled of each queue that is read. */
  offsets(): readonly (MessageQueue & { readonly nextOffset: number | null })[] {
    return [...this.#states.values()].map(({ queue, nextOffset }) => {
      const { topic, brokerName, queueId } = queue
      return { topic, brokerName, queueId, nextOffset }
    })
  }

  /** Tells the brokers how far all queues have come. */
  async commit(): Promise<void> {
    for (const state of this.#states.values()) {
      const { queue, nextOffset, committedOffset } = state
      if (nextOffset === null || nextOffset === committedOffset) continue
      const { consumerGroup } = this.#options
      await this.#admin.updateConsumerOffset(queue.address, queue, {
        consumerGroup,
        queueOffset: nextOffset,
      })
      state.committedOffset = nextOffset
    }
  }

  /**
   * Lets the batches in hand finish, commits when asked to, and stops; pulls that brokers still hold are left to them.
   * Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#refresh?.cancel()
    for (const wake of this.#waits) wake()
    await Promise.all(this.#loops)
    if (!this.#options.commit) return
    await this.commit().catch((err: unknown) => {
      this.#options.logger.warn({ err }, 'the last offsets could not be committed')
    })
  }

  /** One at a time: whoever comes meanwhile waits for the same. */
  #update(): Promise<void> {
    this.#updating ??= this.#updateNow().finally(() => {
      this.#updating = null
    })
    return this.#updating
  }

  async #updateNow(): Promise<void> {
    const { routes, topic, logger } = this.#options
    try {
      const route = await routes.refresh(topic)
      for (const queue of route === null ? [] : readQueues(topic, route)) {
        if (this.#closing !== null) return
        const known = this.#states.get(keyOf(queue))
        if (known === undefined) this.#loops.push(this.#run(await this.#add(queue, 'first')))
        else known.queue = queue
      }
      if (this.#options.commit) await this.commit()
    } catch (error) {
      logger.warn({ problem: messageOf(error), topic }, 'the route could not be refreshed')
    }
  }

  async #add(queue: RoutedQueue, from: 'first' | 'last'): Promise<QueueState> {
    const { address } = queue
    const { commit, consumerGroup } = this.#options
    const committed = commit
      ? await this.#admin.consumerOffset(address, queue, consumerGroup)
      : null
    const begin =
      committed ??
      (await (from === 'first'
        ? this.#admin.minOffset(address, queue)
        : this.#admin.maxOffset(address, queue)))
    const state: QueueState = { queue, nextOffset: begin, committedOffset: committed }
    this.#states.set(keyOf(queue), state)
    return state
  }

  async #run(state: QueueState): Promise<void> {
    while (this.#closing === null) {
      try {
        await this.#step(state)
      } catch (error) {
        if (this.#closing !== null) return
        const { topic, brokerName, queueId } = state.queue
        const fields = { problem: messageOf(error), topic, brokerName, queueId }
        this.#options.logger.warn(fields, 'a queue could not be read; trying again')
        await this.#pause(RETRY_DELAY_MS)
        await this.#update()
      }
    }
  }

  /** One pull and the handling of what it brought. */
  async #step(state: QueueState): Promise<void> {
    const answer = await this.#pull(state)
    if (answer === null) return
    const nextOffset = requireLong(answer.extFields, 'nextBeginOffset')
    if (answer.code === ResponseCode.SUCCESS) {
      // A pull begins at a record boundary of the queue, but a broker may hand out what lies before the offset asked for.
      const begin = state.nextOffset ?? 0
      const messages = [...iterateRecords(answer.body)].filter(
        ({ queueOffset }) => queueOffset >= begin,
      )
      if (messages.length > 0) await this.#options.onMessages(messages, state.queue)
    }
    state.nextOffset = nextOffset
  }

  /** Null when the consumer closed meanwhile. */
  async #pull(state: QueueState): Promise<RemotingCommand | null> {
    const { queue } = state
    const closed = this.#closed()
    const answer = await Promise.race([
      this.#options.client.invoke(
        queue.address,
        this.#request(state),
        SUSPEND_TIMEOUT_MS + PULL_MARGIN_MS,
      ),
      closed.promise,
    ]).finally(closed.forget)
    if (answer === null) return null
    switch (answer.code) {
      case ResponseCode.SUCCESS:
      case ResponseCode.PULL_NOT_FOUND:
      case ResponseCode.PULL_RETRY_IMMEDIATELY:
      case ResponseCode.PULL_OFFSET_MOVED:
        return answer
      default:
        throw rejection(`pulling from ${queue.brokerName} at ${queue.address}`, answer)
    }
  }

  #request({ queue, nextOffset, committedOffset }: QueueState): RequestContent {
    const { consumerGroup, topic, expression, batchSize, commit } = this.#options
    const position = nextOffset ?? 0
    const commits = commit && position !== committedOffset
    const fields = pullFields({
      consumerGroup,
      topic,
      queueId: queue.queueId,
      queueOffset: position,
      maxMessages: batchSize,
      expression,
      suspendTimeoutMs: SUSPEND_TIMEOUT_MS,
      commits,
    })
    return {
      code: RequestCode.PULL_MESSAGE,
      extFields: { ...fields, bname: queue.brokerName },
    }
  }

  /** Resolves with null when the consumer closes, unless forgotten before. */
  #closed(): { readonly promise: Promise<null>; readonly forget: () => void } {
    const { promise, resolve } = Promise.withResolvers<null>()
    const wake = () => resolve(null)
    this.#waits.add(wake)
    if (this.#closing !== null) wake()
    return { promise, forget: () => this.#waits.delete(wake) }
  }

  #pause(delayMs: number): Promise<void> {
    const closed = this.#closed()
    const { promise, resolve } = Promise.withResolvers<null>()
    const timer = this.#options.timers.after(delayMs, () => resolve(null))
    return Promise.race([promise, closed.promise]).then(() => {
      timer.cancel()
      closed.forget()
    })
  }
}

function keyOf({ brokerName, queueId }: MessageQueue): string {
  return `${brokerName}:${queueId}`
}
