/**
 * Remembers every message that brokers have acknowledged, and holds the broker that has their store now to all of it: each
 * message by queue, tag, key, unique id, offset id and time, byte for byte as its writer first served it, and the consumer offsets.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AdminClient } from '../client/admin.ts'
import { messageOf } from '../common/errors.ts'
import { decodeRecord, encodeBatchBody } from '../common/message-codec.ts'
import { decodeOffsetMessageId } from '../common/message-id.ts'
import { encodeProperties, formatProperties, parseProperties } from '../common/properties.ts'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { subscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { RemotingClient } from '../remoting/client.ts'
import type { RemotingCommand, RequestContent } from '../remoting/command.ts'
import { requireInt, requireLong, requireString } from '../remoting/header-fields.ts'
import { pullFields } from '../remoting/pull-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'

const TIMEOUT_MS = 10_000
const INDEX_TIMEOUT_MS = 20_000
const OFFSETS_TIMEOUT_MS = 30_000
const POLL_MS = 50
/** Messages of two rounds have different store times. */
const PAUSE_MS = 30
const GROUP = 'witness-group'
const BATCH = 5
/** One in so many is also looked for by its keys and ids. */
const SAMPLE = 41
const NUMBER_STEP = 7_919
const MAX_BODY = 2_800

interface WitnessTopic {
  readonly name: string
  readonly queues: number
  readonly isBatched: boolean
  readonly hasKeys: boolean
}

const TOPICS: readonly WitnessTopic[] = [
  { name: 'WitnessOrders', queues: 4, isBatched: false, hasKeys: true },
  { name: 'WitnessPlain', queues: 1, isBatched: false, hasKeys: false },
  { name: 'WitnessBatches', queues: 2, isBatched: true, hasKeys: true },
]

interface Written {
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly properties: ReadonlyMap<string, string>
  readonly body: Buffer
  /** As its writer served it first. */
  record: Buffer | null
}

interface Draft {
  readonly properties: ReadonlyMap<string, string>
  readonly body: Buffer
}

export class StoreWitness {
  rounds = 0
  readonly #client: RemotingClient
  readonly #admin: AdminClient
  /** By topic and queue, in the order of their offsets. */
  readonly #queues = new Map<string, Written[]>()
  readonly #offsets = new Map<string, number>()
  /** Time before a round, and the lengths of the queues then. */
  readonly #marks: { readonly at: number; readonly lengths: ReadonlyMap<string, number> }[] = []
  #number = 0
  #unindexed: ReadonlySet<Written> = new Set()

  constructor() {
    const { network, clock, timers } = createRuntime()
    this.#client = new RemotingClient({ network, clock, timers, logger: silentLogger })
    this.#admin = new AdminClient(this.#client, TIMEOUT_MS)
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  /** And the consumer group. */
  async createTopics(address: string): Promise<void> {
    await this.#admin.createGroup(address, subscriptionGroupConfig(GROUP))
    for (const { name, queues } of TOPICS) {
      await this.#admin.createTopic(
        address,
        topicConfig(name, { readQueueNums: queues, writeQueueNums: queues }),
      )
    }
  }

