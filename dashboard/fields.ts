/** Reads what a browser sends: each member by its name, refused with its name when it is something else. */
import { ApiError } from './api-error.ts'

const TEXT_MAX = 4_096

export class Fields {
  readonly #members: ReadonlyMap<string, unknown>

  constructor(value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new ApiError('badRequest', 'the body is no JSON object')
    }
    this.#members = new Map<string, unknown>(Object.entries(value))
  }

  has(name: string): boolean {
    return this.#members.get(name) !== undefined
  }

  text(name: string, max: number = TEXT_MAX): string {
    const value = this.#members.get(name)
    if (typeof value !== 'string') throw new ApiError('badRequest', `${name} is missing`)
    if (value.length > max) throw new ApiError('badRequest', `${name} is longer than ${max}`)
    return value
  }

  optionalText(name: string, max: number = TEXT_MAX): string | null {
    const value = this.#members.get(name)
    return value === undefined || value === null || value === '' ? null : this.text(name, max)
  }

  integer(name: string, { min, max }: { readonly min: number; readonly max: number }): number {
    const value = this.#members.get(name)
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) {
      return value
    }
    throw new ApiError('badRequest', `${name} is no whole number from ${min} to ${max}`)
  }

  flag(name: string, absent: boolean): boolean {
    const value = this.#members.get(name) ?? absent
    if (typeof value === 'boolean') return value
    throw new ApiError('badRequest', `${name} is neither true nor false`)
  }

  choice<const Choices extends readonly [string, ...string[]]>(
    name: string,
    choices: Choices,
  ): Choices[number] {
    const value = this.text(name)
    const found: Choices[number] | undefined = choices.find((choice) => choice === value)
    if (found !== undefined) return found
    throw new ApiError('badRequest', `${name} is none of ${choices.join(', ')}`)
  }

  list(name: string, max: number): readonly unknown[] {
    const value = this.#members.get(name)
    if (!Array.isArray(value)) throw new ApiError('badRequest', `${name} is no list`)
    if (value.length > max) throw new ApiError('badRequest', `${name} has more than ${max} entries`)
    return value
  }
}

/** A whole number of a query; `absent` when it is not there. */
export function integerOf(
  query: URLSearchParams,
  name: string,
  { min, max, absent }: { readonly min: number; readonly max: number; readonly absent: number },
): number {
  const given = query.get(name)
  if (given === null || given === '') return absent
  const value = Number(given)
  if (/^-?\d+$/u.test(given) && value >= min && value <= max) return value
  throw new ApiError('badRequest', `${name} is no whole number from ${min} to ${max}`)
}
