/** One consumer group: members, lag queue by queue, history; reset and skip. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { ClientRow, GroupAnswer, ResetPreviewRow } from '../api-types.ts'
import { Chart } from './chart.ts'
import { age, count, duration, localTime, rate, short } from './format.ts'
import { GroupSettings } from './group-settings.ts'
import { queryOf } from './server.ts'
import {
  Badge,
  Card,
  Dialog,
  Loading,
  Select,
  Table,
  html,
  part,
  useAct,
  useMay,
  usePoll,
} from './ui.ts'

type TopicPart = GroupAnswer['topics'][number]
type Queue = TopicPart['queues'][number]
type Ask =
  | { readonly type: 'settings' | 'delete' }
  | { readonly type: 'reset'; readonly topic: string }

export function Group({ name }: { readonly name: string }): ComponentChildren {
  const polled = usePoll<GroupAnswer>(`groups/${part(name)}`)
  const [ask, setAsk] = useState<Ask | null>(null)
  const may = useMay()
  const { data } = polled
  const isOurs = data?.group.isSystem === false
  const close = (): void => setAsk(null)
  return html`<p class="trail"><a href="#/groups">Consumer groups</a> /</p>
    <header class="title">
      <h1>${name}</h1>
      <span class="grow"></span>
      ${data !== null && data.group.deadLetters > 0 ? html`<a class="button" href=${`#/dead-letters/${part(name)}`}>Dead letters</a>` : null}
      ${isOurs && may('operator') ? html`<button type="button" onClick=${() => setAsk({ type: 'settings' })}>Settings</button>` : null}
      ${isOurs && may('admin') ? html`<button type="button" class="danger" onClick=${() => setAsk({ type: 'delete' })}>Delete</button>` : null}
    </header>
    <${Loading} of=${polled} />
    ${data === null ? null : html`<${Details} answer=${data} onReset=${(topic: string) => setAsk({ type: 'reset', topic })} />`}
    ${ask?.type === 'settings' && data !== null ? html`<${GroupSettings} name=${name} config=${data.config} onClose=${close} onDone=${polled.reload} />` : null}
    ${ask?.type === 'delete' ? html`<${Delete} name=${name} onClose=${close} />` : null}
    ${ask?.type === 'reset' ? html`<${Reset} group=${name} topic=${ask.topic} onClose=${close} onDone=${polled.reload} />` : null}`
}

function Details({
  answer,
  onReset,
}: {
  readonly answer: GroupAnswer
  readonly onReset: (topic: string) => void
}): ComponentChildren {
  const { group, clients, subscriptions, topics } = answer
  const now = Date.now()
  const expressions = new Map(subscriptions.map(({ topic, expression }) => [topic, expression]))
  return html`<${Pace} answer=${answer} />
    <dl class="cards">
      <${Card} label="Lag" value=${count(group.lag)} />
      <${Card} label="Oldest unread waits" value=${age(group.oldestUnread, now)} />
      <${Card} label="Messages out" value=${`${rate(group.consumeTps)} /s`} />
      <${Card}
        label="Members"
        value=${count(group.members)}
        hint=${group.type === null ? 'nobody connected' : `${group.type}, ${group.model ?? ''}`}
      />
      <${Card}
        label="Dead letters"
        value=${count(group.deadLetters)}
        tone=${group.deadLetters > 0 ? 'warning' : undefined}
      />
    </dl>
    <${Chart}
      title="Lag"
      format=${short}
      lines=${[{ series: `group:${group.name}:lag`, label: 'messages' }]}
    />
    ${topics.map((topic) => html`<${Progress} key=${topic.topic} topic=${topic} expression=${expressions.get(topic.topic) ?? null} onReset=${onReset} />`)}
    ${topics.length === 0 ? html`<p class="muted">It has not read anything yet.</p>` : null}
    <section>
      <h2>Members</h2>
      ${clients.length < group.members ? html`<p class="muted">${count(clients.length)} of ${count(group.members)} are shown.</p>` : null}
      <${Table}
        caption=${`Members of ${group.name}`}
        rows=${clients}
        keyOf=${({ clientId }: ClientRow) => clientId}
        empty="Nobody is connected."
        columns=${[
          { name: 'clientId', label: 'Client', cell: ({ clientId }: ClientRow) => clientId },
          { name: 'address', label: 'Address', cell: ({ address }: ClientRow) => address },
          { name: 'language', label: 'Language', cell: ({ language }: ClientRow) => language },
          { name: 'version', label: 'Version', cell: ({ version }: ClientRow) => version },
        ]}
      />
    </section>`
}

/** In words: will it catch up, and when. */
function Pace({ answer }: { readonly answer: GroupAnswer }): ComponentChildren {
  const { lag, members, consumeTps, isStale, consumeEnable } = answer.group
  if (isStale)
    return html`<p class="banner warning">
      A broker does not answer: what stands here is partly of before.
    </p>`
  if (lag === 0) return html`<p class="banner good">Nothing is left to be read.</p>`
  const left = `${count(lag)} messages are left to be read`
  if (!consumeEnable)
    return html`<p class="banner warning">${left}, and consumption is switched off.</p>`
  if (members === 0) return html`<p class="banner warning">${left}, and nobody is connected.</p>`
  if (consumeTps === 0)
    return html`<p class="banner warning">
      ${left}, and its members read nothing: look at their logs.
    </p>`
  return html`<p class="banner plain">
    ${left}; at the present ${rate(consumeTps)} /s that takes ${duration((lag / consumeTps) * 1000)}
    if nothing new comes.
  </p>`
}

