/**
 * Who is connected: producers and consumers by group, learnt from heartbeats (protocol §7.5).
 *
 * A client leaves by UNREGISTER_CLIENT, when its connection closes, or when it has been silent for `channelExpiredTimeout`. Whoever wants to
 * know that the members or subscriptions of a consumer group changed subscribes by `onGroupChange`.
 *
 * A consumer may be expected without being connected: it is one of its group's members for a while, so that the others leave it its queues,
 * and what the group subscribes to is known. Everybody who asks for clients is told of those that are connected only.
 */
import type { Clock } from '../common/ports.ts'
import type { LanguageCode } from '../remoting/command.ts'
import type { Connection } from '../remoting/connection.ts'
import type {
  ConsumeType,
  ConsumerData,
  MessageModel,
  SubscriptionData,
} from '../remoting/bodies/heartbeat-data.ts'

export interface Client {
  readonly clientId: string
  readonly connection: Connection
  readonly language: LanguageCode
  readonly version: number
}

/** V3_1_8_SNAPSHOT: clients before it know no request about what they are doing. */
const CALLABLE_VERSION = 62

export function isCallable({ version }: Client): boolean {
  return version >= CALLABLE_VERSION
}

export interface Member extends Client {
  /** The last heartbeat, by the monotonic clock. */
  readonly seenAt: number
}

export interface ConsumerGroup {
  readonly groupName: string
  readonly consumeType: ConsumeType
  readonly messageModel: MessageModel
  readonly consumeFromWhere: string
  readonly subscriptions: ReadonlyMap<string, SubscriptionData>
  readonly clients: readonly Client[]
}

/** A consumer group as another member of the broker group has to know it. */
export interface KnownGroup {
  readonly consumer: ConsumerData
  /** Connected and expected, each once. */
  readonly clientIds: readonly string[]
}

/** How long a consumer is expected that is not connected: clients send a heartbeat every 30 s. */
export const EXPECTED_MS = 35_000

interface ConsumerGroupState {
  consumeType: ConsumeType
  messageModel: MessageModel
  consumeFromWhere: string
  readonly subscriptions: Map<string, SubscriptionData>
  readonly members: Map<Connection, Member>
  /** Those that are not connected, and until when they count, by the monotonic clock. */
  readonly expected: Map<string, number>
  fingerprint: number
}

/** The groups that one connection has a member in. */
interface GroupNames {
  readonly producers: Set<string>
  readonly consumers: Set<string>
  /** The client's name among the producers. */
  producerId: string | null
}

export class ClientRegistry {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #producers = new Map<string, Map<Connection, Member>>()
  readonly #consumers = new Map<string, ConsumerGroupState>()
  /** Connections whose end is being watched, and what may have to be taken from the groups then. */
  readonly #watched = new Map<Connection, GroupNames>()
  /** The last connection of each producer, by client id. */
  readonly #producerConnections = new Map<string, Connection>()
  readonly #groupListeners: ((group: string) => void)[] = []
  readonly #knowledgeListeners: ((group: string) => void)[] = []

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** `listener` is called after the members or the subscriptions of a consumer group changed. */
  onGroupChange(listener: (group: string) => void): void {
    this.#groupListeners.push(listener)
  }

  /** `listener` is called after something of what `known` says may have changed. */
  onKnowledgeChange(listener: (group: string) => void): void {
    this.#knowledgeListeners.push(listener)
  }

  registerProducer(group: string, client: Client): void {
    let members = this.#producers.get(group)
    if (members === undefined) this.#producers.set(group, (members = new Map<Connection, Member>()))
    this.#addMember(members, client)
    const groups = this.#remember(client.connection, 'producers', group)
    if (groups === null) return
    groups.producerId = client.clientId
    this.#producerConnections.set(client.clientId, client.connection)
  }

