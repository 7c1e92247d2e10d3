/** Metrics of a member of a broker group: who leads, and how far the members are. */
import type { Registry } from '../common/metrics.ts'
import type { RaftFacts } from '../common/admin-contract.ts'
import type { GroupMember } from './group-member.ts'

export function registerGroupMetrics(registry: Registry, member: GroupMember): void {
  const gauge = (name: string, help: string, read: (facts: RaftFacts) => number | null) => {
    registry.registerSampled({
      name,
      help,
      type: 'gauge',
      samples: () => {
        const value = member.facts === null ? null : read(member.facts)
        return value === null ? [] : [{ suffix: '', labels: {}, value }]
      },
    })
  }
  gauge('rocketmq_raft_is_leader', '1 while this member leads its group', ({ role }) =>
    role === 'leader' ? 1 : 0,
  )
  gauge('rocketmq_raft_is_ready', '1 while this member serves, or follows in sync', ({ isReady }) =>
    isReady ? 1 : 0,
  )
  gauge('rocketmq_raft_term', 'Term of this member', ({ term }) => term)
  gauge('rocketmq_raft_voters', 'Members of the group that vote', ({ members }) =>
    members.length === 0 ? null : members.filter(({ role }) => role === 'voter').length,
  )
  gauge(
    'rocketmq_raft_elections_won',
    'Elections that this member has won since its start',
    () => member.elections,
  )
  gauge(
    'rocketmq_raft_uncommitted_bytes',
    'Bytes of the log that are not known to be committed',
    ({ endOffset, commitOffset }) => Math.max(0, endOffset - commitOffset),
  )
  registry.registerSampled({
    name: 'rocketmq_raft_peer_lag_bytes',
    help: 'Bytes of the log that a member lacks, as its leader sees it',
    type: 'gauge',
    samples: () =>
      (member.facts?.peers ?? []).flatMap(({ id, lagBytes }) =>
        lagBytes === null ? [] : [{ suffix: '', labels: { peer: `n${id}` }, value: lagBytes }],
      ),
  })
}
