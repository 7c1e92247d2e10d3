/** The only member of its group: it leads as soon as it is there. Each start is a term of its own. */
import { StateFile } from '../raft/state-file.ts'
import { termsPath } from '../raft/terms-file.ts'
import { StoreError } from '../store/errors.ts'
import type { RaftFacts } from '../common/admin-contract.ts'
import type { Disk } from '../common/ports.ts'
import type { Epoch, GroupMember, MemberEvents, MemberStore } from './group-member.ts'

export interface SoleMemberOptions {
  readonly disk: Disk
  readonly storePathRootDir: string
  readonly address: string
  readonly store: () => MemberStore
  readonly events: MemberEvents
}

const REFUSAL = 'the group has one member'

export class SoleMember implements GroupMember {
  readonly #options: SoleMemberOptions
  #state: StateFile | null = null
  #startOffset = 0
  readonly replication = null
  readonly leaderAddress = null
  readonly elections = 0

  constructor(options: SoleMemberOptions) {
    this.#options = options
  }

  get term(): number {
    return this.#state?.hardState.term ?? 0
  }

  /** The terms of a group of one are not in its log: this one begins where the log ended when the broker started. */
  get epochs(): readonly Epoch[] {
    return this.#state === null ? [] : [{ term: this.term, startOffset: this.#startOffset }]
  }

  get facts(): RaftFacts | null {
    if (this.#state === null) return null
    const { store, address } = this.#options
    const { incarnation } = this.#state
    const { commitOffset, endOffset } = store()
    return {
      id: 0,
      incarnation,
      role: 'leader',
      term: this.term,
      leader: 0,
      isReady: true,
      commitOffset,
      endOffset,
      members: [{ id: 0, role: 'voter', incarnation, address }],
      peers: [],
    }
  }

  start(): Promise<void> {
    const { disk, storePathRootDir, events } = this.#options
    if (disk.statusSync(termsPath(storePathRootDir)) !== null) {
      const problem = `${storePathRootDir} belongs to a group of members: start it with enableDLegerCommitLog, dLegerPeers and dLegerSelfId`
      return Promise.reject(new StoreError('foreign', problem))
    }
    this.#state = StateFile.open(disk, storePathRootDir)
    this.#state.save({ term: this.term + 1, votedFor: null })
    this.#startOffset = this.#options.store().endOffset
    events.onLeading(this.term)
    return Promise.resolve()
  }

  transfer(): string {
    return REFUSAL
  }

  remove(): string {
    return REFUSAL
  }

  /** A volume that was lost must not lock the group out for ever. */
  passTerm(term: number): void {
    this.#state?.save({ term: term + 1, votedFor: null })
  }

  close(): Promise<void> {
    this.#state?.close()
    return Promise.resolve()
  }
}
