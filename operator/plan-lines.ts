/** The sentences of `status.plan`. Pure. */
import { describeAct } from './act.ts'
import type { Plan } from './plan-types.ts'
import { phaseOfStep } from './snapshot.ts'
import { expandingMessage } from './volume-plan.ts'

/** One line for each thing that remains to be done; empty when the cluster is as the spec says. */
export function planLines({ acts, groups, nameServers, snapshot }: Plan): readonly string[] {
  const lines = acts.map(describeAct)
  lines.push(...nameServers.messages)
  for (const { name, outcome } of groups) {
    if (outcome.message !== '') lines.push(`${name}: ${outcome.message}`)
    else if (outcome.act === null && outcome.progress.step !== 'serve') {
      lines.push(`${name}: ${phaseOfStep(outcome.progress.step)}`)
    }
  }
  for (const { view } of groups) {
    const growing = expandingMessage(view)
    if (growing !== '') lines.push(growing)
  }
  for (const { message } of snapshot.failures) lines.push(message)
  return [...new Set(lines)].slice(0, 20)
}
