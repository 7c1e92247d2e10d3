/** Messages of the clients of a simulated broker, and what became of each send. */
import { decodeOffsetMessageId } from '../common/message-id.ts'
import { formatProperties } from '../common/properties.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import type { BrokerClient } from './broker-client.ts'
import type { WorkloadOptions } from './workload.ts'

const TRANSACTION_PREPARED = 4

export interface Outgoing {
  readonly topic: string
  readonly queueId: number
  /** In the beginning of the body. */
  readonly key: string
  readonly properties: readonly (readonly [string, string])[]
  readonly bodyBytes: number
  readonly isTransaction?: boolean
}

/** The broker's answer when it has stored the message; null: it may have, or not. */
export async function send(
  client: BrokerClient,
  { topic, queueId, key, properties, bodyBytes, isTransaction }: Outgoing,
): Promise<RemotingCommand | null> {
  const answer = await client.ask({
    code: RequestCode.SEND_MESSAGE_V2,
    extFields: {
      a: 'Producers',
      b: topic,
      c: 'TBW102',
      d: '2',
      e: String(queueId),
      f: String(isTransaction === true ? TRANSACTION_PREPARED : 0),
      g: String(client.now),
      h: '0',
      i: formatProperties([['UNIQ_KEY', key], ...properties]),
      j: '0',
    },
    body: Buffer.from(`${key} ${'x'.repeat(bodyBytes)}`),
  })
  return answer?.code === ResponseCode.SUCCESS ? answer : null
}

/** A message without properties, to one of the queues of a topic; see `send`. */
export function sendPlain(
  client: BrokerClient,
  { random, settings }: Pick<WorkloadOptions, 'random' | 'settings'>,
  {
    topic,
    queues = 2,
    key,
  }: { readonly topic: string; readonly queues?: number; readonly key: string },
): Promise<RemotingCommand | null> {
  const queueId = random.integer(queues)
  const bodyBytes = random.integer(settings.bodyBytes)
  return send(client, { topic, queueId, key, properties: [], bodyBytes })
}

/** Plain messages to one topic, each with a key of its own. */
export class PlainSends {
  readonly #options: WorkloadOptions
  readonly #place: { readonly topic: string; readonly queues?: number }
  readonly #keys = new Set<string>()

  constructor(
    options: WorkloadOptions,
    place: { readonly topic: string; readonly queues?: number },
  ) {
    this.#options = options
    this.#place = place
  }

  /** One more; see `send`. */
  send(client: BrokerClient): Promise<RemotingCommand | null> {
    const key = `m${this.#keys.size}`
    this.#keys.add(key)
    return sendPlain(client, this.#options, { ...this.#place, key })
  }

  /** What is wrong with a message that has been committed; null: nothing. */
  committed(key: string): string | null {
    return this.#keys.has(key) ? null : 'nobody sent it'
  }
}

/** Where the broker says that the message is stored. */
export function placeOf(answer: RemotingCommand): {
  readonly physicalOffset: number
  readonly queueOffset: number
} {
  const { extFields } = answer
  return {
    physicalOffset: decodeOffsetMessageId(extFields.get('msgId') ?? '')?.physicalOffset ?? -1,
    queueOffset: Number(extFields.get('queueOffset')),
  }
}
