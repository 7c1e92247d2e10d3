/** Kubernetes quantities (`100Mi`, `1.5`, `500m`) as numbers. */

const SUFFIXES: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
  Pi: 1024 ** 5,
  Ei: 1024 ** 6,
}

/** The same as the API server's own check of a storage size. */
export const QUANTITY_PATTERN = '^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$'

/** Null when the text is no quantity. */
export function parseQuantity(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)([a-zA-Z]*)$/.exec(text)
  const factor = SUFFIXES[match?.[2] ?? '']
  if (match === null || factor === undefined) return null
  return Number(match[1]) * factor
}
