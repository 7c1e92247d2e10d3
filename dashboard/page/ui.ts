/** What the pages are made of. */
import htm from 'htm'
import { createContext, h } from 'preact'
import type { ComponentChildren } from 'preact'
import { useCallback, useContext, useEffect, useRef, useState } from 'preact/hooks'
import type { Role, SessionAnswer } from '../api-types.ts'
import { count } from './format.ts'
import { Refusal, get, send } from './server.ts'

const tagged = htm.bind(h)

/** Templates instead of JSX, so that nothing has to be built. */
export function html(strings: TemplateStringsArray, ...values: unknown[]): ComponentChildren {
  return tagged(strings, ...values)
}

export interface Shell {
  readonly session: SessionAnswer
  /** Told to everybody, also to screen readers. */
  readonly say: (text: string, kind?: 'done' | 'error') => void
}

export const ShellContext = createContext<Shell>({
  session: { userName: '', role: 'viewer', csrf: '' },
  say: () => undefined,
})

const RANKS: Readonly<Record<Role, number>> = { viewer: 0, operator: 1, admin: 2 }

/** True for whoever may do what needs the role. */
export function useMay(): (role: Role) => boolean {
  const { session } = useContext(ShellContext)
  return (role) => RANKS[session.role] >= RANKS[role]
}

export interface Polled<Answer> {
  readonly data: Answer | null
  readonly problem: string | null
  readonly isLoading: boolean
  readonly reload: () => void
}

/** Asks now and every `everyMs`, also when the path changes; what was answered last stays while there is a problem. */
export function usePoll<Answer>(path: string | null, everyMs: number = 5_000): Polled<Answer> {
  const [data, setData] = useState<{ readonly path: string; readonly answer: Answer } | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const [round, setRound] = useState(0)
  const reload = useCallback(() => setRound((value) => value + 1), [])
  useEffect(() => {
    if (path === null) return undefined
    let isGone = false
    let timer = 0
    const ask = async (): Promise<void> => {
      try {
        const answer = await get<Answer>(path)
        if (isGone) return
        setData({ path, answer })
        setProblem(null)
      } catch (error) {
        if (isGone) return
        setProblem(error instanceof Error ? error.message : String(error))
      }
      // A page in the background asks for nothing.
      const next = (): void => {
        if (document.hidden) timer = window.setTimeout(next, everyMs)
        else void ask()
      }
      if (everyMs > 0) timer = window.setTimeout(next, everyMs)
    }
    void ask()
    return () => {
      isGone = true
      window.clearTimeout(timer)
    }
  }, [path, everyMs, round])
  const isOfPath = data !== null && data.path === path
  // While the next page of a list comes, the present one stays.
  const isSameList = data !== null && path !== null && baseOf(data.path) === baseOf(path)
  return {
    data: isOfPath || isSameList ? data.answer : null,
    problem,
    isLoading: !isOfPath && problem === null,
    reload,
  }
}

function baseOf(path: string): string {
  return path.split('?')[0] ?? path
}

/** Sends, and tells how it went; resolves with null when it was refused. */
export function useAct(): <Answer>(
  method: 'POST' | 'PUT' | 'DELETE',
  path: string,
  body: unknown,
  done: string,
) => Promise<Answer | null> {
  const { say } = useContext(ShellContext)
  return async <Answer>(
    method: 'POST' | 'PUT' | 'DELETE',
    path: string,
    body: unknown,
    done: string,
  ): Promise<Answer | null> => {
    try {
      const answer = await send<Answer>(method, path, body)
      say(done)
      return answer
    } catch (error) {
      say(error instanceof Refusal ? error.message : String(error), 'error')
      return null
    }
  }
}

export function Problem({ text }: { readonly text: string | null }): ComponentChildren {
  return text === null ? null : html`<p class="banner error" role="alert">${text}</p>`
}