function Progress({
  topic,
  expression,
  onReset,
}: {
  readonly topic: TopicPart
  readonly expression: string | null
  readonly onReset: (topic: string) => void
}): ComponentChildren {
  const may = useMay()
  const isRetry = topic.topic.startsWith('%RETRY%')
  return html`<section class="panel">
    <header>
      <h2><a href=${`#/topics/${part(topic.topic)}`}>${topic.topic}</a></h2>
      ${expression === null || expression === '*' ? null : html`<${Badge} tone="plain">${expression}</${Badge}>`}
      ${topic.isSubscribed ? null : html`<${Badge} tone="plain">no longer subscribed, does not count</${Badge}>`}
      <span class="grow"></span>
      <span>lag <b>${count(topic.lag)}</b></span>
      ${may('operator') && !isRetry ? html`<button type="button" onClick=${() => onReset(topic.topic)}>Reset or skip</button>` : null}
    </header>
    <${Table}
      caption=${`Queues of ${topic.topic}`}
      rows=${topic.queues}
      keyOf=${({ brokerName, queueId }: Queue) => `${brokerName} ${queueId}`}
      empty="It has no queues any more."
      columns=${[
        { name: 'broker', label: 'Broker group', cell: ({ brokerName }: Queue) => brokerName },
        {
          name: 'queue',
          label: 'Queue',
          isNumber: true,
          cell: ({ queueId }: Queue) => String(queueId),
        },
        {
          name: 'committed',
          label: 'Committed',
          isNumber: true,
          cell: ({ committed }: Queue) => count(committed),
        },
        { name: 'max', label: 'Next offset', isNumber: true, cell: ({ max }: Queue) => count(max) },
        { name: 'lag', label: 'Lag', isNumber: true, cell: ({ lag }: Queue) => count(lag) },
      ]}
    />
  </section>`
}

function Delete({
  name,
  onClose,
}: {
  readonly name: string
  readonly onClose: () => void
}): ComponentChildren {
  const act = useAct()
  const submit = async (): Promise<boolean> => {
    const gone = await act('DELETE', `groups/${part(name)}`, {}, `Group ${name} was deleted.`)
    if (gone !== null) location.hash = '#/groups'
    return gone !== null
  }
  return html`<${Dialog} title=${`Delete group ${name}`} action="Delete" isDangerous mustType=${name} onSubmit=${submit} onClose=${onClose}>
    <p>What it has read is forgotten: members that come later begin anew. This cannot be taken back.</p>
  </${Dialog}>`
}

const TO = [
  { value: 'end', label: 'the end: skip what is left' },
  { value: 'start', label: 'the beginning: read all again' },
  { value: 'time', label: 'a time' },
] as const

function Reset({
  group,
  topic,
  onClose,
  onDone,
}: {
  readonly group: string
  readonly topic: string
  readonly onClose: () => void
  readonly onDone: () => void
}): ComponentChildren {
  const act = useAct()
  const [to, setTo] = useState('end')
  const [at, setAt] = useState(localTime(Date.now() - 3_600_000))
  const timestamp = new Date(at).getTime()
  const isWrong = to === 'time' && Number.isNaN(timestamp)
  const query = queryOf({ topic, to, timestamp: to === 'time' ? timestamp : null })
  const preview = usePoll<readonly ResetPreviewRow[]>(
    isWrong ? null : `groups/${part(group)}/reset?${query}`,
    0,
  )
  const submit = async (): Promise<boolean> => {
    const body = { topic, to, ...(to === 'time' ? { timestamp } : {}) }
    const done = await act(
      'POST',
      `groups/${part(group)}/reset`,
      body,
      `${group} was moved in ${topic}.`,
    )
    if (done !== null) onDone()
    return done !== null
  }
  const changed = (event: Event): void => {
    if (event.currentTarget instanceof HTMLInputElement) setAt(event.currentTarget.value)
  }
  return html`<${Dialog} title=${`Move ${group} in ${topic}`} action="Move" isDangerous onSubmit=${submit} onClose=${onClose}>
    <${Select} label="To" name="to" value=${to} choices=${TO} onChange=${setTo} />
    ${
      to === 'time'
        ? html`<div class="field">
            <label for="reset-time">Time</label>
            <input id="reset-time" type="datetime-local" step="1" value=${at} onInput=${changed} />
          </div>`
        : null
    }
    <${PreviewOf} rows=${preview.data} />
  </${Dialog}>`
}

function PreviewOf({
  rows,
}: {
  readonly rows: readonly ResetPreviewRow[] | null
}): ComponentChildren {
  if (rows === null) return html`<p class="muted" role="status">Looking where that is …</p>`
  const moves = rows.map(({ from, to }) => to - (from ?? 0))
  const skipped = moves.filter((move) => move > 0).reduce((sum, move) => sum + move, 0)
  const again = -moves.filter((move) => move < 0).reduce((sum, move) => sum + move, 0)
  const words = [
    ...(skipped > 0 ? [`${count(skipped)} messages are skipped`] : []),
    ...(again > 0 ? [`${count(again)} are read again`] : []),
  ]
  return html`<p role="status">
    In ${count(rows.length)} queues ${words.length === 0 ? 'nothing moves' : words.join(', ')}. Its
    members go on from there.
  </p>`
}
