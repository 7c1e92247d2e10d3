/** Messages: by topic and time, by key, by id, as they come; and their traces. */
import { ApiError } from '../api-error.ts'
import { TRACE_TOPIC, traceStepsIn } from '../../client/message-traces.ts'
import type { TraceStep } from '../../client/message-traces.ts'
import { integerOf } from '../fields.ts'
import type { MessageRow, MessagesAnswer, TailAnswer } from '../message-types.ts'
import { leadersOfTopic, pictureOf } from './api.ts'
import type { Api, ApiRequest, ApiRoute, Leader } from './api.ts'
import { SCAN_MAX, byKey, byOffsetId, newestOf, rangesOf, readQueue } from './message-reader.ts'
import { holds, newestFirst } from './message-rows.ts'

export const messageRoutes: readonly ApiRoute[] = [
  { method: 'GET', path: '/messages', role: 'viewer', handle: search },
  { method: 'GET', path: '/tail', role: 'viewer', handle: tail },
  { method: 'GET', path: '/trace', role: 'viewer', handle: trace },
]

const TIME = { min: 0, max: 8_640_000_000_000_000 }
const SHOWN_MAX = 200
const TAIL_MAX = 100
const OFFSET_ID = /^[0-9A-F]{32}$|^[0-9A-F]{56}$/iu

export function mayReadBody(api: Api, { role }: ApiRequest): boolean {
  return role !== 'viewer' || api.viewersSeeBodies
}

async function search(api: Api, request: ApiRequest): Promise<MessagesAnswer> {
  const { query } = request
  const topic = query.get('topic') ?? ''
  if (topic === '') throw new ApiError('badRequest', 'topic is missing')
  const mayRead = mayReadBody(api, request)
  const id = query.get('id') ?? ''
  if (id !== '') return found(await withId(api, topic, id, mayRead))
  const key = query.get('key') ?? ''
  if (key !== '') return found(await byKey(api, { topic, key, isUniqueId: false }, mayRead))
  return inRange(api, topic, query, mayRead)
}

function found(messages: readonly MessageRow[]): MessagesAnswer {
  return {
    messages: messages.toSorted(newestFirst).slice(0, SHOWN_MAX),
    scanned: messages.length,
    inRange: null,
  }
}

async function withId(
  api: Api,
  topic: string,
  id: string,
  mayRead: boolean,
): Promise<readonly MessageRow[]> {
  const rows = await byKey(api, { topic, key: id, isUniqueId: true }, mayRead)
  if (rows.length > 0 || !OFFSET_ID.test(id)) return rows
  const row = await byOffsetId(api, id, mayRead)
  return row === null ? [] : [row]
}

/** The newest that match, of at most `SCAN_MAX` that are looked at. */
async function inRange(
  api: Api,
  topic: string,
  query: URLSearchParams,
  mayRead: boolean,
): Promise<MessagesAnswer> {
  const from = integerOf(query, 'from', { ...TIME, absent: -1 })
  const to = integerOf(query, 'to', { ...TIME, absent: -1 })
  const limit = integerOf(query, 'limit', { min: 1, max: SHOWN_MAX, absent: 50 })
  const wanted = (query.get('text') ?? '').toLowerCase().trim()
  const times = { from: from < 0 ? null : from, to: to < 0 ? null : to }
  const ranges = await rangesOf(api, topic, times)
  const share = Math.ceil(SCAN_MAX / Math.max(1, ranges.length))
  const perQueue = wanted === '' ? Math.min(limit, share) : share
  const rows = await newestOf(api, topic, ranges, perQueue, mayRead)
  return {
    messages: rows
      .filter((row) => holds(row, wanted))
      .toSorted(newestFirst)
      .slice(0, limit),
    scanned: rows.length,
    inRange: ranges.reduce((sum, range) => sum + range.to - range.from, 0),
  }
}

/** What has come since the cursor; without one, where the ends of the queues are. */
async function tail(api: Api, request: ApiRequest): Promise<TailAnswer> {
  const { query } = request
  const topic = query.get('topic') ?? ''
  const leaders = leadersOfTopic(api, topic)
  const places = query.getAll('at').map((text) => placeOf(text, leaders))
  const wanted = (query.get('text') ?? '').toLowerCase().trim()
  if (places.length === 0) {
    const ranges = await rangesOf(api, topic, { from: null, to: null })
    const known = new Map(
      ranges.map(({ leader, queueId, to }) => [`${leader.brokerName} ${queueId}`, to]),
    )
    const cursor: string[] = []
    for (const { queue, end } of ends(api, topic, leaders))
      cursor.push(`${queue} ${known.get(queue) ?? end}`)
    return { messages: [], cursor, skipped: 0 }
  }
  const rows: MessageRow[] = []
  const cursor: string[] = []
  let skipped = 0
  for (const { leader, queueId, queueOffset } of places) {
    const max = await api.admin.maxOffset(leader.address, { topic, queueId })
    const from = Math.max(queueOffset, max - TAIL_MAX)
    skipped += from - queueOffset
    const range = { topic, leader, queueId, from, to: max }
    rows.push(...(await readQueue(api, range, mayReadBody(api, request))))
    cursor.push(`${leader.brokerName} ${queueId} ${Math.max(max, queueOffset)}`)
  }
  const messages = rows.filter((row) => holds(row, wanted)).toSorted(newestFirst)
  return { messages: messages.slice(0, TAIL_MAX), cursor, skipped: Math.max(0, skipped) }
}

function* ends(
  api: Api,
  topic: string,
  leaders: readonly Leader[],
): Generator<{ readonly queue: string; readonly end: number }, void> {
  const state = api.collector.picture?.topics.get(topic)
  for (const { brokerName } of leaders) {
    const part = state?.on.find((each) => each.brokerName === brokerName)
    for (const [queueId, [, max]] of (part?.topic.queues ?? []).entries()) {
      yield { queue: `${brokerName} ${queueId}`, end: max }
    }
  }
}

function placeOf(
  text: string,
  leaders: readonly Leader[],
): { readonly leader: Leader; readonly queueId: number; readonly queueOffset: number } {
  const [, brokerName = '', queueId = '', queueOffset = ''] =
    /^(\S+) (\d{1,5}) (\d{1,16})$/u.exec(text) ?? []
  const leader = leaders.find((each) => each.brokerName === brokerName)
  if (leader === undefined) throw new ApiError('badRequest', `at ${text} is no queue of the topic`)
  return { leader, queueId: Number(queueId), queueOffset: Number(queueOffset) }
}

/** What clients with tracing told of a message, in the order of time. */
async function trace(api: Api, { query }: ApiRequest): Promise<readonly TraceStep[]> {
  const id = query.get('id') ?? ''
  if (id === '') throw new ApiError('badRequest', 'id is missing')
  const topic = query.get('topic') ?? TRACE_TOPIC
  // It comes with the first trace.
  if (!pictureOf(api).topics.has(topic)) return []
  const rows = await byKey(api, { topic, key: id, isUniqueId: false }, true)
  const bodies = rows.map(({ body }) => Buffer.from(body ?? '', 'base64').toString('utf8'))
  return bodies.flatMap((body) => traceStepsIn(body, id)).toSorted((a, b) => a.at - b.at)
}
