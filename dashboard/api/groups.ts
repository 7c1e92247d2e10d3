/** Consumer groups: list, one, create and change, delete, reset. */
import { groupConfigAt, resetOffsets } from '../../client/admin-questions.ts'
import { subscriptionGroupConfig } from '../../remoting/bodies/subscription-group-config.ts'
import { ApiError } from '../api-error.ts'
import type { GroupAnswer, GroupRow, ListAnswer, ResetPreviewRow } from '../api-types.ts'
import type { Fields } from '../fields.ts'
import { listAnswer } from '../list-query.ts'
import { leadersOf, leadersOfTopic, onEach, param, pictureOf } from './api.ts'
import type { Api, ApiRequest, ApiRoute } from './api.ts'
import { clientRow, groupRow } from './rows.ts'

const TO = ['start', 'end', 'time'] as const
/** Queues of which a preview asks where a time lies. */
const PREVIEW_QUEUES_MAX = 512

export const groupRoutes: readonly ApiRoute[] = [
  { method: 'GET', path: '/groups', role: 'viewer', handle: list },
  { method: 'GET', path: '/groups/:group', role: 'viewer', handle: one },
  { method: 'GET', path: '/groups/:group/reset', role: 'viewer', handle: preview },
  {
    method: 'POST',
    path: '/groups',
    role: 'operator',
    what: ({ body }) => `create group ${body.text('name')}`,
    handle: create,
  },
  {
    method: 'PUT',
    path: '/groups/:group',
    role: 'operator',
    what: (request) => `change group ${param(request, 'group')}`,
    handle: change,
  },
  {
    method: 'DELETE',
    path: '/groups/:group',
    role: 'admin',
    what: (request) => `delete group ${param(request, 'group')}`,
    handle: remove,
  },
  {
    method: 'POST',
    path: '/groups/:group/reset',
    role: 'operator',
    what: (request) => {
      const { body } = request
      const where = `${param(request, 'group')} in ${body.text('topic')}`
      return `reset ${where} to ${body.text('to')}${body.has('timestamp') ? ` ${new Date(timestampOf(body)).toISOString()}` : ''}`
    },
    handle: reset,
  },
]

function list(api: Api, { query }: ApiRequest): ListAnswer<GroupRow> {
  const isAll = query.get('kind') === 'all'
  const rows = [...pictureOf(api).groups.values()]
    .filter(({ isSystem }) => isAll || !isSystem)
    .map(groupRow)
  return listAnswer(rows, query, {
    texts: ({ name }) => [name],
    columns: {
      name: ({ name }) => name,
      members: ({ members }) => members,
      lag: ({ lag }) => lag,
      consumeTps: ({ consumeTps }) => consumeTps,
      deadLetters: ({ deadLetters }) => deadLetters,
      // The one that waits longest first, when descending.
      oldestUnread: ({ oldestUnread }) => -(oldestUnread ?? Number.MAX_SAFE_INTEGER),
    },
    defaultSort: 'lag',
    defaultOrder: 'desc',
  })
}

function one(api: Api, request: ApiRequest): GroupAnswer {
  const name = param(request, 'group')
  const group = pictureOf(api).groups.get(name)
  if (group === undefined) throw new ApiError('notFound', `there is no group ${name}`)
  return {
    group: groupRow(group),
    config: group.config,
    consumeFromWhere: group.consumeFromWhere,
    clients: group.clients.map(clientRow),
    subscriptions: group.subscriptions,
    topics: group.topics,
  }
}

async function create(api: Api, { body }: ApiRequest): Promise<unknown> {
  const name = body.text('name', 255)
  const picture = pictureOf(api)
  if (picture.groups.get(name)?.config) {
    throw new ApiError('conflict', `there is a group ${name} already`)
  }
  const config = subscriptionGroupConfig(name, settingsOf(body))
  await onEach(leadersOf(picture.brokers), ({ address }) => api.admin.createGroup(address, config))
  return { name }
}

async function change(api: Api, request: ApiRequest): Promise<unknown> {
  const name = param(request, 'group')
  const settings = settingsOf(request.body)
  await onEach(leadersOf(pictureOf(api).brokers), async ({ address }) => {
    const known = await groupConfigAt(api.admin, address, name)
    const config = { ...(known ?? subscriptionGroupConfig(name)), ...settings }
    await api.admin.createGroup(address, config)
  })
  return { name }
}

function settingsOf(body: Fields) {
  return {
    consumeEnable: body.flag('consumeEnable', true),
    consumeMessageOrderly: body.flag('consumeMessageOrderly', false),
    retryMaxTimes: body.integer('retryMaxTimes', { min: -1, max: 10_000 }),
  }
}

async function remove(api: Api, request: ApiRequest): Promise<unknown> {
  const name = param(request, 'group')
  const picture = pictureOf(api)
  const group = picture.groups.get(name)
  if (group === undefined) throw new ApiError('notFound', `there is no group ${name}`)
  if (group.isSystem) throw new ApiError('conflict', `${name} is a group of the system`)
  if (group.members > 0) {
    throw new ApiError(
      'conflict',
      `${name} has ${group.members} connected members: stop them first`,
    )
  }
  await onEach(leadersOf(picture.brokers), ({ address }) =>
    api.admin.deleteGroup(address, name, { cleanOffset: true }),
  )
  return { name }
}

/** What a reset would do, queue by queue. */
async function preview(api: Api, request: ApiRequest): Promise<readonly ResetPreviewRow[]> {
  const group = param(request, 'group')
  const topic = request.query.get('topic') ?? ''
  const to = request.query.get('to') ?? ''
  const state = pictureOf(api).topics.get(topic)
  if (state === undefined) throw new ApiError('notFound', `there is no topic ${topic}`)
  const progress = pictureOf(api)
    .groups.get(group)
    ?.topics.find((each) => each.topic === topic)
  const leaders = leadersOfTopic(api, topic)
  const rows: ResetPreviewRow[] = []
  for (const { brokerName, topic: part } of state.on) {
    const address = leaders.find((leader) => leader.brokerName === brokerName)?.address ?? ''
    for (const [queueId, [min, max]] of part.queues.entries()) {
      if (rows.length >= PREVIEW_QUEUES_MAX) return rows
      const from =
        progress?.queues.find(
          (queue) => queue.brokerName === brokerName && queue.queueId === queueId,
        )?.committed ?? null
      const target =
        to === 'start'
          ? min
          : to === 'end'
            ? max
            : await api.admin.searchOffset(
                address,
                { topic, queueId },
                Number(request.query.get('timestamp')) || 0,
              )
      rows.push({ brokerName, queueId, from, to: target })
    }
  }
  return rows
}

async function reset(api: Api, request: ApiRequest): Promise<unknown> {
  const group = param(request, 'group')
  const { body } = request
  const topic = body.text('topic')
  const to = body.choice('to', TO)
  const timestamp = to === 'start' ? 0 : to === 'end' ? -1 : timestampOf(body)
  await onEach(leadersOfTopic(api, topic), ({ address }) =>
    resetOffsets(api.admin, address, { group, topic, timestamp }),
  )
  return { group }
}

function timestampOf(body: Fields): number {
  return body.integer('timestamp', { min: 0, max: 8_640_000_000_000_000 })
}
