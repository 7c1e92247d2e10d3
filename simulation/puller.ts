/** Pulls of the clients of a simulated broker: what they get has to be what is committed, in order, without gaps. */
import { recordsIn } from './answered-records.ts'
import { pullFields } from '../remoting/pull-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import type { StoredMessage } from '../common/message.ts'
import type { BrokerClient } from './broker-client.ts'
import type { WorkloadOptions } from './workload.ts'

export interface ConsumedQueue {
  readonly consumerGroup: string
  readonly topic: string
  readonly queueId: number
}

export interface Pulled {
  readonly messages: readonly StoredMessage[]
  /** Where the next pull goes on. */
  readonly next: number
}

/** Null when there is nothing, or no answer. */
export async function pull(
  client: BrokerClient,
  options: Pick<WorkloadOptions, 'checker' | 'engine' | 'onDamage'>,
  queue: ConsumedQueue,
  from: number,
): Promise<Pulled | null> {
  const answer = await client.ask({
    code: RequestCode.PULL_MESSAGE,
    extFields: pullFields({ ...queue, queueOffset: from }),
  })
  if (answer === null) return null
  if (answer.code !== ResponseCode.SUCCESS) {
    // Retention has taken what was not read yet.
    if (answer.code !== ResponseCode.PULL_OFFSET_MOVED) return null
    return { messages: [], next: Number(answer.extFields.get('nextBeginOffset')) }
  }
  const messages = recordsIn(answer.body, options)
  if (messages === null) return null
  check(options, queue, from, messages, answer.body)
  return { messages, next: from + messages.length }
}

function check(
  { checker, engine }: Pick<WorkloadOptions, 'checker' | 'engine'>,
  { topic, queueId }: ConsumedQueue,
  from: number,
  messages: readonly StoredMessage[],
  body: Buffer,
): void {
  let expected = from
  let at = 0
  for (const { queueOffset, physicalOffset, size } of messages) {
    const place = `${topic} queue ${queueId} offset ${queueOffset} at ${physicalOffset}`
    const known = checker.at(physicalOffset)
    const record = body.subarray(at, at + size)
    if (known?.queue !== `${topic}/${queueId}` || !known.bytes.equals(record)) {
      engine.violate('consumers see what is committed', place)
    }
    if (queueOffset !== expected) {
      engine.violate('consumers see everything in order', `${place}, ${expected} was next`)
    }
    expected++
    at += size
  }
}
