/** Lines of the journals, as they were written. */
import type { EventRow, OperationRow } from './api-types.ts'
import { memberOf, numberOf, textOf } from './stored-json.ts'

const SEVERITIES = ['info', 'warning', 'error'] as const

/** Null: no such entry. */
export function eventRowOf(value: unknown): EventRow | null {
  const at = numberOf(value, 'at')
  const severity = SEVERITIES.find((known) => known === memberOf(value, 'severity'))
  const [subject, text] = [textOf(value, 'subject'), textOf(value, 'text')]
  if (at === null || severity === undefined || subject === null || text === null) return null
  return { at, severity, subject, text }
}

/** Null: no such entry. */
export function operationRowOf(value: unknown): OperationRow | null {
  const at = numberOf(value, 'at')
  const [userName, address] = [textOf(value, 'userName'), textOf(value, 'address')]
  const [what, result] = [textOf(value, 'what'), textOf(value, 'result')]
  if (at === null || userName === null || address === null) return null
  if (what === null || result === null) return null
  return { at, userName, address, what, result }
}
