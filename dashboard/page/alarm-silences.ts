/** Silences: alarms that nobody is told of for a while. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { AlarmSettingsAnswer, Silence } from '../alarm-types.ts'
import { duration, time } from './format.ts'
import { Dialog, Field, Select, Table, html, part, useAct, useMay } from './ui.ts'

export type SilenceDraft = Pick<Silence, 'kind' | 'subject'>

const ENDS = [
  { value: '60', label: 'in 1 hour' },
  { value: '240', label: 'in 4 hours' },
  { value: '720', label: 'in 12 hours' },
  { value: '1440', label: 'in 1 day' },
  { value: '4320', label: 'in 3 days' },
  { value: '10080', label: 'in 7 days' },
  { value: '43200', label: 'in 30 days' },
] as const

export function NewSilence({
  draft,
  onClose,
  onDone,
}: {
  readonly draft: SilenceDraft
  readonly onClose: () => void
  readonly onDone: () => void
}): ComponentChildren {
  const act = useAct()
  const { kind, subject } = draft
  const submit = async (values: ReadonlyMap<string, string>): Promise<boolean> => {
    const body = {
      kind: values.get('kind') ?? '',
      subject: values.get('subject') ?? '',
      minutes: Number(values.get('minutes')),
      comment: values.get('comment') ?? '',
    }
    const done = await act('POST', 'silences', body, `${body.subject} is silenced.`)
    if (done !== null) onDone()
    return done !== null
  }
  const kinds = [
    ...(kind === 'any' ? [] : [{ value: kind, label: kind }]),
    { value: 'any', label: 'all kinds' },
  ]
  return html`<${Dialog} title="New silence" action="Silence" onSubmit=${submit} onClose=${onClose}>
    <p>Nobody is told of these alarms until it ends. They stay on this page.</p>
    <${Field} label="About" name="subject" value=${subject} required hint="* stands for any characters: group shop-*, broker *, *" />
    <${Select} label="Kind" name="kind" value=${kind} choices=${kinds} />
    <${Select} label="Ends" name="minutes" value="240" choices=${ENDS} />
    <${Field} label="Why" name="comment" value="" />
  </${Dialog}>`
}

export function Silences({
  answer,
  onDone,
}: {
  readonly answer: AlarmSettingsAnswer
  readonly onDone: () => void
}): ComponentChildren {
  const [ending, setEnding] = useState<Silence | null>(null)
  const act = useAct()
  const may = useMay()
  const { silences, at } = answer
  if (silences.length === 0) return null
  const columns = [
    { name: 'subject', label: 'About', cell: ({ subject }: Silence) => subject },
    {
      name: 'kind',
      label: 'Kind',
      cell: ({ kind }: Silence) => (kind === 'any' ? 'all' : kind),
    },
    {
      name: 'ends',
      label: 'Ends',
      cell: ({ endsAt }: Silence) =>
        html`<span class="nowrap">${time(endsAt)}</span><br /><small
            >in ${duration(endsAt - at)}</small
          >`,
    },
    { name: 'by', label: 'By', cell: ({ by }: Silence) => by },
    { name: 'why', label: 'Why', cell: ({ comment }: Silence) => comment },
    ...(may('operator')
      ? [
          {
            name: 'acts',
            label: 'Actions',
            cell: (row: Silence) =>
              html`<span class="actions">
                <button
                  type="button"
                  aria-label=${`End the silence of ${row.subject}`}
                  onClick=${() => setEnding(row)}
                >
                  End
                </button>
              </span>`,
          },
        ]
      : []),
  ]
  const end = async (): Promise<boolean> => {
    const path = `silences/${part(ending?.id ?? '')}`
    const done = await act('DELETE', path, {}, 'The silence has ended.')
    if (done !== null) onDone()
    return done !== null
  }
  return html`<section>
    <h2>Silences</h2>
    <${Table}
      caption="Silences"
      rows=${silences}
      keyOf=${({ id }: Silence) => id}
      empty=""
      columns=${columns}
    />
    ${
      ending === null
        ? null
        : html`<${Dialog} title="End the silence" action="End it" onSubmit=${end} onClose=${() => setEnding(null)}>
            <p>Receivers are told of <b>${ending.subject}</b> again, when it still fires.</p>
          </${Dialog}>`
    }
  </section>`
}
