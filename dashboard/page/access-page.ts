/** Users of the brokers, and what each may do. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { AccessRow, BrokerUserAnswer, BrokerUserRow, PermissionRow } from '../access-types.ts'
import { NewBrokerUser, PermissionDialog, UserDialog } from './access-dialogs.ts'
import type { MadeSecret, UserAsk } from './access-dialogs.ts'
import { count } from './format.ts'
import { ListHead, ListRows } from './list-head.ts'
import { useList } from './list-state.ts'
import { Badge, Loading, Table, html, part, useMay, usePoll } from './ui.ts'

const POLL_MS = 10_000

export function AccessUsers(): ComponentChildren {
  const list = useList<BrokerUserRow>('access')
  const [isMaking, setMaking] = useState(false)
  const [secret, setSecret] = useState<MadeSecret | null>(null)
  const may = useMay()
  const { state, change, answer } = list
  const groups = usePoll<readonly AccessRow[]>('broker-access', POLL_MS).data ?? []
  return html`<h1>Broker users</h1>
    <${AccessState} rows=${groups} />
    <${Secret} made=${secret} onClose=${() => setSecret(null)} />
    <${ListHead} state=${state} change=${change} label="Search users">
      ${may('admin') ? html`<button class="primary" type="button" onClick=${() => setMaking(true)}>New user</button>` : null}
    </${ListHead}>
    <${ListRows}
      list=${list}
      caption="Users of the brokers"
      keyOf=${({ name }: BrokerUserRow) => name}
      empty="The brokers have no such user."
      columns=${userColumns(groups.length)}
      defaultSort="name"
    />
    ${isMaking ? html`<${NewBrokerUser} onClose=${() => setMaking(false)} onDone=${answer.reload} onSecret=${setSecret} />` : null}`
}

function userColumns(groups: number) {
  return [
    {
      name: 'name',
      label: 'User',
      isSortable: true,
      cell: ({ name }: BrokerUserRow) => html`<a href=${`#/access/${part(name)}`}>${name}</a>`,
    },
    { name: 'type', label: 'Type', isSortable: true, cell: typeText },
    { name: 'status', label: 'Status', isSortable: true, cell: statusBadge },
    {
      name: 'permissions',
      label: 'Permissions',
      isNumber: true,
      isSortable: true,
      cell: ({ type, permissions }: BrokerUserRow) =>
        type === 'Super' ? 'all' : count(permissions),
    },
    { name: 'on', label: 'Broker groups', cell: (row: BrokerUserRow) => placeOf(row, groups) },
  ]
}

function typeText({ type }: BrokerUserRow): string {
  return type === 'Super' ? 'super: may do everything' : 'normal'
}

function statusBadge({ status }: BrokerUserRow): ComponentChildren {
  return status === 'enable'
    ? html`<${Badge} tone="good">enabled</${Badge}>`
    : html`<${Badge} tone="plain">disabled</${Badge}>`
}

/** Every broker group has users and permissions of its own, which should be the same everywhere. */
function placeOf(
  { on, isSame }: Pick<BrokerUserRow, 'on' | 'isSame'>,
  groups: number,
): ComponentChildren {
  if (!isSame) return html`<${Badge} tone="warning">not the same on ${on.join(', ')}</${Badge}>`
  if (on.length >= groups) return 'all'
  return html`<${Badge} tone="warning">only ${on.join(', ')}</${Badge}>`
}

/** What the brokers make of all this. */
function AccessState({ rows }: { readonly rows: readonly AccessRow[] }): ComponentChildren {
  const named = (isWanted: (row: AccessRow) => boolean): string =>
    rows
      .filter(isWanted)
      .map(({ brokerName }) => brokerName)
      .join(', ')
  const open = named(({ authentication }) => authentication === false)
  const free = named(
    ({ authentication, authorization }) => authentication === true && authorization === false,
  )
  const silent = rows.filter(({ problem }) => problem !== null)
  return html`${silent.map(
    ({ brokerName, problem }) =>
      html`<p class="banner error" role="alert">
        ${brokerName} does not tell its users: ${problem}
      </p>`,
  )}
  ${
    open === ''
      ? null
      : html`<p class="banner warning" role="status">
          Access control is off on ${open}: whoever reaches a broker may do everything, and what
          stands below has no effect. To turn it on, make users and permissions here, give clients
          their names and secrets, then set <code>accessControl: {enabled: true}</code> in the
          manifest,
          or${' '}<code>authenticationEnabled=true</code>${' and '}<code>authorizationEnabled=true</code>${' '}
          in the broker.conf of brokers that have none.
        </p>`
  }
  ${
    free === ''
      ? null
      : html`<p class="banner warning" role="status">
          Users have to prove who they are on ${free}, but each may do everything:
          <code>authorizationEnabled</code> is not set.
        </p>`
  }`
}

