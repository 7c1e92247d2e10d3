/** What was sent, what was acknowledged and what is stored, held against each other. */

/** One message that a client has tried to send. */
export interface Attempt {
  /** Messages of one sender follow each other: the next is sent when the one before was answered or given up. */
  readonly sender: string
  readonly seq: number
  /** Where it was acknowledged; null when the client does not know what became of it. */
  readonly place: Place | null
}

export interface Place {
  /** `broker:queueId`. */
  readonly queue: string
  readonly queueOffset: number
}

export interface Stored extends Place {
  readonly sender: string
  readonly seq: number
}

export interface Verdict {
  readonly acknowledged: number
  readonly unknown: number
  readonly stored: number
  /** Stored more than once: retries of clients make them. */
  readonly duplicates: number
  /** Broken rules, in words; empty when all is well. */
  readonly violations: readonly string[]
}

/**
 * The rules: what was acknowledged is stored, where the answer said; nothing is stored that nobody sent; no queue has a hole; the
 * acknowledged messages of a sender lie in a queue in the order of sending; and what somebody has `seen` while faults went on is
 * still what it was.
 */
export function judge(
  attempts: readonly Attempt[],
  stored: readonly Stored[],
  seen: readonly Stored[],
): Verdict {
  const violations: string[] = []
  const at = new Map<string, Stored>()
  const copies = new Map<string, number>()
  for (const message of stored) {
    const name = placeName(message)
    if (at.has(name)) violations.push(`${name} was read twice with different contents`)
    at.set(name, message)
    const id = idOf(message)
    copies.set(id, (copies.get(id) ?? 0) + 1)
  }
  const sent = new Set(attempts.map(idOf))
  for (const message of stored) {
    if (!sent.has(idOf(message)))
      violations.push(`invented: ${idOf(message)} at ${placeName(message)}`)
  }
  for (const { place, ...message } of attempts) {
    if (place === null) continue
    const found = at.get(placeName(place))
    if (found === undefined) violations.push(`lost: ${idOf(message)} of ${placeName(place)}`)
    else if (idOf(found) !== idOf(message)) {
      violations.push(`${placeName(place)} was given to ${idOf(message)} and holds ${idOf(found)}`)
    }
  }
  for (const message of seen) {
    const found = at.get(placeName(message))
    if (found === undefined || idOf(found) !== idOf(message)) {
      violations.push(`${idOf(message)} was seen at ${placeName(message)} and is gone`)
    }
  }
  violations.push(...holes(stored), ...disorder(attempts))
  return {
    acknowledged: attempts.filter(({ place }) => place !== null).length,
    unknown: attempts.filter(({ place }) => place === null).length,
    stored: stored.length,
    duplicates: [...copies.values()].reduce((sum, count) => sum + count - 1, 0),
    violations,
  }
}

function holes(stored: readonly Stored[]): readonly string[] {
  const counts = new Map<string, { count: number; last: number }>()
  for (const { queue, queueOffset } of stored) {
    const before = counts.get(queue) ?? { count: 0, last: -1 }
    counts.set(queue, { count: before.count + 1, last: Math.max(before.last, queueOffset) })
  }
  return [...counts].flatMap(([queue, { count, last }]) =>
    count === last + 1 ? [] : [`${queue} has ${count} messages up to offset ${last}`],
  )
}

function disorder(attempts: readonly Attempt[]): readonly string[] {
  const last = new Map<string, { seq: number; queueOffset: number }>()
  const violations: string[] = []
  const inOrder = attempts.toSorted((left, right) => left.seq - right.seq)
  for (const { sender, seq, place } of inOrder) {
    if (place === null) continue
    const lane = `${sender} ${place.queue}`
    const before = last.get(lane)
    if (before !== undefined && before.queueOffset > place.queueOffset) {
      violations.push(
        `${sender} sent ${before.seq} before ${seq}, which lies before it in ${place.queue}`,
      )
    }
    last.set(lane, { seq, queueOffset: place.queueOffset })
  }
  return violations
}

function idOf({ sender, seq }: { readonly sender: string; readonly seq: number }): string {
  return `${sender} ${seq}`
}

function placeName({ queue, queueOffset }: Place): string {
  return `${queue}@${queueOffset}`
}
