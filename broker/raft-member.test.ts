import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { SimulatedDisk } from '../simulation/disk.ts'
import { SimulatedNetwork } from '../simulation/network.ts'
import { SeededRandom } from '../simulation/random.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { MessageStore } from '../store/message-store.ts'
import { TEST_HOST, testConfig } from '../store/testing.ts'
import { RaftMember } from './raft-member.ts'

// Goal: nothing of a leader's waits in its log when another one leads. Method: a member that is elected, whose disk does not take the first
// record of its term.
test('a leader that was not ready yet leaves nothing behind that would keep the next leader from cutting its log', async () => {
  const time = new SimulatedTime()
  const random = new SeededRandom(1)
  const disk = new SimulatedDisk({ clock: time })
  const network = new SimulatedNetwork({ timers: time, random, latencyMs: 2 })
  const runtime = { clock: time, timers: time, random, disk, network: network.of('n0') }
  const config = testConfig({ flushDiskType: 'SYNC_FLUSH' })
  const failures: unknown[] = []
  const onFailure = (error: unknown) => failures.push(error)
  const member: RaftMember = new RaftMember({
    runtime,
    logger: silentLogger,
    storePathRootDir: config.storePathRootDir,
    group: 'test/broker-a',
    id: 0,
    peers: [{ id: 0, host: 'n0', port: 40_911 }],
    listenHost: 'n0',
    clientPort: 10_911,
    store: () => store,
    tables: () => ({ save: () => null, install: () => undefined }),
    events: { onLeading: () => undefined, onFollowing: () => undefined },
    onFailure,
  })
  const store = new MessageStore({
    config,
    runtime,
    logger: silentLogger,
    storeHost: () => TEST_HOST,
    onFailure,
    replication: member.replication,
  })
  await store.start()
  disk.holdSyncs()
  await member.start()
  await time.advance(3000)
  expect([member.facts?.role, member.facts?.isReady]).toEqual(['leader', false])

  await time.advance(5000)

  expect(member.facts?.role).not.toBe('leader')
  store.truncateTo(store.commitOffset)
  expect(store.endOffset).toBe(store.commitOffset)
  expect(failures).toEqual([])
})
