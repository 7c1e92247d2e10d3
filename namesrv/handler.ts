/** What the handlers of all request codes share: what they work on, and how they answer. */
import type { Logger } from '../common/log.ts'
import type { Clock } from '../common/ports.ts'
import type { RemotingCommand, ResponseContent } from '../remoting/command.ts'
import type { Connection } from '../remoting/connection.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import type { NamesrvSettings } from './config.ts'
import type { KvConfig } from './kv-config.ts'
import type { MinBrokerIdChange } from './broker-group.ts'
import type { RouteTable } from './route-table.ts'

export interface HandlerDependencies {
  readonly routes: RouteTable
  readonly kvConfig: KvConfig
  readonly settings: NamesrvSettings
  readonly clock: Clock
  readonly logger: Logger
  /** Called with the connection of every broker that has registered. */
  readonly watch: (connection: Connection) => void
  /** Sends NOTIFY_MIN_BROKER_ID_CHANGE (905). */
  readonly notify: (change: MinBrokerIdChange) => void
}

/** Answers a request at once; what it throws is answered as SYSTEM_ERROR with its text. */
export type Handler = (command: RemotingCommand, connection: Connection) => ResponseContent

export function success(content: Omit<ResponseContent, 'code'> = {}): ResponseContent {
  return { code: ResponseCode.SUCCESS, ...content }
}

export function failure(code: number, remark: string): ResponseContent {
  return { code, remark }
}
