/** A command of Java's mqadmin: its name, its flags and what it does. */
import { AdminError } from './session.ts'
import type { Session } from './session.ts'

export interface LegacyOption {
  /** `t, topic`: the short and the long name; `show, m` for a switch is written with `isSwitch`. */
  readonly short: string
  readonly long: string
  readonly description: string
  readonly isRequired?: boolean
  readonly isSwitch?: boolean
}

export interface LegacyCommand {
  readonly name: string
  readonly description: string
  readonly options: readonly LegacyOption[]
  readonly run: (session: Session, flags: LegacyFlags) => Promise<void>
}

/** The flags of one call, by their short names. */
export class LegacyFlags {
  readonly #values: ReadonlyMap<string, string>

  constructor(values: ReadonlyMap<string, string>) {
    this.#values = values
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  text(name: string): string | null {
    return this.#values.get(name)?.trim() ?? null
  }

  need(name: string): string {
    const value = this.text(name)
    if (value === null || value === '') throw new AdminError('usage', `-${name} is missing`)
    return value
  }

  number(name: string, absent: number): number {
    const value = this.text(name)
    if (value === null) return absent
    const number = Number(value)
    if (!Number.isSafeInteger(number)) throw new AdminError('usage', `-${name} is no whole number`)
    return number
  }

  flag(name: string, absent: boolean): boolean {
    const value = this.text(name)?.toLowerCase()
    if (value === undefined) return absent
    if (value !== 'true' && value !== 'false') {
      throw new AdminError('usage', `-${name} is neither true nor false`)
    }
    return value === 'true'
  }
}

export function option(
  short: string,
  long: string,
  description: string,
  isRequired: boolean = false,
): LegacyOption {
  return { short, long, description, isRequired }
}

export function flagOption(short: string, long: string, description: string): LegacyOption {
  return { short, long, description, isSwitch: true }
}

export const TOPIC: LegacyOption = option('t', 'topic', 'topic name', true)
export const GROUP: LegacyOption = option('g', 'groupName', 'consumer group name', true)
export const BROKER: LegacyOption = option('b', 'brokerAddr', 'address of one broker')
export const CLUSTER: LegacyOption = option('c', 'clusterName', 'all brokers of a cluster')

/** The brokers that `-b` or `-c` name; an error without either. */
export async function brokersOf(session: Session, flags: LegacyFlags): Promise<readonly string[]> {
  const broker = flags.text('b')
  if (broker !== null) return [broker]
  const cluster = flags.text('c')
  if (cluster === null) throw new AdminError('usage', 'either -b or -c is needed')
  return (await session.leaders(cluster)).map(({ address }) => address)
}

/** `now`, milliseconds since 1970, or `yyyy-MM-dd#HH:mm:ss:SSS` in the local zone, as mqadmin takes times. */
export function timeOf(text: string, now: number): number {
  if (text === 'now') return now
  if (/^-?\d+$/u.test(text)) return Number(text)
  const parts = /^(\d{4})-(\d{1,2})-(\d{1,2})#(\d{1,2}):(\d{1,2}):(\d{1,2})(?::(\d{1,3}))?$/u.exec(
    text,
  )
  if (parts === null) throw new AdminError('usage', `${text} is no time`)
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0, ms = 0] = parts
    .slice(1)
    .map((part) => Number(part ?? 0))
  return new Date(year, month - 1, day, hour, minute, second, ms).getTime()
}
