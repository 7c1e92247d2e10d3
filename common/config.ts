/**
 * Configuration in RocketMQ's manner: `key=value` files, then environment, then flags; later sources win.
 *
 * A role describes its keys once, in a schema; loading turns text into typed values, or into a `ConfigError` that names key, file and line.
 */
import { GantryError } from './errors.ts'
import { nearestName } from './nearest-name.ts'
import { parseJavaProperties } from './java-properties.ts'

interface KeyFacts {
  readonly description: string
  /** `ms`, `bytes`, `hours`, `messages` …; empty for names and switches. */
  readonly unit?: string
  /** True when a running process takes a new value. */
  readonly live?: boolean
  /** Nobody is told the value. */
  readonly secret?: boolean
}

export interface ConfigKey<Value> extends KeyFacts {
  readonly type: 'text' | 'integer' | 'decimal' | 'flag' | 'choice'
  readonly default: Value
  readonly min?: number
  readonly max?: number
  readonly choices?: readonly string[]
  /** The typed value, or a sentence that says what is wrong with the text. */
  readonly parse: (text: string) => { readonly value: Value } | { readonly problem: string }
}

// Schemas hold keys of different value types; each is recovered by `ConfigValues`.
export type ConfigSchema = Readonly<Record<string, ConfigKey<string | number | boolean>>>

export type ConfigValues<Schema extends ConfigSchema> = {
  readonly [Name in keyof Schema]: Schema[Name]['default']
}

export function text(fallback: string, facts: KeyFacts): ConfigKey<string> {
  return { ...facts, type: 'text', default: fallback, parse: (value) => ({ value }) }
}

export function integer(
  fallback: number,
  facts: KeyFacts & { readonly min?: number; readonly max?: number },
): ConfigKey<number> {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = facts
  return {
    ...facts,
    type: 'integer',
    default: fallback,
    parse: (value) => {
      const number = Number(value)
      if (!/^[+-]?\d+$/.test(value) || !Number.isSafeInteger(number)) {
        return { problem: `'${value}' is not a whole number` }
      }
      return inRange(number, min, max)
    },
  }
}

export function decimal(
  fallback: number,
  facts: KeyFacts & { readonly min?: number; readonly max?: number },
): ConfigKey<number> {
  const { min = -Infinity, max = Infinity } = facts
  return {
    ...facts,
    type: 'decimal',
    default: fallback,
    parse: (value) => {
      const number = Number(value)
      if (value === '' || !Number.isFinite(number)) return { problem: `'${value}' is not a number` }
      return inRange(number, min, max)
    },
  }
}

export function flag(fallback: boolean, facts: KeyFacts): ConfigKey<boolean> {
  return {
    ...facts,
    type: 'flag',
    default: fallback,
    parse: (value) => {
      const lower = value.toLowerCase()
      if (lower === 'true') return { value: true }
      if (lower === 'false') return { value: false }
      return { problem: `'${value}' is neither true nor false` }
    },
  }
}

export function choice<const Choices extends readonly [string, ...string[]]>(
  fallback: Choices[number],
  choices: Choices,
  facts: KeyFacts,
): ConfigKey<Choices[number]> {
  return {
    ...facts,
    type: 'choice',
    default: fallback,
    choices,
    parse: (value) => {
      const found = choices.find((candidate) => candidate === value)
      return found === undefined
        ? { problem: `'${value}' is none of ${choices.join(', ')}` }
        : { value: found }
    },
  }
}

/** The text of a value for whoever asks: stars for a secret. */
export function shownValue(
  { secret = false }: Pick<ConfigSchema[string], 'secret'>,
  value: string,
): string {
  return secret && value !== '' ? '******' : value
}

export type ConfigErrorCode = 'badValue' | 'unknownKey' | 'badSyntax'

/** A configuration that cannot be used: exit code 2. */
export class ConfigError extends GantryError<ConfigErrorCode> {}

/** One place that settings come from, in rising order of precedence. */
export interface ConfigSource {
  /** A file path, `environment` or `flag -p`: what an error message names. */
  readonly origin: string
  readonly entries: readonly {
    readonly key: string
    readonly value: string
    readonly line?: number
  }[]
}

