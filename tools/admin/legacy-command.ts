/** A command of Java's mqadmin: its name, its flags and what it does. */
import { readFileSync } from 'node:fs'
import { messageOf } from '../../common/errors.ts'
import { parseFastjson } from '../../remoting/bodies/fastjson.ts'
import type { JsonObject } from '../../remoting/bodies/fastjson.ts'
import { asObject, isJsonArray } from '../../remoting/bodies/json-members.ts'
import { AdminError } from './session.ts'
import type { Session } from './session.ts'

export interface LegacyOption {
  /** By which `LegacyFlags` knows it; null where mqadmin has the long name only, which is it then. */
  readonly short: string | null
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

/** One that Gantry has no use for: whatever it is given, it says why. */
export interface RefusedCommand {
  readonly name: string
  readonly reason: string
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

  needNumber(name: string): number {
    this.need(name)
    return this.number(name, 0)
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
  short: string | null,
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

/** Light queues have no route of their own. */
export const ROUTE_OF: LegacyOption = option(
  'c',
  'cluster',
  'topic or cluster whose route is meant',
)

/** The brokers that `-b` or `-c` name; an error without either. */
export async function brokersOf(session: Session, flags: LegacyFlags): Promise<readonly string[]> {
  const broker = flags.text('b')
  if (broker !== null) return [broker]
  const cluster = flags.text('c')
  if (cluster === null) throw new AdminError('usage', 'either -b or -c is needed')
  return (await session.leaders(cluster)).map(({ address }) => address)
}

/** A command that does one thing to each broker that -b or -c names, and says so. */
export function eachBroker(
  command: Omit<LegacyCommand, 'run'>,
  act: (session: Session, broker: string, flags: LegacyFlags) => Promise<string>,
): LegacyCommand {
  return {
    ...command,
    options: [BROKER, CLUSTER, ...command.options],
    run: async (session, flags) => {
      for (const broker of await brokersOf(session, flags)) {
        session.line(await act(session, broker, flags))
      }
    },
  }
}

/** Once, or every so many seconds until it is interrupted when `-i` says so. */
export async function repeat(
  session: Session,
  flags: LegacyFlags,
  act: () => Promise<void>,
): Promise<void> {
  if (!flags.has('i')) return act()
  const intervalMs = flags.number('i', 0) * 1000
  if (intervalMs <= 0) throw new AdminError('usage', '-i is no number of seconds')
  while (!session.options.isInterrupted()) {
    await act()
    await session.pause(intervalMs)
  }
}

/** The words of `-x`, which commas separate; none without it. */
export function listOf(flags: LegacyFlags, name: string): readonly string[] {
  return (flags.text(name) ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** The text of the file that a flag names. */
export function fileOf(flags: LegacyFlags, name: string): string {
  const path = flags.need(name)
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new AdminError('usage', `the file ${path} cannot be read`, error)
  }
}

/** The objects of the JSON list in the file that a flag names. */
export function listIn(flags: LegacyFlags, name: string): readonly JsonObject[] {
  try {
    const list = parseFastjson(fileOf(flags, name))
    if (!isJsonArray(list)) throw new AdminError('usage', 'it holds no list')
    return list.map((item) => asObject(item, 'item'))
  } catch (error) {
    throw new AdminError('usage', `${flags.need(name)}: ${messageOf(error)}`, error)
  }
}

/** `+name=value,…` */
export function attributesOf(flags: LegacyFlags, name: string): ReadonlyMap<string, string> {
  return new Map(
    listOf(flags, name).map((item) => {
      const parts = /^\+?([^=]+)=(.*)$/u.exec(item)
      if (parts === null) throw new AdminError('usage', `${item} is not +name=value`)
      return [parts[1] ?? '', parts[2] ?? '']
    }),
  )
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
