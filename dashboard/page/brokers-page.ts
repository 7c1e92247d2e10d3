/** Broker groups: who leads, how far the others are, disks, rates; hand-over of the leadership. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { BrokerRow } from '../api-types.ts'
import { Chart } from './chart.ts'
import { age, count, percent, rate, size, time } from './format.ts'
import { Badge, Dialog, Loading, Select, Table, html, part, useAct, useMay, usePoll } from './ui.ts'

const DISK_WARNING = 0.75
const DISK_ERROR = 0.9

export function Brokers(): ComponentChildren {
  const polled = usePoll<readonly BrokerRow[]>('brokers')
  const { data } = polled
  if (data === null)
    return html`<h1>Broker groups</h1>
      <${Loading} of=${polled} />`
  return html`<h1>Broker groups</h1>
    <${Loading} of=${polled} />
    <${BrokerTable} brokers=${data} />
    ${data.map((broker) => html`<${Broker} key=${broker.brokerName} broker=${broker} />`)}`
}

export function BrokerTable({
  brokers,
}: {
  readonly brokers: readonly BrokerRow[]
}): ComponentChildren {
  return html`<${Table}
    caption="Broker groups"
    rows=${brokers}
    keyOf=${({ brokerName }: BrokerRow) => brokerName}
    empty="No broker is registered."
    columns=${[
      {
        name: 'name',
        label: 'Group',
        cell: ({ brokerName }: BrokerRow) => html`<a href="#/brokers">${brokerName}</a>`,
      },
      { name: 'state', label: 'State', cell: (broker: BrokerRow) => stateOf(broker) },
      {
        name: 'leader',
        label: 'Leader',
        cell: ({ leader }: BrokerRow) => (leader === null ? '–' : `member ${leader}`),
      },
      {
        name: 'members',
        label: 'Members',
        isNumber: true,
        cell: ({ members }: BrokerRow) =>
          `${members.filter(({ isAlive }) => isAlive).length} of ${members.length}`,
      },
      { name: 'term', label: 'Term', isNumber: true, cell: ({ term }: BrokerRow) => count(term) },
      {
        name: 'lag',
        label: 'Members behind',
        isNumber: true,
        cell: ({ lagBytes, members }: BrokerRow) => (members.length < 2 ? '–' : size(lagBytes)),
      },
      {
        name: 'in',
        label: 'In /s',
        isNumber: true,
        cell: ({ rates }: BrokerRow) => rate(rates?.inTps ?? null),
      },
      {
        name: 'out',
        label: 'Out /s',
        isNumber: true,
        cell: ({ rates }: BrokerRow) => rate(rates?.outTps ?? null),
      },
      { name: 'disk', label: 'Disk', isNumber: true, cell: diskOf },
    ]}
  />`
}

function stateOf({ problem, isWritable }: BrokerRow): ComponentChildren {
  if (problem !== null) return html`<${Badge} tone="error">silent</${Badge}>`
  if (!isWritable) return html`<${Badge} tone="warning">read only</${Badge}>`
  return html`<${Badge} tone="good">ready</${Badge}>`
}

function diskOf({ diskRatio, diskUsedBytes, diskTotalBytes }: BrokerRow): ComponentChildren {
  if (diskRatio === null) return '–'
  const tone = diskRatio >= DISK_ERROR ? 'error' : diskRatio >= DISK_WARNING ? 'warning' : ''
  const title = `${size(diskUsedBytes)} of ${size(diskTotalBytes)}`
  return html`<span class="meter" title=${title}>
    <meter class=${tone} min="0" max="1" value=${diskRatio} aria-label=${`Disk: ${title}`}></meter>
    ${percent(diskRatio)}
  </span>`
}

function Broker({ broker }: { readonly broker: BrokerRow }): ComponentChildren {
  const [isAsking, setAsking] = useState(false)
  const may = useMay()
  const { brokerName, members, problem, at } = broker
  const now = Date.now()
  const canMove = members.length > 1 && may('operator')
  return html`<section class="panel">
    <header>
      <h2>${brokerName}</h2>
      <span class="grow"></span>
      ${canMove ? html`<button type="button" onClick=${() => setAsking(true)}>Hand the leadership over</button>` : null}
    </header>
    ${problem === null ? null : html`<p class="banner error">${problem}${at === null ? '' : `; what stands here is of ${time(at)}`}</p>`}
    <dl class="facts">
      <div>
        <dt>Address</dt>
        <dd>${broker.address ?? '–'}</dd>
      </div>
      <div>
        <dt>Cluster</dt>
        <dd>${broker.cluster}</dd>
      </div>
      <div>
        <dt>Speaks</dt>
        <dd>${broker.version}</dd>
      </div>
      <div>
        <dt>Runs for</dt>
        <dd>${age(broker.bootTimestamp, now)}</dd>
      </div>
      <div>
        <dt>Log</dt>
        <dd>${size(broker.commitLogBytes)}</dd>
      </div>
      <div>
        <dt>Oldest message</dt>
        <dd>${time(broker.oldestMessageTimestamp)}</dd>
      </div>
      <div>
        <dt>Memory</dt>
        <dd>${size(broker.residentBytes)}</dd>
      </div>
      <div>
        <dt>CPU</dt>
        <dd>${broker.rates === null ? '–' : `${broker.rates.cpu.toFixed(2)} cores`}</dd>
      </div>
      <div>
        <dt>Topics</dt>
        <dd>${count(broker.topics)}</dd>
      </div>
      <div>
        <dt>Groups</dt>
        <dd>${count(broker.groups)}</dd>
      </div>
    </dl>
    <${Members} broker=${broker} />
    <div class="charts">
      <${Chart}
        title="Messages per second"
        format=${rate}
        lines=${[
          { series: `broker:${brokerName}:in`, label: 'in' },
          { series: `broker:${brokerName}:out`, label: 'out' },
        ]}
      />
      <${Chart}
        title="Disk and CPU"
        format=${percent}
        lines=${[
          { series: `broker:${brokerName}:disk`, label: 'disk' },
          { series: `broker:${brokerName}:cpu`, label: 'CPU' },
        ]}
      />
    </div>
    ${isAsking ? html`<${Transfer} broker=${broker} onClose=${() => setAsking(false)} />` : null}
  </section>`
}

type Member = BrokerRow['members'][number]

function Members({ broker }: { readonly broker: BrokerRow }): ComponentChildren {
  return html`<${Table}
    caption=${`Members of ${broker.brokerName}`}
    rows=${broker.members}
    keyOf=${({ id }: Member) => String(id)}
    empty="It has not answered yet."
    columns=${[
      { name: 'id', label: 'Member', cell: ({ id }: Member) => String(id) },
      { name: 'role', label: 'Role', cell: ({ role }: Member) => role },
      {
        name: 'state',
        label: 'State',
        cell: ({ isAlive }: Member) =>
          isAlive
            ? html`<${Badge} tone="good">answers</${Badge}>`
            : html`<${Badge} tone="error">silent</${Badge}>`,
      },
      {
        name: 'lag',
        label: 'Behind',
        isNumber: true,
        cell: ({ lagBytes, role }: Member) => (role === 'leader' ? '–' : size(lagBytes)),
      },
      { name: 'address', label: 'Address', cell: ({ address }: Member) => address },
    ]}
  />`
}

function Transfer({
  broker,
  onClose,
}: {
  readonly broker: BrokerRow
  readonly onClose: () => void
}): ComponentChildren {
  const act = useAct()
  const { brokerName, members, leader } = broker
  const others = members.filter(({ id, isAlive }) => id !== leader && isAlive)
  const submit = async (values: ReadonlyMap<string, string>): Promise<boolean> => {
    const to = Number(values.get('to'))
    const path = `brokers/${part(brokerName)}/transfer`
    return (
      (await act('POST', path, { to }, `Member ${to} is asked to lead ${brokerName}.`)) !== null
    )
  }
  return html`<${Dialog} title=${`Hand the leadership of ${brokerName} over`} action="Hand over" onSubmit=${submit} onClose=${onClose}>
    <p>Clients see a pause of well below a second; nothing is lost.</p>
    <${Select} label="To member" name="to" value=${String(others[0]?.id ?? '')} choices=${others.map(({ id, address }) => ({ value: String(id), label: `${id} (${address})` }))} />
  </${Dialog}>`
}