export interface LoadedConfig<Schema extends ConfigSchema> {
  readonly values: ConfigValues<Schema>
  /** Keys that were set, with their text, for what is shown and persisted. */
  readonly given: ReadonlyMap<string, string>
  /** Keys which RocketMQ knows and Gantry does not need, in the order met. */
  readonly ignored: readonly string[]
  /** One sentence for each key that nobody knows, with the nearest known name. */
  readonly warnings: readonly string[]
}

export interface LoadOptions<Schema extends ConfigSchema> {
  readonly schema: Schema
  readonly sources: readonly ConfigSource[]
  /** RocketMQ's keys that mean nothing here. */
  readonly rocketmqKeys?: ReadonlySet<string>
  /** True for files of Gantry's own: an unknown key is an error instead of a warning. */
  readonly strict?: boolean
}

/** Merges the sources and parses every key; throws `ConfigError` at the first bad value. */
export function loadConfig<Schema extends ConfigSchema>(
  options: LoadOptions<Schema>,
): LoadedConfig<Schema> {
  const { schema, sources, rocketmqKeys = new Set<string>(), strict = false } = options
  const values = new Map<string, string | number | boolean>()
  for (const [name, key] of Object.entries(schema)) values.set(name, key.default)
  const given = new Map<string, string>()
  const ignored = new Set<string>()
  const warnings: string[] = []

  for (const { origin, entries } of sources) {
    for (const { key, value, line } of entries) {
      const place = line === undefined ? origin : `${origin}:${line}`
      const facts = Object.hasOwn(schema, key) ? schema[key] : undefined
      if (facts === undefined) {
        if (rocketmqKeys.has(key)) {
          ignored.add(key)
          continue
        }
        const sentence = unknownKey(key, place, [...Object.keys(schema), ...rocketmqKeys])
        if (strict) throw new ConfigError('unknownKey', sentence)
        warnings.push(sentence)
        continue
      }
      const parsed = facts.parse(value.trim())
      if ('problem' in parsed) {
        throw new ConfigError('badValue', `${place}: ${key}: ${parsed.problem}`)
      }
      values.set(key, parsed.value)
      given.set(key, value.trim())
    }
  }
  // The map holds a value of its key's own type for every key of the schema.
  return {
    values: Object.fromEntries(values) as ConfigValues<Schema>,
    given,
    ignored: [...ignored],
    warnings,
  }
}

/** The entries of a `key=value` file (Java Properties syntax). */
export function fileSource(path: string, content: string): ConfigSource {
  return { origin: path, entries: parseJavaProperties(content) }
}

/** The entries of flags like `-p key=value`; throws `ConfigError` for one without `=`. */
export function flagSource(flags: readonly string[]): ConfigSource {
  const entries = flags.map((flagText) => {
    const at = flagText.indexOf('=')
    if (at < 1) throw new ConfigError('badSyntax', `flag -p ${flagText}: expected key=value`)
    return { key: flagText.slice(0, at), value: flagText.slice(at + 1) }
  })
  return { origin: 'flag -p', entries }
}

const ENVIRONMENT_PREFIX = 'GANTRY_CONFIG_'

/** The name servers that RocketMQ's own NAMESRV_ADDR names, for where nothing else does. */
export function nameServerSource(
  environment: Readonly<Record<string, string | undefined>>,
): ConfigSource {
  const value = environment['NAMESRV_ADDR'] ?? ''
  return { origin: 'NAMESRV_ADDR', entries: value === '' ? [] : [{ key: 'namesrvAddr', value }] }
}

/** The entries of environment variables `GANTRY_CONFIG_<key>`, the key spelt as in files. */
export function environmentSource(
  environment: Readonly<Record<string, string | undefined>>,
): ConfigSource {
  const entries: { readonly key: string; readonly value: string }[] = []
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || !name.startsWith(ENVIRONMENT_PREFIX)) continue
    entries.push({ key: name.slice(ENVIRONMENT_PREFIX.length), value })
  }
  return { origin: 'environment', entries }
}

function unknownKey(key: string, place: string, known: readonly string[]): string {
  const nearest = nearestName(key, known)
  const hint = nearest === null ? '' : `; did you mean ${nearest}?`
  return `${place}: unknown key ${key}${hint}`
}

function inRange(
  value: number,
  min: number,
  max: number,
): { readonly value: number } | { readonly problem: string } {
  if (value >= min && value <= max) return { value }
  return { problem: `${value} is outside ${min} to ${max}` }
}
