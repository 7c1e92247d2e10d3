/**
 * Requests that have begun and are not answered, under RocketMQ's names of the processors that serve them. There they wait for a thread,
 * here for the log, the disk or another client. What is answered in the turn in which it came is never among them.
 */
import { RequestCode } from '../remoting/request-code.ts'
import type { Processor } from '../remoting/connection.ts'

const CODES: Readonly<Record<string, readonly number[]>> = {
  query_message: [RequestCode.QUERY_MESSAGE, RequestCode.VIEW_MESSAGE_BY_ID],
  client_manager: [RequestCode.UNREGISTER_CLIENT, RequestCode.CHECK_CLIENT_CONFIG],
  heartbeat: [RequestCode.HEART_BEAT],
  transaction: [RequestCode.END_TRANSACTION],
  consumer_manager: [
    RequestCode.GET_CONSUMER_LIST_BY_GROUP,
    RequestCode.UPDATE_CONSUMER_OFFSET,
    RequestCode.QUERY_CONSUMER_OFFSET,
  ],
  reply: [RequestCode.SEND_REPLY_MESSAGE, RequestCode.SEND_REPLY_MESSAGE_V2],
}
/** Serves every other code. */
const ADMIN = 'admin'
const NAMES = new Map(
  Object.entries(CODES).flatMap(([name, codes]) => codes.map((code) => [code, name] as const)),
)

export class RunningRequests {
  readonly #counts = new Map<string, number>(
    [...Object.keys(CODES), ADMIN].map((name) => [name, 0]),
  )

  /** Counts the requests of `processors`, each of which it replaces, but for those of the codes in `own`, which are counted elsewhere. */
  constructor(processors: Map<number, Processor>, own: ReadonlySet<number>) {
    for (const [code, processor] of processors) {
      if (!own.has(code)) processors.set(code, this.#counted(NAMES.get(code) ?? ADMIN, processor))
    }
  }

  get counts(): ReadonlyMap<string, number> {
    return this.#counts
  }

  #counted(name: string, processor: Processor): Processor {
    return (request) => {
      const running = processor(request)
      if (running === undefined) return undefined
      this.#add(name, 1)
      return running.finally(() => this.#add(name, -1))
    }
  }

  #add(name: string, change: number): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + change)
  }
}
