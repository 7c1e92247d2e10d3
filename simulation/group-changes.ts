/**
 * Members that leave a simulated group for good, and others that come in their place, as an operator does it: a member leaves the
 * configuration first, and its process and disk go once that is committed; one that comes has an empty disk and asks to be taken in.
 */
import type { Checker } from './checker.ts'
import type { Engine } from './engine.ts'
import type { Member } from './member.ts'

type Place =
  | 'belongs'
  /** To be taken out of the configuration. */
  | 'leaves'
  /** Out of the configuration, with a process that may not know yet. */
  | 'left'
  /** Neither process nor disk. */
  | 'away'

export interface GroupChangesOptions {
  readonly engine: Engine
  readonly checker: Checker
  readonly members: readonly Member[]
  /** So many of them found the group. */
  readonly founders: number
  /** How long it takes until somebody does something. */
  readonly durationMs: (maxMs: number) => number
}

const ASK_AGAIN_MS = 300
/** How long a process may go on that does not belong to the group any more. */
const LINGER_MS = 8000

export class GroupChanges {
  readonly #options: GroupChangesOptions
  readonly #places: Map<Member, Place>

  constructor(options: GroupChangesOptions) {
    this.#options = options
    const { members, founders } = options
    this.#places = new Map(
      members.map((member, index) => [member, index < founders ? 'belongs' : 'away']),
    )
  }

  belongs(member: Member): boolean {
    return this.#places.get(member) === 'belongs'
  }

  get belonging(): readonly Member[] {
    return this.#options.members.filter((member) => this.belongs(member))
  }

  get away(): readonly Member[] {
    return this.#options.members.filter((member) => this.#places.get(member) === 'away')
  }

  /** Somebody is to be taken out of the configuration. */
  get isLeaving(): boolean {
    return [...this.#places.values()].includes('leaves')
  }

  /** There is a process to be started. */
  mayRun(member: Member): boolean {
    return this.#places.get(member) !== 'away'
  }

  /** Nobody is about to come or go: the voters are those that belong, by a configuration that is committed. */
  get isSettled(): boolean {
    const places = [...this.#places.values()]
    if (places.includes('leaves') || places.includes('left')) return false
    const leader = this.#options.members.find(({ isReady, isUp }) => isReady && isUp)
    const raft = leader?.driver?.raft ?? null
    if (raft === null || raft.configuration.offset > raft.commitOffset) return false
    const voters = raft.configuration.members.filter(({ role }) => role === 'voter')
    const belonging = this.belonging
    return (
      voters.length === belonging.length &&
      raft.configuration.members.length === voters.length &&
      belonging.every(({ id }) => voters.some((voter) => voter.id === id))
    )
  }

  /** Takes the member out, by whoever leads, however long that takes. */
  remove(member: Member): void {
    this.#places.set(member, 'leaves')
    this.#askLater(member)
  }

  /** The member comes, with an empty disk. */
  add(member: Member): void {
    this.#places.set(member, 'belongs')
  }

  /** What has left and lingers goes now. */
  clear(): void {
    for (const [member, place] of this.#places) if (place === 'left') this.#takeAway(member)
  }

  #askLater(member: Member): void {
    const { engine, durationMs } = this.#options
    engine.schedule(durationMs(ASK_AGAIN_MS), null, `take out n${member.id}`, () => {
      if (this.#places.get(member) !== 'leaves') return
      const leader = this.#options.members.find(({ isReady, isUp }) => isReady && isUp)
      // The leader does that in its own time, which may be later.
      leader?.process.schedule(0, 'take out', () => this.#ask(member, leader))
      this.#askLater(member)
    })
  }

  #ask(member: Member, leader: Member): void {
    const { driver } = leader
    const raft = driver?.raft ?? null
    // One that was stopped may not know yet that it leads no more, and tells of members of before.
    if (raft?.role !== 'leader' || raft.term < this.#options.checker.latestTerm) return
    const { offset, members } = raft.configuration
    const rest = members.filter(({ id }) => id !== member.id)
    if (rest.length < members.length) {
      const refusal = driver?.proposeMembers(rest)
      this.#options.engine.note(`n${leader.id} takes out n${member.id}: ${refusal ?? 'begun'}`)
    } else if (offset < raft.commitOffset && this.#places.get(member) === 'leaves') {
      this.#options.engine.note(`n${member.id} has left`)
      this.#places.set(member, 'left')
      const lingerMs = this.#options.durationMs(LINGER_MS)
      this.#options.engine.schedule(lingerMs, null, `end n${member.id}`, () => {
        if (this.#places.get(member) === 'left') this.#takeAway(member)
      })
    }
  }

  #takeAway(member: Member): void {
    this.#places.set(member, 'away')
    member.wipe()
  }
}
