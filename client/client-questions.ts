/** What administrators ask of clients, through the broker that they are connected to: each call names the broker that it asks. */
import { decodeProducerTable } from '../remoting/bodies/client-status.ts'
import type { ProducerGroup } from '../remoting/bodies/client-status.ts'
import { decodeConsumerRunningInfo } from '../remoting/bodies/consumer-running-info.ts'
import type { ConsumerRunningInfo } from '../remoting/bodies/consumer-running-info.ts'
import { parseFastjson } from '../remoting/bodies/fastjson.ts'
import { asObject, textMap } from '../remoting/bodies/json-members.ts'
import { RequestCode } from '../remoting/request-code.ts'
import type { AdminClient } from './admin.ts'

/** All producers that are connected to the broker. */
export async function allProducers(
  admin: AdminClient,
  broker: string,
): Promise<readonly ProducerGroup[]> {
  return decodeProducerTable(
    (await admin.ask(broker, { code: RequestCode.GET_ALL_PRODUCER_INFO })).body,
  )
}

export interface ConsumerAddress {
  readonly consumerGroup: string
  readonly clientId: string
}

/** What a consumer is doing; with the stacks of its threads when `jstack` says so. */
export async function consumerRunningInfo(
  admin: AdminClient,
  broker: string,
  { consumerGroup, clientId }: ConsumerAddress,
  jstack: boolean,
): Promise<ConsumerRunningInfo> {
  const { body } = await admin.ask(broker, {
    code: RequestCode.GET_CONSUMER_RUNNING_INFO,
    extFields: { consumerGroup, clientId, jstackEnable: String(jstack) },
  })
  return decodeConsumerRunningInfo(body)
}

/** Hands a message to one consumer, out of turn; resolves with Java's members of ConsumeMessageDirectlyResult, as text. */
export async function consumeDirectly(
  admin: AdminClient,
  broker: string,
  { consumerGroup, clientId }: ConsumerAddress,
  message: { readonly topic: string; readonly offsetId: string },
): Promise<ReadonlyMap<string, string>> {
  const { body } = await admin.ask(broker, {
    code: RequestCode.CONSUME_MESSAGE_DIRECTLY,
    extFields: { consumerGroup, clientId, topic: message.topic, msgId: message.offsetId },
  })
  return textMap(asObject(parseFastjson(body), 'ConsumeMessageDirectlyResult'))
}
