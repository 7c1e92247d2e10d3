/** Messages in a table, and one of them with body, properties and trace. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { TraceStep } from '../../client/message-traces.ts'
import type { MessageRow } from '../message-types.ts'
import { count, size, time } from './format.ts'
import { queryOf } from './server.ts'
import { Badge, Problem, Table, html, usePoll } from './ui.ts'

const PREVIEW = 80
const HEX_BYTES = 4_096

export function MessageTable({
  messages,
  empty,
  first,
}: {
  readonly messages: readonly MessageRow[]
  readonly empty: string
  /** A column before the others. */
  readonly first?: {
    readonly name: string
    readonly label: string
    readonly cell: (row: MessageRow) => unknown
  }
}): ComponentChildren {
  const [shown, setShown] = useState<MessageRow | null>(null)
  const columns = [
    ...(first === undefined ? [] : [first]),
    {
      name: 'id',
      label: 'Message',
      cell: (row: MessageRow) =>
        html`<button type="button" class="link" onClick=${() => setShown(row)}>${row.id}</button>`,
    },
    {
      name: 'at',
      label: 'Stored',
      cell: ({ storedAt }: MessageRow) => html`<span class="nowrap">${time(storedAt)}</span>`,
    },
    {
      name: 'queue',
      label: 'Queue',
      cell: ({ brokerName, queueId }: MessageRow) => `${brokerName}:${queueId}`,
    },
    {
      name: 'offset',
      label: 'Offset',
      isNumber: true,
      cell: ({ queueOffset }: MessageRow) => count(queueOffset),
    },
    { name: 'tags', label: 'Tag', cell: ({ tags }: MessageRow) => tags },
    { name: 'keys', label: 'Keys', cell: ({ keys }: MessageRow) => keys },
    {
      name: 'body',
      label: 'Body',
      cell: (row: MessageRow) => html`<code>${previewOf(row)}</code>`,
    },
  ]
  return html`<${Table}
      caption="Messages"
      rows=${messages}
      keyOf=${({ offsetId }: MessageRow) => offsetId}
      empty=${empty}
      columns=${columns}
    />
    ${shown === null ? null : html`<${Message} row=${shown} onClose=${() => setShown(null)} />`}`
}

function bytesOf({ body }: MessageRow): Uint8Array {
  return Uint8Array.from(atob(body ?? ''), (character) => character.charCodeAt(0))
}

/** Null: it is no text. */
function textOf(bytes: Uint8Array): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    // eslint-disable-next-line no-control-regex
    return /[\u0000-\u0008\u000e-\u001f]/u.test(text) ? null : text
  } catch {
    return null
  }
}

function previewOf(row: MessageRow): string {
  if (row.body === null) return row.bodyProblem ?? ''
  const text = textOf(bytesOf(row))
  if (text === null) return `${size(row.bodySize)} of binary data`
  return text.length > PREVIEW ? `${text.slice(0, PREVIEW)}…` : text
}

type View = 'text' | 'json' | 'hex'

function Message({
  row,
  onClose,
}: {
  readonly row: MessageRow
  readonly onClose: () => void
}): ComponentChildren {
  const element = useRef<HTMLDialogElement>(null)
  useEffect(() => element.current?.showModal(), [])
  return html`<dialog
    ref=${element}
    class="wide"
    onClose=${onClose}
    aria-labelledby="message-title"
  >
    <header class="title">
      <h2 id="message-title">${row.id}</h2>
      <span class="grow"></span>
      <button type="button" onClick=${onClose}>Close</button>
    </header>
    <dl class="facts">
      <div>
        <dt>Topic</dt>
        <dd>${row.topic}</dd>
      </div>
      <div>
        <dt>Queue, offset</dt>
        <dd>${row.brokerName}:${row.queueId}, ${count(row.queueOffset)}</dd>
      </div>
      <div>
        <dt>Sent</dt>
        <dd>${time(row.bornAt)}</dd>
      </div>
      <div>
        <dt>Stored</dt>
        <dd>${time(row.storedAt)}</dd>
      </div>
      <div>
        <dt>From</dt>
        <dd>${row.bornHost}</dd>
      </div>
      <div>
        <dt>Retries</dt>
        <dd>${row.reconsumeTimes}</dd>
      </div>
    </dl>
    <${Body} row=${row} />
    <h2>Properties</h2>
    <${Table}
      caption="Properties"
      rows=${Object.entries(row.properties)}
      keyOf=${([name]: readonly string[]) => name}
      empty="It has none."
      columns=${[
        { name: 'name', label: 'Name', cell: ([name]: readonly string[]) => name },
        { name: 'value', label: 'Value', cell: ([, value]: readonly string[]) => value },
      ]}
    />
    <${Trace} id=${row.id} />
  </dialog>`
}

function Body({ row }: { readonly row: MessageRow }): ComponentChildren {
  const bytes = bytesOf(row)
  const text = textOf(bytes)
  const json = text === null || row.isBodyCut ? null : prettyJson(text)
  const [view, setView] = useState<View>(json !== null ? 'json' : text !== null ? 'text' : 'hex')
  if (row.body === null) return html`<p class="banner plain">${row.bodyProblem}</p>`
  const views: readonly View[] = [
    ...(text === null ? [] : ['text' as const]),
    ...(json === null ? [] : ['json' as const]),
    'hex',
  ]
  const shown = view === 'json' ? json : view === 'text' ? text : hexOf(bytes)
  return html`<header class="title">
      <h2>
        Body <small>${size(row.bodySize)}${row.isBodyCut ? ', the beginning is shown' : ''}</small>
      </h2>
      <span class="grow"></span>
      <span class="ranges" role="group" aria-label="Show the body as">
        ${views.map((each) => html`<button type="button" aria-pressed=${each === view} onClick=${() => setView(each)}>${each}</button>`)}
      </span>
    </header>
    <pre class="body" tabindex="0">${shown}</pre>`
}

function prettyJson(text: string): string | null {
  if (!/^\s*[[{]/u.test(text)) return null
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return null
  }
}

function hexOf(bytes: Uint8Array): string {
  const lines: string[] = []
  for (let at = 0; at < Math.min(bytes.length, HEX_BYTES); at += 16) {
    const line = [...bytes.subarray(at, at + 16)]
    const hex = line.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const text = line
      .map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.'))
      .join('')
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex.padEnd(47)}  ${text}`)
  }
  if (bytes.length > HEX_BYTES) lines.push('…')
  return lines.join('\n')
}

function Trace({ id }: { readonly id: string }): ComponentChildren {
  const { data, problem } = usePoll<readonly TraceStep[]>(`trace?${queryOf({ id })}`, 0)
  if (problem !== null) {
    return html`<h2>Trace</h2>
      <p class="muted">
        There is none: ${problem}. Clients write traces when tracing is switched on in them.
      </p>`
  }
  if (data === null) return html`<${Problem} text=${null} />`
  const [first] = data
  return html`<h2>Trace</h2>
    ${data.length === 0 ? html`<p class="muted">No client has told of it. Tracing is switched on in clients.</p>` : null}
    <ol class="timeline">
      ${data.map(
        ({ kind, at, costMs, isSuccess, group, detail, client }) =>
          html`<li>
            <span class="nowrap">${time(at)}${first === undefined || at === first.at ? '' : ` (+${count(at - first.at)} ms)`}</span>
            <${Badge} tone=${isSuccess ? 'good' : 'error'}>${kind}</${Badge}>
            <span><b>${group}</b> ${detail}${costMs === null ? '' : `, ${count(costMs)} ms`} ${client}</span>
          </li>`,
      )}
    </ol>`
}
