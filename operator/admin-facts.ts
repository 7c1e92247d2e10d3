/** The answers of a broker's admin port, checked member by member: null for anything that is not as the contract says. */
import type {
  ConfigFacts,
  DrainFacts,
  DrainLag,
  RaftFacts,
  RaftMember,
  RaftRole,
  StoreFacts,
} from '../common/admin-contract.ts'
import { isRecord } from './json.ts'

type Members = Readonly<Record<string, unknown>>

const ROLES: readonly RaftRole[] = ['leader', 'follower', 'candidate', 'learner', 'joining']

export function parseRaftFacts(value: unknown): RaftFacts | null {
  if (!isRecord(value)) return null
  const role = ROLES.find((candidate) => candidate === value['role'])
  const id = count(value, 'id')
  const incarnation = count(value, 'incarnation')
  const term = count(value, 'term')
  const commitOffset = count(value, 'commitOffset')
  const endOffset = count(value, 'endOffset')
  const { isReady } = value
  const members = parseList(value['members'], parseMember)
  const peers = parseList(value['peers'], parsePeer)
  if (role === undefined || id === null || incarnation === null || term === null) return null
  if (commitOffset === null || endOffset === null || typeof isReady !== 'boolean') return null
  if (members === null || peers === null) return null
  return {
    id,
    incarnation,
    role,
    term,
    leader: count(value, 'leader'),
    isReady,
    commitOffset,
    endOffset,
    members,
    peers,
  }
}

function parseMember(value: Members): RaftMember | null {
  const id = count(value, 'id')
  const incarnation = count(value, 'incarnation')
  const address = text(value, 'address')
  const { role } = value
  if (id === null || incarnation === null || address === null) return null
  if (role !== 'voter' && role !== 'learner') return null
  return { id, role, incarnation, address }
}

function parsePeer(value: Members): RaftFacts['peers'][number] | null {
  const id = count(value, 'id')
  if (id === null) return null
  return {
    id,
    matchOffset: count(value, 'matchOffset'),
    lagBytes: count(value, 'lagBytes'),
    ticksSinceAnswer: count(value, 'ticksSinceAnswer'),
  }
}

export function parseDrainFacts(value: unknown): DrainFacts | null {
  if (!isRecord(value)) return null
  const group = text(value, 'group')
  const lags = parseList(value['lags'], parseLag)
  const broadcastGroups = value['broadcastGroups']
  const counts = [
    'brokerPermission',
    'inFlightSends',
    'popInFlight',
    'delayedMessages',
    'halfMessages',
    'consumedPerMinute',
  ].map((name) => count(value, name))
  const [brokerPermission, inFlightSends, popInFlight, delayedMessages, halfMessages, speed] =
    counts
  if (group === null || lags === null || !Array.isArray(broadcastGroups)) return null
  if (!isCount(brokerPermission) || !isCount(inFlightSends) || !isCount(popInFlight)) return null
  if (!isCount(delayedMessages) || !isCount(halfMessages) || !isCount(speed)) return null
  return {
    group,
    brokerPermission,
    inFlightSends,
    lags,
    popInFlight,
    delayedMessages,
    halfMessages,
    consumedPerMinute: speed,
    broadcastGroups: broadcastGroups.map(String),
  }
}

export function parseStoreFacts(value: unknown): StoreFacts | null {
  if (!isRecord(value)) return null
  const usedBytes = count(value, 'usedBytes')
  const capacityBytes = count(value, 'capacityBytes')
  const minPhysicalOffset = count(value, 'minPhysicalOffset')
  const maxPhysicalOffset = count(value, 'maxPhysicalOffset')
  const topics = count(value, 'topics')
  const consumerGroups = count(value, 'consumerGroups')
  if (usedBytes === null || capacityBytes === null || minPhysicalOffset === null) return null
  if (maxPhysicalOffset === null || topics === null || consumerGroups === null) return null
  return {
    usedBytes,
    capacityBytes,
    minPhysicalOffset,
    maxPhysicalOffset,
    oldestMessageTimestamp: count(value, 'oldestMessageTimestamp'),
    readOnlyReason: text(value, 'readOnlyReason'),
    topics,
    consumerGroups,
  }
}

export function parseConfigFacts(value: unknown): ConfigFacts | null {
  if (!isRecord(value) || !isRecord(value['entries'])) return null
  const entries: Record<string, ConfigFacts['entries'][string]> = {}
  for (const [key, entry] of Object.entries(value['entries'])) {
    if (!isRecord(entry)) return null
    const { value: current, live, default: fallback } = entry
    if (typeof current !== 'string' || typeof live !== 'boolean') return null
    entries[key] = {
      value: current,
      live,
      ...(typeof fallback === 'string' ? { default: fallback } : {}),
    }
  }
  return { entries }
}

function parseLag(lag: Members): DrainLag | null {
  const topic = text(lag, 'topic')
  const messages = count(lag, 'messages')
  const queueId = count(lag, 'queueId')
  if (topic === null || messages === null || queueId === null) return null
  return { topic, consumerGroup: text(lag, 'consumerGroup'), messages, queueId }
}

function parseList<Item>(
  value: unknown,
  parse: (item: Members) => Item | null,
): readonly Item[] | null {
  if (!Array.isArray(value)) return null
  const items: Item[] = []
  for (const item of value) {
    const parsed = isRecord(item) ? parse(item) : null
    if (parsed === null) return null
    items.push(parsed)
  }
  return items
}

function text(members: Members, name: string): string | null {
  const value = members[name]
  return typeof value === 'string' ? value : null
}

function count(members: Members, name: string): number | null {
  const value = members[name]
  return isCount(value) ? value : null
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}
