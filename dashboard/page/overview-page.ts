/** How the cluster is, in words first. */
import type { ComponentChildren } from 'preact'
import type { GroupRow, OverviewAnswer, TopicRow } from '../api-types.ts'
import { BrokerTable } from './brokers-page.ts'
import { Chart } from './chart.ts'
import { age, count, plural, rate, short } from './format.ts'
import { Badge, Card, Loading, Table, html, part, usePoll } from './ui.ts'

export function Overview(): ComponentChildren {
  const polled = usePoll<OverviewAnswer>('overview')
  const { data } = polled
  if (data === null)
    return html`<h1>Overview</h1>
      <${Loading} of=${polled} />`
  const { totals } = data
  return html`<h1>Overview</h1>
    <${Loading} of=${polled} />
    <${Health} answer=${data} />
    <dl class="cards">
      <${Card} label="Messages in" value=${`${rate(totals.inTps)} /s`} />
      <${Card} label="Messages out" value=${`${rate(totals.outTps)} /s`} />
      <${Card} label="Total lag" value=${short(totals.lag)} />
      <${Card}
        label="Dead letters"
        value=${count(totals.deadLetters)}
        tone=${totals.deadLetters > 0 ? 'warning' : undefined}
      />
      <${Card} label="Topics" value=${count(totals.topics)} />
      <${Card}
        label="Groups"
        value=${count(totals.groups)}
        hint=${`${count(totals.onlineGroups)} connected`}
      />
      <${Card} label="Clients" value=${count(totals.clients)} />
      <${Card}
        label="Name servers"
        value=${`${data.nameServers.filter(({ problem }) => problem === null).length} of ${data.nameServers.length}`}
      />
    </dl>
    <div class="charts">
      <${Chart}
        title="Messages per second"
        format=${rate}
        lines=${[
          { series: 'in', label: 'in' },
          { series: 'out', label: 'out' },
        ]}
      />
      <${Chart}
        title="Lag of all groups"
        format=${short}
        lines=${[{ series: 'lag', label: 'messages' }]}
      />
    </div>
    <section>
      <h2><a href="#/brokers">Broker groups</a></h2>
      <${BrokerTable} brokers=${data.brokers} />
    </section>
    <div class="columns">
      <section>
        <h2><a href="#/groups">Furthest behind</a></h2>
        <${Behind} groups=${data.behind} at=${data.at} />
      </section>
      <section>
        <h2><a href="#/topics">Busiest topics</a></h2>
        <${Busiest} topics=${data.busiest} />
      </section>
    </div>`
}

function Health({ answer }: { readonly answer: OverviewAnswer }): ComponentChildren {
  const { findings, isHealthy } = answer
  if (findings.length === 0) {
    return html`<section class="health good" aria-label="Health">
      <strong>All is well.</strong> All name servers and brokers answer, and nothing is wrong with
      them.
    </section>`
  }
  const errors = findings.filter(({ severity }) => severity === 'error').length
  const warnings = findings.length - errors
  const parts = [
    ...(errors > 0 ? [plural(errors, 'error')] : []),
    ...(warnings > 0 ? [plural(warnings, 'warning')] : []),
  ]
  return html`<section class=${`health ${isHealthy ? 'warning' : 'error'}`} aria-label="Health">
    <strong
      >${`${isHealthy ? 'The cluster works, but needs a look' : 'The cluster needs help'}: ${parts.join(', ')}.`}</strong
    >
    <ul>
      ${findings.map(
        ({ severity, subject, problem, advice }) =>
          html`<li key=${subject + problem}>
            <${Badge} tone=${severity}>${severity}</${Badge}>
            <div>
              <b>${subject}</b>: ${problem}
              <div class="advice">${advice}</div>
            </div>
          </li>`,
      )}
    </ul>
  </section>`
}

function Behind({
  groups,
  at,
}: {
  readonly groups: readonly GroupRow[]
  readonly at: number
}): ComponentChildren {
  return html`<${Table}
    caption="Consumer groups that are furthest behind"
    rows=${groups}
    keyOf=${({ name }: GroupRow) => name}
    empty="No group is behind."
    columns=${[
      {
        name: 'name',
        label: 'Group',
        cell: ({ name }: GroupRow) => html`<a href=${`#/groups/${part(name)}`}>${name}</a>`,
      },
      {
        name: 'members',
        label: 'Members',
        isNumber: true,
        cell: ({ members }: GroupRow) => count(members),
      },
      { name: 'lag', label: 'Lag', isNumber: true, cell: ({ lag }: GroupRow) => count(lag) },
      {
        name: 'oldest',
        label: 'Oldest waits',
        isNumber: true,
        cell: ({ oldestUnread }: GroupRow) => age(oldestUnread, at),
      },
    ]}
  />`
}

function Busiest({ topics }: { readonly topics: readonly TopicRow[] }): ComponentChildren {
  return html`<${Table}
    caption="Topics with the most messages per second"
    rows=${topics}
    keyOf=${({ name }: TopicRow) => name}
    empty="Nothing was sent in the last minute."
    columns=${[
      {
        name: 'name',
        label: 'Topic',
        cell: ({ name }: TopicRow) => html`<a href=${`#/topics/${part(name)}`}>${name}</a>`,
      },
      { name: 'in', label: 'In /s', isNumber: true, cell: ({ inTps }: TopicRow) => rate(inTps) },
      {
        name: 'groups',
        label: 'Groups',
        isNumber: true,
        cell: ({ groupCount }: TopicRow) => count(groupCount),
      },
      {
        name: 'lag',
        label: 'Largest lag',
        isNumber: true,
        cell: ({ lag }: TopicRow) => count(lag),
      },
    ]}
  />`
}
