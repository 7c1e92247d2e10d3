/** Messages of a topic: by time, key or id, and as they come. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { MessageRow, MessagesAnswer, TailAnswer } from '../message-types.ts'
import { count, localTime, plural } from './format.ts'
import { MessageTable } from './message-view.ts'
import { get, queryOf } from './server.ts'
import { Field, Problem, Select, formValues, html, usePoll } from './ui.ts'

const HOW = [
  { value: 'time', label: 'newest, by time' },
  { value: 'key', label: 'by key' },
  { value: 'id', label: 'by message id' },
  { value: 'tail', label: 'as they come' },
] as const
const TAIL_MS = 1_000
const TAIL_SHOWN = 200

/** `topic`: chosen by the address. */
export function Messages({ topic }: { readonly topic: string | undefined }): ComponentChildren {
  const [how, setHow] = useState('time')
  const [asked, setAsked] = useState<ReadonlyMap<string, string> | null>(
    topic === undefined ? null : new Map([['topic', topic]]),
  )
  const submit = (event: Event): void => setAsked(formValues(event))
  const choose = (value: string): void => {
    setHow(value)
    setAsked(null)
  }
  return html`<h1>Messages</h1>
    <form class="list-head" onSubmit=${submit}>
      <${Field} key=${topic ?? ''} label="Topic" name="topic" value=${topic ?? ''} required />
      <${Select} label="Search" name="how" value=${how} choices=${HOW} onChange=${choose} />
      ${how === 'time' ? html`<${TimeFields} />` : null}
      ${how === 'key' ? html`<${Field} label="Key" name="key" required />` : null}
      ${how === 'id' ? html`<${Field} label="Message id" name="id" required />` : null}
      ${how === 'time' || how === 'tail' ? html`<${Field} label="With this text" name="text" />` : null}
      <button class="primary" type="submit">${how === 'tail' ? 'Follow' : 'Search'}</button>
    </form>
    ${asked === null ? null : how === 'tail' ? html`<${Tail} key=${[...asked].join()} asked=${asked} />` : html`<${Found} asked=${asked} />`}`
}

function TimeFields(): ComponentChildren {
  return html`<div class="field">
      <label for="from">From</label>
      <input id="from" name="from" type="datetime-local" step="1" />
    </div>
    <div class="field">
      <label for="to">To</label>
      <input
        id="to"
        name="to"
        type="datetime-local"
        step="1"
        max=${localTime(Date.now() + 86_400_000)}
      />
    </div>`
}

function Found({ asked }: { readonly asked: ReadonlyMap<string, string> }): ComponentChildren {
  const time = (name: string): number | null => {
    const at = new Date(asked.get(name) ?? '').getTime()
    return Number.isNaN(at) ? null : at
  }
  const query = queryOf({
    topic: asked.get('topic') ?? '',
    key: asked.get('key') ?? null,
    id: asked.get('id') ?? null,
    text: asked.get('text') ?? null,
    from: time('from'),
    to: time('to'),
  })
  const { data, problem, isLoading } = usePoll<MessagesAnswer>(`messages?${query}`, 0)
  if (problem !== null) return html`<${Problem} text=${problem} />`
  if (data === null || isLoading) return html`<p class="loading" role="status">Looking …</p>`
  const { messages, scanned, inRange } = data
  const how =
    inRange === null
      ? plural(messages.length, 'message')
      : `${plural(messages.length, 'message')} shown; ${count(scanned)} of ${count(inRange)} in this range were looked at${scanned < inRange ? ', the newest of each queue: narrow the time to see others' : ''}`
  return html`<p class="muted" role="status">${how}.</p>
    <${MessageTable} messages=${messages} empty="No such message." />`
}

function Tail({ asked }: { readonly asked: ReadonlyMap<string, string> }): ComponentChildren {
  const [messages, setMessages] = useState<readonly MessageRow[]>([])
  const [problem, setProblem] = useState<string | null>(null)
  const [skipped, setSkipped] = useState(0)
  const [isPaused, setPaused] = useState(false)
  const cursor = useRef<readonly string[]>([])
  const topic = asked.get('topic') ?? ''
  const text = asked.get('text') ?? ''
  useEffect(() => {
    if (isPaused) return undefined
    let isGone = false
    let timer = 0
    const ask = async (): Promise<void> => {
      const at = cursor.current.map((place) => `&at=${encodeURIComponent(place)}`).join('')
      try {
        const answer = await get<TailAnswer>(`tail?${queryOf({ topic, text })}${at}`)
        if (isGone) return
        cursor.current = answer.cursor
        setProblem(null)
        setSkipped((former) => former + answer.skipped)
        if (answer.messages.length > 0) {
          setMessages((former) => [...answer.messages, ...former].slice(0, TAIL_SHOWN))
        }
      } catch (error) {
        if (isGone) return
        setProblem(error instanceof Error ? error.message : String(error))
      }
      timer = window.setTimeout(() => void ask(), TAIL_MS)
    }
    void ask()
    return () => {
      isGone = true
      window.clearTimeout(timer)
    }
  }, [topic, text, isPaused])
  return html`<${Problem} text=${problem} />
    <p>
      <button type="button" aria-pressed=${isPaused} onClick=${() => setPaused(!isPaused)}>
        ${isPaused ? 'Go on' : 'Pause'}
      </button>
      <span class="muted" role="status">
        ${isPaused ? 'Paused.' : `Following ${topic}.`}${skipped > 0 ? ` ${count(skipped)} came too fast to be shown.` : ''}</span
      >
    </p>
    <${MessageTable} messages=${messages} empty="Nothing has come yet." />`
}
