/** What fires and what is about to, who is told of it, and silences. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type {
  AlarmReceiverRow,
  AlarmRow,
  AlarmRuleRow,
  AlarmSettingsAnswer,
} from '../alarm-types.ts'
import { NewSilence, Silences } from './alarm-silences.ts'
import type { SilenceDraft } from './alarm-silences.ts'
import { count, duration, time } from './format.ts'
import { ListHead, ListRows } from './list-head.ts'
import { useList } from './list-state.ts'
import { Badge, Card, Dialog, Loading, Table, html, part, useAct, useMay, usePoll } from './ui.ts'

export function Alarms(): ComponentChildren {
  const list = useList<AlarmRow>('alarms', { sort: 'urgency', order: 'desc' })
  const settings = usePoll<AlarmSettingsAnswer>('alarm-settings')
  const [draft, setDraft] = useState<SilenceDraft | null>(null)
  const [gone, setGone] = useState<string | null>(null)
  const may = useMay()
  const { state, change, answer } = list
  const reload = (): void => {
    answer.reload()
    settings.reload()
  }
  const { data } = settings
  return html`<h1>Alarms</h1>
    <${Loading} of=${settings} />
    ${data === null ? null : html`<${Counts} answer=${data} />`}
    <${ListHead} state=${state} change=${change} label="Search alarms">
      ${may('operator') ? html`<button type="button" onClick=${() => setDraft({ kind: 'any', subject: '' })}>New silence</button>` : null}
    </${ListHead}>
    <${ListRows}
      list=${list}
      caption="Alarms that fire or are about to"
      keyOf=${({ key }: AlarmRow) => key}
      empty="Nothing fires."
      columns=${alarmColumns(may('operator'), setDraft, setGone)}
    />
    ${
      data === null
        ? null
        : html`<${Receivers} answer=${data} onDone=${settings.reload} />
            <${Silences} answer=${data} onDone=${reload} />
            <${Rules} rules=${data.rules} />`
    }
    ${draft === null ? null : html`<${NewSilence} draft=${draft} onClose=${() => setDraft(null)} onDone=${reload} />`}
    ${gone === null ? null : html`<${Removed} broker=${gone} onClose=${() => setGone(null)} onDone=${reload} />`}`
}

function Counts({ answer }: { readonly answer: AlarmSettingsAnswer }): ComponentChildren {
  const { firing, pending, silenced, leftOut, receivers } = answer
  const failing = receivers.filter(({ lastError }) => lastError !== null).length
  const cards = html`<dl class="cards">
    <${Card} label="Firing" value=${count(firing)} tone=${firing > 0 ? 'warning' : undefined} />
    <${Card} label="Pending" value=${count(pending)} />
    <${Card} label="Silenced" value=${count(silenced)} />
    <${Card}
      label="Receivers"
      value=${count(receivers.length)}
      tone=${failing > 0 ? 'warning' : undefined}
      hint=${failing > 0 ? `${count(failing)} cannot be reached` : undefined}
    />
  </dl>`
  if (leftOut === 0) return cards
  return html`${cards}
    <p class="banner warning" role="status">
      ${count(leftOut)} more are not shown and nobody is told of them: there are too many.
    </p>`
}

function alarmColumns(
  mayAct: boolean,
  onSilence: (draft: SilenceDraft) => void,
  onGone: (broker: string) => void,
): readonly unknown[] {
  return [
    {
      name: 'urgency',
      label: 'State',
      isSortable: true,
      cell: (row: AlarmRow) => html`<span class="chips">${stateOf(row)}</span>`,
    },
    {
      name: 'subject',
      label: 'About',
      isSortable: true,
      cell: ({ subject, page, title }: AlarmRow) =>
        html`<div class="roomy">
          <a href=${`#/${page}`}>${subject}</a><br /><small>${title}</small>
        </div>`,
    },
    {
      name: 'problem',
      label: 'What is wrong, and what to do next',
      cell: (row: AlarmRow) => html`<${Wrong} row=${row} />`,
    },
    {
      name: 'since',
      label: 'Since',
      isSortable: true,
      cell: ({ since, firingAt }: AlarmRow) =>
        html`<span class="nowrap">${time(firingAt ?? since)}</span><br /><small
            >${duration(Date.now() - (firingAt ?? since))}</small
          >`,
    },
    ...(mayAct
      ? [
          {
            name: 'acts',
            label: 'Actions',
            cell: ({ kind, subject, gone }: AlarmRow) =>
              html`<span class="actions">
                <button type="button" onClick=${() => onSilence({ kind, subject })}>Silence</button>
                ${gone === null ? null : html`<button type="button" onClick=${() => onGone(gone)}>It was removed</button>`}
              </span>`,
          },
        ]
      : []),
  ]
}

function stateOf({
  state,
  severity,
  isUnsure,
  isClearing,
  silencedUntil,
}: AlarmRow): ComponentChildren {
  const tone = state === 'firing' ? severity : 'plain'
  return html`<${Badge} tone=${tone}>${state === 'firing' ? severity : 'pending'}</${Badge}>
    ${silencedUntil === null ? null : html`<${Badge} tone="plain">silenced</${Badge}>`}
    ${isClearing ? html`<${Badge} tone="good">clearing</${Badge}>` : null}
    ${isUnsure ? html`<${Badge} tone="plain">cannot be seen now</${Badge}>` : null}`
}

function Wrong({ row }: { readonly row: AlarmRow }): ComponentChildren {
  const { problem, advice, runbook, runbookUrl, silencedUntil, told } = row
  const known = told.length === 0 ? '' : `Told: ${told.join(', ')}. `
  const silence = silencedUntil === null ? '' : `Silenced until ${time(silencedUntil)}. `
  return html`<div class="roomy">${problem}</div>
    <div class="advice">${advice}</div>
    <small
      >${known}${silence}Runbook:
      ${
        runbookUrl === null
          ? html`<code>${runbook}</code>`
          : html`<a href=${runbookUrl} target="_blank" rel="noreferrer"
              >${runbook.split('#')[1]}</a
            >`
      }</small
    >`
}

function Receivers({
  answer,
  onDone,
}: {
  readonly answer: AlarmSettingsAnswer
  readonly onDone: () => void
}): ComponentChildren {
  const act = useAct()
  const may = useMay()
  const [busy, setBusy] = useState<string | null>(null)
  const test = async (name: string): Promise<void> => {
    setBusy(name)
    await act('POST', `receivers/${part(name)}/test`, {}, `${name} has taken a test message.`)
    setBusy(null)
    onDone()
  }
  const columns = [
    {
      name: 'name',
      label: 'Receiver',
      cell: ({ name, type }: AlarmReceiverRow) =>
        html`${name}<br /><small>${type === 'email' ? 'e-mail' : type}</small>`,
    },
    {
      name: 'target',
      label: 'To',
      cell: ({ target }: AlarmReceiverRow) => html`<div class="roomy">${target}</div>`,
    },
    {
      name: 'last',
      label: 'Last message',
      cell: ({ lastDeliveryAt }: AlarmReceiverRow) =>
        lastDeliveryAt === null ? html`<span class="muted">none yet</span>` : time(lastDeliveryAt),
    },
    {
      name: 'state',
      label: 'State',
      cell: (row: AlarmReceiverRow) => html`<${Reached} row=${row} at=${answer.at} />`,
    },
    ...(may('admin')
      ? [
          {
            name: 'test',
            label: 'Actions',
            cell: ({ name }: AlarmReceiverRow) =>
              html`<span class="actions">
                <button
                  type="button"
                  disabled=${busy !== null}
                  aria-label=${`Send a test to ${name}`}
                  onClick=${() => void test(name)}
                >
                  ${busy === name ? 'Sending …' : 'Send a test'}
                </button>
              </span>`,
          },
        ]
      : []),
  ]
  return html`<section>
    <h2>Receivers</h2>
    ${
      answer.receivers.length === 0
        ? html`<p class="banner" role="status">
            Nobody is told of alarms yet. Webhooks and mail addresses are in the file that
            <code>alarmsFile</code> names; the chart has them under
            <code>dashboard.alarms.config</code>.
          </p>`
        : html`<${Table}
            caption="Who is told of alarms"
            rows=${answer.receivers}
            keyOf=${({ name }: AlarmReceiverRow) => name}
            empty=""
            columns=${columns}
          />`
    }
  </section>`
}

function Reached({
  row,
  at,
}: {
  readonly row: AlarmReceiverRow
  readonly at: number
}): ComponentChildren {
  const { lastError, lastErrorAt, failures, nextTryAt, lastDeliveryAt } = row
  if (lastError === null) {
    return lastDeliveryAt === null
      ? html`<${Badge} tone="plain">not used yet</${Badge}>`
      : html`<${Badge} tone="good">well</${Badge}>`
  }
  const next = nextTryAt === null || nextTryAt <= at ? 'now' : `in ${duration(nextTryAt - at)}`
  return html`<${Badge} tone="error">${failures === 1 ? '1 attempt failed' : `${count(failures)} attempts failed`}</${Badge}>
    <div class="refused">${lastError}</div>
    <small>${time(lastErrorAt)}; tried again ${next}, when there is something to tell</small>`
}

function Rules({ rules }: { readonly rules: readonly AlarmRuleRow[] }): ComponentChildren {
  const columns = [
    {
      name: 'name',
      label: 'Rule',
      cell: ({ name, kind }: AlarmRuleRow) =>
        name === kind ? name : html`${name}<br /><small>${kind}</small>`,
    },
    {
      name: 'of',
      label: 'About',
      cell: ({ of }: AlarmRuleRow) => html`<div class="roomy">${of}</div>`,
    },
    {
      name: 'when',
      label: 'Alarm when',
      cell: ({ when }: AlarmRuleRow) => html`<div class="roomy">${when}</div>`,
    },
    { name: 'for', label: 'For', cell: ({ forMs }: AlarmRuleRow) => duration(forMs) },
    {
      name: 'repeat',
      label: 'Told again',
      cell: ({ repeatMs }: AlarmRuleRow) => duration(repeatMs),
    },
    {
      name: 'receivers',
      label: 'Receivers',
      cell: ({ receivers }: AlarmRuleRow) => (receivers.length === 0 ? '–' : receivers.join(', ')),
    },
  ]
  return html`<section>
    <h2>Rules</h2>
    <p class="muted">Of the rules of one kind the first that matches counts.</p>
    <${Table}
      caption="Rules"
      rows=${rules}
      keyOf=${({ name, of }: AlarmRuleRow) => `${name} ${of}`}
      empty="There are no rules."
      columns=${columns}
    />
  </section>`
}

function Removed({
  broker,
  onClose,
  onDone,
}: {
  readonly broker: string
  readonly onClose: () => void
  readonly onDone: () => void
}): ComponentChildren {
  const act = useAct()
  const submit = async (): Promise<boolean> => {
    const path = `alarms/forget/${part(broker)}`
    const done = await act('POST', path, {}, `${broker} is no alarm any more.`)
    if (done !== null) onDone()
    return done !== null
  }
  return html`<${Dialog} title=${`${broker} was removed`} action="It was removed" onSubmit=${submit} onClose=${onClose}>
    <p>Say so only when the broker group was taken away on purpose: what it had stored is with its volumes. When it comes back it is watched again.</p>
  </${Dialog}>`
}
