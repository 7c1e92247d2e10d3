/** Dead letters of all groups, and of one: look, send again, export. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { DeadLetterRow, MessageRow, MessagesAnswer, ResendAnswer } from '../message-types.ts'
import { count, plural } from './format.ts'
import { ListHead, ListRows } from './list-head.ts'
import { useList } from './list-state.ts'
import { MessageTable } from './message-view.ts'
import { queryOf } from './server.ts'
import { Dialog, Loading, html, part, useAct, useMay, usePoll } from './ui.ts'

const RESEND_MAX = 200

export function DeadLetters(): ComponentChildren {
  const list = useList<DeadLetterRow>('dead-letters', {
    sort: 'messages',
    order: 'desc',
  })
  const { state, change } = list
  const columns = [
    {
      name: 'group',
      label: 'Group',
      isSortable: true,
      cell: ({ group }: DeadLetterRow) =>
        html`<a href=${`#/dead-letters/${part(group)}`}>${group}</a>`,
    },
    {
      name: 'messages',
      label: 'Dead letters',
      isNumber: true,
      isSortable: true,
      cell: ({ messages }: DeadLetterRow) => count(messages),
    },
    {
      name: 'members',
      label: 'Members',
      isNumber: true,
      isSortable: true,
      cell: ({ members }: DeadLetterRow) => count(members),
    },
  ]
  return html`<h1>Dead letters</h1>
    <p class="muted">Messages that a group has failed to consume after all its retries.</p>
    <${ListHead} state=${state} change=${change} label="Search groups" />
    <${ListRows}
      list=${list}
      caption="Groups with dead letters"
      keyOf=${({ group }: DeadLetterRow) => group}
      empty="No group has given up a message."
      columns=${columns}
    />`
}

export function DeadLettersOf({ group }: { readonly group: string }): ComponentChildren {
  const [text, setText] = useState('')
  const polled = usePoll<MessagesAnswer>(`dead-letters/${part(group)}?${queryOf({ text })}`, 15_000)
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set<string>())
  const [isAsking, setAsking] = useState(false)
  const may = useMay()
  const { data } = polled
  const messages = data?.messages ?? []
  const picked = messages.filter(({ offsetId }) => chosen.has(offsetId))
  const toggle = (ids: readonly string[], isOn: boolean): void => {
    const next = new Set(chosen)
    for (const id of ids)
      if (isOn) next.add(id)
      else next.delete(id)
    setChosen(next)
  }
  const isAll = messages.length > 0 && picked.length === messages.length
  const box = {
    name: 'choose',
    label: 'Choose',
    cell: ({ offsetId, id }: MessageRow) =>
      html`<input
        type="checkbox"
        aria-label=${`Choose ${id}`}
        checked=${chosen.has(offsetId)}
        onChange=${(event: Event) => toggle([offsetId], isChecked(event))}
      />`,
  }
  const typed = (changes: { readonly search?: string }): void => setText(changes.search ?? '')
  return html`<p class="trail"><a href="#/dead-letters">Dead letters</a> /</p>
    <header class="title">
      <h1>${group}</h1>
      <span class="grow"></span>
      ${
        may('operator')
          ? html`<a class="button" href=${`api/dead-letters/${part(group)}/export`} download
                >Export</a
              >
              <button
                class="primary"
                type="button"
                disabled=${picked.length === 0}
                onClick=${() => setAsking(true)}
              >
                Send ${picked.length === 0 ? '' : count(picked.length)} again
              </button>`
          : null
      }
    </header>
    <${ListHead} state=${{ search: text, sort: '', order: 'asc', page: 1, kind: '' }} change=${typed} label="With this text">
      ${
        may('operator') && messages.length > 0
          ? html`<button
              type="button"
              onClick=${() =>
                toggle(
                  messages.map(({ offsetId }) => offsetId),
                  !isAll,
                )}
            >
              ${isAll ? 'Choose none' : 'Choose all shown'}
            </button>`
          : null
      }
    </${ListHead}>
    <${Loading} of=${polled} />
    ${data === null ? null : html`<p class="muted" role="status">${plural(messages.length, 'message')} shown; ${count(data.scanned)} of ${count(data.inRange)} were looked at.</p>`}
    <${MessageTable} messages=${messages} empty="It has no dead letters." first=${may('operator') ? box : undefined} />
    ${isAsking ? html`<${Resend} group=${group} messages=${picked} onClose=${() => setAsking(false)} onDone=${() => setChosen(new Set<string>())} />` : null}`
}

function isChecked(event: Event): boolean {
  return event.currentTarget instanceof HTMLInputElement && event.currentTarget.checked
}

function Resend({
  group,
  messages,
  onClose,
  onDone,
}: {
  readonly group: string
  readonly messages: readonly MessageRow[]
  readonly onClose: () => void
  readonly onDone: () => void
}): ComponentChildren {
  const act = useAct()
  const [problem, setProblem] = useState<string | null>(null)
  const some = messages.slice(0, RESEND_MAX)
  const submit = async (): Promise<boolean> => {
    const places = some.map(({ brokerName, queueId, queueOffset }) => ({
      brokerName,
      queueId,
      queueOffset,
    }))
    const path = `dead-letters/${part(group)}/resend`
    const answer = await act<ResendAnswer>(
      'POST',
      path,
      { messages: places },
      `Dead letters of ${group} were sent again.`,
    )
    if (answer === null) return false
    if (answer.failed.length === 0) {
      onDone()
      return true
    }
    setProblem(
      `${count(answer.sent)} were sent; ${answer.failed.map(({ id, reason }) => `${id}: ${reason}`).join('; ')}`,
    )
    return false
  }
  return html`<${Dialog} title=${`Send ${plural(some.length, 'message')} again`} action="Send again" onSubmit=${submit} onClose=${onClose}>
    ${problem === null ? null : html`<p class="banner error" role="alert">${problem}</p>`}
    <p>They go to <b>${group}</b> only, with a fresh count of retries. The dead letters stay where they are: what is sent twice is consumed twice.</p>
  </${Dialog}>`
}
