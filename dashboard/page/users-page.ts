/** Users of the console, for administrators. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { UserRow } from '../api-types.ts'
import { Dialog, Field, Loading, Select, Table, html, part, useAct, usePoll } from './ui.ts'

const ROLES = [
  { value: 'viewer', label: 'viewer: looks' },
  { value: 'operator', label: 'operator: also creates, changes, moves groups, sends' },
  { value: 'admin', label: 'admin: also deletes, and manages users' },
] as const

type Ask =
  | { readonly type: 'add' }
  | { readonly type: 'role' | 'password' | 'remove'; readonly name: string; readonly role: string }

export function Users(): ComponentChildren {
  const polled = usePoll<readonly UserRow[]>('users', 0)
  const [ask, setAsk] = useState<Ask | null>(null)
  const [secret, setSecret] = useState<{ readonly name: string; readonly password: string } | null>(
    null,
  )
  const { data } = polled
  const columns = [
    { name: 'name', label: 'Name', cell: ({ name }: UserRow) => name },
    { name: 'role', label: 'Role', cell: ({ role }: UserRow) => role },
    {
      name: 'actions',
      label: 'Actions',
      cell: (row: UserRow) =>
        html`<span class="actions">
          <button type="button" onClick=${() => setAsk({ type: 'role', ...row })}>Role</button>
          <button type="button" onClick=${() => setAsk({ type: 'password', ...row })}>
            New password
          </button>
          <button type="button" class="danger" onClick=${() => setAsk({ type: 'remove', ...row })}>
            Remove
          </button>
        </span>`,
    },
  ]
  return html`<header class="title">
      <h1>Users</h1>
      <span class="grow"></span>
      <button class="primary" type="button" onClick=${() => setAsk({ type: 'add' })}>
        New user
      </button>
    </header>
    <${Loading} of=${polled} />
    ${
      secret === null
        ? null
        : html`<p class="banner plain" role="status">
            The password of <b>${secret.name}</b> is <code>${secret.password}</code>. It is shown
            this once.
            <button type="button" onClick=${() => setSecret(null)}>I have it</button>
          </p>`
    }
    ${data === null ? null : html`<${Table} caption="Users of the console" rows=${data} keyOf=${({ name }: UserRow) => name} empty="" columns=${columns} />`}
    ${ask === null ? null : html`<${Asked} ask=${ask} onClose=${() => setAsk(null)} onDone=${polled.reload} onSecret=${setSecret} />`}`
}

function Asked({
  ask,
  onClose,
  onDone,
  onSecret,
}: {
  readonly ask: Ask
  readonly onClose: () => void
  readonly onDone: () => void
  readonly onSecret: (secret: { readonly name: string; readonly password: string }) => void
}): ComponentChildren {
  const act = useAct()
  const finish = (name: string, answer: { readonly password?: string } | null): boolean => {
    if (answer === null) return false
    if (answer.password !== undefined) onSecret({ name, password: answer.password })
    onDone()
    return true
  }
  if (ask.type === 'add') {
    const add = async (values: ReadonlyMap<string, string>): Promise<boolean> => {
      const body = { name: values.get('user') ?? '', role: values.get('role') ?? '' }
      return finish(body.name, await act('POST', 'users', body, `${body.name} was added.`))
    }
    return html`<${Dialog} title="New user" action="Add" onSubmit=${add} onClose=${onClose}>
      <${Field} label="Name" name="user" required autocomplete="off" />
      <${Select} label="Role" name="role" value="viewer" choices=${ROLES} />
    </${Dialog}>`
  }
  const { name, role } = ask
  const path = `users/${part(name)}`
  if (ask.type === 'role') {
    const change = async (values: ReadonlyMap<string, string>): Promise<boolean> =>
      finish(
        name,
        await act(
          'PUT',
          path,
          { role: values.get('role') ?? '' },
          `The role of ${name} was changed.`,
        ),
      )
    return html`<${Dialog} title=${`Role of ${name}`} action="Save" onSubmit=${change} onClose=${onClose}>
      <${Select} label="Role" name="role" value=${role} choices=${ROLES} />
    </${Dialog}>`
  }
  if (ask.type === 'password') {
    const renew = async (): Promise<boolean> =>
      finish(name, await act('POST', `${path}/password`, {}, `${name} has a new password.`))
    return html`<${Dialog} title=${`New password for ${name}`} action="Make one" onSubmit=${renew} onClose=${onClose}>
      <p>The present one is worth nothing then, and all sessions of ${name} end.</p>
    </${Dialog}>`
  }
  const remove = async (): Promise<boolean> =>
    finish(name, await act('DELETE', path, {}, `${name} was removed.`))
  return html`<${Dialog} title=${`Remove ${name}`} action="Remove" isDangerous onSubmit=${remove} onClose=${onClose}>
    <p>All sessions of ${name} end.</p>
  </${Dialog}>`
}
