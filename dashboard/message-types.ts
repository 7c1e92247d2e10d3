/** Messages, dead letters and traces, as the server answers them. */
export interface MessageRow {
  readonly id: string
  readonly offsetId: string
  readonly topic: string
  readonly brokerName: string
  readonly queueId: number
  readonly queueOffset: number
  readonly storedAt: number
  readonly bornAt: number
  readonly bornHost: string
  readonly tags: string
  readonly keys: string
  readonly reconsumeTimes: number
  readonly properties: Readonly<Record<string, string>>
  /** Base64, of the decompressed body, cut; null: not shown, see `bodyProblem`. */
  readonly body: string | null
  readonly bodySize: number
  readonly isBodyCut: boolean
  readonly bodyProblem: string | null
}

export interface MessagesAnswer {
  readonly messages: readonly MessageRow[]
  /** Messages that were looked at, and all that lie in the range; null: not known for a search by key or id. */
  readonly scanned: number
  readonly inRange: number | null
}

export interface TailAnswer {
  readonly messages: readonly MessageRow[]
  /** To be sent with the next request: `broker queue offset` of each queue. */
  readonly cursor: readonly string[]
  /** Came meanwhile and were passed over. */
  readonly skipped: number
}

export interface DeadLetterRow {
  readonly group: string
  readonly messages: number
  readonly members: number
}

export interface ResendAnswer {
  readonly sent: number
  readonly failed: readonly { readonly id: string; readonly reason: string }[]
}
