/** The header of SEND_MESSAGE (10), SEND_MESSAGE_V2 (310) and SEND_BATCH_MESSAGE (320), whose two forms name the same fields. */
import {
  optionalBoolean,
  optionalInt,
  requireInt,
  requireLong,
  requireString,
} from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import type { ExtFields } from '../../remoting/command.ts'

export interface SendHeader {
  readonly producerGroup: string
  readonly topic: string
  readonly defaultTopic: string
  readonly defaultTopicQueueNums: number
  /** Negative: the broker chooses. */
  readonly queueId: number
  readonly sysFlag: number
  readonly bornTimestamp: number
  readonly flag: number
  readonly properties: string
  readonly reconsumeTimes: number
  readonly maxReconsumeTimes: number | null
  readonly isBatch: boolean
}

const NAMES = {
  producerGroup: 'producerGroup',
  topic: 'topic',
  defaultTopic: 'defaultTopic',
  defaultTopicQueueNums: 'defaultTopicQueueNums',
  queueId: 'queueId',
  sysFlag: 'sysFlag',
  bornTimestamp: 'bornTimestamp',
  flag: 'flag',
  properties: 'properties',
  reconsumeTimes: 'reconsumeTimes',
  maxReconsumeTimes: 'maxReconsumeTimes',
  batch: 'batch',
} as const

const LETTERS = {
  producerGroup: 'a',
  topic: 'b',
  defaultTopic: 'c',
  defaultTopicQueueNums: 'd',
  queueId: 'e',
  sysFlag: 'f',
  bornTimestamp: 'g',
  flag: 'h',
  properties: 'i',
  reconsumeTimes: 'j',
  maxReconsumeTimes: 'l',
  batch: 'm',
} as const

/** Throws `RemotingError` (`invalidField`) for a required field that is absent or no number. */
export function decodeSendHeader(code: number, fields: ExtFields): SendHeader {
  const names: Readonly<Record<keyof typeof NAMES, string>> =
    code === RequestCode.SEND_MESSAGE ? NAMES : LETTERS
  return {
    producerGroup: requireString(fields, names.producerGroup),
    topic: requireString(fields, names.topic),
    defaultTopic: requireString(fields, names.defaultTopic),
    defaultTopicQueueNums: requireInt(fields, names.defaultTopicQueueNums),
    queueId: requireInt(fields, names.queueId),
    sysFlag: requireInt(fields, names.sysFlag),
    bornTimestamp: requireLong(fields, names.bornTimestamp),
    flag: requireInt(fields, names.flag),
    properties: fields.get(names.properties) ?? '',
    reconsumeTimes: optionalInt(fields, names.reconsumeTimes) ?? 0,
    maxReconsumeTimes: optionalInt(fields, names.maxReconsumeTimes),
    isBatch:
      code === RequestCode.SEND_BATCH_MESSAGE || optionalBoolean(fields, names.batch) === true,
  }
}
