/**
 * What becomes of each condition: pending until it has held for as long as its rule says, firing, and resolved once it is over. Pure: time is
 * handed in. What was told to a receiver stays until the receiver knows that it is over.
 */
import type { AlarmKind } from './alarm-kinds.ts'
import type { AlarmLabels, Condition } from './alarm-conditions.ts'

export interface Alarm {
  /** Kind and subject. */
  readonly key: string
  readonly kind: AlarmKind
  readonly subject: string
  readonly labels: AlarmLabels
  readonly page: string
  readonly state: 'pending' | 'firing' | 'resolved'
  readonly ruleName: string
  readonly ruleLabels: AlarmLabels
  readonly receivers: readonly string[]
  readonly repeatMs: number
  readonly severity: 'warning' | 'error'
  readonly problem: string
  readonly advice: string
  readonly value: number | null
  /** Since when the condition holds. */
  readonly since: number
  readonly firingAt: number | null
  readonly resolvedAt: number | null
  /** Since when the condition of a firing alarm holds no more. */
  readonly falseSince: number | null
  /** It cannot be seen now whether the condition holds. */
  readonly isUnsure: boolean
}

export const ALARMS_MAX = 2_000
/** However long a receiver cannot be reached. */
const RESOLVED_KEPT_MS = 7 * 86_400_000

export class AlarmStates {
  readonly #resolveAfterMs: number
  readonly #alarms = new Map<string, Alarm>()
  #leftOut = 0

  constructor(resolveAfterMs: number, alarms: readonly Alarm[]) {
    this.#resolveAfterMs = resolveAfterMs
    for (const alarm of alarms) this.#alarms.set(alarm.key, alarm)
  }

  get all(): Iterable<Alarm> {
    return this.#alarms.values()
  }

  /** Conditions that are no alarm because there are too many. */
  get leftOut(): number {
    return this.#leftOut
  }

  get(key: string): Alarm | null {
    return this.#alarms.get(key) ?? null
  }

  /**
   * Takes what is wrong now; resolves with the alarms that began to fire or were resolved by it.
   *
   * `canTell`: whether it can be seen that something is over. `isTold`: whether a receiver was told that the alarm fires, and not yet that it
   * is over.
   */
  observe(
    now: number,
    conditions: readonly Condition[],
    canTell: (kind: AlarmKind, labels: AlarmLabels) => boolean,
    isTold: (key: string) => boolean,
  ): readonly Alarm[] {
    const changed: Alarm[] = []
    const present = new Set<string>()
    this.#leftOut = 0
    for (const condition of conditions) {
      const key = `${condition.rule.kind} ${condition.subject}`
      present.add(key)
      const former = this.#alarms.get(key) ?? null
      if (former === null && this.#alarms.size >= ALARMS_MAX) {
        this.#leftOut++
        continue
      }
      const alarm = holding(key, condition, former, now)
      this.#alarms.set(key, alarm)
      if (alarm.state === 'firing' && former?.state !== 'firing') changed.push(alarm)
    }
    for (const alarm of this.#alarms.values()) {
      if (present.has(alarm.key)) continue
      const next = this.#over(alarm, now, canTell(alarm.kind, alarm.labels), isTold(alarm.key))
      if (next === null) this.#alarms.delete(alarm.key)
      else this.#alarms.set(alarm.key, next)
      if (alarm.state === 'firing' && next?.state !== 'firing') {
        changed.push({ ...alarm, state: 'resolved', resolvedAt: now })
      }
    }
    return changed
  }

  /** Null: it can be forgotten. */
  #over(alarm: Alarm, now: number, isKnown: boolean, isTold: boolean): Alarm | null {
    if (alarm.state === 'resolved') {
      const isOld = now - (alarm.resolvedAt ?? now) > RESOLVED_KEPT_MS
      return isTold && !isOld ? alarm : null
    }
    if (!isKnown) return alarm.isUnsure ? alarm : { ...alarm, isUnsure: true }
    const resolved: Alarm = { ...alarm, state: 'resolved', resolvedAt: now, isUnsure: false }
    if (alarm.state === 'pending') return isTold ? resolved : null
    // A clock that was set back does not prolong it.
    const falseSince = Math.min(alarm.falseSince ?? now, now)
    if (now - falseSince < this.#resolveAfterMs) return { ...alarm, falseSince, isUnsure: false }
    return isTold ? resolved : null
  }
}

function holding(key: string, condition: Condition, former: Alarm | null, now: number): Alarm {
  const { rule, subject, severity, problem, advice, value, labels, page } = condition
  const goesOn = former !== null && former.state !== 'resolved'
  const since = goesOn ? Math.min(former.since, now) : now
  const wasFiring = former?.state === 'firing'
  const isFiring = wasFiring || now - since >= rule.forMs
  return {
    key,
    kind: rule.kind,
    subject,
    labels,
    page,
    state: isFiring ? 'firing' : 'pending',
    ruleName: rule.name,
    ruleLabels: rule.labels,
    receivers: rule.receivers,
    repeatMs: rule.repeatMs,
    severity,
    problem,
    advice,
    value,
    since,
    firingAt: wasFiring ? Math.min(former.firingAt ?? now, now) : isFiring ? now : null,
    resolvedAt: null,
    falseSince: null,
    isUnsure: false,
  }
}
