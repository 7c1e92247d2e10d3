import { expect, test } from 'vitest'
import { listAnswer } from './list-query.ts'

const ROWS = Array.from({ length: 120 }, (_, at) => ({ name: `Row-${at}`, lag: at % 7 }))
const KIND = {
  texts: ({ name }: { name: string }) => [name],
  columns: {
    name: ({ name }: { name: string }) => name,
    lag: ({ lag }: { lag: number }) => lag,
  },
  defaultSort: 'lag',
  defaultOrder: 'desc',
} as const

const asked = (query: string) => listAnswer(ROWS, new URLSearchParams(query), KIND)

test('without a word the first page comes in the list’s own order', () => {
  const { rows, total, page, size } = asked('')

  expect({ total, page, size, shown: rows.length }).toEqual({
    total: 120,
    page: 1,
    size: 50,
    shown: 50,
  })
  expect(rows[0]?.lag).toBe(6)
})

test('a search finds parts of names whatever their case', () => {
  expect(asked('search=ROW-11').rows.map(({ name }) => name)).toHaveLength(11)
})

test('a list is sorted by the column that is asked for', () => {
  const names = asked('sort=name&order=desc&size=200').rows.map(({ name }) => name)

  expect(names).toEqual(names.toSorted().toReversed())
})

test('a page beyond the end is the last one', () => {
  const { page, rows } = asked('page=99')

  expect(page).toBe(3)
  expect(rows).toHaveLength(20)
})

test.each(['sort=else', 'sort=constructor', 'page=0', 'size=1000', 'page=x'])(
  '%s is refused',
  (query) => {
    expect(() => asked(query)).toThrow(query.split('=')[0] ?? '')
  },
)
