/** What the drivers of a group tell each other besides Raft's messages: who they are, and how a member gets into the group. */
import { ControlType, PeerCodecError, encodeControl } from './message-codec.ts'
import type { Epoch, Member, MemberId } from './messages.ts'
import { memberOf } from './terms-file.ts'

export interface Hello {
  readonly format: number
  readonly group: string
  readonly id: MemberId
  readonly incarnation: number
  /** Of the process: another one each time it starts. */
  readonly life: number
  /** Where the member serves clients. */
  readonly clientPort: number
  /** `host:port` of its peer port; null from members that do not tell it yet. */
  readonly address: string | null
  readonly term: number
  /** It understands append requests with a checksum of their records. */
  readonly takesChecksums: boolean
  /** Of the configuration in force; null while the member belongs to no group: it has neither voted nor stored anything. */
  readonly members: readonly Member[] | null
}

/** What a member behind the start of the leader's log is given. */
export interface Install {
  readonly term: number
  readonly startOffset: number
  /** Of the log below `startOffset`. */
  readonly epochs: readonly Epoch[]
  readonly members: readonly Member[]
  readonly tables: unknown
}

export const PEER_FORMAT = 1

export function encodeHello(hello: Hello): Buffer {
  return encodeControl(ControlType.hello, hello)
}

export function parseHello(json: unknown): Hello {
  const fields = objectOf(json)
  const { members } = fields
  return {
    format: integer(fields, 'format'),
    group: text(fields, 'group'),
    id: integer(fields, 'id'),
    incarnation: integer(fields, 'incarnation'),
    life: integer(fields, 'life'),
    clientPort: integer(fields, 'clientPort'),
    address: fields['address'] === undefined ? null : text(fields, 'address'),
    term: integer(fields, 'term'),
    takesChecksums: fields['takesChecksums'] === true,
    members: members === null ? null : membersOf(members),
  }
}

export function parseInstall(json: unknown): Install {
  const fields = objectOf(json)
  return {
    term: integer(fields, 'term'),
    startOffset: integer(fields, 'startOffset'),
    epochs: listOf(fields['epochs']).map((entry) => {
      const epoch = objectOf(entry)
      return { term: integer(epoch, 'term'), startOffset: integer(epoch, 'startOffset') }
    }),
    members: membersOf(fields['members']),
    tables: fields['tables'],
  }
}

export function parseInstalled(json: unknown): number {
  return integer(objectOf(json), 'startOffset')
}

export function parseJoin(json: unknown): Member {
  return checked(() => memberOf(objectOf(json)['member']))
}

function membersOf(json: unknown): readonly Member[] {
  return listOf(json).map((entry) => checked(() => memberOf(entry)))
}

function checked<Value>(parse: () => Value): Value {
  try {
    return parse()
  } catch (error) {
    throw new PeerCodecError('malformed', 'malformed frame of a peer: a member', error)
  }
}

function objectOf(json: unknown): Readonly<Record<string, unknown>> {
  if (typeof json !== 'object' || json === null) throw malformed('no object')
  return { ...json }
}

function listOf(json: unknown): readonly unknown[] {
  if (!Array.isArray(json)) throw malformed('no list')
  return json
}

function integer(fields: Readonly<Record<string, unknown>>, name: string): number {
  const value = fields[name]
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed(name)
  return value
}

function text(fields: Readonly<Record<string, unknown>>, name: string): string {
  const value = fields[name]
  if (typeof value !== 'string') throw malformed(name)
  return value
}

function malformed(field: string): PeerCodecError {
  return new PeerCodecError('malformed', `malformed frame of a peer: ${field}`)
}
