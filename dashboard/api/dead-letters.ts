/** Dead letters: which groups have some, their messages, sending them again to the group that gave them up, export. */
import { messageBody } from '../../client/message-body.ts'
import { messageOf } from '../../common/errors.ts'
import type { StoredMessage } from '../../common/message.ts'
import { parseProperties } from '../../common/properties.ts'
import { ApiError } from '../api-error.ts'
import type { ListAnswer } from '../api-types.ts'
import { Fields } from '../fields.ts'
import { listAnswer } from '../list-query.ts'
import type { DeadLetterRow, MessagesAnswer, ResendAnswer } from '../message-types.ts'
import { Download, leadersOfTopic, param, pictureOf } from './api.ts'
import type { Api, ApiRequest, ApiRoute } from './api.ts'
import { SCAN_MAX, messageAt, newestOf, rangesOf } from './message-reader.ts'
import { holds, newestFirst } from './message-rows.ts'
import { mayReadBody } from './messages.ts'

export const deadLetterRoutes: readonly ApiRoute[] = [
  { method: 'GET', path: '/dead-letters', role: 'viewer', handle: list },
  { method: 'GET', path: '/dead-letters/:group', role: 'viewer', handle: messages },
  { method: 'GET', path: '/dead-letters/:group/export', role: 'operator', handle: download },
  {
    method: 'POST',
    path: '/dead-letters/:group/resend',
    role: 'operator',
    what: (request) =>
      `send ${request.body.list('messages', RESEND_MAX).length} dead letters of ${param(request, 'group')} again`,
    handle: resend,
  },
]

const RESEND_MAX = 200
const SHOWN_MAX = 200
/** What brokers and clients set anew. */
const SYSTEM_PROPERTIES: ReadonlySet<string> = new Set([
  'UNIQ_KEY',
  'WAIT',
  'TAGS',
  'KEYS',
  'RECONSUME_TIME',
  'MAX_RECONSUME_TIMES',
  'DELAY',
  'REAL_TOPIC',
  'REAL_QID',
  'PGROUP',
  'TRAN_MSG',
  'MSG_REGION',
  'TRACE_ON',
  'CLUSTER',
  'MIN_OFFSET',
  'MAX_OFFSET',
  'CONSUME_START_TIME',
  'DLQ_ORIGIN_TOPIC',
  'DLQ_ORIGIN_MESSAGE_ID',
])

function deadLetterTopic(group: string): string {
  return `%DLQ%${group}`
}

function list(api: Api, { query }: ApiRequest): ListAnswer<DeadLetterRow> {
  const rows = [...pictureOf(api).groups.values()]
    .filter(({ deadLetters }) => deadLetters > 0)
    .map(({ name, deadLetters, members }) => ({ group: name, messages: deadLetters, members }))
  return listAnswer(rows, query, {
    texts: ({ group }) => [group],
    columns: {
      group: ({ group }) => group,
      messages: ({ messages: count }) => count,
      members: ({ members }) => members,
    },
    defaultSort: 'messages',
    defaultOrder: 'desc',
  })
}

async function messages(api: Api, request: ApiRequest): Promise<MessagesAnswer> {
  const topic = deadLetterTopic(param(request, 'group'))
  if (!pictureOf(api).topics.has(topic)) return { messages: [], scanned: 0, inRange: 0 }
  const wanted = (request.query.get('text') ?? '').toLowerCase().trim()
  const ranges = await rangesOf(api, topic, { from: null, to: null })
  const perQueue = Math.ceil(SCAN_MAX / Math.max(1, ranges.length))
  const rows = await newestOf(api, topic, ranges, perQueue, mayReadBody(api, request))
  return {
    messages: rows
      .filter((row) => holds(row, wanted))
      .toSorted(newestFirst)
      .slice(0, SHOWN_MAX),
    scanned: rows.length,
    inRange: ranges.reduce((sum, { from, to }) => sum + to - from, 0),
  }
}

/** JSON lines, a message each; the newest `SCAN_MAX`. */
async function download(api: Api, request: ApiRequest): Promise<Download> {
  const group = param(request, 'group')
  const topic = deadLetterTopic(group)
  const ranges = await rangesOf(api, topic, { from: null, to: null })
  const perQueue = Math.ceil(SCAN_MAX / Math.max(1, ranges.length))
  const rows = await newestOf(api, topic, ranges, perQueue, mayReadBody(api, request))
  const lines = rows.toSorted(newestFirst).map((row) => `${JSON.stringify(row)}\n`)
  const name = group.replaceAll(/[^A-Za-z0-9._-]/gu, '_')
  return new Download(`dead-letters-${name}.jsonl`, 'application/x-ndjson', lines.join(''))
}

/**
 * Each goes to the retry topic of its group, so that nobody else gets it again, with the topic that it came from. The dead letter itself
 * stays, as a log keeps what it has.
 */
async function resend(api: Api, request: ApiRequest): Promise<ResendAnswer> {
  const group = param(request, 'group')
  const topic = deadLetterTopic(group)
  const asked = request.body.list('messages', RESEND_MAX).map((value) => new Fields(value))
  const leaders = leadersOfTopic(api, topic)
  if (!pictureOf(api).topics.has(`%RETRY%${group}`)) {
    throw new ApiError('conflict', `${group} has no retry topic: it has never been connected`)
  }
  let sent = 0
  const failed: { readonly id: string; readonly reason: string }[] = []
  for (const place of asked) {
    const brokerName = place.text('brokerName')
    const queueId = place.integer('queueId', { min: 0, max: 65_535 })
    const queueOffset = place.integer('queueOffset', { min: 0, max: Number.MAX_SAFE_INTEGER })
    const id = `${brokerName}:${queueId}:${queueOffset}`
    const leader = leaders.find((each) => each.brokerName === brokerName)
    try {
      if (leader === undefined) throw new ApiError('notFound', `there is no broker ${brokerName}`)
      const message = await messageAt(api, topic, { leader, queueId, queueOffset })
      if (message === null) throw new ApiError('notFound', 'it is no longer there')
      await sendAgain(api, group, message)
      sent++
    } catch (error) {
      failed.push({ id, reason: messageOf(error) })
    }
  }
  return { sent, failed }
}

async function sendAgain(api: Api, group: string, message: StoredMessage): Promise<void> {
  const properties = parseProperties(message.properties)
  const origin = properties.get('DLQ_ORIGIN_TOPIC') ?? properties.get('RETRY_TOPIC')
  if (origin === undefined) throw new ApiError('conflict', 'it does not say what topic it is of')
  const own = [...properties].filter(([name]) => !SYSTEM_PROPERTIES.has(name))
  const tags = properties.get('TAGS')
  const keys = properties.get('KEYS')
  await api.producer.send({
    topic: `%RETRY%${group}`,
    body: messageBody(message),
    flag: message.flag,
    properties: { ...Object.fromEntries(own), RETRY_TOPIC: origin },
    ...(tags === undefined ? {} : { tags }),
    ...(keys === undefined ? {} : { keys: keys.split(' ') }),
  })
}
