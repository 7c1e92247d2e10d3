/** Lines of the journals, as they were written. */
import type { EventRow, OperationRow } from './api-types.ts'

const SEVERITIES = ['info', 'warning', 'error'] as const

/** Null: no such entry. */
export function eventRowOf(value: unknown): EventRow | null {
  const at = numberIn(value, 'at')
  const severity = SEVERITIES.find((known) => known === memberOf(value, 'severity'))
  const subject = memberOf(value, 'subject')
  const text = memberOf(value, 'text')
  if (at === null || severity === undefined) return null
  if (typeof subject !== 'string' || typeof text !== 'string') return null
  return { at, severity, subject, text }
}

/** Null: no such entry. */
export function operationRowOf(value: unknown): OperationRow | null {
  const at = numberIn(value, 'at')
  const texts = ['userName', 'address', 'what', 'result'].map((name) => memberOf(value, name))
  const [userName, address, what, result] = texts.map((text) =>
    typeof text === 'string' ? text : undefined,
  )
  if (at === null || userName === undefined || address === undefined) return null
  if (what === undefined || result === undefined) return null
  return { at, userName, address, what, result }
}

function numberIn(value: unknown, name: string): number | null {
  const found = memberOf(value, name)
  return typeof found === 'number' ? found : null
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.entries(value).find(([key]) => key === name)?.[1]
}
