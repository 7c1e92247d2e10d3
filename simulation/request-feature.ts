/**
 * Requests and replies: a reply reaches the client that asked, and no other one, once; whoever was told that it did was told the truth; and
 * after elections requests are answered again.
 */
import { encodeHeartbeatData } from '../remoting/bodies/heartbeat-data.ts'
import { formatProperties, parseProperties } from '../common/properties.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { send } from './sender.ts'
import type { RemotingRequest } from '../remoting/connection.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { WorkloadOptions } from './workload.ts'

const TOPIC = 'Questions'
const REPLY_TOPIC = 'DefaultCluster_REPLY_TOPIC'
const QUEUES = 2
const TTL_MS = '3000'
const PAUSE_MS = 200

interface Question {
  readonly key: string
  readonly clientId: string
}

export class RequestFeature implements Feature {
  readonly topic: string = TOPIC
  readonly counts: Record<string, number> = { acknowledged: 0, replies: 0, taken: 0, told: 0 }
  readonly #options: WorkloadOptions
  readonly #questions = new Map<string, Question>()
  /** Committed ones, to be answered by anybody. */
  readonly #open: Question[] = []
  /** Which question each reply answers. */
  readonly #replies = new Map<string, Question>()
  readonly #taken = new Set<string>()
  #sequence = 0
  #isHealed = false
  #isAnsweredAgain = false
  #hasAsker = false

  constructor(options: WorkloadOptions) {
    this.#options = options
  }

  join(client: BrokerClient): void {
    client.remoting.register(RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT, (request) => {
      this.#take(client, request)
    })
    if (this.#hasAsker) return
    this.#hasAsker = true
    void this.#askAgain(client)
  }

  async operate(client: BrokerClient): Promise<void> {
    const { random } = this.#options
    const question = this.#open[random.integer(Math.max(1, this.#open.length))]
    if (question === undefined || random.integer(3) === 0) await this.#ask(client)
    else await this.#reply(client, question)
  }

  committed(key: string): string | null {
    const question = this.#questions.get(key)
    if (question === undefined) return 'nobody sent it'
    this.#open.push(question)
    return null
  }

  missing(): string | null {
    this.#isHealed = true
    return this.#isAnsweredAgain ? null : 'no request was answered since'
  }

  checkEnd(): void {
    // Every reply was looked at when it came.
  }

  /** As clients ask: known to the leader by a heartbeat, since the reply comes by its connection. */
  async #ask(client: BrokerClient): Promise<Question | null> {
    const { random, settings } = this.#options
    const key = `q${this.#sequence++}`
    const queueId = random.integer(QUEUES)
    const bodyBytes = random.integer(settings.bodyBytes)
    const question = { key, clientId: client.id }
    client.followLeader()
    const known = await client.ask({
      code: RequestCode.HEART_BEAT,
      extFields: {},
      body: encodeHeartbeatData({
        clientID: client.id,
        producerGroups: ['Askers'],
        consumers: [],
        heartbeatFingerprint: 0,
        withoutSub: false,
      }),
    })
    if (known === null) return null
    this.#questions.set(key, question)
    const properties = [...propertiesOf(question), ['MSG_TYPE', 'request'] as const]
    const answer = await send(client, { topic: TOPIC, queueId, key, properties, bodyBytes })
    if (answer === null) return null
    this.#count('acknowledged')
    return question
  }

  /** Returns whether the broker says that the requester has it. */
  async #reply(client: BrokerClient, question: Question): Promise<boolean> {
    const key = `r${this.#sequence++}`
    this.#replies.set(key, question)
    this.#count('replies')
    client.followLeader()
    const answer = await client.ask({
      code: RequestCode.SEND_REPLY_MESSAGE_V2,
      extFields: {
        ...{ a: 'Responders', b: REPLY_TOPIC, c: 'TBW102', d: '1', e: '0', f: '0' },
        ...{ g: String(client.now), h: '0', j: '0' },
        i: formatProperties([['UNIQ_KEY', key], ...propertiesOf(question), ['MSG_TYPE', 'reply']]),
      },
      body: Buffer.from(key),
    })
    if (answer?.code !== ResponseCode.SUCCESS) return false
    this.#count('told')
    if (!this.#taken.has(key)) {
      const fact = `${key}, the answer to ${question.key}, came to nobody`
      this.#options.engine.violate('who is told that a reply has come is told the truth', fact)
    }
    return true
  }

  #take(client: BrokerClient, request: RemotingRequest): void {
    const { engine } = this.#options
    const { body, extFields } = request.command
    const key = body.toString('latin1')
    const question = this.#replies.get(key)
    const asked = parseProperties(extFields.get('properties') ?? '').get('CORRELATION_ID')
    const what = `${key} for ${asked} comes to ${client.id}`
    engine.note(what)
    if (question?.clientId !== client.id || question.key !== asked) {
      engine.violate('a reply comes to the one who asked', `${what}, not to ${question?.clientId}`)
    }
    if (this.#taken.has(key)) engine.violate('a reply comes once', what)
    this.#taken.add(key)
    this.#count('taken')
    request.respond({ code: ResponseCode.SUCCESS })
  }

  async #askAgain(client: BrokerClient): Promise<void> {
    const { engine } = this.#options
    while (engine.violation === null && !this.#isAnsweredAgain) {
      await client.sleep(PAUSE_MS)
      if (!this.#isHealed) continue
      const question = await this.#ask(client)
      if (question !== null) this.#isAnsweredAgain = await this.#reply(client, question)
    }
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}

function propertiesOf({ key, clientId }: Question): readonly (readonly [string, string])[] {
  return [
    ['REPLY_TO_CLIENT', clientId],
    ['CORRELATION_ID', key],
    ['TTL', TTL_MS],
  ]
}
