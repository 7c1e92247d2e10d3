import { describe, expect, test } from 'vitest'
import { groupOf, groupProblem } from './group-config.ts'

const THREE = 'n0-a:40911;n1-b.svc:40912; n2-10.0.0.1:40913 ;'

function keys(dLegerPeers: string, dLegerSelfId = 'n0', enableDLegerCommitLog = true) {
  return { enableDLegerCommitLog, dLegerPeers, dLegerSelfId }
}

describe('the members of a group', () => {
  test('are read as DLedger writes them', () => {
    expect(groupOf(keys(THREE, 'n2'))).toEqual({
      id: 2,
      peers: [
        { id: 0, host: 'a', port: 40911 },
        { id: 1, host: 'b.svc', port: 40912 },
        { id: 2, host: '10.0.0.1', port: 40913 },
      ],
    })
    expect(groupProblem(keys(THREE, 'n2'))).toBeNull()
  })

  test('are none where the log is not replicated', () => {
    expect(groupOf(keys(THREE, 'n0', false))).toBeNull()
    expect(groupProblem(keys('nonsense', 'x', false))).toBeNull()
  })

  test.each([
    ['no member at all', '', 'n0', 'dLegerPeers', '1, 3 or 5 members, not 0'],
    ['two members', 'n0-a:1;n1-b:2', 'n0', 'dLegerPeers', '1, 3 or 5 members, not 2'],
    ['a member twice', 'n0-a:1;n0-b:2;n1-c:3', 'n0', 'dLegerPeers', 'twice'],
    ['no port', 'n0-a', 'n0', 'dLegerPeers', 'is not n0-host:port'],
    ['a port that there is not', 'n0-a:65536', 'n0', 'dLegerPeers', 'is not n0-host:port'],
    ['a member that is none of them', THREE, 'n3', 'dLegerSelfId', 'is none of'],
    ['a member without a number', THREE, 'a', 'dLegerSelfId', 'is not n0, n1'],
  ])('%s is refused with the key', (_what, peers, self, key, problem) => {
    expect(groupProblem(keys(peers, self))).toEqual({
      key,
      problem: expect.stringContaining(problem),
    })
  })
})
