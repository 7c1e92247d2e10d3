/** Members of parsed JSON that was written by an earlier run, whose form is not known yet: null or nothing where it is another one. */

export function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.entries(value).find(([key]) => key === name)?.[1]
}

export function textOf(value: unknown, name: string): string | null {
  const text = memberOf(value, name)
  return typeof text === 'string' ? text : null
}

export function numberOf(value: unknown, name: string): number | null {
  const number = memberOf(value, name)
  return typeof number === 'number' && Number.isFinite(number) ? number : null
}
