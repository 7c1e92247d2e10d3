/**
 * Who consumes, for the next leader of the broker group: a table in the log, and `config/consumerMembers.json`.
 *
 * A leader learns the members of consumer groups from heartbeats, which take half a minute to come from everybody. Whoever comes first and
 * asks for the others would be told that it is alone, take all queues, and consume again what the others have in hand. So the leader
 * notes who joins and leaves, and the next one expects those members until they are heard or `EXPECTED_MS` have passed.
 *
 * Notes are behind by `NOTE_AFTER_MS`: so much of a group's life a leader that is killed takes along. A broadcasting group shares nothing,
 * and is not noted.
 */
import { formatFastjson } from '../remoting/bodies/fastjson.ts'
import { consumerDataOf, consumerDataRecord } from '../remoting/bodies/heartbeat-data.ts'
import {
  asObject,
  listMember,
  textEntries,
  textList,
  textMember,
} from '../remoting/bodies/json-members.ts'
import { EXPECTED_MS } from './client-registry.ts'
import { GroupTableError, inChanges } from './group-tables.ts'
import { tablePieces } from './persisted-table.ts'
import type { Timer } from '../common/ports.ts'
import type { BodyRecord, JsonObject, JsonValue } from '../remoting/bodies/fastjson.ts'
import type { ConsumerData } from '../remoting/bodies/heartbeat-data.ts'
import type { TableHandle } from './group-tables.ts'
import type { LeaderService } from './leader-service.ts'
import type { BrokerParts } from './parts.ts'

const NOTE_AFTER_MS = 200
const RETRY_MS = 1000
/** Of all groups together: some 5 MB. Those beyond are not noted. */
const MEMBERS_MAX = 50_000
const CLIENT_ID_LENGTH_MAX = 255
/** What a group subscribes to is left out when it takes more. */
const CONSUMER_LENGTH_MAX = 16 * 1024
/** In one entry of a change. */
const IDS_MAX = 50
const SAVE_AFTER_MS = 5000

interface NotedGroup {
  readonly consumer: ConsumerData
  /** `consumer` as it stands in the file. */
  readonly text: string
  readonly clientIds: Set<string>
}

type Parts = Pick<BrokerParts, 'clients' | 'tables' | 'timers' | 'logger'>

export class ExpectedConsumers implements LeaderService {
  readonly #parts: Parts
  readonly #log: TableHandle
  readonly #groups = new Map<string, NotedGroup>()
  #memberCount = 0
  /** What may stand otherwise in the table than at the registry; empty while this member does not lead. */
  readonly #dirty = new Set<string>()
  /** Counts the times that this member began or ended to lead; odd while it does. */
  #round = 0
  #isNoting = false
  #noteTimer: Timer | null = null
  #expiryTimer: Timer | null = null
  #isFullLogged = false

  constructor(parts: Parts) {
    this.#parts = parts
    this.#log = parts.tables.add({
      name: 'consumerMembers',
      fileName: 'consumerMembers.json',
      saveAfterMs: SAVE_AFTER_MS,
      apply: (change) => this.#apply(change),
      render: () => tablePieces('{"groupTable":{', this.#entries(), '}'),
      restore: (file) => this.#restore(file),
    })
    parts.clients.onKnowledgeChange((group) => this.#changed(group))
  }

  /** The group has members, as the log tells. */
  hasMembers(group: string): boolean {
    return this.#groups.has(group)
  }

  startLeading(): void {
    const { clients, timers } = this.#parts
    this.#round++
    for (const { consumer, clientIds } of this.#groups.values()) {
      clients.expect({ consumer, clientIds: [...clientIds] })
    }
    // A moment later than exactly: timers may be early by a fraction.
    this.#expiryTimer = timers.after(EXPECTED_MS + 100, () => clients.expireExpected())
  }

  /** At once: connections that end from now on are those of a former leader, whose clients come to the next one. */
  stopLeading(): Promise<void> {
    this.#round++
    this.#dirty.clear()
    this.#noteTimer?.cancel()
    this.#noteTimer = null
    this.#expiryTimer?.cancel()
    this.#parts.clients.clear()
    return Promise.resolve()
  }

