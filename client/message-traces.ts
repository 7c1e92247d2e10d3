/** What clients with tracing write of a message (protocol §18): records ended by 0x02, fields separated by 0x01. Pure. */
import type { OutgoingMessage, SendResult } from './producer.ts'

/** Where clients write traces unless they are told otherwise. */
export const TRACE_TOPIC = 'RMQ_SYS_TRACE_TOPIC'

export interface TraceStep {
  readonly kind: 'send' | 'consume' | 'transaction' | 'recall'
  readonly at: number
  /** Null: not over, or not told. */
  readonly costMs: number | null
  readonly isSuccess: boolean
  readonly group: string
  readonly client: string
  readonly detail: string
}

const CONTEXT_CODES = [
  'done',
  'timed out',
  'threw an exception',
  'returned nothing',
  'failed',
] as const
const MESSAGE_TYPES = ['normal', 'half', 'commit', 'delay', 'order'] as const

/** What a producer writes of an ordinary message that it has sent. */
export function sendTraceRecord(sent: {
  readonly message: OutgoingMessage
  readonly result: SendResult
  /** The address of the broker that has it. */
  readonly storeHost: string
  readonly producerGroup: string
  readonly sentAt: number
  readonly costMs: number
}): string {
  const { message, result, storeHost, producerGroup, sentAt, costMs } = sent
  const { topic, tags = '', keys = [], body } = message
  const fields = [
    ...['Pub', sentAt, 'DefaultRegion', producerGroup, topic, result.messageId, tags],
    ...[keys.join(' '), storeHost, body.length, costMs],
    ...[MESSAGE_TYPES.indexOf('normal'), result.offsetMessageId, result.status === 'SEND_OK'],
  ]
  return `${fields.join('\u0001')}\u0002`
}

/** The steps of one message in the body of a trace message; what is malformed is left out. */
export function traceStepsIn(body: string, id: string): readonly TraceStep[] {
  const records = body.split('\u0002').map((record) => record.split('\u0001'))
  const ends = new Map<string, readonly string[]>()
  for (const fields of records) {
    if (fields[0] === 'SubAfter') ends.set(`${fields[1] ?? ''} ${fields[2] ?? ''}`, fields)
  }
  const steps: TraceStep[] = []
  for (const fields of records) {
    const step = stepOf(fields, id, ends)
    if (step !== null) steps.push(step)
  }
  // The end of a consumption often comes in another trace message than its beginning.
  for (const [, fields] of ends) {
    if (fields[2] === id && !begins(records, fields)) steps.push(endStep(fields))
  }
  return steps
}

function begins(records: readonly (readonly string[])[], end: readonly string[]): boolean {
  return records.some(
    (fields) => fields[0] === 'SubBefore' && fields[4] === end[1] && fields[5] === end[2],
  )
}

function stepOf(
  fields: readonly string[],
  id: string,
  ends: ReadonlyMap<string, readonly string[]>,
): TraceStep | null {
  const [type, time, , group = ''] = fields
  const at = Number(time)
  const base = { at, group, client: '' }
  if (!Number.isFinite(at)) return null
  switch (type) {
    case 'Pub': {
      if (fields[5] !== id) return null
      const kind = MESSAGE_TYPES[Number(fields[11])] ?? 'normal'
      const detail = `${kind} message of ${fields[9] ?? '?'} bytes to ${fields[8] ?? ''}`
      const isSuccess = fields[13] !== 'false'
      const client = fields[14] ?? ''
      return { ...base, kind: 'send', costMs: numberOf(fields[10]), isSuccess, client, detail }
    }
    case 'SubBefore': {
      if (fields[5] !== id) return null
      const end = ends.get(`${fields[4] ?? ''} ${id}`)
      const retries = Number(fields[6])
      const attempt = retries > 0 ? `retry ${retries}` : 'first attempt'
      if (end === undefined) {
        return {
          ...base,
          kind: 'consume',
          costMs: null,
          isSuccess: true,
          detail: `${attempt}, begun`,
        }
      }
      const isSuccess = end[4] !== 'false'
      const detail = `${attempt}, ${outcomeOf(end)}`
      return { ...base, kind: 'consume', costMs: numberOf(end[3]), isSuccess, detail }
    }
    case 'EndTransaction': {
      if (fields[5] !== id) return null
      const isCheck = fields[12] === 'true'
      const detail = `${fields[11] ?? ''}${isCheck ? ', asked by the broker' : ''}`
      return { ...base, kind: 'transaction', costMs: null, isSuccess: true, detail }
    }
    case 'Recall':
      if (fields[5] !== id) return null
      return { ...base, kind: 'recall', costMs: null, isSuccess: fields[6] !== 'false', detail: '' }
    default:
      return null
  }
}

function endStep(fields: readonly string[]): TraceStep {
  return {
    kind: 'consume',
    at: Number(fields[7]) || 0,
    costMs: numberOf(fields[3]),
    isSuccess: fields[4] !== 'false',
    group: fields[8] ?? '',
    client: '',
    detail: outcomeOf(fields),
  }
}

function outcomeOf(end: readonly string[]): string {
  return CONTEXT_CODES[Number(end[6])] ?? (end[4] === 'false' ? 'failed' : 'done')
}

function numberOf(text: string | undefined): number | null {
  const value = Number(text)
  return text === undefined || text === '' || !Number.isFinite(value) ? null : value
}
