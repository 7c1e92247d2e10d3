/** A frame of the remoting protocol in memory (protocol §1); `command-codec.ts` turns it into bytes and back. */

/** How a header travels: the top byte of the header word. Answers use the type of their request. */
export const SerializeType = { JSON: 0, ROCKETMQ: 1 } as const
export type SerializeType = (typeof SerializeType)[keyof typeof SerializeType]

export const RESPONSE_FLAG = 1
export const ONEWAY_FLAG = 2

/** MQVersion ordinal that Gantry reports: V5_5_0. */
export const GANTRY_VERSION = 513

/** Numbers of `language` in binary headers, names in JSON ones (protocol §2.3). */
export const LanguageCode = {
  JAVA: 0,
  CPP: 1,
  DOTNET: 2,
  PYTHON: 3,
  DELPHI: 4,
  ERLANG: 5,
  RUBY: 6,
  OTHER: 7,
  HTTP: 8,
  GO: 9,
  PHP: 10,
  OMS: 11,
  RUST: 12,
  NODE_JS: 13,
} as const
export type LanguageCode = (typeof LanguageCode)[keyof typeof LanguageCode]

export type ExtFields = ReadonlyMap<string, string>

export const NO_FIELDS: ExtFields = new Map<string, string>()
export const NO_BODY: Buffer = Buffer.alloc(0)

export interface RemotingCommand {
  readonly code: number
  /** An unknown name or number decodes as OTHER. */
  readonly language: LanguageCode
  readonly version: number
  /** Chosen by the requester, echoed by the answer. */
  readonly opaque: number
  readonly flag: number
  readonly remark: string | null
  readonly extFields: ExtFields
  /** A slice of the received chunk: copy it to outlive the turn in which it arrived. Empty when there is none. */
  readonly body: Buffer
  readonly serializeType: SerializeType
}

/** What a request says apart from what the connection fills in (opaque, language, version, serialization). */
export interface RequestContent {
  readonly code: number
  readonly extFields?: ExtFields | Readonly<Record<string, string | undefined>>
  readonly body?: Buffer
  readonly remark?: string | null
}

/** What an answer says; the connection adds opaque, flags and the request's serialization. */
export interface ResponseContent {
  readonly code: number
  readonly remark?: string | null
  readonly extFields?: ExtFields | Readonly<Record<string, string | undefined>>
  /** Several buffers leave in order without being joined; they must not change afterwards. */
  readonly body?: Buffer | readonly Buffer[]
  /** The request was held until something happened; only metrics look at it. */
  readonly isLongPolling?: boolean
}

export function isResponse(command: RemotingCommand): boolean {
  return (command.flag & RESPONSE_FLAG) !== 0
}

export function isOneway(command: RemotingCommand): boolean {
  return (command.flag & ONEWAY_FLAG) !== 0
}
