/**
 * The rules of who decides in a group: looked at by somebody who sees every member's votes and how much each disk holds.
 *
 * Disks are told apart as configurations do, by member and incarnation: what a disk that is gone has voted or held counts for nobody.
 */
import type { Configuration, Member as GroupMember, MemberId } from '../raft/messages.ts'
import type { HardState } from '../raft/node.ts'
import { memberOf } from '../raft/terms-file.ts'
import type { SimulatedDisk } from './disk.ts'
import type { Engine } from './engine.ts'

/** What the rules ask of a member that leads. */
export interface ObservedLeader {
  readonly term: number
  readonly commitOffset: number
  readonly configuration: Configuration
}

interface Voter {
  /** The newest term that was seen. */
  term: number
  /** For whom it has voted, by term. */
  readonly votes: Map<number, MemberId>
  /** Those with which a process ended: they may have left it, or not be on its disk. */
  readonly unsure: Map<number, MemberId>
}

export class GroupRules {
  readonly #engine: Engine
  /** By incarnation: up to where the log was persistent at most, as the flush mode asks. */
  readonly #held = new Map<string, number>()
  readonly #disks = new Map<string, SimulatedDisk>()
  readonly #voters = new Map<string, Voter>()
  /** Those of the configuration that was committed last. */
  #members: readonly GroupMember[] | null = null

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** A process takes part with this disk. */
  joins(name: string, disk: SimulatedDisk): void {
    const known = this.#disks.get(name)
    if (known !== undefined && known !== disk) {
      this.#engine.violate('an empty disk is another member', `one comes as ${name}`)
    }
    this.#disks.set(name, disk)
  }

  /** The log on this disk reaches up to here, for good. */
  holds(name: string, offset: number): void {
    if (offset > (this.#held.get(name) ?? 0)) this.#held.set(name, offset)
  }

  /** A member has taken part in an election, or heard of one: one vote a term. `hasEnded`: its process has, in this event. */
  votes(name: string, { term, votedFor }: HardState, hasEnded: boolean): void {
    let voter = this.#voters.get(name)
    if (voter === undefined) {
      voter = { term, votes: new Map(), unsure: new Map() }
      this.#voters.set(name, voter)
    }
    voter.term = Math.max(voter.term, term)
    if (votedFor === null) return
    if (hasEnded) {
      voter.unsure.set(term, votedFor)
      return
    }
    const before = voter.votes.get(term)
    if (before !== undefined && before !== votedFor) {
      const fact = `${name} for n${before} and n${votedFor} in term ${term}`
      this.#engine.violate('one vote a term', fact)
    }
    voter.votes.set(term, votedFor)
  }

  /** A member leads a new term: a majority of the voters must have wanted it. */
  elected(id: MemberId, { term, configuration }: ObservedLeader): void {
    const voters = configuration.members.filter(({ role }) => role === 'voter')
    const isFor = (member: GroupMember): boolean => {
      const voter = this.#voters.get(nameOf(member))
      if (voter === undefined) return false
      // Two votes within one event: the first is not seen.
      if (voter.unsure.get(term) === id) return true
      return voter.votes.get(term) === id || (!voter.votes.has(term) && voter.term > term)
    }
    const count = voters.filter((voter) => isFor(voter)).length
    if (count * 2 > voters.length) return
    const fact = `n${id} in term ${term} by ${count} of ${voters.map((one) => `n${one.id}`).join(' ')}`
    this.#engine.violate('leaders are elected by a majority of the voters', fact)
  }

  /** A leader has committed more: a majority of the voters must hold it. `before`: what was in force until this event. */
  commits(id: MemberId, leader: ObservedLeader, before: Configuration): void {
    const { commitOffset, configuration, term } = leader
    if (this.#isHeld(configuration, commitOffset) || this.#isHeld(before, commitOffset)) return
    const held = configuration.members.map(
      (one) => `n${one.id} ${one.role} ${this.#held.get(nameOf(one)) ?? 0}`,
    )
    const fact = `n${id} in term ${term} up to ${commitOffset}, where disks hold: ${held.join(', ')}`
    this.#engine.violate('what is committed is held by a majority of the voters', fact)
  }

  /** The members with which the group was founded. */
  founded({ members }: Configuration): void {
    this.#members ??= members
  }

  /** A record of the group has been committed. */
  committed(body: string): void {
    if (!body.startsWith('{"type":"members"')) return
    const members = membersIn(JSON.parse(body))
    const before = this.#members
    this.#members = members
    if (before === null) return
    const [from, to] = [voterNames(before), voterNames(members)]
    const changed = [
      ...from.filter((name) => !to.includes(name)),
      ...to.filter((name) => !from.includes(name)),
    ]
    if (changed.length <= 1 && to.length > 0) return
    const fact = `from ${from.join(' ')} to ${to.join(' ')}`
    this.#engine.violate('one voter comes or goes at a time', fact)
  }

  #isHeld({ members }: Configuration, offset: number): boolean {
    let voters = 0
    let holding = 0
    for (const member of members) {
      if (member.role !== 'voter') continue
      voters++
      if ((this.#held.get(nameOf(member)) ?? 0) >= offset) holding++
    }
    return holding * 2 > voters
  }
}

function voterNames(members: readonly GroupMember[]): readonly string[] {
  return members.filter(({ role }) => role === 'voter').map((member) => nameOf(member))
}

/** Of a member with the disk that it has. */
export function nameOf({ id, incarnation }: Pick<GroupMember, 'id' | 'incarnation'>): string {
  return `n${id}/${incarnation}`
}

function membersIn(control: unknown): readonly GroupMember[] {
  if (typeof control !== 'object' || control === null || !('members' in control)) return []
  return Array.isArray(control.members) ? control.members.map((one) => memberOf(one)) : []
}
