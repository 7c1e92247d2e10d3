/**
 * Consumers that select, by tags or by SQL92, in the pull itself or by what their heartbeats told: of each part of a queue that a pull
 * passes over they get the messages that match, all of them and no other.
 */
import { recordsIn } from './answered-records.ts'
import { javaHashCode } from '../common/bytes.ts'
import { encodeHeartbeatData } from '../remoting/bodies/heartbeat-data.ts'
import { pullFields } from '../remoting/pull-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { keyOf } from './checker.ts'
import { send } from './sender.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { WorkloadOptions } from './workload.ts'

const TOPIC = 'Goods'
const QUEUES = 2
const TAGS = ['A', 'B', 'C'] as const
const WEIGHTS = 10

interface Goods {
  readonly key: string
  readonly tag: string
  readonly weight: number
}

interface Selection {
  readonly name: string
  readonly expressionType: 'TAG' | 'SQL92'
  readonly expression: string
  readonly tags: readonly string[]
  readonly isMatch: (goods: Goods) => boolean
}

const SELECTIONS: readonly [Selection, ...Selection[]] = [
  {
    name: 'Tags',
    expressionType: 'TAG',
    expression: 'A || C',
    tags: ['A', 'C'],
    isMatch: ({ tag }) => tag !== 'B',
  },
  {
    name: 'Sql',
    expressionType: 'SQL92',
    expression: "weight BETWEEN 3 AND 6 AND TAGS <> 'C' OR weight IN ('9')",
    tags: [],
    isMatch: ({ tag, weight }) => (weight >= 3 && weight <= 6 && tag !== 'C') || weight === 9,
  },
]

export class FilterFeature implements Feature {
  readonly topic: string = TOPIC
  readonly counts: Record<string, number> = {
    acknowledged: 0,
    matched: 0,
    passed: 0,
    heartbeats: 0,
  }
  readonly #options: WorkloadOptions
  readonly #sent = new Map<string, Goods>()
  /** What is committed, by queue and queue offset. */
  readonly #queues: readonly Goods[][] = Array.from({ length: QUEUES }, () => [])
  /** Where each consumer goes on. */
  readonly #positions = new Map<string, number>()
  #sequence = 0

  constructor(options: WorkloadOptions) {
    this.#options = options
  }

  async operate(client: BrokerClient): Promise<void> {
    const { random } = this.#options
    const queueId = random.integer(QUEUES)
    if (random.integer(5) < 3) return this.#send(client, queueId)
    const selection = SELECTIONS[random.integer(SELECTIONS.length)] ?? SELECTIONS[0]
    await this.#pull(client, queueId, selection, random.integer(2) === 0)
  }

  committed(key: string): string | null {
    const goods = this.#sent.get(key)
    if (goods === undefined) return 'nobody sent it'
    const record = this.#options.checker.byKey(key)
    const queueId = Number(record?.queue?.slice(TOPIC.length + 1))
    this.#queues[queueId]?.push(goods)
    return null
  }

  missing(): string | null {
    return null
  }

  checkEnd(): void {
    // Every answer was looked at when it came.
  }

  async #send(client: BrokerClient, queueId: number): Promise<void> {
    const { random, settings } = this.#options
    const tag = TAGS[random.integer(TAGS.length)] ?? 'A'
    const goods = { key: `g${this.#sequence++}`, tag, weight: random.integer(WEIGHTS) }
    const bodyBytes = random.integer(settings.bodyBytes)
    this.#sent.set(goods.key, goods)
    const answer = await send(client, {
      topic: TOPIC,
      queueId,
      key: goods.key,
      properties: [
        ['TAGS', tag],
        ['weight', String(goods.weight)],
      ],
      bodyBytes,
    })
    if (answer !== null) this.#count('acknowledged')
  }

  async #pull(
    client: BrokerClient,
    queueId: number,
    selection: Selection,
    isTold: boolean,
  ): Promise<void> {
    const group = `${selection.name}-${client.id}-${isTold ? 'told' : 'asked'}`
    const place = `${group}/${queueId}`
    const from = this.#positions.get(place) ?? 0
    const asked = pullFields({ consumerGroup: group, topic: TOPIC, queueId, queueOffset: from })
    client.followLeader()
    const answer = await client.ask({
      code: RequestCode.PULL_MESSAGE,
      extFields: {
        ...asked,
        subscription: selection.expression,
        expressionType: selection.expressionType,
        ...(isTold ? { sysFlag: '0' } : {}),
      },
    })
    if (answer === null) return
    const isUnknown = answer.code === ResponseCode.SUBSCRIPTION_NOT_EXIST
    if (isUnknown && isTold) return this.#beat(client, group, selection)
    const next = this.#check(place, from, selection, answer)
    // Now and then a consumer begins once more.
    if (next !== null) this.#positions.set(place, this.#options.random.integer(6) === 0 ? 0 : next)
  }

  /** Returns where the consumer goes on; null when it was told nothing. */
  #check(
    place: string,
    from: number,
    selection: Selection,
    answer: RemotingCommand,
  ): number | null {
    const { engine } = this.#options
    const { code } = answer
    const next = Number(answer.extFields.get('nextBeginOffset'))
    if (code === ResponseCode.PULL_OFFSET_MOVED) return next
    if (code !== ResponseCode.SUCCESS && code !== ResponseCode.PULL_RETRY_IMMEDIATELY) return null
    const isFound = code === ResponseCode.SUCCESS
    const messages = isFound ? recordsIn(answer.body, this.#options) : []
    if (messages === null) return null
    const passed = this.#queues[Number(place.slice(place.indexOf('/') + 1))]?.slice(from, next)
    const wanted = (passed ?? []).filter(selection.isMatch).map(({ key }) => key)
    const given = messages.map(({ body }) => keyOf(body.toString('latin1')))
    this.#count('matched', given.length)
    this.#count('passed', next - from - given.length)
    if (passed?.length !== next - from || given.join() !== wanted.join()) {
      const fact = `${place} gets ${given.join()} of ${from} to ${next}, ${wanted.join()} match`
      engine.violate('who selects gets what matches, and all of it', fact)
    }
    return next
  }

  /** As consumers do that a leader does not know. */
  async #beat(client: BrokerClient, groupName: string, selection: Selection): Promise<void> {
    const { expression, expressionType, tags } = selection
    const subscription = { topic: TOPIC, subString: expression, expressionType, tagsSet: tags }
    const answer = await client.ask({
      code: RequestCode.HEART_BEAT,
      extFields: {},
      body: encodeHeartbeatData({
        clientID: `${client.id}-${groupName}`,
        producerGroups: [],
        consumers: [
          {
            groupName,
            consumeType: 'CONSUME_PASSIVELY',
            messageModel: 'CLUSTERING',
            consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
            subscriptions: [
              {
                ...subscription,
                codeSet: tags.map(javaHashCode),
                subVersion: 1,
                classFilterMode: false,
              },
            ],
            unitMode: false,
          },
        ],
        heartbeatFingerprint: 0,
        withoutSub: false,
      }),
    })
    if (answer !== null) this.#count('heartbeats')
  }

  #count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by
  }
}
