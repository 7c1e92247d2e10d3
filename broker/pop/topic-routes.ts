/** The queues of topics in the whole cluster, as a name server tells them; kept for some seconds, since every member of a group asks. */
import { Permission } from '../../remoting/bodies/topic-config.ts'
import type { Clock } from '../../common/ports.ts'
import type { MessageQueue } from '../../remoting/bodies/message-queue.ts'
import type { TopicRouteData } from '../../remoting/bodies/topic-route-data.ts'

const KEPT_MS = 5000
const KEPT_TOPICS_MAX = 10_000

interface Kept {
  readonly at: number
  readonly queues: Promise<readonly MessageQueue[] | null>
}

export class TopicRoutes {
  readonly #clock: Pick<Clock, 'monotonic'>
  /** Null: no name server knows the topic, or none answers. */
  readonly #ask: (topic: string) => Promise<TopicRouteData | null>
  readonly #kept = new Map<string, Kept>()

  constructor(
    clock: Pick<Clock, 'monotonic'>,
    ask: (topic: string) => Promise<TopicRouteData | null>,
  ) {
    this.#clock = clock
    this.#ask = ask
  }

  /** The queues that can be read; null when nobody knows. */
  queuesOf(topic: string): Promise<readonly MessageQueue[] | null> {
    const now = this.#clock.monotonic()
    const kept = this.#kept.get(topic)
    if (kept !== undefined && now - kept.at < KEPT_MS) return kept.queues
    if (this.#kept.size >= KEPT_TOPICS_MAX) this.#kept.clear()
    const queues = this.#ask(topic).then(
      (route) => (route === null ? null : readableQueues(topic, route)),
      () => null,
    )
    this.#kept.set(topic, { at: now, queues })
    return queues
  }
}

function readableQueues(topic: string, { queueDatas }: TopicRouteData): readonly MessageQueue[] {
  return queueDatas.flatMap(({ brokerName, perm, readQueueNums }) =>
    (perm & Permission.READ) === 0
      ? []
      : Array.from({ length: readQueueNums }, (_, queueId) => ({ topic, brokerName, queueId })),
  )
}
