/** Lists of what is connected, what happened, and what was done. */
import type { ComponentChildren } from 'preact'
import type { ConnectionRow, EventRow, OperationRow } from '../api-types.ts'
import { time } from './format.ts'
import { ListHead, ListRows } from './list-head.ts'
import { useList } from './list-state.ts'
import { Badge, html, part } from './ui.ts'
import type { Column } from './ui.ts'

interface RecordsProps<Row> {
  readonly title: string
  readonly path: string
  readonly label: string
  readonly empty: string
  readonly columns: readonly Column<Row>[]
  readonly keyOf: (row: Row) => string
  readonly sort: string
  readonly order: 'asc' | 'desc'
}

function Records<Row>(props: RecordsProps<Row>): ComponentChildren {
  const { title, path, label, empty, columns, keyOf, sort, order } = props
  const list = useList<Row>(path, { sort, order })
  const { state, change } = list
  return html`<h1>${title}</h1>
    <${ListHead} state=${state} change=${change} label=${label} />
    <${ListRows} list=${list} caption=${title} keyOf=${keyOf} empty=${empty} columns=${columns} />`
}

export function Connections(): ComponentChildren {
  const columns: readonly Column<ConnectionRow>[] = [
    { name: 'clientId', label: 'Client', isSortable: true, cell: ({ clientId }) => clientId },
    { name: 'kind', label: 'Kind', isSortable: true, cell: ({ kind }) => kind },
    {
      name: 'group',
      label: 'Group',
      isSortable: true,
      cell: ({ group, kind }) =>
        kind === 'consumer' ? html`<a href=${`#/groups/${part(group)}`}>${group}</a>` : group,
    },
    { name: 'address', label: 'Address', isSortable: true, cell: ({ address }) => address },
    { name: 'language', label: 'Language', isSortable: true, cell: ({ language }) => language },
    { name: 'version', label: 'Version', isSortable: true, cell: ({ version }) => version },
  ]
  return html`<${Records}
    title="Producers and consumers"
    path="connections"
    label="Search clients, groups, addresses"
    empty="Nobody is connected."
    columns=${columns}
    keyOf=${({ clientId, kind, group }: ConnectionRow) => `${clientId} ${kind} ${group}`}
    sort="group"
    order="asc"
  />`
}

export function Events(): ComponentChildren {
  const columns: readonly Column<EventRow>[] = [
    {
      name: 'at',
      label: 'Time',
      isSortable: true,
      cell: ({ at }) => html`<span class="nowrap">${time(at)}</span>`,
    },
    {
      name: 'severity',
      label: 'Severity',
      cell: ({ severity }) =>
        html`<${Badge} tone=${severity === 'info' ? 'plain' : severity}>${severity}</${Badge}>`,
    },
    { name: 'subject', label: 'About', isSortable: true, cell: ({ subject }) => subject },
    {
      name: 'text',
      label: 'What happened',
      cell: ({ text }) => html`<div class="roomy">${text}</div>`,
    },
  ]
  return html`<${Records}
    title="Events"
    path="events"
    label="Search events"
    empty="Nothing has happened yet."
    columns=${columns}
    keyOf=${({ at, subject, text }: EventRow) => `${at} ${subject} ${text}`}
    sort="at"
    order="desc"
  />`
}

export function Operations(): ComponentChildren {
  const columns: readonly Column<OperationRow>[] = [
    {
      name: 'at',
      label: 'Time',
      isSortable: true,
      cell: ({ at }) => html`<span class="nowrap">${time(at)}</span>`,
    },
    { name: 'userName', label: 'Who', isSortable: true, cell: ({ userName }) => userName },
    { name: 'address', label: 'From', cell: ({ address }) => address },
    { name: 'what', label: 'What', cell: ({ what }) => html`<div class="roomy">${what}</div>` },
    {
      name: 'result',
      label: 'Result',
      cell: ({ result }) =>
        result === 'done'
          ? html`<${Badge} tone="good">done</${Badge}>`
          : html`<span class="refused">${result}</span>`,
    },
  ]
  return html`<${Records}
    title="Operations"
    path="operations"
    label="Search operations"
    empty="Nothing was done from the console yet."
    columns=${columns}
    keyOf=${({ at, what, result }: OperationRow) => `${at} ${what} ${result}`}
    sort="at"
    order="desc"
  />`
}