  /** Takes a client for a producer that waits for a reply, ahead of its heartbeat. Whoever is connected under the name stays. */
  expectReply(group: string, client: Client): void {
    if (!this.#producerConnections.has(client.clientId)) this.registerProducer(group, client)
  }

  /** Takes a consumer's heartbeat; `consumer.subscriptions` replaces what the group subscribes to, the newest version of each topic winning. */
  registerConsumer(consumer: ConsumerData, client: Client, fingerprint = 0): void {
    const state = this.#consumerState(consumer)
    state.fingerprint = fingerprint
    const isNew = this.#addConsumer(consumer.groupName, state, client)
    this.#subscribe(consumer, state, isNew)
  }

  /**
   * Takes a heartbeat that leaves the subscriptions out; true when the client has to send them, because this broker does not have them
   * as the client does.
   */
  registerConsumerWithoutSubscriptions(
    consumer: ConsumerData,
    client: Client,
    fingerprint: number,
  ): boolean {
    const state = this.#consumerState(consumer)
    const isNew = this.#addConsumer(consumer.groupName, state, client)
    if (isNew) this.#announce(consumer.groupName)
    return state.fingerprint !== fingerprint
  }

  /**
   * Takes the heartbeat of a consumer that is connected to another member of the broker group: it is expected from now on. True when the
   * client has to send its subscriptions.
   */
  registerDistantConsumer(
    consumer: ConsumerData,
    clientId: string,
    heartbeat: { readonly fingerprint: number; readonly withoutSubscriptions: boolean },
  ): boolean {
    const state = this.#consumerState(consumer)
    const isConnected = [...clientIds(state.members)].includes(clientId)
    const isNew = !isConnected && !state.expected.has(clientId)
    if (!isConnected) state.expected.set(clientId, this.#clock.monotonic() + EXPECTED_MS)
    if (heartbeat.withoutSubscriptions) {
      if (isNew) this.#announce(consumer.groupName)
      return state.fingerprint !== heartbeat.fingerprint
    }
    state.fingerprint = heartbeat.fingerprint
    this.#subscribe(consumer, state, isNew)
    return false
  }

  /** The group had these members at the former leader of the broker group: they are expected. Nobody is told. */
  expect({ consumer, clientIds: ids }: KnownGroup): void {
    const state = this.#consumerState(consumer)
    updateSubscriptions(state.subscriptions, consumer.subscriptions)
    const until = this.#clock.monotonic() + EXPECTED_MS
    for (const clientId of ids) state.expected.set(clientId, until)
  }

  /** The consumer has said that it leaves the group, or its time is over. */
  expectNoMore(group: string, clientId: string): void {
    const state = this.#consumers.get(group)
    if (state?.expected.delete(clientId) === true) this.#left(group, state)
  }

  /** Forgets those whom nothing was heard of for as long as they were expected. */
  expireExpected(): void {
    const now = this.#clock.monotonic()
    for (const [group, state] of this.#consumers) {
      let isAnyOver = false
      for (const [clientId, until] of state.expected) {
        if (until <= now) isAnyOver = state.expected.delete(clientId)
      }
      if (isAnyOver) this.#left(group, state)
    }
  }

  /** Forgets everybody, and tells nobody: this member of the broker group leads no more. */
  clear(): void {
    this.#producers.clear()
    this.#consumers.clear()
    this.#producerConnections.clear()
    for (const groups of this.#watched.values()) {
      groups.producers.clear()
      groups.consumers.clear()
      groups.producerId = null
    }
  }

  unregisterProducer(group: string, connection: Connection): void {
    const members = this.#producers.get(group)
    members?.delete(connection)
    this.#watched.get(connection)?.producers.delete(group)
    if (members?.size === 0) this.#producers.delete(group)
  }

  unregisterConsumer(group: string, connection: Connection): void {
    const state = this.#consumers.get(group)
    if (state?.members.delete(connection) !== true) return
    this.#watched.get(connection)?.consumers.delete(group)
    this.#left(group, state)
  }

  /** Forgets clients that have been silent for longer. */
  expire(silentMs: number): void {
    const oldest = this.#clock.monotonic() - silentMs
    for (const [group, members] of this.#producers) {
      for (const member of members.values()) {
        if (member.seenAt < oldest) this.unregisterProducer(group, member.connection)
      }
    }
    for (const [group, state] of this.#consumers) {
      for (const member of state.members.values()) {
        if (member.seenAt < oldest) this.unregisterConsumer(group, member.connection)
      }
    }
    this.expireExpected()
  }

  /** The consumer group, or null when no member is connected. */
  consumerGroup(group: string): ConsumerGroup | null {
    const state = this.#consumers.get(group)
    if (state === undefined || state.members.size === 0) return null
    return { ...state, groupName: group, clients: [...state.members.values()] }
  }

  /** Null when the group has no member, connected or expected. */
  known(group: string): KnownGroup | null {
    const state = this.#consumers.get(group)
    if (state === undefined) return null
    const { consumeType, messageModel, consumeFromWhere } = state
    const subscriptions = [...state.subscriptions.values()]
    const own = { groupName: group, consumeType, messageModel, consumeFromWhere, unitMode: false }
    return { consumer: { ...own, subscriptions }, clientIds: this.consumerIds(group) }
  }

  /** What the members of a group, connected or expected, subscribe to on a topic. */
  subscription(group: string, topic: string): SubscriptionData | null {
    return this.#consumers.get(group)?.subscriptions.get(topic) ?? null
  }

  messageModel(group: string): MessageModel | null {
    return this.#consumers.get(group)?.messageModel ?? null
  }

  /** Client ids of a group, each once: those that are connected in the order of their arrival, then those that are expected. */
  consumerIds(group: string): readonly string[] {
    const state = this.#consumers.get(group)
    return state === undefined
      ? []
      : [...new Set(clientIds(state.members)), ...state.expected.keys()]
  }

  /** Null when the group has no connected producer. */
  producers(group: string): readonly Member[] | null {
    const members = this.#producers.get(group)
    return members === undefined ? null : [...members.values()]
  }

  /** The connection of a client that has a producer, or null. */
  connectionOfProducer(clientId: string): Connection | null {
    return this.#producerConnections.get(clientId) ?? null
  }

  /** Names of the groups that have a connected member. */
  get consumerGroups(): readonly string[] {
    const groups: string[] = []
    for (const [group, { members }] of this.#consumers) if (members.size > 0) groups.push(group)
    return groups
  }

  get producerGroups(): readonly string[] {
    return [...this.#producers.keys()]
  }

  /** Groups with a connected member that subscribe to a topic. */
  groupsSubscribing(topic: string): readonly string[] {
    const groups: string[] = []
    for (const [group, state] of this.#consumers) {
      if (state.members.size > 0 && state.subscriptions.has(topic)) groups.push(group)
    }
    return groups
  }

  /** Each connection of a client once. */
  connections(): readonly Connection[] {
    const connections = new Set<Connection>()
    for (const members of this.#producers.values()) {
      for (const connection of members.keys()) connections.add(connection)
    }
    for (const { members } of this.#consumers.values()) {
      for (const connection of members.keys()) connections.add(connection)
    }
    return [...connections]
  }

  #consumerState(consumer: ConsumerData): ConsumerGroupState {
    const { consumeType, messageModel, consumeFromWhere } = consumer
    let state = this.#consumers.get(consumer.groupName)
    if (state === undefined) {
      state = {
        consumeType,
        messageModel,
        consumeFromWhere,
        subscriptions: new Map<string, SubscriptionData>(),
        members: new Map<Connection, Member>(),
        expected: new Map<string, number>(),
        fingerprint: 0,
      }
      this.#consumers.set(consumer.groupName, state)
    }
    state.consumeType = consumeType
    state.messageModel = messageModel
    state.consumeFromWhere = consumeFromWhere
    return state
  }

  /** True when the client is new among the members. */
  #addMember(members: Map<Connection, Member>, client: Client): boolean {
    const { connection } = client
    const present = members.get(connection)
    const isNew = present?.clientId !== client.clientId
    members.set(connection, { ...client, seenAt: this.#clock.monotonic() })
    return isNew
  }

  /** True when the group has a member that it did not have, not even as an expected one. */
  #addConsumer(group: string, state: ConsumerGroupState, client: Client): boolean {
    const wasExpected = state.expected.delete(client.clientId)
    const isNew = this.#addMember(state.members, client)
    this.#remember(client.connection, 'consumers', group)
    return isNew && !wasExpected
  }

  #subscribe(consumer: ConsumerData, state: ConsumerGroupState, hasNewMember: boolean): void {
    const change = updateSubscriptions(state.subscriptions, consumer.subscriptions)
    if (hasNewMember || change === 'topics') this.#announce(consumer.groupName)
    else if (change === 'versions') this.#tell(this.#knowledgeListeners, consumer.groupName)
  }

  #left(group: string, state: ConsumerGroupState): void {
    if (state.members.size === 0 && state.expected.size === 0) this.#consumers.delete(group)
    this.#announce(group)
  }

  /** From now on the end of the connection is watched; if it has come already, the member goes at once: null. */
  #remember(
    connection: Connection,
    kind: 'producers' | 'consumers',
    group: string,
  ): GroupNames | null {
    const known = this.#watched.get(connection)
    const groups = known ?? {
      producers: new Set<string>(),
      consumers: new Set<string>(),
      producerId: null,
    }
    groups[kind].add(group)
    if (known !== undefined) return known
    this.#watched.set(connection, groups)
    connection.onClose(() => this.#onConnectionClosed(connection))
    return this.#watched.get(connection) ?? null
  }

  #onConnectionClosed(connection: Connection): void {
    const groups = this.#watched.get(connection)
    this.#watched.delete(connection)
    if (groups === undefined) return
    const { producerId } = groups
    if (producerId !== null && this.#producerConnections.get(producerId) === connection) {
      this.#producerConnections.delete(producerId)
    }
    for (const group of groups.producers) this.unregisterProducer(group, connection)
    for (const group of groups.consumers) this.unregisterConsumer(group, connection)
  }

  #announce(group: string): void {
    this.#tell(this.#groupListeners, group)
    this.#tell(this.#knowledgeListeners, group)
  }

  #tell(listeners: readonly ((group: string) => void)[], group: string): void {
    for (const listener of listeners) listener(group)
  }
}

function* clientIds(members: ReadonlyMap<Connection, Member>): Iterable<string> {
  for (const member of members.values()) yield member.clientId
}

/** Brings the subscriptions of a group to what a member says. */
function updateSubscriptions(
  present: Map<string, SubscriptionData>,
  told: readonly SubscriptionData[],
): 'none' | 'versions' | 'topics' {
  let change: 'none' | 'versions' | 'topics' = 'none'
  const topics = new Set<string>()
  for (const subscription of told) {
    topics.add(subscription.topic)
    const old = present.get(subscription.topic)
    if (old !== undefined && subscription.subVersion <= old.subVersion) continue
    // As in Java, a new version of a known topic replaces it without a notice: the queues to share stay the same.
    if (old === undefined) change = 'topics'
    else if (change === 'none') change = 'versions'
    present.set(subscription.topic, subscription)
  }
  for (const topic of present.keys()) {
    if (topics.has(topic)) continue
    present.delete(topic)
    change = 'topics'
  }
  return change
}
