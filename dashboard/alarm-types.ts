/** What the server answers about alarms, and the page shows. */
import type { AlarmKind } from './alarms/alarm-kinds.ts'

export interface AlarmRow {
  readonly key: string
  readonly kind: AlarmKind
  readonly title: string
  readonly subject: string
  readonly state: 'pending' | 'firing'
  readonly severity: 'warning' | 'error'
  readonly problem: string
  readonly advice: string
  readonly since: number
  readonly firingAt: number | null
  /** Behind `#/`. */
  readonly page: string
  /** Heading of the runbooks, and where it is; null: nobody said where the page is. */
  readonly runbook: string
  readonly runbookUrl: string | null
  /** It cannot be seen now whether it still holds. */
  readonly isUnsure: boolean
  /** It holds no more, and is resolved when that stays so. */
  readonly isClearing: boolean
  readonly silencedUntil: number | null
  /** Receivers that know of it. */
  readonly told: readonly string[]
  /** A broker group that went; the page can say that this is right. */
  readonly gone: string | null
}

export interface AlarmReceiverRow {
  readonly name: string
  readonly type: 'webhook' | 'email'
  /** Without secrets. */
  readonly target: string
  readonly sendResolved: boolean
  readonly lastDeliveryAt: number | null
  readonly lastErrorAt: number | null
  readonly lastError: string | null
  readonly failures: number
  readonly nextTryAt: number | null
}

export interface AlarmRuleRow {
  readonly name: string
  readonly kind: AlarmKind
  readonly title: string
  /** What it is about: patterns, or all. */
  readonly of: string
  /** When it is an alarm, in words. */
  readonly when: string
  readonly forMs: number
  readonly repeatMs: number
  readonly receivers: readonly string[]
}

export interface Silence {
  readonly id: string
  /** `any`: all of them. */
  readonly kind: AlarmKind | 'any'
  /** A pattern of subjects: `group shop-*`. */
  readonly subject: string
  readonly comment: string
  readonly by: string
  readonly startsAt: number
  readonly endsAt: number
}

export interface AlarmSettingsAnswer {
  readonly at: number
  readonly firing: number
  readonly pending: number
  readonly silenced: number
  /** Conditions that are no alarm because there are too many. */
  readonly leftOut: number
  readonly receivers: readonly AlarmReceiverRow[]
  readonly silences: readonly Silence[]
  readonly rules: readonly AlarmRuleRow[]
}
