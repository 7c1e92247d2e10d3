/**
 * A small language for the fields of a custom resource: from one description come the OpenAPI schema with its CEL rules, the parser that
 * `gantry dev` uses in the API server's place, and the reference page. The TypeScript types are written beside and checked against it.
 */
import { isRecord } from './json.ts'
import type { Json, JsonObject } from './json.ts'
import { parseQuantity, QUANTITY_PATTERN } from './quantity.ts'
import { nearestName } from '../common/nearest-name.ts'

export interface FieldProblem {
  /** `spec.broker.groups`. */
  readonly path: string
  readonly message: string
}

/** A condition on a value: in CEL for the API server and as a function for everyone else; both must say the same. */
export interface Rule<Value> {
  readonly cel: string
  readonly message: string
  /** `old` is null when there is no former value; then a transition rule is not asked. */
  holds(value: Value, old: Value | null): boolean
  /** True when the CEL uses `oldSelf`. */
  readonly isTransition?: boolean
}

export interface Field<Value> {
  readonly description: string
  /** What the reference page calls the type. */
  readonly type: string
  readonly openApi: JsonObject
  /** Absent: the field has no default. */
  readonly fallback?: Json
  readonly isRequired: boolean
  readonly rules: readonly Rule<Value>[]
  /** Children, for the reference page. */
  readonly children: Readonly<Record<string, Field<unknown>>>
  /** The typed value; undefined after a problem, which was added to `problems`. */
  parse(value: unknown, path: string, problems: FieldProblem[]): Value | undefined
  /** Asks the rules of this value and of all below it. */
  check(value: Value, old: Value | null, path: string, problems: FieldProblem[]): void
}

interface Facts<Value> {
  readonly description: string
  readonly fallback?: Json
  readonly isRequired?: boolean
  readonly rules?: readonly Rule<Value>[]
}

type Fields<Value> = { readonly [Name in keyof Value]-?: Field<Value[Name]> }

export function textField(
  facts: Facts<string> & {
    readonly pattern?: string
    readonly maxLength?: number
    readonly typeName?: string
  },
): Field<string> {
  const { pattern, maxLength } = facts
  const openApi: JsonObject = {
    type: 'string',
    ...(pattern === undefined ? {} : { pattern }),
    ...(maxLength === undefined ? {} : { maxLength }),
  }
  return leaf(facts, facts.typeName ?? 'string', openApi, (value) => {
    if (typeof value !== 'string') return { problem: `must be a string, not ${kindOf(value)}` }
    if (maxLength !== undefined && value.length > maxLength) {
      return { problem: `may not be longer than ${maxLength} characters` }
    }
    if (pattern !== undefined && !new RegExp(pattern).test(value)) {
      return { problem: `'${value}' should match ${pattern}` }
    }
    return { value }
  })
}

export function integerField(
  facts: Facts<number> & { readonly min: number; readonly max: number },
): Field<number> {
  const { min, max } = facts
  const openApi = { type: 'integer', minimum: min, maximum: max }
  return leaf(facts, `integer, ${min} to ${max}`, openApi, (value) => {
    if (!Number.isSafeInteger(value)) return { problem: `must be an integer, not ${kindOf(value)}` }
    const number = Number(value)
    if (number < min || number > max) {
      // A rule that says what to do instead helps more than the bounds.
      const broken = facts.rules?.find((rule) => !rule.holds(number, null))
      return { problem: broken?.message ?? `${number} should be from ${min} to ${max}` }
    }
    return { value: number }
  })
}

export function flagField(facts: Facts<boolean>): Field<boolean> {
  return leaf(facts, 'boolean', { type: 'boolean' }, (value) =>
    typeof value === 'boolean'
      ? { value }
      : { problem: `must be true or false, not ${kindOf(value)}` },
  )
}

export function choiceField<const Choices extends readonly (string | number)[]>(
  choices: Choices,
  facts: Facts<Choices[number]>,
): Field<Choices[number]> {
  const type = typeof choices[0] === 'number' ? 'integer' : 'string'
  const openApi = { type, enum: choices }
  return leaf(facts, choices.join(' | '), openApi, (value) => {
    const found = choices.find((choice) => choice === value)
    return found === undefined
      ? {
          problem: `Unsupported value: ${JSON.stringify(value)}: supported values: ${choices.join(', ')}`,
        }
      : { value: found }
  })
}