  get #isLeading(): boolean {
    return this.#round % 2 === 1
  }

  #changed(group: string): void {
    if (!this.#isLeading) return
    this.#dirty.add(group)
    this.#noteLater(NOTE_AFTER_MS)
  }

  #noteLater(delayMs: number): void {
    if (this.#noteTimer !== null || this.#isNoting) return
    this.#noteTimer = this.#parts.timers.after(delayMs, () => {
      this.#noteTimer = null
      void this.#note()
    })
  }

  /** One after the other, so that each change is made against what the table holds. */
  async #note(): Promise<void> {
    const round = this.#round
    const groups = [...this.#dirty]
    this.#dirty.clear()
    this.#isNoting = true
    let delayMs = NOTE_AFTER_MS
    try {
      for (const change of inChanges(this.#notesOf(groups), sizeOf)) {
        if (round !== this.#round) break
        await this.#log.propose({ groups: change })
      }
    } catch (error) {
      if (!(error instanceof GroupTableError)) throw error
      delayMs = RETRY_MS
      if (round === this.#round) for (const group of groups) this.#dirty.add(group)
    } finally {
      this.#isNoting = false
      if (this.#dirty.size > 0) this.#noteLater(delayMs)
    }
  }

  /** What makes the table's entries what the registry knows. */
  #notesOf(groups: readonly string[]): readonly BodyRecord[] {
    const notes: BodyRecord[] = []
    let room = MEMBERS_MAX - this.#memberCount
    for (const groupName of groups) {
      const known = this.#parts.clients.known(groupName)
      const isShared = known?.consumer.messageModel === 'CLUSTERING'
      const present = isShared ? known.clientIds.filter(isNotable) : []
      const noted = this.#groups.get(groupName)
      const joined = present.filter((id) => noted?.clientIds.has(id) !== true)
      const stays = new Set(present)
      const left = [...(noted?.clientIds ?? [])].filter((id) => !stays.has(id))
      if (joined.length > room) this.#warnFull(groupName)
      const taken = joined.slice(0, Math.max(0, room))
      room -= taken.length
      const consumer = isShared && present.length > 0 ? notable(known.consumer) : null
      const isOther = consumer !== null && textOf(consumer) !== noted?.text
      if (taken.length + left.length === 0 && (noted === undefined || !isOther)) continue
      for (const ids of inParts(taken, left)) {
        const record = consumer !== null && isOther ? consumerDataRecord(consumer) : null
        notes.push({ groupName, ...(record === null ? {} : { consumer: record }), ...ids })
      }
    }
    return notes
  }

  #warnFull(group: string): void {
    if (this.#isFullLogged) return
    this.#isFullLogged = true
    this.#parts.logger.warn(
      { group, members: MEMBERS_MAX },
      'more consumers than the next leader is told of: their groups share queues anew when the leader changes',
    )
  }

  #apply(json: JsonValue): void {
    const change = asObject(json, 'a change of consumer members')
    for (const item of listMember(change, 'groups')) {
      const note = asObject(item, 'groups')
      const groupName = textMember(note, 'groupName')
      const noted = this.#groups.get(groupName) ?? null
      const consumer = note.has('consumer')
        ? consumerDataOf(asObject(note.get('consumer'), 'consumer'))
        : noted?.consumer
      // What cannot be said of a group that is not there is said again.
      if (consumer === undefined) continue
      const clientIds = new Set(noted?.clientIds)
      for (const id of textList(note, 'joined')) clientIds.add(id)
      for (const id of textList(note, 'left')) clientIds.delete(id)
      this.#set(consumer, clientIds)
      // It may be an answer that came late, and not what the registry knows by now.
      this.#changed(groupName)
    }
  }

  #set(consumer: ConsumerData, clientIds: Set<string>): void {
    const { groupName } = consumer
    const before = this.#groups.get(groupName)?.clientIds.size ?? 0
    this.#memberCount += clientIds.size - before
    if (clientIds.size === 0) this.#groups.delete(groupName)
    else this.#groups.set(groupName, { consumer, text: textOf(consumer), clientIds })
  }

  *#entries(): Iterable<string> {
    for (const [name, { text, clientIds }] of this.#groups) {
      const ids = formatFastjson([...clientIds]).toString()
      yield `${formatFastjson(name).toString()}:{"consumer":${text},"clientIds":${ids}}`
    }
  }

  #restore(file: JsonObject | null): void {
    const groups = file === null ? [] : textEntries(asObject(file.get('groupTable'), 'groupTable'))
    const read = groups.map(([, json]) => {
      const group = asObject(json, 'groupTable')
      const consumer = consumerDataOf(asObject(group.get('consumer'), 'consumer'))
      return { consumer, clientIds: new Set(textList(group, 'clientIds')) }
    })
    this.#groups.clear()
    this.#memberCount = 0
    for (const { consumer, clientIds } of read) this.#set(consumer, clientIds)
  }
}

function isNotable(clientId: string): boolean {
  return clientId.length <= CLIENT_ID_LENGTH_MAX
}

/** Without a long list of subscriptions a group's members are known all the same; who pulls is asked to send a heartbeat first. */
function notable(consumer: ConsumerData): ConsumerData {
  return textOf(consumer).length <= CONSUMER_LENGTH_MAX
    ? consumer
    : { ...consumer, subscriptions: [] }
}

function textOf(consumer: ConsumerData): string {
  return formatFastjson(consumerDataRecord(consumer)).toString()
}

/** At least one part. */
function* inParts(joined: readonly string[], left: readonly string[]): Iterable<BodyRecord> {
  let at = 0
  do {
    yield { joined: joined.slice(at, at + IDS_MAX), left: left.slice(at, at + IDS_MAX) }
    at += IDS_MAX
  } while (at < joined.length || at < left.length)
}

function sizeOf(note: BodyRecord): number {
  return formatFastjson(note).length
}
