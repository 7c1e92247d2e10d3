import { expect, test } from 'vitest'
import type { ConfigFacts } from '../common/admin-contract.ts'
import { configHashes } from './resources/common.ts'
import { liveChanges, restartNeed } from './restart-need.ts'
import type { WantedPod } from './restart-need.ts'
import type { PodFacts } from './snapshot.ts'

const MADE_WITH = { traceOn: 'true', registerNameServerPeriod: '30000' }

const POD: PodFacts = {
  name: 'p-0',
  uid: 'u',
  ordinal: 0,
  isReady: true,
  isTerminating: false,
  createdAt: 1_000,
  dueAt: null,
  unscheduled: null,
  node: null,
  revision: 'r1',
  configHashes: configHashes(MADE_WITH),
  problem: null,
  endpoint: null,
}

const FACTS: ConfigFacts = {
  entries: {
    traceOn: { value: 'true', live: true },
    fileReservedTime: { value: '48', live: true, default: '72' },
    registerNameServerPeriod: { value: '30000', live: false },
  },
}

function wanted(
  config: Readonly<Record<string, string>>,
  changes: Partial<WantedPod> = {},
): WantedPod {
  return { revision: 'r1', restartAt: null, ...changes, config }
}

test.each([
  ['nothing', wanted(MADE_WITH), 'none'],
  ['the template', wanted(MADE_WITH, { revision: 'r2' }), 'needed'],
  ['a live key', wanted({ ...MADE_WITH, traceOn: 'false' }), 'none'],
  ['a restart key', wanted({ ...MADE_WITH, registerNameServerPeriod: '20000' }), 'needed'],
  ['a key that the broker does not know', wanted({ ...MADE_WITH, heapSize: '1' }), 'none'],
  [
    'a live key that is no longer set, without a known default',
    wanted({ registerNameServerPeriod: '30000' }),
    'needed',
  ],
  ['the time to restart after its creation', wanted(MADE_WITH, { restartAt: 2_000 }), 'needed'],
  ['the time to restart before its creation', wanted(MADE_WITH, { restartAt: 500 }), 'none'],
])('a pod that differs in %s', (_what, wish, expected) => {
  expect(restartNeed(POD, wish, FACTS).type).toBe(expected)
})

test('without knowing which keys are live nothing is restarted', () => {
  expect(restartNeed(POD, wanted({ ...MADE_WITH, traceOn: 'false' }), null).type).toBe('unknown')
})

test('only live keys with another value are pushed, and spelling is no difference', () => {
  const config = { traceOn: 'TRUE', fileReservedTime: '24', registerNameServerPeriod: '1' }

  expect(liveChanges(config, POD, FACTS, [])).toEqual({ fileReservedTime: '24' })
  expect(liveChanges({ fileReservedTime: '048' }, POD, FACTS, [])).toEqual({})
  expect(liveChanges(config, POD, FACTS, ['fileReservedTime'])).toEqual({})
})

test('a live key that is no longer set goes back to its default', () => {
  const pod = { ...POD, configHashes: configHashes({ fileReservedTime: '48' }) }

  expect(liveChanges({}, pod, FACTS, [])).toEqual({ fileReservedTime: '72' })
  expect(restartNeed(pod, wanted({}), FACTS).type).toBe('none')
})

const PEERS = { one: 'n0-a:1', three: 'n0-a:1;n1-b:1;n2-c:1', five: 'n0-a:1;n1-b:1;n2-c:1;n3-d:1' }

test.each([
  ['three to more', PEERS.three, PEERS.five, false, 'none'],
  ['three to one', PEERS.three, PEERS.one, false, 'none'],
  ['one to three', PEERS.one, PEERS.three, false, 'none'],
  ['one to three, where it learns of them while it runs', PEERS.one, PEERS.three, true, 'none'],
])('members that go from %s', (_what, had, wants, live, expected) => {
  const pod = { ...POD, configHashes: configHashes({ dLegerPeers: had }) }
  const facts = { entries: { dLegerPeers: { value: had, live } } }

  expect(restartNeed(pod, wanted({ dLegerPeers: wants }), facts).type).toBe(expected)
})
