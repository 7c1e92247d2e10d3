/** Lists are searched, sorted and cut on the server: a page never gets more rows than it shows. */
import { ApiError } from './api-error.ts'
import { integerOf } from './fields.ts'
import type { ListAnswer } from './api-types.ts'

const SIZE_DEFAULT = 50
const SIZE_MAX = 200
const PAGE_MAX = 1_000_000

export interface ListKind<Row> {
  /** Texts in which is searched. */
  readonly texts: (row: Row) => readonly string[]
  /** What a column sorts by; the first one is the default. */
  readonly columns: Readonly<Record<string, (row: Row) => string | number>>
  readonly defaultSort: string
  readonly defaultOrder: 'asc' | 'desc'
}

export function listAnswer<Row>(
  rows: readonly Row[],
  query: URLSearchParams,
  kind: ListKind<Row>,
): ListAnswer<Row> {
  const sort = query.get('sort') ?? kind.defaultSort
  const valueOf = Object.hasOwn(kind.columns, sort) ? kind.columns[sort] : undefined
  if (valueOf === undefined) {
    const known = Object.keys(kind.columns).join(', ')
    throw new ApiError('badRequest', `sort is none of ${known}`)
  }
  const order = query.get('order') ?? (query.has('sort') ? 'asc' : kind.defaultOrder)
  const size = integerOf(query, 'size', { min: 1, max: SIZE_MAX, absent: SIZE_DEFAULT })
  const page = integerOf(query, 'page', { min: 1, max: PAGE_MAX, absent: 1 })
  const wanted = (query.get('search') ?? '').toLowerCase().trim()
  const found =
    wanted === ''
      ? [...rows]
      : rows.filter((row) => kind.texts(row).some((text) => text.toLowerCase().includes(wanted)))
  const direction = order === 'desc' ? -1 : 1
  found.sort((left, right) => {
    const a = valueOf(left)
    const b = valueOf(right)
    if (a < b) return -direction
    return a > b ? direction : 0
  })
  const pages = Math.max(1, Math.ceil(found.length / size))
  const shown = Math.min(page, pages)
  return {
    rows: found.slice((shown - 1) * size, shown * size),
    total: found.length,
    page: shown,
    size,
  }
}
