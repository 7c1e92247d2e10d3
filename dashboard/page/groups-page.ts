/** All consumer groups, those furthest behind first. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { GroupRow } from '../api-types.ts'
import { age, count, rate } from './format.ts'
import { GroupSettings } from './group-settings.ts'
import { ListHead, ListRows } from './list-head.ts'
import { useList } from './list-state.ts'
import { Badge, html, part, useMay } from './ui.ts'

const KINDS = [
  { value: '', label: 'Groups of users' },
  { value: 'all', label: 'All' },
] as const

export function Groups(): ComponentChildren {
  const list = useList<GroupRow>('groups', { sort: 'lag', order: 'desc' })
  const [isMaking, setMaking] = useState(false)
  const may = useMay()
  const { state, change, answer } = list
  return html`<h1>Consumer groups</h1>
    <${ListHead} state=${state} change=${change} label="Search groups" kinds=${KINDS}>
      ${may('operator') ? html`<button class="primary" type="button" onClick=${() => setMaking(true)}>New group</button>` : null}
    </${ListHead}>
    <${ListRows}
      list=${list}
      caption="Consumer groups"
      keyOf=${({ name }: GroupRow) => name}
      empty="There is no such group."
      columns=${COLUMNS}
    />
    ${isMaking ? html`<${GroupSettings} name=${null} config=${null} onClose=${() => setMaking(false)} onDone=${answer.reload} />` : null}`
}

const COLUMNS = [
  {
    name: 'name',
    label: 'Group',
    isSortable: true,
    cell: ({ name, isStale }: GroupRow) =>
      html`<a href=${`#/groups/${part(name)}`}>${name}</a
        >${isStale ? html` <${Badge} tone="warning">of before</${Badge}>` : null}`,
  },
  {
    name: 'members',
    label: 'Members',
    isNumber: true,
    isSortable: true,
    cell: ({ members }: GroupRow) => count(members),
  },
  {
    name: 'type',
    label: 'Kind',
    cell: ({ type, model, consumeEnable }: GroupRow) =>
      consumeEnable
        ? type === null
          ? html`<span class="muted">nobody connected</span>`
          : `${type}, ${model ?? ''}`
        : html`<${Badge} tone="warning">switched off</${Badge}>`,
  },
  {
    name: 'topics',
    label: 'Topics',
    isNumber: true,
    cell: ({ topicCount }: GroupRow) => count(topicCount),
  },
  {
    name: 'consumeTps',
    label: 'Out /s',
    isNumber: true,
    isSortable: true,
    cell: ({ consumeTps }: GroupRow) => rate(consumeTps),
  },
  {
    name: 'lag',
    label: 'Lag',
    isNumber: true,
    isSortable: true,
    cell: ({ lag }: GroupRow) => count(lag),
  },
  {
    name: 'oldestUnread',
    label: 'Oldest waits',
    isNumber: true,
    isSortable: true,
    cell: ({ oldestUnread }: GroupRow) => age(oldestUnread, Date.now()),
  },
  {
    name: 'deadLetters',
    label: 'Dead letters',
    isNumber: true,
    isSortable: true,
    cell: ({ deadLetters }: GroupRow) => count(deadLetters),
  },
]
