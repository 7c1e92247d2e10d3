/**
 * One data folder, opened in turn by Apache RocketMQ's broker and by Gantry's, with the same broker.conf: whatever one has written
 * the other serves, message by message, and goes on writing.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { run } from './environment.ts'
import { StoreWitness } from './store-witness.ts'
import { ServerProcess, buildJavaBroker } from './server-process.ts'
import type { ServerKind } from './server-process.ts'

const PORT = 21_372
const SEGMENT_SIZE = 1_048_576
const ROUND_SIZE = 1_200

let folder = ''
let running: ServerProcess | null = null
let witness: StoreWitness

beforeAll(async () => {
  await buildJavaBroker()
})

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gantry-java-store-'))
  witness = new StoreWitness()
})

afterEach(async () => {
  await witness.close()
  await running?.kill()
  running = null
  await rm(folder, { recursive: true, force: true })
})

describe.each(['stopped in good order', 'killed'] as const)('a broker %s', (ending) => {
  test('leaves a store that the other one serves and continues', async () => {
    const end = async (): Promise<void> => {
      await (ending === 'killed' ? running?.kill() : running?.stop())
      running = null
    }

    for (const kind of ['java', 'gantry', 'java', 'gantry'] as const) {
      if (kind === 'java' && ending === 'killed') witness.forgetKeys()
      const address = await open(kind)
      await witness.expectEverything(address, `${kind}, just opened`)
      if (witness.rounds === 0) await witness.createTopics(address)
      await witness.write(address, ROUND_SIZE)
      await witness.expectEverything(address, `${kind}, after writing`)
      await witness.settle(storeFolder())
      await end()
      if (kind === 'gantry') await run('./gantry', ['fsck', storeFolder()])
    }

    const segments = await readdir(join(storeFolder(), 'commitlog'))
    expect(segments.length).toBeGreaterThan(3)
  })
})

async function open(kind: ServerKind): Promise<string> {
  running = ServerProcess.start({
    kind,
    role: 'broker',
    folder,
    config: {
      brokerClusterName: 'DefaultCluster',
      brokerName: 'broker-a',
      brokerId: 0,
      brokerRole: 'ASYNC_MASTER',
      flushDiskType: 'ASYNC_FLUSH',
      brokerIP1: '127.0.0.1',
      listenPort: PORT,
      storePathRootDir: storeFolder(),
      storePathCommitLog: join(storeFolder(), 'commitlog'),
      mappedFileSizeCommitLog: SEGMENT_SIZE,
      maxMessageSize: 65_536,
      flushConsumerOffsetInterval: 1_000,
      diskMaxUsedSpaceRatio: 95,
    },
  })
  await running.ready()
  return running.address
}

function storeFolder(): string {
  return join(folder, 'store')
}
