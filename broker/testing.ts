/** Helpers of the broker's tests: connections and requests without a network, and configuration files in memory. */
import {
  LanguageCode,
  NO_BODY,
  ONEWAY_FLAG,
  RESPONSE_FLAG,
  SerializeType,
} from '../remoting/command.ts'
import { loadBrokerConfig } from './config.ts'
import type { BrokerValues } from './config.ts'
import type { ConfigFolder, MayReplace } from './persisted-table.ts'
import type { RequestContent, ResponseContent } from '../remoting/command.ts'
import type { Connection, RemotingRequest } from '../remoting/connection.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import { PutStatus } from '../store/types.ts'
import type { Clock, Timers } from '../common/ports.ts'
import type { ControlListener, ControlLog, PutResult } from '../store/types.ts'
import type { AnsweredRequests } from '../remoting/request-frame.ts'

/** A peer that records what it is sent. */
export class FakeConnection implements Connection {
  readonly id: number
  readonly remoteHost: string = '10.0.0.7'
  readonly remotePort: number
  readonly localHost: string = '10.0.0.1'
  isOpen: boolean = true
  outputBytes: number = 0
  /** Requests that wait for an answer of the peer. */
  readonly invoked: RequestContent[] = []
  /** One-way requests that were sent to the peer. */
  readonly sent: RequestContent[] = []
  /** What frame processors have answered. */
  readonly written: { readonly frames: Buffer; readonly answered: AnsweredRequests }[] = []
  readonly #listeners: (() => void)[] = []
  #room: Buffer = Buffer.alloc(0)

  constructor(id: number) {
    this.id = id
    this.remotePort = 40_000 + id
  }

  get socketHost(): string {
    return this.remoteHost
  }

  get remoteAddress(): string {
    return `${this.remoteHost}:${this.remotePort}`
  }

  /** How the peer answers requests. */
  answer: (request: RequestContent) => Promise<RemotingCommand> = () =>
    Promise.reject(new Error('a fake connection answers nothing'))

  invoke(request: RequestContent): Promise<RemotingCommand> {
    this.invoked.push(request)
    return this.answer(request)
  }

  invokeOneway(request: RequestContent): boolean {
    if (this.isOpen) this.sent.push(request)
    return this.isOpen
  }

  writeFrames(source: Buffer, start: number, end: number, answered: AnsweredRequests): boolean {
    this.written.push({ frames: Buffer.from(source.subarray(start, end)), answered })
    return this.isOpen
  }