export function Loading({ of }: { readonly of: Polled<unknown> }): ComponentChildren {
  if (of.data !== null) return html`<${Problem} text=${of.problem} />`
  if (of.problem !== null) return html`<${Problem} text=${of.problem} />`
  return html`<p class="loading" role="status">Loading …</p>`
}

export interface Column<Row> {
  readonly name: string
  readonly label: string
  readonly isNumber?: boolean
  readonly isSortable?: boolean
  readonly cell: (row: Row) => unknown
}

export interface TableProps<Row> {
  /** Says what the table has, to those who do not see it. */
  readonly caption: string
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
  readonly keyOf: (row: Row) => string
  readonly sort?: string
  readonly order?: 'asc' | 'desc'
  readonly onSort?: (column: string, order: 'asc' | 'desc') => void
  readonly empty: string
}

export function Table<Row>(props: TableProps<Row>): ComponentChildren {
  const { caption, columns, rows, keyOf, empty } = props
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table>
      <caption class="unseen">
        ${caption}
      </caption>
      <thead>
        <tr>
          ${columns.map((column) => html`<${HeaderCell} column=${column} table=${props} />`)}
        </tr>
      </thead>
      <tbody>
        ${
          rows.length === 0
            ? html`<tr>
                <td class="empty" colspan=${columns.length}>${empty}</td>
              </tr>`
            : rows.map(
                (row) =>
                  html`<tr key=${keyOf(row)}>
                    ${columns.map(({ isNumber, cell }) => html`<td class=${isNumber ? 'number' : ''}>${cell(row)}</td>`)}
                  </tr>`,
              )
        }
      </tbody>
    </table>
  </div>`
}

function HeaderCell<Row>({
  column,
  table,
}: {
  readonly column: Column<Row>
  readonly table: TableProps<Row>
}): ComponentChildren {
  const { name, label, isNumber = false, isSortable = false } = column
  const { sort, order, onSort } = table
  const kind = isNumber ? 'number' : ''
  if (!isSortable || onSort === undefined) return html`<th scope="col" class=${kind}>${label}</th>`
  const isSorted = sort === name
  const direction = isSorted ? (order === 'desc' ? 'descending' : 'ascending') : 'none'
  const next = isSorted && order === 'desc' ? 'asc' : isSorted ? 'desc' : isNumber ? 'desc' : 'asc'
  return html`<th scope="col" class=${kind} aria-sort=${direction}>
    <button type="button" class="sort" onClick=${() => onSort(name, next)}>
      ${label}<span aria-hidden="true">${isSorted ? (order === 'desc' ? ' ↓' : ' ↑') : ''}</span>
    </button>
  </th>`
}

export function Pager({
  page,
  size,
  total,
  onPage,
}: {
  readonly page: number
  readonly size: number
  readonly total: number
  readonly onPage: (page: number) => void
}): ComponentChildren {
  const pages = Math.max(1, Math.ceil(total / size))
  const from = total === 0 ? 0 : (page - 1) * size + 1
  return html`<nav class="pager" aria-label="Pages">
    <span aria-live="polite"
      >${count(from)}–${count(Math.min(total, page * size))} of ${count(total)}</span
    >
    <button type="button" disabled=${page <= 1} onClick=${() => onPage(page - 1)}>Previous</button>
    <button type="button" disabled=${page >= pages} onClick=${() => onPage(page + 1)}>Next</button>
  </nav>`
}

export interface FieldProps {
  readonly label: string
  readonly name: string
  readonly value?: string | number
  readonly type?: string
  readonly hint?: string
  readonly required?: boolean
  readonly min?: number
  readonly max?: number
  readonly autocomplete?: string
  readonly minlength?: number
}

/** `value` is what stands there first: what is typed stays when the page is renewed. */
export function Field({ label, hint, value, ...input }: FieldProps): ComponentChildren {
  const id = `field-${input.name}`
  const hintId = `${id}-hint`
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <input
      id=${id}
      defaultValue=${value}
      ...${input}
      aria-describedby=${hint === undefined ? undefined : hintId}
      spellcheck=${false}
    />
    ${hint === undefined ? null : html`<small id=${hintId}>${hint}</small>`}
  </div>`
}

