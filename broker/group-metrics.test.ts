import { expect, test } from 'vitest'
import { Registry } from '../common/metrics.ts'
import { registerGroupMetrics } from './group-metrics.ts'
import type { RaftFacts } from '../common/admin-contract.ts'
import type { GroupMember } from './group-member.ts'

const member = (id: number, role: 'voter' | 'learner') => ({
  id,
  role,
  incarnation: 1,
  address: `m${id}:1`,
})

const LEADER: RaftFacts = {
  id: 0,
  incarnation: 1,
  role: 'leader',
  term: 7,
  leader: 0,
  isReady: true,
  commitOffset: 100,
  endOffset: 130,
  members: [member(0, 'voter'), member(1, 'voter'), member(2, 'voter'), member(3, 'learner')],
  peers: [{ id: 1, matchOffset: 90, lagBytes: 40, ticksSinceAnswer: 1 }],
}

async function scraped(facts: RaftFacts | null): Promise<readonly string[]> {
  const registry = new Registry()
  registerGroupMetrics(registry, memberWith(facts))
  return (await registry.metrics()).split('\n').filter((line) => !/^#|^$/.test(line))
}

function memberWith(facts: RaftFacts | null): GroupMember {
  return {
    term: facts?.term ?? 0,
    facts,
    leaderAddress: null,
    elections: 2,
    epochs: [],
    replication: null,
    start: () => Promise.resolve(),
    transfer: () => null,
    remove: () => null,
    passTerm: () => undefined,
    close: () => Promise.resolve(),
  }
}

test('a leader tells how many vote, and what each of the others lacks', async () => {
  expect(await scraped(LEADER)).toEqual([
    'rocketmq_raft_is_leader 1',
    'rocketmq_raft_is_ready 1',
    'rocketmq_raft_term 7',
    'rocketmq_raft_voters 3',
    'rocketmq_raft_elections_won 2',
    'rocketmq_raft_uncommitted_bytes 30',
    'rocketmq_raft_peer_lag_bytes{peer="n1"} 40',
  ])
})

test('a member that has no group yet tells no number of voters', async () => {
  const lines = await scraped({ ...LEADER, role: 'joining', members: [], peers: [] })

  expect(lines.filter((line) => line.startsWith('rocketmq_raft_voters'))).toEqual([])
  expect(lines).toContain('rocketmq_raft_is_leader 0')
})

test('before the start nothing is told', async () => {
  expect(await scraped(null)).toEqual([])
})
