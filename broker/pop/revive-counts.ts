/** Records of the revive log and messages that came back, by topic and consumer group, since the start of the process. */
export interface NamedCount {
  readonly topic: string
  readonly consumerGroup: string
  /** What else they are told apart by. */
  readonly kind: string
  readonly count: number
}

interface TopicAndGroup {
  readonly topic: string
  readonly consumerGroup: string
}

/** One counter for each topic, group and kind; adding to one makes no object. */
export class GroupTally {
  readonly #topics = new Map<string, Map<string, Map<string, number>>>()

  add({ topic, consumerGroup }: TopicAndGroup, kind: string): void {
    let groups = this.#topics.get(topic)
    if (groups === undefined) this.#topics.set(topic, (groups = new Map()))
    let kinds = groups.get(consumerGroup)
    if (kinds === undefined) groups.set(consumerGroup, (kinds = new Map()))
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  }

  *counts(): Iterable<NamedCount> {
    for (const [topic, groups] of this.#topics) {
      for (const [consumerGroup, kinds] of groups) {
        for (const [kind, count] of kinds) yield { topic, consumerGroup, kind, count }
      }
    }
  }

  /** Forgets what is gone. */
  keep(isThere: (name: TopicAndGroup) => boolean): void {
    for (const [topic, groups] of this.#topics) {
      for (const consumerGroup of groups.keys()) {
        if (!isThere({ topic, consumerGroup })) groups.delete(consumerGroup)
      }
      if (groups.size === 0) this.#topics.delete(topic)
    }
  }
}

/** Checkpoints and the like, and acknowledgements. */
export const REVIVE_TYPES = ['CK', 'ACK'] as const
export type ReviveType = (typeof REVIVE_TYPES)[number]
type ByType = Readonly<Record<ReviveType, GroupTally>>

export class ReviveCounts {
  /** Records that were offered to the log, by outcome. */
  readonly puts: ByType = { CK: new GroupTally(), ACK: new GroupTally() }
  /** Records that a new leader has read, by queue. */
  readonly gets: ByType = { CK: new GroupTally(), ACK: new GroupTally() }
  /** Copies of messages that came back, by outcome. */
  readonly retries: GroupTally = new GroupTally()

  keep(isThere: (name: TopicAndGroup) => boolean): void {
    for (const type of REVIVE_TYPES) {
      this.puts[type].keep(isThere)
      this.gets[type].keep(isThere)
    }
    this.retries.keep(isThere)
  }
}
