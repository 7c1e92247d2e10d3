/** All topics, with the groups that read them and how far those are. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { TopicRow } from '../api-types.ts'
import { count, permission, rate } from './format.ts'
import { useList } from './list-state.ts'
import { ListHead, ListRows } from './list-head.ts'
import { Dialog, Field, Select, html, part, useAct, useMay } from './ui.ts'

const KINDS = [
  { value: 'user', label: 'Topics of users' },
  { value: 'retry', label: 'Retry topics' },
  { value: 'deadLetter', label: 'Dead letters' },
  { value: 'system', label: 'Topics of the system' },
  { value: 'all', label: 'All' },
] as const
export const PERMISSIONS = [
  { value: '6', label: 'read and write' },
  { value: '4', label: 'read only' },
  { value: '2', label: 'write only' },
] as const
const TYPES = ['NORMAL', 'FIFO', 'DELAY', 'TRANSACTION'] as const

export function Topics(): ComponentChildren {
  const list = useList<TopicRow>('topics', { kind: 'user' })
  const [isMaking, setMaking] = useState(false)
  const may = useMay()
  const { state, change, answer } = list
  return html`<h1>Topics</h1>
    <${ListHead} state=${state} change=${change} label="Search topics" kinds=${KINDS}>
      ${may('operator') ? html`<button class="primary" type="button" onClick=${() => setMaking(true)}>New topic</button>` : null}
    </${ListHead}>
    <${ListRows}
      list=${list}
      caption="Topics"
      keyOf=${({ name }: TopicRow) => name}
      empty="There is no such topic."
      columns=${COLUMNS}
      defaultSort="name"
    />
    ${isMaking ? html`<${NewTopic} onClose=${() => setMaking(false)} onDone=${answer.reload} />` : null}`
}

const COLUMNS = [
  {
    name: 'name',
    label: 'Topic',
    isSortable: true,
    cell: ({ name, kind }: TopicRow) =>
      html`<a href=${`#/topics/${part(name)}`}>${name}</a
        >${kind === 'normal' ? null : html` <small>${kind}</small>`}`,
  },
  {
    name: 'inTps',
    label: 'In /s',
    isNumber: true,
    isSortable: true,
    cell: ({ inTps }: TopicRow) => rate(inTps),
  },
  {
    name: 'messages',
    label: 'Messages',
    isNumber: true,
    isSortable: true,
    cell: ({ messages }: TopicRow) => count(messages),
  },
  {
    name: 'queues',
    label: 'Queues',
    isNumber: true,
    isSortable: true,
    cell: ({ readQueueNums, writeQueueNums }: TopicRow) =>
      readQueueNums === writeQueueNums
        ? count(writeQueueNums)
        : `${writeQueueNums} w, ${readQueueNums} r`,
  },
  { name: 'perm', label: 'Permission', cell: ({ perm }: TopicRow) => permission(perm) },
  {
    name: 'lag',
    label: 'Largest lag',
    isNumber: true,
    isSortable: true,
    cell: ({ lag, groupCount }: TopicRow) => (groupCount === 0 ? '–' : count(lag)),
  },
  { name: 'groups', label: 'Groups and their lag', isSortable: true, cell: groupsCell },
]

function groupsCell({ groups, groupCount }: TopicRow): ComponentChildren {
  if (groupCount === 0) return html`<span class="muted">nobody reads it</span>`
  const more = groupCount - groups.length
  return html`<span class="chips">
    ${groups.map(
      ({ group, lag }) =>
        html`<a class="chip" href=${`#/groups/${part(group)}`}
          >${group} <b class=${lag > 0 ? 'behind' : ''}>${count(lag)}</b></a
        >`,
    )}
    ${more > 0 ? html`<span class="muted">and ${count(more)} more</span>` : null}
  </span>`
}

function NewTopic({
  onClose,
  onDone,
}: {
  readonly onClose: () => void
  readonly onDone: () => void
}): ComponentChildren {
  const act = useAct()
  const submit = async (values: ReadonlyMap<string, string>): Promise<boolean> => {
    const name = values.get('topic') ?? ''
    const body = {
      name,
      type: values.get('type') ?? '',
      queues: Number(values.get('queues')),
      perm: Number(values.get('perm')),
    }
    const answer = await act('POST', 'topics', body, `Topic ${name} was created.`)
    if (answer !== null) onDone()
    return answer !== null
  }
  return html`<${Dialog} title="New topic" action="Create" onSubmit=${submit} onClose=${onClose}>
    <${Field} label="Name" name="topic" required hint="Letters, digits, - _ % |; at most 127." />
    <${Select} label="Type of its messages" name="type" value="NORMAL" choices=${TYPES.map((value) => ({ value, label: value.toLowerCase() }))} />
    <${Field} label="Queues on each broker group" name="queues" type="number" value=${8} min=${1} max=${1024} required hint="As many members of a group can read at a time." />
    <${Select} label="Permission" name="perm" value="6" choices=${PERMISSIONS} />
  </${Dialog}>`
}
