/** mqadmin's `queryMsgTraceById`: what clients with tracing have told of a message. */
import { messagesByKey } from '../../../client/admin-questions.ts'
import { messageBody } from '../../../client/message-body.ts'
import { TRACE_TOPIC, traceStepsIn } from '../../../client/message-traces.ts'
import type { TraceStep } from '../../../client/message-traces.ts'
import { formatHostAddress } from '../../../common/host-address.ts'
import { option } from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import type { Session } from '../session.ts'
import { humanTime } from '../table.ts'

const WIDTHS = [10, 20, 20, 20, 10, 10]

interface Told extends TraceStep {
  readonly host: string
}

async function queryMsgTraceById(session: Session, flags: LegacyFlags): Promise<void> {
  const id = flags.need('i')
  const topic = flags.text('t') ?? TRACE_TOPIC
  const query = {
    ...{ topic, key: id, isUniqueId: false, maxMessages: flags.number('c', 64) },
    beginTimestamp: flags.number('b', 0),
    endTimestamp: flags.number('e', Number.MAX_SAFE_INTEGER),
  }
  const steps: Told[] = []
  for (const { address } of await session.leadersOf(topic)) {
    for (const message of await messagesByKey(session.admin, address, query)) {
      const [host = ''] = formatHostAddress(message.bornHost).split(':')
      const told = traceStepsIn(messageBody(message).toString(), id)
      steps.push(...told.map((step) => ({ ...step, host })))
    }
  }
  for (const step of steps.filter(({ kind }) => kind === 'send')) {
    print(session, ['#Type', '#ProducerGroup', '#ClientHost', '#SendTime', ...REST])
    print(session, cellsOf('Pub', step))
    session.line()
  }
  // As mqadmin: what is not over is not told.
  const consumed = steps.filter(({ kind, costMs }) => kind === 'consume' && costMs !== null)
  for (const [, some] of Map.groupBy(consumed, ({ group }) => group)) {
    print(session, ['#Type', '#ConsumerGroup', '#ClientHost', '#ConsumerTime', ...REST])
    for (const step of some) print(session, cellsOf('Sub', step))
    session.line()
  }
}

const REST = ['#CostTimes', '#Status']

function cellsOf(type: string, { group, host, at, costMs, isSuccess }: Told): readonly string[] {
  const time = humanTime(at).slice(0, 19)
  return [type, group, host, time, `${costMs ?? 0}ms`, isSuccess ? 'success' : 'failed']
}

function print(session: Session, cells: readonly string[]): void {
  session.line(cells.map((cell, index) => cell.padEnd(WIDTHS[index] ?? 0)).join(' '))
}

export const TRACE_COMMANDS: readonly LegacyCommand[] = [
  {
    name: 'queryMsgTraceById',
    description: 'Query a message trace.',
    options: [
      option('i', 'msgId', 'unique id', true),
      option('t', 'traceTopic', `topic of the traces (${TRACE_TOPIC})`),
      option('b', 'beginTimestamp', 'milliseconds since 1970'),
      option('e', 'endTimestamp', 'milliseconds since 1970'),
      option('c', 'maxNum', 'at most so many traces (64)'),
    ],
    run: queryMsgTraceById,
  },
]
