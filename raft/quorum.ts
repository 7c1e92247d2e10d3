/** Majorities of a configuration. */
import type { Configuration, MemberId } from './messages.ts'

export function votersOf(configuration: Configuration): readonly MemberId[] {
  return configuration.members.filter(({ role }) => role === 'voter').map(({ id }) => id)
}

export function isQuorum(
  voters: readonly MemberId[],
  agreeing: (id: MemberId) => boolean,
): boolean {
  let count = 0
  for (const id of voters) if (agreeing(id)) count++
  return count * 2 > voters.length
}

/** The greatest offset that a majority of the voters has reached. */
export function quorumOffset(
  voters: readonly MemberId[],
  matchOffset: (id: MemberId) => number,
): number {
  const offsets = voters.map((id) => matchOffset(id)).sort((left, right) => right - left)
  return offsets[offsets.length >> 1] ?? 0
}

/** Why one configuration may not follow another; null when at most one voter comes or goes (Raft thesis §4.1). */
export function changeProblem(from: Configuration, to: Configuration): string | null {
  const before = new Set(votersOf(from))
  const after = new Set(votersOf(to))
  const changed =
    [...before].filter((id) => !after.has(id)).length +
    [...after].filter((id) => !before.has(id)).length
  if (changed > 1) return 'more than one voter comes or goes'
  if (after.size === 0) return 'no voter is left'
  const ids = to.members.map(({ id }) => id)
  if (new Set(ids).size < ids.length) return 'a member is named twice'
  const isReborn = to.members.some(({ id, role, incarnation }) => {
    const old = from.members.find((member) => member.id === id)
    return old !== undefined && old.incarnation !== incarnation && role === 'voter'
  })
  return isReborn ? 'a member with a new disk comes back as a learner' : null
}
