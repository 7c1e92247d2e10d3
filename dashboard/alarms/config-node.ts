/** Reads a parsed file member by member; what is wrong is told with the path of the member: `receivers[0].email.host`. */
import { ConfigError } from '../../common/config.ts'
import { nearestName } from '../../common/nearest-name.ts'

const TEXT_MAX = 2_048
const UNITS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 60 * 60_000,
  d: 24 * 60 * 60_000,
}

export class ConfigNode {
  readonly #value: unknown
  readonly #file: string
  readonly #path: string

  constructor(value: unknown, file: string, path: string) {
    this.#value = value
    this.#file = file
    this.#path = path
  }

  fail(problem: string): never {
    const where = this.#path === '' ? this.#file : `${this.#file}: ${this.#path}`
    throw new ConfigError('badValue', `${where}: ${problem}`)
  }

  get isAbsent(): boolean {
    return this.#value === undefined || this.#value === null
  }

  /** Its members by name; others than `known` are refused. */
  members(known: readonly string[]): (name: string) => ConfigNode {
    const members = this.#record()
    for (const name of members.keys()) {
      if (known.includes(name)) continue
      const near = nearestName(name, known)
      const hint = near === null ? `known are ${known.join(', ')}` : `did you mean ${near}?`
      this.#child(name, null).fail(`is unknown; ${hint}`)
    }
    return (name) => this.#child(name, members.get(name))
  }

  /** Members of any name. */
  entries(max: number): readonly (readonly [string, ConfigNode])[] {
    if (this.isAbsent) return []
    const members = [...this.#record()]
    if (members.length > max) this.fail(`has more than ${max} members`)
    return members.map(([name, value]) => [name, this.#child(name, value)])
  }

  list(max: number): readonly ConfigNode[] {
    if (this.isAbsent) return []
    if (!Array.isArray(this.#value)) return this.fail('is no list')
    const values: readonly unknown[] = this.#value
    if (values.length > max) this.fail(`has more than ${max} entries`)
    return values.map(
      (value, index) => new ConfigNode(value, this.#file, `${this.#path}[${index}]`),
    )
  }

  /** One text, or a list of them. */
  texts(max: number): readonly string[] {
    if (this.isAbsent) return []
    if (typeof this.#value === 'string') return [this.text()]
    return this.list(max).map((node) => node.text())
  }

  text(): string {
    if (this.isAbsent) return this.fail('is missing')
    if (typeof this.#value !== 'string') return this.fail('is no text')
    const text = this.#value.trim()
    if (text === '') return this.fail('is empty')
    if (text.length > TEXT_MAX) return this.fail(`is longer than ${TEXT_MAX}`)
    // oxlint-disable-next-line no-control-regex -- they would end a line of a header
    if (/[\u0000-\u001f\u007f]/u.test(text)) return this.fail('has control characters')
    return text
  }

  optionalText(absent: string): string {
    return this.isAbsent || this.#value === '' ? absent : this.text()
  }

  number({ min, max }: { readonly min: number; readonly max: number }): number {
    const value = this.#value
    if (this.isAbsent) return this.fail('is missing')
    if (typeof value !== 'number' || !Number.isFinite(value)) return this.fail('is no number')
    if (value < min || value > max) return this.fail(`${value} is not from ${min} to ${max}`)
    return value
  }

  integer(bounds: { readonly min: number; readonly max: number }): number {
    const value = this.number(bounds)
    return Number.isSafeInteger(value) ? value : this.fail(`${value} is no whole number`)
  }

  flag(absent: boolean): boolean {
    if (this.isAbsent) return absent
    return typeof this.#value === 'boolean' ? this.#value : this.fail('is neither true nor false')
  }

  choice<const Choices extends readonly [string, ...string[]]>(choices: Choices): Choices[number] {
    const text = this.text()
    const found: Choices[number] | undefined = choices.find((choice) => choice === text)
    return found ?? this.fail(`'${text}' is none of ${choices.join(', ')}`)
  }

  /** `30s`, `5m`, `4h`, `7d`. */
  durationMs(absent: number, { min, max }: { readonly min: number; readonly max: number }): number {
    if (this.isAbsent) return absent
    const text = this.text()
    const [, digits = '', unit = ''] = /^(\d{1,9})([smhd])$/u.exec(text) ?? []
    if (digits === '') return this.fail(`'${text}' is no time: 30s, 5m, 4h, 7d`)
    const ms = Number(digits) * (UNITS[unit] ?? 0)
    if (ms < min || ms > max) {
      return this.fail(`${text} is not from ${min / 1000}s to ${max / 1000}s`)
    }
    return ms
  }

  #record(): ReadonlyMap<string, unknown> {
    const value = this.#value
    if (this.isAbsent) return this.fail('is missing')
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return this.fail('is no map of names to values')
    }
    return new Map<string, unknown>(Object.entries(value))
  }

  #child(name: string, value: unknown): ConfigNode {
    return new ConfigNode(value, this.#file, this.#path === '' ? name : `${this.#path}.${name}`)
  }
}