function Secret({
  made,
  onClose,
}: {
  readonly made: MadeSecret | null
  readonly onClose: () => void
}): ComponentChildren {
  if (made === null) return null
  return html`<p class="banner plain" role="status">
    The secret of <b>${made.name}</b> is <code>${made.secret}</code>. It is shown this once.
    <button type="button" onClick=${onClose}>I have it</button>
  </p>`
}

export function AccessUser({ name }: { readonly name: string }): ComponentChildren {
  const polled = usePoll<BrokerUserAnswer>(`access/${part(name)}`, POLL_MS)
  const groups = usePoll<readonly AccessRow[]>('broker-access', POLL_MS).data ?? []
  const [ask, setAsk] = useState<UserAsk | null>(null)
  const [secret, setSecret] = useState<MadeSecret | null>(null)
  const may = useMay()
  const { data } = polled
  const button = (type: 'settings' | 'secret' | 'delete', label: string): ComponentChildren =>
    html`<button
      type="button"
      class=${type === 'delete' ? 'danger' : ''}
      onClick=${() => setAsk({ type })}
    >
      ${label}
    </button>`
  return html`<p class="trail"><a href="#/access">Broker users</a> /</p>
    <header class="title">
      <h1>${name}</h1>
      <span class="grow"></span>
      ${may('admin') && data !== null ? [button('settings', 'Settings'), button('secret', 'New secret'), button('delete', 'Delete')] : null}
    </header>
    <${AccessState} rows=${groups} />
    <${Secret} made=${secret} onClose=${() => setSecret(null)} />
    <${Loading} of=${polled} />
    ${data === null ? null : html`<${Permissions} answer=${data} groups=${groups.length} onAsk=${setAsk} />`}
    ${ask === null || data === null ? null : ask.type === 'permission' ? html`<${PermissionDialog} name=${name} row=${ask.row} onClose=${() => setAsk(null)} onDone=${polled.reload} />` : html`<${UserDialog} user=${data.user} ask=${ask} onClose=${() => setAsk(null)} onDone=${polled.reload} onSecret=${setSecret} />`}`
}

function Permissions({
  answer: { user, permissions },
  groups,
  onAsk,
}: {
  readonly answer: BrokerUserAnswer
  readonly groups: number
  readonly onAsk: (ask: UserAsk) => void
}): ComponentChildren {
  const may = useMay()
  const columns = [
    { name: 'resource', label: 'Resource', cell: ({ resource }: PermissionRow) => resource },
    {
      name: 'decision',
      label: 'Decision',
      cell: ({ decision }: PermissionRow) =>
        html`<${Badge} tone=${decision === 'Deny' ? 'error' : 'good'}>${decision.toLowerCase()}</${Badge}>`,
    },
    { name: 'actions', label: 'Actions', cell: ({ actions }: PermissionRow) => actions.join(', ') },
    {
      name: 'from',
      label: 'From',
      cell: ({ sourceIps }: PermissionRow) =>
        html`<span class="nowrap"
          >${sourceIps.length === 0 ? 'everywhere' : sourceIps.join(', ')}</span
        >`,
    },
    {
      name: 'policyType',
      label: 'Counts',
      cell: ({ policyType }: PermissionRow) =>
        policyType === 'Default' ? 'where nothing else does' : 'always',
    },
    { name: 'on', label: 'Broker groups', cell: (row: PermissionRow) => placeOf(row, groups) },
    ...(may('admin')
      ? [
          {
            name: 'actions-of-row',
            label: 'Change',
            cell: (row: PermissionRow) =>
              html`<span class="actions">
                <button
                  type="button"
                  aria-label=${`Change ${row.resource}`}
                  onClick=${() => onAsk({ type: 'permission', row })}
                >
                  Change
                </button>
                <button
                  type="button"
                  class="danger"
                  aria-label=${`Remove ${row.resource}`}
                  onClick=${() => onAsk({ type: 'remove', row })}
                >
                  Remove
                </button>
              </span>`,
          },
        ]
      : []),
  ]
  return html`<p>
      ${statusBadge(user)}${` ${typeText(user)}, on ${user.on.length >= groups ? 'all broker groups' : user.on.join(', ')}`}
    </p>
    <header class="title">
      <h2>Permissions</h2>
      <span class="grow"></span>
      ${may('admin') ? html`<button class="primary" type="button" onClick=${() => onAsk({ type: 'permission', row: null })}>New permission</button>` : null}
    </header>
    ${user.type === 'Super' ? html`<p>A super user may do everything, whatever stands here.</p>` : html`<p>What nothing allows is refused. Where several match, the one for the most exact resource counts.</p>`}
    <${Table}
      caption=${`Permissions of ${user.name}`}
      rows=${permissions}
      keyOf=${({ policyType, resource }: PermissionRow) => `${policyType} ${resource}`}
      empty="Nothing is allowed yet."
      columns=${columns}
    />`
}
