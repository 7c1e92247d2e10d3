/** GANTRY_BROKER_PICTURE: a console's view of this broker in pages, so that it asks a few times and never once for each topic or group. */
import process from 'node:process'
import {
  PICTURE_CLIENTS_MAX,
  PICTURE_SECTIONS,
  encodePictureBroker,
  encodePictureGroups,
  encodePictureProducers,
  encodePictureTopics,
} from '../../remoting/bodies/broker-picture.ts'
import type {
  PictureBroker,
  PictureGroup,
  PicturePage,
  PictureProducer,
  PictureProgress,
  PictureTopic,
} from '../../remoting/bodies/broker-picture.ts'
import { GANTRY_VERSION } from '../../remoting/command.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import { optionalInt, optionalString, requireString } from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import type { BrokerParts } from '../parts.ts'
import { answer, success } from './answers.ts'
import { peersOf } from './group-state.ts'
import type { GroupView } from './group-state.ts'
import { connectionOf } from './stats-admin.ts'

const PAGE_DEFAULT = 200
const PAGE_MAX = 500
/** A page ends after so many queues: some milliseconds of work, and far below the largest frame. */
const PAGE_QUEUES = 4_000

/** The processor of this family by code. */
export function pictureProcessors(
  parts: BrokerParts,
  group: GroupView,
): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [
      RequestCode.GANTRY_BROKER_PICTURE,
      (request) => request.respond(picture(parts, group, request)),
    ],
  ])
}

interface Asked {
  /** Begin behind this name. */
  readonly after: string
  readonly limit: number
}

function picture(
  parts: BrokerParts,
  group: GroupView,
  { command }: RemotingRequest,
): ResponseContent {
  const fields = command.extFields
  const section = requireString(fields, 'section')
  const limit = optionalInt(fields, 'limit') ?? PAGE_DEFAULT
  if (limit < 1 || limit > PAGE_MAX) {
    return answer(ResponseCode.INVALID_PARAMETER, `limit is not from 1 to ${PAGE_MAX}`)
  }
  const asked = { after: optionalString(fields, 'after') ?? '', limit }
  switch (section) {
    case 'broker':
      return success(undefined, encodePictureBroker(brokerPicture(parts, group)))
    case 'topics':
      return success(undefined, encodePictureTopics(topicsPicture(parts, asked)))
    case 'groups':
      return success(undefined, encodePictureGroups(groupsPicture(parts, asked)))
    case 'producers':
      return success(undefined, encodePictureProducers(producersPicture(parts, asked)))
    default: {
      const remark = `section is none of ${PICTURE_SECTIONS.join(', ')}`
      return answer(ResponseCode.INVALID_PARAMETER, remark)
    }
  }
}

function brokerPicture(parts: BrokerParts, group: GroupView): PictureBroker {
  const { store, config, stats, clock } = parts
  const { brokerClusterName, brokerName, brokerPermission } = config.values
  const facts = group.facts()
  const status = store.status()
  const disk = parts.diskSpace()
  const isLeader = facts.role === 'leader'
  const peers = new Map(peersOf(facts).map((peer) => [peer.member.id, peer]))
  const { user, system } = process.cpuUsage()
  return {
    cluster: brokerClusterName,
    brokerName,
    address: parts.brokerAddress(),
    version: GANTRY_VERSION,
    now: clock.now(),
    bootTimestamp: status.bootTimestamp,
    memberId: facts.id,
    role: facts.role,
    term: facts.term,
    commitOffset: facts.commitOffset,
    endOffset: facts.endOffset,
    members: facts.members.map(({ id, role, address }) => {
      const peer = peers.get(id)
      const isSelf = id === facts.id
      return {
        id,
        role: id === facts.leader ? 'leader' : role === 'learner' ? 'learner' : 'follower',
        address,
        lagBytes: isSelf ? 0 : isLeader ? (peer?.behind ?? null) : null,
        isAlive: isSelf || peer?.isAlive === true,
      }
    }),
    diskUsedBytes: disk === null ? status.commitLogBytes : disk.totalBytes - disk.availableBytes,
    diskTotalBytes: disk?.totalBytes ?? 0,
    commitLogBytes: status.commitLogBytes,
    oldestMessageTimestamp: status.earliestMessageTimestamp,
    readOnlyReason: status.readOnlyReason,
    dispatchBehindBytes: status.dispatchBehindBytes,
    brokerPermission,
    putTotal: stats.putTotal,
    putBytesTotal: status.putSizeTotal,
    getTotal: stats.getTotal,
    cpuMicros: user + system,
    residentBytes: process.memoryUsage.rss(),
    topics: parts.topics.all.size,
    groups: parts.groups.all.size,
  }
}

