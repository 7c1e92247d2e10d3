/** Requests at their bounds and past them, in tables; what a broker has to have before they are sent to it. */
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'

export const TOPIC = 'Orders'
export const GROUP = 'group'

export interface Call {
  readonly code: number
  readonly extFields: Readonly<Record<string, string>>
  readonly body?: Buffer
  /** Of the client, which has a connection of its own then. */
  readonly version?: number
}

/** `place`: where in the log the message lies that was stored last by the suite's setup. */
export type Asking = Call | ((place: string) => Call)

/** What is asked, the request, the code that Gantry answers, and what its remark says. */
export type Row = readonly [name: string, asking: Asking, code: number, remark?: string]

export interface Suite {
  readonly name: string
  /** Of the broker's configuration, beside those of `STRICT`. */
  readonly keys: Readonly<Record<string, string>>
  /** Requests that are answered with SUCCESS before all others. */
  readonly setup: readonly Call[]
  readonly tables: readonly (readonly [what: string, rows: readonly Row[]])[]
}

export const MAX_BODY: number = 64 * 1024

/** Nothing comes to be by use. */
export const STRICT: Readonly<Record<string, string>> = {
  brokerName: 'broker-a',
  autoCreateTopicEnable: 'false',
  autoCreateSubscriptionGroup: 'false',
  maxMessageSize: String(MAX_BODY),
}

/** UPDATE_AND_CREATE_TOPIC, of a topic of two queues. */
export function topic(name: string, fields: Readonly<Record<string, string>> = {}): Call {
  return {
    code: RequestCode.UPDATE_AND_CREATE_TOPIC,
    extFields: {
      topic: name,
      defaultTopic: 'TBW102',
      readQueueNums: '2',
      writeQueueNums: '2',
      perm: '6',
      topicFilterType: 'SINGLE_TAG',
      topicSysFlag: '0',
      order: 'false',
      ...fields,
    },
  }
}

/** UPDATE_AND_CREATE_SUBSCRIPTIONGROUP. */
export function group(json: unknown): Call {
  const code = RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP
  return { code, extFields: {}, body: Buffer.from(JSON.stringify(json)) }
}

/** `TOPIC` and `GROUP`. */
export const BASICS: readonly Call[] = [topic(TOPIC), group({ groupName: GROUP })]

/** The same request without a field. */
export function without(call: Call, name: string): Call {
  const extFields = Object.entries(call.extFields).filter(([field]) => field !== name)
  return { ...call, extFields: Object.fromEntries(extFields) }
}

/** One row for each field that a request must have: the answer names it. */
export function withoutEach(call: Call, names: readonly string[]): readonly Row[] {
  return names.map((name) => [
    `${call.code}: no ${name}`,
    without(call, name),
    ResponseCode.SYSTEM_ERROR,
    `the custom field <${name}> is null`,
  ])
}

/** A row by its name among all suites. */
export function nameOf(suite: string, table: string, row: string): string {
  return `${suite}: ${table} with ${row}`
}
