/** What a broker is to its group: who leads, and what this member may do because of it. */
import type { RaftFacts } from '../common/admin-contract.ts'
import type { ControlLog, Replication } from '../store/types.ts'

export interface Epoch {
  readonly term: number
  readonly startOffset: number
}

export interface GroupMember {
  readonly term: number
  /** For the admin port and metrics; null before `start`. */
  readonly facts: RaftFacts | null
  /** The terms of the log, the oldest first: each with the place of its first record. */
  readonly epochs: readonly Epoch[]
  /** `host:port` for clients of the leader, when another member leads and can be reached; else null. */
  readonly leaderAddress: string | null
  /** How often it has been elected since its start. */
  readonly elections: number
  /** What the store tells the group, and asks it; null for a group of one, where what is written is committed. */
  readonly replication: Replication | null
  /** Takes part, once the store is open and the tables are loaded. Rejects when a file or port is not to be had. */
  start(): Promise<void>
  /** Another member shall lead, the furthest when `to` is null; why that cannot be, or null when it has begun. */
  transfer(to: number | null): string | null
  /** Takes a member out of the group; why that cannot be, or null when the change is in the log. */
  remove(id: number): string | null
  /** Somebody has led in a newer term than this member, which leads: it has to pass that before it is believed. */
  passTerm(term: number): void
  close(): Promise<void>
}

/** What the broker is told. Each `onLeading` is followed by an `onFollowing` before the next one. */
export interface MemberEvents {
  /** This member leads, everything committed before is readable, and messages are taken. */
  onLeading(term: number): void
  /** It leads no more: messages that waited have been refused. */
  onFollowing(): void
  /** It leads, its disk is full, and that of `successor` is not. */
  onNoRoom(successor: number): void
}

export type MemberStore = Pick<ControlLog, 'endOffset'> & { readonly commitOffset: number }
