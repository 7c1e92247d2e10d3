/** The settings of a group, new or present. */
import type { ComponentChildren } from 'preact'
import type { GroupAnswer } from '../api-types.ts'
import { Dialog, Field, Select, html, part, useAct } from './ui.ts'

const SWITCH = [
  { value: 'true', label: 'on' },
  { value: 'false', label: 'off' },
] as const
const RETRIES_DEFAULT = 16

export function GroupSettings({
  name,
  config,
  onClose,
  onDone,
}: {
  /** Null: a new group. */
  readonly name: string | null
  readonly config: GroupAnswer['config']
  readonly onClose: () => void
  readonly onDone: () => void
}): ComponentChildren {
  const act = useAct()
  const submit = async (values: ReadonlyMap<string, string>): Promise<boolean> => {
    const settings = {
      consumeEnable: values.get('consumeEnable') === 'true',
      consumeMessageOrderly: values.get('consumeMessageOrderly') === 'true',
      retryMaxTimes: Number(values.get('retryMaxTimes')),
    }
    const made = values.get('group') ?? ''
    const done =
      name === null
        ? await act('POST', 'groups', { name: made, ...settings }, `Group ${made} was created.`)
        : await act('PUT', `groups/${part(name)}`, settings, `Group ${name} was changed.`)
    if (done !== null) onDone()
    return done !== null
  }
  const title = name === null ? 'New consumer group' : `Settings of ${name}`
  const action = name === null ? 'Create' : 'Save'
  return html`<${Dialog} title=${title} action=${action} onSubmit=${submit} onClose=${onClose}>
    ${name === null ? html`<${Field} label="Name" name="group" required />` : null}
    <${Select} label="Consumption" name="consumeEnable" value=${String(config?.consumeEnable ?? true)} choices=${SWITCH} />
    <${Select} label="In order (POP)" name="consumeMessageOrderly" value=${String(config?.consumeMessageOrderly ?? false)} choices=${SWITCH} />
    <${Field} label="Retries before a message is given up" name="retryMaxTimes" type="number" min=${-1} max=${10_000} value=${config?.retryMaxTimes ?? RETRIES_DEFAULT} required />
  </${Dialog}>`
}
