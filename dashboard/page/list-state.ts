/** What of a list is asked for: its search, order, filter and page. */
import { useEffect, useState } from 'preact/hooks'
import type { ListAnswer } from '../api-types.ts'
import { queryOf } from './server.ts'
import { usePoll } from './ui.ts'
import type { Polled } from './ui.ts'

export interface ListState {
  readonly search: string
  readonly sort: string
  readonly order: 'asc' | 'desc'
  readonly page: number
  /** A filter of this list. */
  readonly kind: string
}

export interface ListControl<Row> {
  readonly state: ListState
  readonly change: (changes: Partial<ListState>) => void
  readonly answer: Polled<ListAnswer<Row>>
}

export function useList<Row>(path: string, initial: Partial<ListState> = {}): ListControl<Row> {
  const [state, setState] = useState<ListState>({
    search: '',
    sort: '',
    order: 'asc',
    page: 1,
    kind: '',
    ...initial,
  })
  const wanted = useDelayed(state.search)
  const { sort, order, page, kind } = state
  const query = queryOf({ search: wanted, sort, order: sort === '' ? null : order, page, kind })
  const answer = usePoll<ListAnswer<Row>>(`${path}?${query}`)
  const change = (changes: Partial<ListState>): void => {
    // Another search or order begins at its first page.
    setState((former) => ({ ...former, page: 1, ...changes }))
  }
  return { state, change, answer }
}

/** The value once it has stood still for a moment: not a request for each key. */
function useDelayed(value: string): string {
  const [settled, setSettled] = useState(value)
  useEffect(() => {
    const timer = window.setTimeout(() => setSettled(value), 200)
    return () => window.clearTimeout(timer)
  }, [value])
  return settled
}
