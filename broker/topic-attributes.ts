/** Topic attributes (protocol §14.4): `+name=value,-name` as tools write them. */

interface AttributeRule {
  readonly isChangeable: boolean
  readonly accepts: (value: string) => boolean
  readonly range: string
}

function oneOf(isChangeable: boolean, ...values: readonly string[]): AttributeRule {
  return { isChangeable, accepts: (value) => values.includes(value), range: values.join(', ') }
}

const RULES: ReadonlyMap<string, AttributeRule> = new Map([
  ['queue.type', oneOf(false, 'SimpleCQ', 'BatchCQ')],
  ['cleanup.policy', oneOf(false, 'DELETE', 'COMPACTION')],
  ['message.type', oneOf(true, 'UNSPECIFIED', 'NORMAL', 'FIFO', 'DELAY', 'TRANSACTION', 'MIXED')],
  [
    'reserve.time',
    {
      isChangeable: true,
      accepts: (value) => /^-?\d{1,15}$/.test(value) && Number(value) >= -1,
      range: '-1 and up',
    },
  ],
])

// What these values ask of the store is not there yet; accepting them would store messages in a way that they do not say.
const UNSUPPORTED: ReadonlySet<string> = new Set([
  'queue.type=BatchCQ',
  'cleanup.policy=COMPACTION',
])

export type AttributeResult =
  | { readonly attributes: ReadonlyMap<string, string> }
  | { readonly problem: string }

/** Applies a change text to the attributes of a topic, or of a new one (`current` null). */
export function alterAttributes(
  current: ReadonlyMap<string, string> | null,
  text: string | null,
): AttributeResult {
  const attributes = new Map(current ?? [])
  if (text === null || text.trim() === '') return { attributes }
  const seen = new Set<string>()
  for (const item of text.split(',').map((part) => part.trim())) {
    if (item === '') continue
    const equals = item.indexOf('=')
    const name = item.slice(1, equals < 0 ? undefined : equals)
    if (seen.has(name)) return { problem: `key duplication: ${name}` }
    seen.add(name)
    const problem = item.startsWith('+')
      ? addProblem(name, equals < 0 ? '' : item.slice(equals + 1), current)
      : item.startsWith('-')
        ? removeProblem(name, current)
        : `kv string format wrong: ${item}`
    if (problem !== null) return { problem }
    if (item.startsWith('+')) attributes.set(name, item.slice(equals + 1))
    else attributes.delete(name)
  }
  return { attributes }
}

function addProblem(
  name: string,
  value: string,
  current: ReadonlyMap<string, string> | null,
): string | null {
  const rule = RULES.get(name)
  if (rule === undefined) return `unsupported key: ${name}`
  if (!rule.accepts(value)) return `value is not in set: ${value} (${name}: ${rule.range})`
  if (UNSUPPORTED.has(`${name}=${value}`))
    return `${name}=${value} is not implemented in this release`
  const isNewOrSame = current === null || current.get(name) === value
  if (!rule.isChangeable && !isNewOrSame) {
    return `attempt to update an unchangeable attribute. key: ${name}`
  }
  return null
}

function removeProblem(name: string, current: ReadonlyMap<string, string> | null): string | null {
  if (current === null) return `only add attribute is supported while creating topic. key: ${name}`
  const rule = RULES.get(name)
  if (rule === undefined) return `unsupported key: ${name}`
  if (!rule.isChangeable) return `attempt to delete an unchangeable attribute. key: ${name}`
  if (!current.has(name)) return `attempt to delete a nonexistent key: ${name}`
  return null
}
