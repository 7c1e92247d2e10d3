/**
 * How a member without a group finds one.
 *
 * A group is founded once: when every configured member is there and none has ever belonged to a group. Later an empty member is
 * either one that the group knows by its incarnation, and has never stored anything; or it has lost its disk, or is new: then it asks
 * to be taken in, as a learner. A majority of empty members can so never pass for the group that they once were
 * (reliability §5, amnesiac member).
 */
import type { Hello } from './control-frames.ts'
import type { Member } from './messages.ts'

export type Finding =
  /** Somebody has to be heard first. */
  | { readonly type: 'wait' }
  | { readonly type: 'found'; readonly members: readonly Member[] }
  /** The store holds records, but the others have a group that does not know them. */
  | { readonly type: 'foreign' }

export interface Knowledge {
  readonly self: Member
  /** What each other configured member has said; null for those that have not. */
  readonly others: readonly (Hello | null)[]
  readonly addressOf: (id: number) => string
  /** The store holds messages of a time before the group: its member founds the group, and the others join it. */
  readonly hasRecords: boolean
}

/** The members of the group as whoever is furthest has told of them; null when nobody belongs to one. */
export function newestMembers(hellos: readonly Hello[]): readonly Member[] | null {
  const inGroup = hellos.filter(({ members }) => members !== null)
  return inGroup.toSorted((left, right) => right.term - left.term)[0]?.members ?? null
}

/** The members with which this one begins. */
export function findGroup({ self, others, addressOf, hasRecords }: Knowledge): Finding {
  const heard = others.filter((hello) => hello !== null)
  const group = newestMembers(heard)
  if (group !== null) {
    const known = group.find(({ id }) => id === self.id)
    if (known?.incarnation === self.incarnation) return { type: 'found', members: group }
    if (hasRecords) return { type: 'foreign' }
    const rest = group.filter(({ id }) => id !== self.id)
    return { type: 'found', members: [...rest, { ...self, role: 'learner' }] }
  }
  if (heard.length < others.length) return { type: 'wait' }
  if (hasRecords) return { type: 'found', members: [self] }
  const founders = heard.map(({ id, incarnation }): Member => ({
    id,
    role: 'voter',
    incarnation,
    address: addressOf(id),
  }))
  const members = [self, ...founders].toSorted((left, right) => left.id - right.id)
  return { type: 'found', members }
}
