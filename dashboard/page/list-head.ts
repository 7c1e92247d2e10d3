/** Search and filter above a list, and its rows and pages below. */
import type { ComponentChildren } from 'preact'
import type { ListControl, ListState } from './list-state.ts'
import { Loading, Pager, Select, Table, html } from './ui.ts'
import type { Choice, Column } from './ui.ts'

export function ListHead({
  state,
  change,
  label,
  kinds,
  children,
}: {
  readonly state: ListState
  readonly change: (changes: Partial<ListState>) => void
  readonly label: string
  readonly kinds?: readonly Choice[]
  readonly children?: ComponentChildren
}): ComponentChildren {
  const typed = (event: Event): void => {
    if (event.currentTarget instanceof HTMLInputElement)
      change({ search: event.currentTarget.value })
  }
  return html`<div class="list-head" role="search">
    <div class="field">
      <label for="search">${label}</label>
      <input
        id="search"
        type="search"
        value=${state.search}
        onInput=${typed}
        autocomplete="off"
        spellcheck=${false}
      />
    </div>
    ${kinds === undefined ? null : html`<${Select} label="Show" name="kind" value=${state.kind} choices=${kinds} onChange=${(kind: string) => change({ kind })} />`}
    <span class="grow"></span>
    ${children}
  </div>`
}

export function ListRows<Row>({
  list: { state, change, answer },
  caption,
  keyOf,
  empty,
  columns,
  defaultSort = '',
}: {
  readonly list: ListControl<Row>
  readonly caption: string
  readonly keyOf: (row: Row) => string
  readonly empty: string
  readonly columns: readonly Column<Row>[]
  /** What the rows are sorted by while nothing was chosen. */
  readonly defaultSort?: string
}): ComponentChildren {
  const { data } = answer
  return html`<${Loading} of=${answer} /> ${
      data === null
        ? null
        : html`<${Table}
              caption=${caption}
              rows=${data.rows}
              keyOf=${keyOf}
              empty=${empty}
              sort=${state.sort === '' ? defaultSort : state.sort}
              order=${state.order}
              onSort=${(sort: string, order: 'asc' | 'desc') => change({ sort, order })}
              columns=${columns}
            />
            <${Pager} ...${data} onPage=${(page: number) => change({ page })} />`
    }`
}
