/** What is asked for when users of the brokers, and their permissions, are made and changed. */
import type { ComponentChildren } from 'preact'
import type { BrokerUserRow, PermissionRow } from '../access-types.ts'
import { Dialog, Field, Select, html, part, useAct } from './ui.ts'

/** Shown once. */
export interface MadeSecret {
  readonly name: string
  readonly secret: string
}

export type UserAsk =
  | { readonly type: 'settings' | 'secret' | 'delete' }
  | { readonly type: 'remove'; readonly row: PermissionRow }
  /** Null: a new one. */
  | { readonly type: 'permission'; readonly row: PermissionRow | null }

type MaybeSecret = { readonly secret?: string }

const TYPES = [
  { value: 'Normal', label: 'normal: what is allowed below' },
  { value: 'Super', label: 'super: everything' },
] as const
const STATUSES = [
  { value: 'enable', label: 'enabled' },
  { value: 'disable', label: 'disabled: everything is refused' },
] as const
const DECISIONS = [
  { value: 'Allow', label: 'allow' },
  { value: 'Deny', label: 'deny' },
] as const
const POLICY_TYPES = [
  { value: 'Custom', label: 'always' },
  { value: 'Default', label: 'where no other permission does' },
] as const
const ACTIONS = [
  { name: 'Pub', label: 'send' },
  { name: 'Sub', label: 'consume' },
  { name: 'Create', label: 'new ones' },
  { name: 'Update', label: 'settings' },
  { name: 'Delete', label: 'for good' },
  { name: 'Get', label: 'look at one' },
  { name: 'List', label: 'look at all' },
  { name: 'All', label: 'all of these' },
] as const
const SECRET_HINT = 'Left empty, one is made and shown once.'

export function NewBrokerUser({
  onClose,
  onDone,
  onSecret,
}: {
  readonly onClose: () => void
  readonly onDone: () => void
  readonly onSecret: (made: MadeSecret) => void
}): ComponentChildren {
  const act = useAct()
  const submit = async (values: ReadonlyMap<string, string>): Promise<boolean> => {
    const name = values.get('broker-user') ?? ''
    const body = { name, type: values.get('type') ?? '', secret: values.get('secret') ?? '' }
    const answer = await act<MaybeSecret>('POST', 'access', body, `User ${name} was created.`)
    if (answer === null) return false
    if (answer.secret !== undefined) onSecret({ name, secret: answer.secret })
    onDone()
    return true
  }
  return html`<${Dialog} title="New user of the brokers" action="Create" onSubmit=${submit} onClose=${onClose}>
    <${Field} label="Name" name="broker-user" required autocomplete="off" hint="What clients give as access key." />
    <${Select} label="Type" name="type" value="Normal" choices=${TYPES} />
    <${Field} label="Secret" name="secret" type="password" autocomplete="new-password" hint=${SECRET_HINT} />
  </${Dialog}>`
}