/** A map of strings. */
export function textMapField(
  facts: Facts<Readonly<Record<string, string>>> & {
    readonly maxEntries: number
    readonly maxValueLength: number
  },
): Field<Readonly<Record<string, string>>> {
  const { maxEntries, maxValueLength } = facts
  const openApi = {
    type: 'object',
    maxProperties: maxEntries,
    additionalProperties: { type: 'string', maxLength: maxValueLength },
  }
  return leaf(facts, 'map of strings', openApi, (value) => {
    if (!isRecord(value)) return { problem: `must be a map, not ${kindOf(value)}` }
    const entries: Record<string, string> = {}
    for (const [key, text] of Object.entries(value)) {
      if (typeof text !== 'string') {
        return { problem: `${key} must be a string, not ${kindOf(text)}: put it in quotes` }
      }
      if (text.length > maxValueLength)
        return { problem: `${key} is longer than ${maxValueLength}` }
      entries[key] = text
    }
    const count = Object.keys(entries).length
    if (count > maxEntries)
      return { problem: `has ${count} entries, at most ${maxEntries} are allowed` }
    return { value: entries }
  })
}

/** A map of quantities, as `requests` and `limits` have it. */
export function quantityMapField(
  facts: Facts<Readonly<Record<string, string>>>,
): Field<Readonly<Record<string, string>>> {
  const openApi = {
    type: 'object',
    maxProperties: 16,
    additionalProperties: {
      anyOf: [{ type: 'integer' }, { type: 'string' }],
      pattern: QUANTITY_PATTERN,
      'x-kubernetes-int-or-string': true,
    },
  }
  return leaf(facts, 'map of quantities', openApi, (value) => {
    if (!isRecord(value)) return { problem: `must be a map, not ${kindOf(value)}` }
    const entries: Record<string, string> = {}
    for (const [key, quantity] of Object.entries(value)) {
      const text = String(quantity)
      if (parseQuantity(text) === null) {
        return { problem: `${key}: '${text}' is not a quantity` }
      }
      entries[key] = text
    }
    return { value: entries }
  })
}

export function textListField(
  facts: Facts<readonly string[]> & { readonly maxItems: number },
): Field<readonly string[]> {
  const { maxItems } = facts
  const openApi = { type: 'array', maxItems, items: { type: 'string', maxLength: 253 } }
  return leaf(facts, 'list of strings', openApi, (value) => {
    if (!Array.isArray(value)) return { problem: `must be a list, not ${kindOf(value)}` }
    if (value.length > maxItems) return { problem: `has more than ${maxItems} items` }
    const items: readonly string[] = value.filter((item) => typeof item === 'string')
    return items.length === value.length ? { value: items } : { problem: 'must hold strings only' }
  })
}

/** An object of Kubernetes' own, kept as it is and checked by the API server when it is used. */
export function foreignField(
  facts: Facts<Readonly<Record<string, unknown>>>,
): Field<Readonly<Record<string, unknown>>> {
  const openApi = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
  return leaf(facts, 'object', openApi, (value) =>
    isRecord(value) ? { value } : { problem: `must be a map, not ${kindOf(value)}` },
  )
}

/** A field which may be left out without a default: null then. */
export function optional<Value>(field: Field<Value>): Field<Value | null> {
  return {
    ...field,
    isRequired: false,
    parse: (value, path, problems) =>
      value === undefined || value === null ? null : field.parse(value, path, problems),
    check: (value, old, path, problems) => {
      if (value !== null) field.check(value, old, path, problems)
    },
  }
}

/** A list of equal items; with `key` the API server merges it by that member. */
export function listField<Item>(
  item: Field<Item>,
  facts: Facts<readonly Item[]> & { readonly maxItems: number; readonly key?: string },
): Field<readonly Item[]> {
  const { maxItems, key } = facts
  const merge: JsonObject =
    key === undefined
      ? {}
      : { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] }
  const openApi: JsonObject = { type: 'array', maxItems, ...merge, items: openApiOf(item) }
  return {
    ...facts,
    type: `list of ${item.type}`,
    openApi,
    isRequired: facts.isRequired === true,
    rules: facts.rules ?? [],
    children: item.children,
    parse: (value, path, problems) => {
      if (!Array.isArray(value)) {
        problems.push({ path, message: `must be a list, not ${kindOf(value)}` })
        return undefined
      }
      const items: Item[] = []
      for (const [position, each] of value.entries()) {
        const parsed = item.parse(each, `${path}[${position}]`, problems)
        if (parsed !== undefined) items.push(parsed)
      }
      return items.length === value.length ? items : undefined
    },
    check: (value, old, path, problems) => askRules(facts.rules ?? [], value, old, path, problems),
  }
}