function topicsPicture(parts: BrokerParts, asked: Asked): PicturePage<PictureTopic> {
  const { topics, store, stats } = parts
  return page(asked, topics.all.keys(), (topic) => {
    const config = topics.get(topic)
    if (config === undefined) return null
    const { readQueueNums, writeQueueNums, perm, order, attributes } = config
    const queueCount = Math.max(readQueueNums, writeQueueNums)
    const entry: PictureTopic = {
      topic,
      readQueueNums,
      writeQueueNums,
      perm,
      order,
      isSystem: topics.isSystem(topic),
      attributes,
      inTps: stats.tps('TOPIC_PUT_NUMS', topic),
      inBytesTps: stats.tps('TOPIC_PUT_SIZE', topic),
      queues: Array.from({ length: queueCount }, (_, queueId) => [
        Math.max(0, store.minOffsetInQueue(topic, queueId)),
        Math.max(0, store.maxOffsetInQueue(topic, queueId)),
      ]),
    }
    return { entry, weight: queueCount }
  })
}

function groupsPicture(parts: BrokerParts, asked: Asked): PicturePage<PictureGroup> {
  const { groups, clients, offsets } = parts
  const topicsByGroup = new Map<string, string[]>()
  for (const [topic, group] of offsets.subscriptions()) {
    const known = topicsByGroup.get(group)
    if (known === undefined) topicsByGroup.set(group, [topic])
    else known.push(topic)
  }
  const names = new Set([...groups.all.keys(), ...clients.consumerGroups, ...topicsByGroup.keys()])
  return page(asked, names, (group) => {
    const progress = (topicsByGroup.get(group) ?? []).map((topic) =>
      progressOf(parts, group, topic),
    )
    const weight = progress.reduce((sum, { queues }) => sum + queues.length, 1)
    const config = groups.get(group)
    const entry: PictureGroup = {
      group,
      config:
        config === undefined
          ? null
          : {
              consumeEnable: config.consumeEnable,
              consumeMessageOrderly: config.consumeMessageOrderly,
              consumeBroadcastEnable: config.consumeBroadcastEnable,
              retryQueueNums: config.retryQueueNums,
              retryMaxTimes: config.retryMaxTimes,
            },
      online: onlineOf(parts, group),
      progress,
    }
    return { entry, weight }
  })
}

function onlineOf({ clients }: BrokerParts, group: string): PictureGroup['online'] {
  const found = clients.consumerGroup(group)
  if (found === null) return null
  const { consumeType, messageModel, consumeFromWhere, subscriptions } = found
  return {
    consumeType,
    messageModel,
    consumeFromWhere,
    subscriptions: [...subscriptions.values()].map(({ topic, subString }) => ({
      topic,
      expression: subString,
    })),
    clientCount: found.clients.length,
    clients: found.clients.slice(0, PICTURE_CLIENTS_MAX).map(connectionOf),
  }
}

function progressOf(parts: BrokerParts, group: string, topic: string): PictureProgress {
  const { store, offsets, topics, stats } = parts
  const config = topics.get(topic)
  const queueCount =
    config === undefined ? 0 : Math.max(config.readQueueNums, config.writeQueueNums)
  const committed = new Map(offsets.queuesOf(group, topic))
  let worst = { queueId: -1, from: 0, lag: 0 }
  const queues = Array.from({ length: queueCount }, (_, queueId) => {
    const max = Math.max(0, store.maxOffsetInQueue(topic, queueId))
    const own = committed.get(queueId)
    const from = Math.max(own ?? 0, store.minOffsetInQueue(topic, queueId), 0)
    if (max - from > worst.lag) worst = { queueId, from, lag: max - from }
    return [queueId, own ?? -1, max] as const
  })
  return {
    topic,
    consumeTps: stats.tps('GROUP_GET_NUMS', `${topic}@${group}`),
    oldestUnread:
      worst.queueId < 0 ? null : store.storeTimestampAt(topic, worst.queueId, worst.from),
    queues,
  }
}

function producersPicture(parts: BrokerParts, asked: Asked): PicturePage<PictureProducer> {
  const { clients } = parts
  return page(asked, clients.producerGroups, (group) => {
    const members = clients.producers(group)
    if (members === null) return null
    const entry: PictureProducer = {
      group,
      clientCount: members.length,
      clients: members.slice(0, PICTURE_CLIENTS_MAX).map(connectionOf),
    }
    return { entry, weight: entry.clients.length }
  })
}

/** The names behind `after`, in their order, until the page is full. */
function page<Entry>(
  { after, limit }: Asked,
  names: Iterable<string>,
  entryOf: (name: string) => { readonly entry: Entry; readonly weight: number } | null,
): PicturePage<Entry> {
  const wanted = [...names].filter((name) => name > after).toSorted()
  const entries: Entry[] = []
  let weight = 0
  for (const [index, name] of wanted.entries()) {
    const found = entryOf(name)
    if (found !== null) {
      entries.push(found.entry)
      weight += found.weight
    }
    const isFull = entries.length >= limit || weight >= PAGE_QUEUES
    if (isFull && index < wanted.length - 1) return { entries, next: name }
  }
  return { entries, next: null }
}
