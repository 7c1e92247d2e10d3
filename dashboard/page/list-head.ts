/** Search and filter above a list. */
import type { ComponentChildren } from 'preact'
import type { ListState } from './list-state.ts'
import { Select, html } from './ui.ts'
import type { Choice } from './ui.ts'

export function ListHead({
  state,
  change,
  label,
  kinds,
  children,
}: {
  readonly state: ListState
  readonly change: (changes: Partial<ListState>) => void
  readonly label: string
  readonly kinds?: readonly Choice[]
  readonly children?: ComponentChildren
}): ComponentChildren {
  const typed = (event: Event): void => {
    if (event.currentTarget instanceof HTMLInputElement)
      change({ search: event.currentTarget.value })
  }
  return html`<div class="list-head" role="search">
    <div class="field">
      <label for="search">${label}</label>
      <input
        id="search"
        type="search"
        value=${state.search}
        onInput=${typed}
        autocomplete="off"
        spellcheck=${false}
      />
    </div>
    ${kinds === undefined ? null : html`<${Select} label="Show" name="kind" value=${state.kind} choices=${kinds} onChange=${(kind: string) => change({ kind })} />`}
    <span class="grow"></span>
    ${children}
  </div>`
}