export function objectField<Value extends object>(
  fields: Fields<Value>,
  facts: Facts<Value>,
): Field<Value> {
  const rules = facts.rules ?? []
  const entries: [string, Field<unknown>][] = Object.entries(fields)
  const required = entries.filter(([, field]) => field.isRequired).map(([name]) => name)
  const properties = Object.fromEntries(entries.map(([name, field]) => [name, openApiOf(field)]))
  return {
    ...facts,
    type: 'object',
    openApi: {
      type: 'object',
      ...(required.length === 0 ? {} : { required }),
      properties,
    },
    isRequired: facts.isRequired === true,
    rules,
    children: Object.fromEntries(entries),
    parse: (value, path, problems) => {
      if (!isRecord(value)) {
        problems.push({ path, message: `must be a map, not ${kindOf(value)}` })
        return undefined
      }
      const parsed = parseMembers(value, entries, path, problems)
      // Every field was parsed by its own parser; `Fields` ties each to the type of its member.
      return parsed as Value | undefined
    },
    check: (value, old, path, problems) => {
      askRules(rules, value, old, path, problems)
      const members = value as Readonly<Record<string, unknown>>
      const former = old as Readonly<Record<string, unknown>> | null
      for (const [name, field] of entries) {
        field.check(members[name], former?.[name] ?? null, joined(path, name), problems)
      }
    },
  }
}

/** The OpenAPI schema of a field with its description, default and rules. */
export function openApiOf(field: Field<unknown>): JsonObject {
  const validations = field.rules.map(({ cel, message }) => ({ rule: cel, message }))
  return {
    description: field.description,
    ...field.openApi,
    ...(field.fallback === undefined ? {} : { default: field.fallback }),
    ...(validations.length === 0 ? {} : { 'x-kubernetes-validations': validations }),
  }
}

function parseMembers(
  value: Readonly<Record<string, unknown>>,
  entries: readonly (readonly [string, Field<unknown>])[],
  path: string,
  problems: FieldProblem[],
): Readonly<Record<string, unknown>> | undefined {
  const before = problems.length
  const names = entries.map(([name]) => name)
  for (const name of Object.keys(value)) {
    if (names.includes(name)) continue
    const nearest = nearestName(name, names)
    const hint = nearest === null ? '' : `; did you mean ${nearest}?`
    problems.push({ path: joined(path, name), message: `unknown field${hint}` })
  }
  const parsed: Record<string, unknown> = {}
  for (const [name, field] of entries) {
    const given = value[name] ?? field.fallback
    if (given === undefined && field.isRequired) {
      problems.push({ path: joined(path, name), message: 'Required value' })
      continue
    }
    parsed[name] = field.parse(given, joined(path, name), problems)
  }
  return problems.length === before ? parsed : undefined
}

function leaf<Value>(
  facts: Facts<Value>,
  type: string,
  openApi: JsonObject,
  parse: (value: unknown) => { readonly value: Value } | { readonly problem: string },
): Field<Value> {
  const rules = facts.rules ?? []
  return {
    ...facts,
    type,
    openApi,
    rules,
    isRequired: facts.isRequired === true,
    children: {},
    parse: (value, path, problems) => {
      const result = parse(value)
      if ('value' in result) return result.value
      problems.push({ path, message: result.problem })
      return undefined
    },
    check: (value, old, path, problems) => askRules(rules, value, old, path, problems),
  }
}

function askRules<Value>(
  rules: readonly Rule<Value>[],
  value: Value,
  old: Value | null,
  path: string,
  problems: FieldProblem[],
): void {
  for (const rule of rules) {
    if (rule.isTransition === true && old === null) continue
    if (!rule.holds(value, old)) problems.push({ path, message: rule.message })
  }
}

function joined(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  return Array.isArray(value) ? 'a list' : typeof value
}
