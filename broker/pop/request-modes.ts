/** How groups consume topics when they leave it to the broker: a table in the log, and `config/messageRequestMode.json`. */
import {
  encodeRequestModes,
  requestModeOf,
  requestModeRecord,
  requestModesOf,
} from '../../remoting/bodies/pop-bodies.ts'
import { asObject } from '../../remoting/bodies/json-members.ts'
import { RETRY_PREFIX } from '../names.ts'
import type { JsonObject, JsonValue } from '../../remoting/bodies/fastjson.ts'
import type { RequestModeSetting } from '../../remoting/bodies/pop-bodies.ts'
import type { BrokerConfig } from '../config.ts'
import type { GroupTables, TableHandle } from '../group-tables.ts'

export class RequestModes {
  readonly #config: BrokerConfig
  readonly #log: TableHandle
  readonly #settings = new Map<string, RequestModeSetting>()

  constructor(options: {
    readonly config: BrokerConfig
    readonly tables: Pick<GroupTables, 'add'>
  }) {
    this.#config = options.config
    this.#log = options.tables.add({
      name: 'requestModes',
      fileName: 'messageRequestMode.json',
      saveAfterMs: 0,
      apply: (change) => this.#apply(change),
      render: () => [this.encode().toString().slice(0, -1)],
      restore: (file) => this.#restore(file),
    })
  }

  /** What was set, or the broker's default; messages of retry topics are pulled. */
  get(topic: string, consumerGroup: string): RequestModeSetting {
    const set = this.#settings.get(keyOf({ topic, consumerGroup }))
    if (set !== undefined) return set
    const { defaultMessageRequestMode, defaultPopShareQueueNum } = this.#config.values
    const mode = topic.startsWith(RETRY_PREFIX) ? 'PULL' : defaultMessageRequestMode
    const popShareQueueNum = mode === 'POP' ? defaultPopShareQueueNum : 0
    return { topic, consumerGroup, mode, popShareQueueNum }
  }

  /** Resolves when it is committed. */
  async set(setting: RequestModeSetting): Promise<void> {
    await this.#log.propose({ set: requestModeRecord(setting) })
  }

  /** The answer of GET_ALL_MESSAGE_REQUEST_MODE. */
  encode(): Buffer {
    return encodeRequestModes(this.#settings.values())
  }

  #apply(json: JsonValue): void {
    const change = asObject(json, 'a change of request modes')
    const setting = requestModeOf(asObject(change.get('set'), 'set'))
    this.#settings.set(keyOf(setting), setting)
  }

  #restore(file: JsonObject | null): void {
    const settings = file === null ? [] : requestModesOf(file)
    this.#settings.clear()
    for (const setting of settings) this.#settings.set(keyOf(setting), setting)
  }
}

function keyOf({
  topic,
  consumerGroup,
}: Pick<RequestModeSetting, 'topic' | 'consumerGroup'>): string {
  return `${topic}@${consumerGroup}`
}
