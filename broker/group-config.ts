/** The members of a broker group, as DLedger's keys name them: `n0-host:port;n1-host:port`. */
import type { PeerAddress } from '../raft/peers.ts'

const PEER = /^n(\d{1,2})-(.+):(\d{1,5})$/
const PORT_MAX = 65_535
const SIZES: readonly number[] = [1, 3, 5]

export interface GroupKeys {
  readonly enableDLegerCommitLog: boolean
  readonly dLegerPeers: string
  readonly dLegerSelfId: string
}

export interface GroupAddresses {
  readonly id: number
  /** By their ids, this member too. */
  readonly peers: readonly PeerAddress[]
}

/** The members and which of them this one is; null for a broker on its own. Check the keys by `groupProblem` first. */
export function groupOf({
  enableDLegerCommitLog,
  dLegerPeers,
  dLegerSelfId,
}: GroupKeys): GroupAddresses | null {
  if (!enableDLegerCommitLog) return null
  const peers = peersIn(dLegerPeers).filter((peer) => peer !== null)
  const id = idIn(dLegerSelfId)
  if (id === null || peers.length === 0) return null
  return { id, peers: peers.toSorted((left, right) => left.id - right.id) }
}

/** The key that is wrong and why; null when all are right. */
export function groupProblem(
  keys: GroupKeys,
): { readonly key: 'dLegerPeers' | 'dLegerSelfId'; readonly problem: string } | null {
  if (!keys.enableDLegerCommitLog) return null
  const { dLegerPeers, dLegerSelfId } = keys
  const peers = peersIn(dLegerPeers)
  const of = (problem: string) => ({ key: 'dLegerPeers', problem }) as const
  if (peers.includes(null)) return of(`'${dLegerPeers}' is not n0-host:port;n1-host:port`)
  const ids = peers.map((peer) => peer?.id)
  if (new Set(ids).size < ids.length) return of(`'${dLegerPeers}' names a member twice`)
  if (!SIZES.includes(ids.length)) return of(`a group has 1, 3 or 5 members, not ${ids.length}`)
  const id = idIn(dLegerSelfId)
  if (id === null) return { key: 'dLegerSelfId', problem: `'${dLegerSelfId}' is not n0, n1, …` }
  if (ids.includes(id)) return null
  return { key: 'dLegerSelfId', problem: `'${dLegerSelfId}' is none of '${dLegerPeers}'` }
}

/** Null for an item that is no member. */
function peersIn(list: string): readonly (PeerAddress | null)[] {
  return list
    .split(';')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map((item) => {
      const [, id, host, portText] = PEER.exec(item) ?? []
      const port = Number(portText)
      if (id === undefined || host === undefined || port < 1 || port > PORT_MAX) return null
      return { id: Number(id), host, port }
    })
}

function idIn(text: string): number | null {
  const id = /^n(\d{1,2})$/.exec(text.trim())?.[1]
  return id === undefined ? null : Number(id)
}