export function UserDialog({
  user,
  ask,
  onClose,
  onDone,
  onSecret,
}: {
  readonly user: BrokerUserRow
  readonly ask: Exclude<UserAsk, { readonly type: 'permission' }>
  readonly onClose: () => void
  readonly onDone: () => void
  readonly onSecret: (made: MadeSecret) => void
}): ComponentChildren {
  const act = useAct()
  const { name } = user
  const path = `access/${part(name)}`
  const finish = (answer: MaybeSecret | null): boolean => {
    if (answer?.secret !== undefined) onSecret({ name, secret: answer.secret })
    if (answer !== null) onDone()
    return answer !== null
  }
  if (ask.type === 'settings') {
    const save = async (values: ReadonlyMap<string, string>): Promise<boolean> => {
      const body = { type: values.get('type') ?? '', status: values.get('status') ?? '' }
      return finish(await act('PUT', path, body, `User ${name} was changed.`))
    }
    return html`<${Dialog} title=${`Settings of ${name}`} action="Save" onSubmit=${save} onClose=${onClose}>
      <${Select} label="Type" name="type" value=${user.type} choices=${TYPES} />
      <${Select} label="Status" name="status" value=${user.status} choices=${STATUSES} />
    </${Dialog}>`
  }
  if (ask.type === 'secret') {
    const renew = async (values: ReadonlyMap<string, string>): Promise<boolean> => {
      const body = { secret: values.get('secret') ?? '' }
      return finish(await act('POST', `${path}/secret`, body, `${name} has a new secret.`))
    }
    return html`<${Dialog} title=${`New secret for ${name}`} action="Set it" onSubmit=${renew} onClose=${onClose}>
      <p>The present one is worth nothing then, at once: clients of ${name} are refused until they have the new one.</p>
      <${Field} label="Secret" name="secret" type="password" autocomplete="new-password" hint=${SECRET_HINT} />
    </${Dialog}>`
  }
  if (ask.type === 'remove') {
    const { resource, policyType } = ask.row
    const remove = async (): Promise<boolean> =>
      finish(
        await act(
          'DELETE',
          `${path}/permissions`,
          { resource, policyType },
          `The permission on ${resource} was removed.`,
        ),
      )
    return html`<${Dialog} title=${`Remove the permission on ${resource}`} action="Remove" isDangerous onSubmit=${remove} onClose=${onClose}>
      <p>It counts at once, also for clients that are connected.</p>
    </${Dialog}>`
  }
  const remove = async (): Promise<boolean> => {
    const answer = await act<MaybeSecret>('DELETE', path, {}, `User ${name} was deleted.`)
    if (answer !== null) location.hash = '#/access'
    return answer !== null
  }
  return html`<${Dialog} title=${`Delete ${name}`} action="Delete" isDangerous mustType=${name} onSubmit=${remove} onClose=${onClose}>
    <p>With its permissions. Clients of ${name} are refused from then on.</p>
  </${Dialog}>`
}

export function PermissionDialog({
  name,
  row,
  onClose,
  onDone,
}: {
  readonly name: string
  readonly row: PermissionRow | null
  readonly onClose: () => void
  readonly onDone: () => void
}): ComponentChildren {
  const act = useAct()
  const submit = async (values: ReadonlyMap<string, string>): Promise<boolean> => {
    const resource = row?.resource ?? (values.get('resource') ?? '').trim()
    const body = {
      resource,
      policyType: row?.policyType ?? values.get('policyType') ?? '',
      decision: values.get('decision') ?? '',
      actions: ACTIONS.map((action) => action.name).filter((each) => values.has(`action-${each}`)),
      sourceIps: (values.get('sourceIps') ?? '').split(/[\s,]+/u).filter((ip) => ip !== ''),
    }
    const done = await act(
      'PUT',
      `access/${part(name)}/permissions`,
      body,
      `The permission on ${resource} was saved.`,
    )
    if (done !== null) onDone()
    return done !== null
  }
  const title = row === null ? `New permission of ${name}` : `Permission on ${row.resource}`
  return html`<${Dialog} title=${title} action="Save" onSubmit=${submit} onClose=${onClose}>
    ${
      row === null
        ? html`<${Field}
              label="Resource"
              name="resource"
              required
              autocomplete="off"
              hint="Topic:orders, Topic:orders*, Group:billing, Cluster:*, or * for everything."
            />
            <${Select} label="Counts" name="policyType" value="Custom" choices=${POLICY_TYPES} />`
        : null
    }
    <${Select} label="Decision" name="decision" value=${row?.decision ?? 'Allow'} choices=${DECISIONS} />
    <fieldset class="field choices">
      <legend>Actions</legend>
      ${ACTIONS.map(
        (action) =>
          html`<label
            ><input
              type="checkbox"
              name=${`action-${action.name}`}
              defaultChecked=${row?.actions.includes(action.name) ?? false}
            />
            ${action.name} <small>${action.label}</small></label
          >`,
      )}
    </fieldset>
    <${Field} label="From" name="sourceIps" value=${row?.sourceIps.join(', ') ?? ''} autocomplete="off" hint="Addresses and ranges, 10.0.0.0/8; empty: everywhere." />
  </${Dialog}>`
}