export interface Choice {
  readonly value: string
  readonly label: string
}

export function Select({
  label,
  name,
  value,
  choices,
  onChange,
}: {
  readonly label: string
  readonly name: string
  readonly value: string
  readonly choices: readonly Choice[]
  readonly onChange?: (value: string) => void
}): ComponentChildren {
  const id = `field-${name}`
  const changed = (event: Event): void => {
    if (event.currentTarget instanceof HTMLSelectElement) onChange?.(event.currentTarget.value)
  }
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <select id=${id} name=${name} onChange=${changed}>
      ${choices.map((choice) => html`<option value=${choice.value} selected=${choice.value === value}>${choice.label}</option>`)}
    </select>
  </div>`
}

/** What was filled in, by name. */
export function formValues(event: Event): ReadonlyMap<string, string> {
  event.preventDefault()
  const values = new Map<string, string>()
  if (!(event.currentTarget instanceof HTMLFormElement)) return values
  for (const [name, value] of new FormData(event.currentTarget)) {
    if (typeof value === 'string') values.set(name, value)
  }
  return values
}

export interface DialogProps {
  readonly title: string
  readonly action: string
  readonly isDangerous?: boolean
  /** Resolves with true when the dialog may close. */
  readonly onSubmit: (values: ReadonlyMap<string, string>) => Promise<boolean>
  readonly onClose: () => void
  readonly children?: ComponentChildren
  /** To be typed before the action can be chosen. */
  readonly mustType?: string
}

export function Dialog(props: DialogProps): ComponentChildren {
  const { title, action, isDangerous = false, onSubmit, onClose, children, mustType } = props
  const element = useRef<HTMLDialogElement>(null)
  const [isBusy, setBusy] = useState(false)
  const [typed, setTyped] = useState('')
  useEffect(() => element.current?.showModal(), [])
  const submit = async (event: Event): Promise<void> => {
    const values = formValues(event)
    setBusy(true)
    const mayClose = await onSubmit(values)
    setBusy(false)
    if (mayClose) onClose()
  }
  const type = (event: Event): void => {
    if (event.currentTarget instanceof HTMLInputElement) setTyped(event.currentTarget.value)
  }
  const isMissing = mustType !== undefined && typed !== mustType
  return html`<dialog ref=${element} onClose=${onClose} aria-labelledby="dialog-title">
    <form onSubmit=${(event: Event) => void submit(event)}>
      <h2 id="dialog-title">${title}</h2>
      ${children}
      ${
        mustType === undefined
          ? null
          : html`<div class="field">
              <label for="must-type">Type <code>${mustType}</code> to go on</label>
              <input
                id="must-type"
                value=${typed}
                onInput=${type}
                autocomplete="off"
                spellcheck=${false}
              />
            </div>`
      }
      <div class="buttons">
        <button type="button" onClick=${onClose}>Cancel</button>
        <button
          type="submit"
          class=${isDangerous ? 'danger' : 'primary'}
          disabled=${isBusy || isMissing}
        >
          ${isBusy ? 'Working …' : action}
        </button>
      </div>
    </form>
  </dialog>`
}

export function Card({
  label,
  value,
  hint,
  tone,
}: {
  readonly label: string
  readonly value: string
  readonly hint?: string
  readonly tone?: 'good' | 'warning' | 'error'
}): ComponentChildren {
  return html`<div class=${`card ${tone ?? ''}`}>
    <dt>${label}</dt>
    <dd>${value}</dd>
    ${hint === undefined ? null : html`<dd class="hint">${hint}</dd>`}
  </div>`
}

export function Badge({
  tone,
  children,
}: {
  readonly tone: 'good' | 'warning' | 'error' | 'plain'
  readonly children?: ComponentChildren
}): ComponentChildren {
  return html`<span class=${`badge ${tone}`}>${children}</span>`
}

/** Part of an address of the page. */
export function part(name: string): string {
  return encodeURIComponent(name)
}
