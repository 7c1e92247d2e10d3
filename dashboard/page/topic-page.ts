/** One topic: who reads it, its queues, its settings. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { TopicAnswer } from '../api-types.ts'
import { Chart } from './chart.ts'
import { age, count, permission, rate, size } from './format.ts'
import { PERMISSIONS } from './topics-page.ts'
import {
  Badge,
  Card,
  Dialog,
  Field,
  Loading,
  Select,
  Table,
  html,
  part,
  useAct,
  useMay,
  usePoll,
} from './ui.ts'

type Ask = 'change' | 'delete' | 'send'

export function Topic({ name }: { readonly name: string }): ComponentChildren {
  const polled = usePoll<TopicAnswer>(`topics/${part(name)}`)
  const [ask, setAsk] = useState<Ask | null>(null)
  const may = useMay()
  const { data } = polled
  const isOurs = data !== null && data.topic.kind !== 'system'
  return html`<p class="trail"><a href="#/topics">Topics</a> /</p>
    <header class="title">
      <h1>${name}</h1>
      <span class="grow"></span>
      <a class="button" href=${`#/messages/${part(name)}`}>Messages</a>
      ${isOurs && may('operator') ? html`<button type="button" onClick=${() => setAsk('send')}>Send a message</button>` : null}
      ${isOurs && may('operator') ? html`<button type="button" onClick=${() => setAsk('change')}>Settings</button>` : null}
      ${isOurs && may('admin') ? html`<button type="button" class="danger" onClick=${() => setAsk('delete')}>Delete</button>` : null}
    </header>
    <${Loading} of=${polled} />
    ${data === null ? null : html`<${Details} answer=${data} />`}
    ${data !== null && ask !== null ? html`<${Asked} ask=${ask} answer=${data} onClose=${() => setAsk(null)} onDone=${polled.reload} />` : null}`
}

type Reader = TopicAnswer['groups'][number]
type Part = TopicAnswer['brokers'][number]
interface QueueRow {
  readonly brokerName: string
  readonly queueId: number
  readonly min: number
  readonly max: number
}

function Details({ answer }: { readonly answer: TopicAnswer }): ComponentChildren {
  const { topic, groups, brokers, attributes } = answer
  const now = Date.now()
  const queues = brokers.flatMap(({ brokerName, queues }) =>
    queues.map((queue): QueueRow => ({ brokerName, ...queue })),
  )
  return html`<dl class="cards">
      <${Card}
        label="Messages in"
        value=${`${rate(topic.inTps)} /s`}
        hint=${`${size(topic.inBytesTps)}/s`}
      />
      <${Card} label="Messages kept" value=${count(topic.messages)} />
      <${Card} label="Queues" value=${count(topic.writeQueueNums)} hint=${permission(topic.perm)} />
      <${Card} label="Consumer groups" value=${count(topic.groupCount)} />
      <${Card} label="Type" value=${(attributes['message.type'] ?? 'NORMAL').toLowerCase()} />
    </dl>
    <section>
      <h2>Who reads it</h2>
      <${Table}
        caption=${`Consumer groups of ${topic.name}`}
        rows=${groups}
        keyOf=${({ group }: Reader) => group}
        empty="Nobody reads it."
        columns=${[
          {
            name: 'group',
            label: 'Group',
            cell: ({ group }: Reader) => html`<a href=${`#/groups/${part(group)}`}>${group}</a>`,
          },
          {
            name: 'members',
            label: 'Members',
            isNumber: true,
            cell: ({ members }: Reader) =>
              members === 0 ? html`<${Badge} tone="warning">none</${Badge}>` : count(members),
          },
          {
            name: 'rate',
            label: 'Out /s',
            isNumber: true,
            cell: ({ consumeTps }: Reader) => rate(consumeTps),
          },
          { name: 'lag', label: 'Lag', isNumber: true, cell: ({ lag }: Reader) => count(lag) },
          {
            name: 'oldest',
            label: 'Oldest waits',
            isNumber: true,
            cell: ({ oldestUnread }: Reader) => age(oldestUnread, now),
          },
        ]}
      />
    </section>
    <${Chart}
      title="Messages per second"
      format=${rate}
      lines=${[{ series: `topic:${topic.name}:in`, label: 'in' }]}
    />
    <section>
      <h2>Queues</h2>
      <${Table}
        caption=${`Queues of ${topic.name}`}
        rows=${queues}
        keyOf=${({ brokerName, queueId }: QueueRow) => `${brokerName} ${queueId}`}
        empty="It has no queues."
        columns=${[
          { name: 'broker', label: 'Broker group', cell: ({ brokerName }: QueueRow) => brokerName },
          {
            name: 'queue',
            label: 'Queue',
            isNumber: true,
            cell: ({ queueId }: QueueRow) => String(queueId),
          },
          {
            name: 'min',
            label: 'First offset',
            isNumber: true,
            cell: ({ min }: QueueRow) => count(min),
          },
          {
            name: 'max',
            label: 'Next offset',
            isNumber: true,
            cell: ({ max }: QueueRow) => count(max),
          },
          {
            name: 'messages',
            label: 'Messages',
            isNumber: true,
            cell: ({ min, max }: QueueRow) => count(max - min),
          },
        ]}
      />
    </section>`
}

interface AskedProps {
  readonly ask: Ask
  readonly answer: TopicAnswer
  readonly onClose: () => void
  readonly onDone: () => void
}

function Asked(props: AskedProps): ComponentChildren {
  switch (props.ask) {
    case 'send':
      return html`<${Send} ...${props} />`
    case 'change':
      return html`<${Settings} ...${props} />`
    case 'delete':
      return html`<${Delete} ...${props} />`
  }
}

function Send({ answer, onClose, onDone }: AskedProps): ComponentChildren {
  const act = useAct()
  const { name } = answer.topic
  const submit = async (values: ReadonlyMap<string, string>): Promise<boolean> => {
    const sent = await act(
      'POST',
      `topics/${part(name)}/messages`,
      Object.fromEntries(values),
      `A message was sent to ${name}.`,
    )
    if (sent !== null) onDone()
    return sent !== null
  }
  return html`<${Dialog} title=${`Send a message to ${name}`} action="Send" onSubmit=${submit} onClose=${onClose}>
    <${Field} label="Tag" name="tags" />
    <${Field} label="Keys" name="keys" hint="Separated by blanks." />
    <div class="field">
      <label for="field-body">Body</label>
      <textarea id="field-body" name="body" rows="6" required></textarea>
    </div>
  </${Dialog}>`
}

function Settings({ answer, onClose, onDone }: AskedProps): ComponentChildren {
  const act = useAct()
  const { name } = answer.topic
  const [first] = answer.brokers
  const submit = async (values: ReadonlyMap<string, string>): Promise<boolean> => {
    const body = Object.fromEntries([...values].map(([key, value]) => [key, Number(value)]))
    const changed = await act('PUT', `topics/${part(name)}`, body, `Topic ${name} was changed.`)
    if (changed !== null) onDone()
    return changed !== null
  }
  const differ = answer.brokers.some(
    (each: Part) => each.writeQueueNums !== first?.writeQueueNums || each.perm !== first.perm,
  )
  return html`<${Dialog} title=${`Settings of ${name}`} action="Save" onSubmit=${submit} onClose=${onClose}>
    ${differ ? html`<p class="banner warning">Its broker groups have different settings now; all will have these.</p>` : null}
    <${Field} label="Queues to write, on each broker group" name="writeQueueNums" type="number" min=${1} max=${1024} value=${first?.writeQueueNums ?? 8} required />
    <${Field} label="Queues to read" name="readQueueNums" type="number" min=${1} max=${1024} value=${first?.readQueueNums ?? 8} required hint="For fewer queues: lower those to write first, those to read once they are empty." />
    <${Select} label="Permission" name="perm" value=${String(first?.perm ?? 6)} choices=${PERMISSIONS} />
  </${Dialog}>`
}

function Delete({ answer, onClose }: AskedProps): ComponentChildren {
  const act = useAct()
  const { name, messages } = answer.topic
  const submit = async (): Promise<boolean> => {
    const gone = await act('DELETE', `topics/${part(name)}`, {}, `Topic ${name} was deleted.`)
    if (gone !== null) location.hash = '#/topics'
    return gone !== null
  }
  return html`<${Dialog} title=${`Delete topic ${name}`} action="Delete" isDangerous mustType=${name} onSubmit=${submit} onClose=${onClose}>
    <p>Its ${count(messages)} messages and the progress of its ${count(answer.groups.length)} groups go with it. This cannot be taken back.</p>
  </${Dialog}>`
}