  /** Sends `count` messages of all shapes and commits consumer offsets. */
  async write(address: string, count: number): Promise<void> {
    await delay(PAUSE_MS)
    const lengths = new Map([...this.#queues].map(([key, list]) => [key, list.length]))
    this.#marks.push({ at: Date.now(), lengths })
    await delay(PAUSE_MS)
    const until = this.#number + count
    while (this.#number < until) {
      for (const topic of TOPICS) {
        const queueId = Math.floor(this.#number / TOPICS.length) % topic.queues
        if (topic.isBatched) await this.#sendBatch(address, topic, queueId)
        else await this.#send(address, topic, queueId)
      }
    }
    this.rounds++
    for (const [key, list] of this.#queues) {
      const { topic, queueId } = queueOf(key)
      const queueOffset = Math.floor(list.length / 2)
      await this.#admin.updateConsumerOffset(
        address,
        { topic, queueId },
        { consumerGroup: GROUP, queueOffset },
      )
      this.#offsets.set(key, queueOffset)
    }
  }

  /** Waits until the committed offsets are on disk: a killed broker may forget what it had not written yet. */
  async settle(folder: string): Promise<void> {
    const deadline = Date.now() + OFFSETS_TIMEOUT_MS
    for (;;) {
      const text = await readFile(join(folder, 'config', 'consumerOffset.json'), 'utf8').catch(
        () => '',
      )
      if (this.#areIn(text)) return
      assert(Date.now() < deadline, 'the consumer offsets are not written')
      await delay(POLL_MS)
    }
  }

  /**
   * What has been written so far is no longer looked for by key. A Java broker that finds a crash drops its newest index file and
   * indexes again only what it recovers (`IndexService.load`), whoever wrote the store.
   */
  forgetKeys(): void {
    this.#unindexed = new Set([...this.#queues.values()].flat())
  }

  /** Rejects with what the broker at `address` does not serve as it was acknowledged; `who` names it. */
  async expectEverything(address: string, who: string): Promise<void> {
    await this.#expectAll(address).catch((error: unknown) => {
      throw new Error(`${who}: ${messageOf(error)}`, { cause: error })
    })
  }

  async #expectAll(address: string): Promise<void> {
    for (const [key, list] of this.#queues) {
      const queue = queueOf(key)
      assert.equal(await this.#admin.minOffset(address, queue), 0, `${key}: min offset`)
      assert.equal(await this.#admin.maxOffset(address, queue), list.length, `${key}: max offset`)
      await this.#expectQueue(address, key, list)
      await this.#expectTag(address, key, list)
      await this.#expectTimes(address, key)
      const committed = await this.#admin.consumerOffset(address, queue, GROUP)
      assert.equal(committed, this.#offsets.get(key), `${key}: consumer offset`)
    }
    const all = [...this.#queues.values()].flat()
    const newest = new Set([...this.#queues.values()].map((list) => list.at(-1)))
    for (const [index, message] of all.entries()) {
      if (index % SAMPLE === 0 || newest.has(message)) await this.#expectFound(address, message)
    }
  }

  async #expectQueue(address: string, key: string, list: readonly Written[]): Promise<void> {
    const records = await this.#pull(address, key, '*')
    assert.equal(records.length, list.length, `${key}: messages`)
    for (const [index, message] of list.entries()) {
      const record = records[index]
      assert(record !== undefined)
      const stored = decodeRecord(record)
      const where = `${key} ${index}`
      assert.equal(stored.queueOffset, message.queueOffset, `${where}: queue offset`)
      assert.equal(stored.physicalOffset, message.physicalOffset, `${where}: physical offset`)
      assert(stored.body.equals(message.body), `${where}: body`)
      const properties = parseProperties(stored.properties)
      for (const [name, value] of message.properties) {
        assert.equal(properties.get(name), value, `${where}: ${name}`)
      }
      message.record ??= record
      assert(message.record.equals(record), `${where}: the record has changed`)
    }
  }

  async #expectTag(address: string, key: string, list: readonly Written[]): Promise<void> {
    const expected = list.filter(({ properties }) => properties.get('TAGS') === 'TagA')
    const records = await this.#pull(address, key, 'TagA')
    assert.deepEqual(
      records.map((record) => decodeRecord(record).queueOffset),
      expected.map(({ queueOffset }) => queueOffset),
      `${key}: messages with TagA`,
    )
  }

  async #expectTimes(address: string, key: string): Promise<void> {
    for (const { at, lengths } of this.#marks) {
      const found = await this.#admin.searchOffset(address, queueOf(key), at)
      assert.equal(found, lengths.get(key) ?? 0, `${key}: offset at ${at}`)
    }
  }

  /** By id, unique key and keys. The index may lag behind what has been acknowledged. */
  async #expectFound(address: string, message: Written): Promise<void> {
    const byId = await this.#ask(address, {
      code: RequestCode.VIEW_MESSAGE_BY_ID,
      extFields: { offset: String(message.physicalOffset), topic: message.topic },
    })
    assert(message.record?.equals(byId.body), `${describe(message)}: by id`)
    if (this.#unindexed.has(message)) return
    const unique = message.properties.get('UNIQ_KEY') ?? ''
    await this.#expectByKey(address, message, unique, true)
    for (const key of (message.properties.get('KEYS') ?? '')
      .split(' ')
      .filter((word) => word !== '')) {
      await this.#expectByKey(address, message, key, false)
    }
  }

  async #expectByKey(
    address: string,
    message: Written,
    key: string,
    isUnique: boolean,
  ): Promise<void> {
    const deadline = Date.now() + INDEX_TIMEOUT_MS
    for (;;) {
      const answer = await this.#client.invoke(
        address,
        {
          code: RequestCode.QUERY_MESSAGE,
          extFields: {
            topic: message.topic,
            key,
            maxNum: '64',
            beginTimestamp: '0',
            endTimestamp: String(Number.MAX_SAFE_INTEGER),
            ...(isUnique ? { _UNIQUE_KEY_QUERY: 'true' } : {}),
          },
        },
        TIMEOUT_MS,
      )
      const found = answer.code === ResponseCode.SUCCESS ? splitRecords(answer.body) : []
      if (found.some((record) => message.record?.equals(record) === true)) return
      assert(Date.now() < deadline, `${describe(message)}: not found by ${key}`)
      await delay(POLL_MS)
    }
  }

  async #pull(address: string, key: string, subscription: string): Promise<readonly Buffer[]> {
    const { topic, queueId } = queueOf(key)
    const records: Buffer[] = []
    let next = 0
    for (;;) {
      const answer = await this.#client.invoke(
        address,
        {
          code: RequestCode.PULL_MESSAGE,
          extFields: pullFields({
            consumerGroup: 'witness-reader',
            topic,
            queueId,
            queueOffset: next,
            expression: subscription,
          }),
        },
        TIMEOUT_MS,
      )
      if (answer.code === ResponseCode.PULL_NOT_FOUND) return records
      const isFound = answer.code === ResponseCode.SUCCESS
      const goesOn = isFound || answer.code === ResponseCode.PULL_RETRY_IMMEDIATELY
      assert(goesOn, `${key}: a pull at ${next} is answered ${answer.code} ${answer.remark ?? ''}`)
      if (isFound) records.push(...splitRecords(answer.body))
      next = requireLong(answer.extFields, 'nextBeginOffset')
    }
  }

  async #send(address: string, topic: WitnessTopic, queueId: number): Promise<void> {
    const draft = this.#draft(topic)
    const answer = await this.#ask(address, {
      code: RequestCode.SEND_MESSAGE_V2,
      extFields: sendFields(topic, queueId, formatProperties(draft.properties)),
      body: draft.body,
    })
    this.#note(topic, answer, [draft])
  }

  async #sendBatch(address: string, topic: WitnessTopic, queueId: number): Promise<void> {
    const drafts = Array.from({ length: BATCH }, () => this.#draft(topic))
    const answer = await this.#ask(address, {
      code: RequestCode.SEND_BATCH_MESSAGE,
      extFields: { ...sendFields(topic, queueId, formatProperties([['WAIT', 'true']])), m: 'true' },
      body: encodeBatchBody(
        drafts.map(({ body, properties }) => ({
          flag: 0,
          body,
          properties: encodeProperties(properties),
        })),
      ),
    })
    this.#note(topic, answer, drafts)
  }

  #note(topic: WitnessTopic, { extFields }: RemotingCommand, drafts: readonly Draft[]): void {
    const queueId = requireInt(extFields, 'queueId')
    const queueOffset = requireLong(extFields, 'queueOffset')
    const ids = requireString(extFields, 'msgId').split(',')
    const key = `${topic.name} ${queueId}`
    const list = this.#queues.get(key) ?? []
    this.#queues.set(key, list)
    for (const [index, draft] of drafts.entries()) {
      const id = decodeOffsetMessageId(ids[index] ?? '')
      assert(id !== null, `${key}: the answer has no id for each message`)
      assert.equal(queueOffset + index, list.length, `${key}: the acknowledged queue offset`)
      list.push({
        topic: topic.name,
        queueId,
        queueOffset: queueOffset + index,
        physicalOffset: id.physicalOffset,
        ...draft,
        record: null,
      })
    }
  }

  /** Bodies of many sizes, so that records end anywhere in a segment. */
  #draft(topic: WitnessTopic): Draft {
    const number = this.#number++
    const size = (number * NUMBER_STEP) % MAX_BODY
    const body = Buffer.alloc(size + 1, `${number} is the number of this message. `)
    const properties = new Map([['UNIQ_KEY', `7F000001${String(number).padStart(24, '0')}`]])
    if (topic.hasKeys) {
      properties.set('KEYS', `key-${number} group-${Math.floor(number / BATCH)}`)
      properties.set('TAGS', number % 3 === 0 ? 'TagA' : 'TagB')
    }
    return { properties, body }
  }

  #areIn(text: string): boolean {
    for (const [key, queueOffset] of this.#offsets) {
      const { topic, queueId } = queueOf(key)
      const entries = new RegExp(`"${topic}@${GROUP}":\\s*\\{([^}]*)\\}`).exec(text)?.[1] ?? ''
      if (!new RegExp(`(^|[^0-9])"?${queueId}"?:\\s*${queueOffset}\\b`).test(entries)) return false
    }
    return true
  }

  async #ask(address: string, request: RequestContent): Promise<RemotingCommand> {
    const answer = await this.#client.invoke(address, request, TIMEOUT_MS)
    assert.equal(answer.code, ResponseCode.SUCCESS, `${request.code}: ${answer.remark ?? ''}`)
    return answer
  }
}

function sendFields(
  topic: WitnessTopic,
  queueId: number,
  properties: string,
): Readonly<Record<string, string>> {
  return {
    a: 'witness-producer',
    b: topic.name,
    c: 'TBW102',
    d: '4',
    e: String(queueId),
    f: '0',
    g: String(Date.now()),
    h: '0',
    i: properties,
    j: '0',
    k: 'false',
    l: '0',
    m: 'false',
  }
}

function queueOf(key: string): { readonly topic: string; readonly queueId: number } {
  const [topic = '', queueId = ''] = key.split(' ')
  return { topic, queueId: Number(queueId) }
}

function splitRecords(body: Buffer): readonly Buffer[] {
  const records: Buffer[] = []
  for (let at = 0; at < body.length;) {
    const size = body.readInt32BE(at)
    assert(size > 0 && at + size <= body.length, 'an answer ends within a record')
    records.push(Buffer.from(body.subarray(at, at + size)))
    at += size
  }
  return records
}

function describe({ topic, queueId, queueOffset }: Written): string {
  return `${topic} ${queueId} ${queueOffset}`
}

function delay(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs)
  })
}
