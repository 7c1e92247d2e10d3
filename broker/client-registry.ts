/**
 * Who is connected: producers and consumers by group, learnt from heartbeats (protocol §7.5).
 *
 * A client leaves by UNREGISTER_CLIENT, when its connection closes, or when it has been silent for `channelExpiredTimeout`. Whoever wants to
 * know that the members or subscriptions of a consumer group changed subscribes by `onGroupChange`.
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

interface ConsumerGroupState {
  consumeType: ConsumeType
  messageModel: MessageModel
  consumeFromWhere: string
  readonly subscriptions: Map<string, SubscriptionData>
  readonly members: Map<Connection, Member>
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

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** `listener` is called after the members or the subscriptions of a consumer group changed. */
  onGroupChange(listener: (group: string) => void): void {
    this.#groupListeners.push(listener)
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

  /** Takes a consumer's heartbeat; `consumer.subscriptions` replaces what the group subscribes to, the newest version of each topic winning. */
  registerConsumer(consumer: ConsumerData, client: Client, fingerprint = 0): void {
    const state = this.#consumerState(consumer)
    state.fingerprint = fingerprint
    const isNew = this.#addConsumer(consumer.groupName, state, client)
    const isChanged = updateSubscriptions(state.subscriptions, consumer.subscriptions)
    if (isNew || isChanged) this.#announce(consumer.groupName)
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
    if (state.members.size === 0) this.#consumers.delete(group)
    this.#announce(group)
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
  }

  /** The consumer group, or null when no member is connected. */
  consumerGroup(group: string): ConsumerGroup | null {
    const state = this.#consumers.get(group)
    if (state === undefined) return null
    return { ...state, groupName: group, clients: [...state.members.values()] }
  }

  /** What the connected members of a group subscribe to on a topic. */
  subscription(group: string, topic: string): SubscriptionData | null {
    return this.#consumers.get(group)?.subscriptions.get(topic) ?? null
  }

  messageModel(group: string): MessageModel | null {
    return this.#consumers.get(group)?.messageModel ?? null
  }

  /** Client ids of a group, each once, in the order of their arrival. */
  consumerIds(group: string): readonly string[] {
    const members = this.#consumers.get(group)?.members
    return members === undefined ? [] : [...new Set(clientIds(members))]
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
    return [...this.#consumers.keys()]
  }

  get producerGroups(): readonly string[] {
    return [...this.#producers.keys()]
  }

  /** Groups with a connected member that subscribe to a topic. */
  groupsSubscribing(topic: string): readonly string[] {
    const groups: string[] = []
    for (const [group, state] of this.#consumers) {
      if (state.subscriptions.has(topic)) groups.push(group)
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

  #addConsumer(group: string, state: ConsumerGroupState, client: Client): boolean {
    const isNew = this.#addMember(state.members, client)
    this.#remember(client.connection, 'consumers', group)
    return isNew
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
    for (const listener of this.#groupListeners) listener(group)
  }
}

function* clientIds(members: ReadonlyMap<Connection, Member>): Iterable<string> {
  for (const member of members.values()) yield member.clientId
}

/** Brings the subscriptions of a group to what a member says; true when something changed. */
function updateSubscriptions(
  present: Map<string, SubscriptionData>,
  told: readonly SubscriptionData[],
): boolean {
  let isChanged = false
  const topics = new Set<string>()
  for (const subscription of told) {
    topics.add(subscription.topic)
    const old = present.get(subscription.topic)
    if (old !== undefined && subscription.subVersion <= old.subVersion) continue
    // As in Java, a new version of a known topic replaces it without a notice: the queues to share stay the same.
    if (old === undefined) isChanged = true
    present.set(subscription.topic, subscription)
  }
  for (const topic of present.keys()) {
    if (topics.has(topic)) continue
    present.delete(topic)
    isChanged = true
  }
  return isChanged
}
