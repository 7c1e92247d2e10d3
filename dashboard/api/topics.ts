/** Topics: list, one, create and change, delete, send a message. */
import { topicConfigAt } from '../../client/admin-questions.ts'
import { topicConfig } from '../../remoting/bodies/topic-config.ts'
import { ApiError } from '../api-error.ts'
import type { ListAnswer, TopicAnswer, TopicRow } from '../api-types.ts'
import { listAnswer } from '../list-query.ts'
import { leadersOf, leadersOfTopic, onEach, param, pictureOf } from './api.ts'
import type { Api, ApiRequest, ApiRoute } from './api.ts'
import { topicRow } from './rows.ts'

const TYPES = ['NORMAL', 'FIFO', 'DELAY', 'TRANSACTION'] as const
const QUEUES_MAX = 1_024
const BODY_MAX = 60_000

export const topicRoutes: readonly ApiRoute[] = [
  { method: 'GET', path: '/topics', role: 'viewer', handle: list },
  { method: 'GET', path: '/topics/:topic', role: 'viewer', handle: one },
  {
    method: 'POST',
    path: '/topics',
    role: 'operator',
    what: ({ body }) => `create topic ${body.text('name')}`,
    handle: create,
  },
  {
    method: 'PUT',
    path: '/topics/:topic',
    role: 'operator',
    what: (request) => `change topic ${param(request, 'topic')}`,
    handle: change,
  },
  {
    method: 'DELETE',
    path: '/topics/:topic',
    role: 'admin',
    what: (request) => `delete topic ${param(request, 'topic')}`,
    handle: remove,
  },
  {
    method: 'POST',
    path: '/topics/:topic/messages',
    role: 'operator',
    what: (request) => `send a message to ${param(request, 'topic')}`,
    handle: send,
  },
]

function list(api: Api, { query }: ApiRequest): ListAnswer<TopicRow> {
  const kind = query.get('kind') ?? 'user'
  const rows = [...pictureOf(api).topics.values()]
    .filter((topic) => isWanted(topic.kind, kind))
    .map(topicRow)
  return listAnswer(rows, query, {
    texts: ({ name }) => [name],
    columns: {
      name: ({ name }) => name,
      messages: ({ messages }) => messages,
      inTps: ({ inTps }) => inTps,
      groups: ({ groupCount }) => groupCount,
      lag: ({ lag }) => lag,
      queues: ({ writeQueueNums }) => writeQueueNums,
    },
    defaultSort: 'name',
    defaultOrder: 'asc',
  })
}

function isWanted(kind: TopicRow['kind'], wanted: string): boolean {
  if (wanted === 'all') return true
  if (wanted === 'user') return kind !== 'system' && kind !== 'retry' && kind !== 'deadLetter'
  return kind === wanted
}

function one(api: Api, request: ApiRequest): TopicAnswer {
  const picture = pictureOf(api)
  const name = param(request, 'topic')
  const topic = picture.topics.get(name)
  if (topic === undefined) throw new ApiError('notFound', `there is no topic ${name}`)
  return {
    topic: topicRow(topic),
    attributes: Object.fromEntries(topic.on[0]?.topic.attributes ?? []),
    groups: topic.groups.map(({ group, lag }) => {
      const state = picture.groups.get(group)
      const progress = state?.topics.find((each) => each.topic === name)
      return {
        group,
        lag,
        members: state?.members ?? 0,
        consumeTps: progress?.consumeTps ?? 0,
        oldestUnread: progress?.oldestUnread ?? null,
      }
    }),
    brokers: topic.on.map(({ brokerName, topic: part }) => ({
      brokerName,
      readQueueNums: part.readQueueNums,
      writeQueueNums: part.writeQueueNums,
      perm: part.perm,
      order: part.order,
      queues: part.queues.map(([min, max], queueId) => ({ queueId, min, max })),
    })),
  }
}

const QUEUES = { min: 1, max: QUEUES_MAX }
const PERM = { min: 0, max: 7 }

async function create(api: Api, { body }: ApiRequest): Promise<unknown> {
  const name = body.text('name', 127)
  const type = body.choice('type', TYPES)
  const queues = body.integer('queues', QUEUES)
  const perm = body.integer('perm', PERM)
  const picture = pictureOf(api)
  if (picture.topics.has(name)) throw new ApiError('conflict', `there is a topic ${name} already`)
  const config = topicConfig(name, {
    readQueueNums: queues,
    writeQueueNums: queues,
    perm,
    attributes: new Map<string, string>(type === 'NORMAL' ? [] : [['message.type', type]]),
  })
  await onEach(leadersOf(picture.brokers), ({ address }) => api.admin.createTopic(address, config))
  return { name }
}

async function change(api: Api, request: ApiRequest): Promise<unknown> {
  const name = param(request, 'topic')
  const { body } = request
  const readQueueNums = body.integer('readQueueNums', QUEUES)
  const writeQueueNums = body.integer('writeQueueNums', QUEUES)
  const perm = body.integer('perm', PERM)
  await onEach(leadersOfTopic(api, name), async ({ address }) => {
    const known = await topicConfigAt(api.admin, address, name)
    if (known === null) throw new ApiError('notFound', `there is no topic ${name} any more`)
    const changed = { ...known, readQueueNums, writeQueueNums, perm }
    // Attributes stay as they are when none is sent.
    await api.admin.createTopic(address, { ...changed, attributes: new Map<string, string>() })
  })
  return { name }
}

async function remove(api: Api, request: ApiRequest): Promise<unknown> {
  const name = param(request, 'topic')
  const { kind } = pictureOf(api).topics.get(name) ?? { kind: 'normal' }
  if (kind === 'system') throw new ApiError('conflict', `${name} is a topic of the system`)
  await onEach(leadersOfTopic(api, name), ({ address }) => api.admin.deleteTopic(address, name))
  for (const nameServer of api.nameServers) await api.admin.deleteTopicRoute(nameServer, name)
  return { name }
}

async function send(api: Api, request: ApiRequest): Promise<unknown> {
  const topic = param(request, 'topic')
  const { body } = request
  leadersOfTopic(api, topic)
  const tags = body.optionalText('tags', 128)
  const keys = body.optionalText('keys', 1_024)
  const { messageId, status, queue, queueOffset } = await api.producer.send({
    topic,
    body: Buffer.from(body.text('body', BODY_MAX)),
    ...(tags === null ? {} : { tags }),
    ...(keys === null ? {} : { keys: keys.split(/\s+/u) }),
  })
  return { id: messageId, status, ...queue, queueOffset }
}
