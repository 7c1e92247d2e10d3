/** The ext fields of PULL_MESSAGE (11), as whoever asks puts them together (protocol §5.2). */

/** Bits of `sysFlag` in a pull: commit `commitOffset`, wait for messages, the subscription comes with the request. */
export const PullSysFlag = { COMMIT_OFFSET: 1, SUSPEND: 2, SUBSCRIPTION: 4 } as const

export interface PullAsked {
  readonly consumerGroup: string
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  /** 32 when it is not given. */
  readonly maxMessages?: number | undefined
  /** By tags; all messages when it is not given. */
  readonly expression?: string | undefined
  /** How long the broker waits for messages; not at all when it is not given. */
  readonly suspendTimeoutMs?: number
  /** All below `queueOffset` is done with. */
  readonly commits?: boolean
}

/** Of a pull that brings its subscription. */
export function pullFields(asked: PullAsked): Readonly<Record<string, string>> {
  const { maxMessages = 32, expression = '*', suspendTimeoutMs = 0, commits = false } = asked
  const waits = suspendTimeoutMs > 0 ? PullSysFlag.SUSPEND : 0
  const told = commits ? PullSysFlag.COMMIT_OFFSET : 0
  return {
    consumerGroup: asked.consumerGroup,
    topic: asked.topic,
    queueId: String(asked.queueId),
    queueOffset: String(asked.queueOffset),
    maxMsgNums: String(maxMessages),
    sysFlag: String(PullSysFlag.SUBSCRIPTION | waits | told),
    commitOffset: commits ? String(asked.queueOffset) : '0',
    suspendTimeoutMillis: String(suspendTimeoutMs),
    subscription: expression,
    subVersion: '0',
    expressionType: 'TAG',
  }
}
