/** What the core does when the log around it cannot follow. */
import { expect, test } from 'vitest'
import { SeededRandom } from '../simulation/random.ts'
import type { AppendRequest } from './messages.ts'
import { Raft } from './raft.ts'
import { voters } from './testing-group.ts'

const SIZE = 10

function newRaft(endOffset = 0, configurationOffset = 0): Raft<string> {
  return new Raft<string>(
    {
      id: 0,
      bootId: 1,
      random: new SeededRandom(1),
      // As a log with records that are encoded and not written yet.
      log: { startOffset: 0, endOffset, batchEnd: (offset) => offset + 100 * SIZE, hasRoom: true },
      electionTicks: 10,
      heartbeatTicks: 1,
      maxBatchBytes: 1000,
      maxInFlightBytes: 1000,
      maxUncommittedBytes: 1000,
      preferredLeader: null,
    },
    {
      hardState: { term: 1, votedFor: null },
      epochs: endOffset === 0 ? [] : [{ term: 1, startOffset: 0 }],
      configurations: [{ offset: configurationOffset, members: voters(3) }],
      commitOffset: 0,
      endOffset,
    },
  )
}

function append(from: number, to: number, commitOffset: number): AppendRequest<string> {
  return {
    type: 'appendRequest',
    term: 1,
    previousOffset: from,
    previousTerm: from === 0 ? 0 : 1,
    endOffset: to,
    epochs: from === 0 ? [{ term: 1, startOffset: 0 }] : [],
    records: 'records',
    checksum: null,
    commitOffset,
    readContext: 0,
  }
}

test('records that find no room are as if they had not come, and are taken when they come again', () => {
  const raft = newRaft()
  raft.receive(1, append(0, 20, 20))
  expect(raft.takeEffects().map(({ type }) => type)).toContain('appendRecords')

  raft.appendRefused(0)

  expect([raft.endOffset, raft.commitOffset, raft.epochs]).toEqual([0, 0, []])
  raft.receive(1, append(0, 20, 20))
  const again = raft.takeEffects().find(({ type }) => type === 'appendRecords')
  expect(again).toMatchObject({ fromOffset: 0, endOffset: 20 })
})

test('a configuration before one that is known to be committed changes nothing', () => {
  const raft = newRaft(SIZE, 50)

  raft.configurationAppended({ offset: 20, members: voters(1) })

  expect(raft.configuration).toEqual({ offset: 50, members: voters(3) })
})

test('a leader counts as sent only what it has written', () => {
  const raft = newRaft(SIZE)
  for (let tick = 0; tick < 30 && raft.role !== 'preCandidate'; tick++) raft.tick()
  raft.receive(1, { type: 'voteResponse', term: 2, isPreVote: true, isGranted: true })
  raft.receive(1, { type: 'voteResponse', term: 2, isPreVote: false, isGranted: true })
  raft.takeEffects()

  raft.localAppended(3 * SIZE)

  const sent = raft.takeEffects().filter(({ type }) => type === 'sendRecords')
  expect(sent).toHaveLength(2)
  for (const effect of sent) expect(effect).toMatchObject({ message: { endOffset: 3 * SIZE } })
})
