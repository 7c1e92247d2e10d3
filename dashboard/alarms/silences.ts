/** Alarms that nobody is told of for a while. Pure: time is handed in. */
import { ApiError } from '../api-error.ts'
import { ALARM_KINDS } from './alarm-kinds.ts'
import type { Silence } from '../alarm-types.ts'
import type { AlarmKind } from './alarm-kinds.ts'
import { matchesGlob } from './glob.ts'

export const SILENCE_KINDS: readonly ['any', ...typeof ALARM_KINDS] = ['any', ...ALARM_KINDS]
export const SILENCE_MAX_MINUTES: number = 90 * 24 * 60
const SILENCES_MAX = 200

export class Silences {
  readonly #silences = new Map<string, Silence>()

  constructor(silences: readonly Silence[]) {
    for (const silence of silences) this.#silences.set(silence.id, silence)
  }

  /** The one that ends next first. */
  get all(): readonly Silence[] {
    return [...this.#silences.values()].toSorted((a, b) => a.endsAt - b.endsAt)
  }

  add(silence: Silence): void {
    if (this.#silences.size >= SILENCES_MAX) {
      throw new ApiError('conflict', `there are ${SILENCES_MAX} silences, which is the most`)
    }
    this.#silences.set(silence.id, silence)
  }

  remove(id: string): void {
    if (this.#silences.delete(id)) return
    throw new ApiError('notFound', 'there is no such silence (any more)')
  }

  /** True when one has ended. */
  prune(now: number): boolean {
    const before = this.#silences.size
    for (const { id, endsAt } of this.#silences.values()) {
      if (endsAt <= now) this.#silences.delete(id)
    }
    return this.#silences.size !== before
  }

  /** The one that ends last; null: it is told. */
  silencing(
    { kind, subject }: { readonly kind: AlarmKind; readonly subject: string },
    now: number,
  ): Silence | null {
    let found: Silence | null = null
    for (const silence of this.#silences.values()) {
      const isOf = silence.kind === 'any' || silence.kind === kind
      if (!isOf || silence.endsAt <= now || silence.endsAt <= (found?.endsAt ?? 0)) continue
      if (matchesGlob(silence.subject, subject)) found = silence
    }
    return found
  }
}