  reserveFrames(size: number): { readonly buffer: Buffer; readonly at: number } {
    this.#room = Buffer.alloc(size)
    return { buffer: this.#room, at: 0 }
  }

  commitFrames(end: number, answered: AnsweredRequests): boolean {
    return this.writeFrames(this.#room, 0, end, answered)
  }

  onClose(listener: () => void): void {
    if (this.isOpen) this.#listeners.push(listener)
    else listener()
  }

  close(): void {
    if (!this.isOpen) return
    this.isOpen = false
    for (const listener of this.#listeners) listener()
  }
}

export interface FakeRequestOptions {
  readonly code: number
  readonly extFields?: Readonly<Record<string, string>>
  readonly body?: Buffer
  readonly version?: number
  readonly language?: LanguageCode
  readonly isOneway?: boolean
  readonly connection?: Connection
}

/** What a peer answers to `FakeConnection.invoke`. */
export function answerOf(code: number, body: Buffer = NO_BODY): RemotingCommand {
  return {
    code,
    language: LanguageCode.JAVA,
    version: 513,
    opaque: 1,
    flag: RESPONSE_FLAG,
    remark: null,
    extFields: new Map<string, string>(),
    body,
    serializeType: SerializeType.JSON,
  }
}

/** A request whose answers can be looked at. */
export class FakeRequest implements RemotingRequest {
  readonly command: RemotingCommand
  readonly connection: Connection
  readonly receivedAt = 0
  readonly answered: Promise<ResponseContent>
  response: ResponseContent | null = null
  readonly #resolve: (response: ResponseContent) => void

  constructor(options: FakeRequestOptions) {
    const { code, extFields = {}, body = NO_BODY, version = 513, isOneway = false } = options
    const { language = LanguageCode.JAVA } = options
    this.connection = options.connection ?? new FakeConnection(1)
    this.command = {
      code,
      language,
      version,
      opaque: 1,
      flag: isOneway ? ONEWAY_FLAG : 0,
      remark: null,
      extFields: new Map(Object.entries(extFields)),
      body,
      serializeType: SerializeType.JSON,
    }
    const { promise, resolve } = Promise.withResolvers<ResponseContent>()
    this.answered = promise
    this.#resolve = resolve
  }

  respond(response: ResponseContent): void {
    if (this.response !== null) return
    this.response = response
    this.#resolve(response)
  }

  /** One ext field of the answer. */
  field(name: string): string | undefined {
    const fields = this.response?.extFields
    if (fields === undefined) return undefined
    return fields instanceof Map ? fields.get(name) : new Map(Object.entries(fields)).get(name)
  }
}

export class MemoryConfigFolder implements ConfigFolder {
  readonly files: Map<string, string> = new Map()
  writes: number = 0
  failure: Error | null = null

  read<Value>(name: string, parse: (text: string) => Value): Value | null {
    const content = this.files.get(name)
    return content === undefined ? null : parse(content)
  }

  async write(name: string, pieces: Iterable<string>, mayReplace: MayReplace): Promise<boolean> {
    const content = Array.from(pieces).join('')
    if (this.failure !== null) throw this.failure
    if (!(await mayReplace())()) return false
    this.writes++
    this.files.set(name, content)
    return true
  }

  replace(name: string, text: string): void {
    this.files.set(name, text)
  }
}

/** A broker's values with some keys set. */
export function brokerValues(keys: Readonly<Record<string, string>> = {}): BrokerValues {
  const flags = Object.entries({ brokerName: 'broker-a', ...keys })
  return loadBrokerConfig({
    file: null,
    environment: {},
    flags: flags.map(([key, value]) => `${key}=${value}`),
    nameServers: null,
    defaults: { hostName: 'host', homeDirectory: '/home/test' },
  }).values
}

/** A log that holds nothing but records of the group, which are committed in the next turn. */
export class MemoryControlLog implements ControlLog {
  readonly startOffset = 0
  readonly records: Buffer[] = []
  readonly #time: Pick<Timers, 'soon'> & Pick<Clock, 'now'>
  #listener: ControlListener | null = null
  /** Why records are refused; null when they are taken. */
  refusal: string | null = null
  dispatchedOffset: number = 0

  constructor(time: Pick<Timers, 'soon'> & Pick<Clock, 'now'>) {
    this.#time = time
  }

  get endOffset(): number {
    return this.records.length * RECORD_SIZE
  }

  putControl(body: Buffer, done: (result: PutResult) => void): void {
    const { refusal } = this
    const result = { reason: refusal, queueOffset: 0, storeTimestamp: 0 }
    if (refusal !== null) {
      done({ ...result, status: PutStatus.SERVICE_NOT_AVAILABLE, physicalOffsets: [] })
      return
    }
    const physicalOffset = this.endOffset
    this.records.push(Buffer.from(body))
    this.#time.soon(() => {
      this.#listener?.(physicalOffset, body, this.#time.now())
      this.dispatchedOffset = physicalOffset + RECORD_SIZE
      done({ ...result, status: PutStatus.OK, physicalOffsets: [physicalOffset] })
    })
  }

  onControl(listener: ControlListener): void {
    this.#listener = listener
  }

  replayControl(fromOffset: number, visit: ControlListener): Promise<void> {
    this.records.forEach((body, index) => {
      const physicalOffset = index * RECORD_SIZE
      if (physicalOffset >= fromOffset) visit(physicalOffset, body, this.#time.now())
    })
    return Promise.resolve()
  }

  synced(): Promise<void> {
    return Promise.resolve()
  }
}

const RECORD_SIZE = 100
