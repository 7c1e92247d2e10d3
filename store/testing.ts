/** What the tests of the store share: small configurations, messages, and puts as promises. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { DEFAULT_DELAY_LEVELS } from '../common/delay-levels.ts'
import { silentLogger } from '../common/log.ts'
import type { HostAddress, MessageToStore } from '../common/message.ts'
import type { Random, Runtime } from '../common/ports.ts'
import { createRuntime } from '../common/runtime.ts'
import { formatProperties } from '../common/properties.ts'
import { SimulatedDisk } from '../simulation/disk.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { MessageStore } from './message-store.ts'
import type { GetRequest, GetResult, PutResult, PutWait, Retention, StoreConfig } from './types.ts'

export const TEST_HOST: HostAddress = { ip: Buffer.from([127, 0, 0, 1]), port: 10911 }

export function testConfig(overrides: Partial<StoreConfig> = {}): StoreConfig {
  return {
    storePathRootDir: '/store',
    storePathCommitLog: '/store/commitlog',
    mappedFileSizeCommitLog: 16 * 1024,
    mappedFileSizeConsumeQueue: 20 * 50,
    flushDiskType: 'ASYNC_FLUSH',
    flushIntervalCommitLog: 500,
    flushCommitLogThoroughInterval: 10_000,
    flushIntervalConsumeQueue: 1000,
    flushConsumeQueueThoroughInterval: 60_000,
    syncFlushTimeout: 5000,
    warmMapedFileEnable: false,
    maxMessageSize: 4096,
    messageIndexEnable: true,
    maxHashSlotNum: 101,
    maxIndexNum: 1000,
    maxMsgsNumBatch: 64,
    fileReservedTime: 72,
    deleteWhen: '04',
    cleanResourceInterval: 10_000,
    diskMaxUsedSpaceRatio: 75,
    diskSpaceCleanForciblyRatio: 85,
    diskSpaceWarningLevelRatio: 90,
    maxTransferBytesOnMessageInMemory: 262_144,
    maxTransferCountOnMessageInMemory: 32,
    maxTransferBytesOnMessageInDisk: 65_536,
    maxTransferCountOnMessageInDisk: 8,
    accessMessageInMemoryMaxRatio: 40,
    messageDelayLevel: DEFAULT_DELAY_LEVELS,
    enableLmq: false,
    enableMultiDispatch: false,
    maxLmqConsumeQueueNum: 20_000,
    ...overrides,
  }
}

export interface TestMessage {
  readonly topic?: string
  readonly queueId?: number
  readonly body?: string | Buffer
  readonly properties?: Readonly<Record<string, string>>
  readonly sysFlag?: number
}

export function testMessage(options: TestMessage = {}): MessageToStore {
  const body = options.body ?? 'hello'
  return {
    topic: options.topic ?? 'Orders',
    queueId: options.queueId ?? 0,
    flag: 0,
    sysFlag: options.sysFlag ?? 0,
    bornTimestamp: 1_700_000_000_000,
    bornHost: { ip: Buffer.from([10, 0, 0, 7]), port: 40_000 },
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: typeof body === 'string' ? Buffer.from(body) : body,
    properties: Buffer.from(formatProperties(Object.entries(options.properties ?? {}))),
  }
}

/** A store that collects its failures. */
export function testStore(
  runtime: Pick<Runtime, 'clock' | 'timers' | 'disk'>,
  overrides: Partial<StoreConfig> = {},
  retention: Retention | null = null,
): { readonly store: MessageStore; readonly failures: Error[] } {
  const failures: Error[] = []
  const store = new MessageStore({
    config: testConfig(overrides),
    runtime,
    logger: silentLogger,
    storeHost: () => TEST_HOST,
    onFailure: (error) => failures.push(error),
    ...(retention === null ? {} : { retention }),
    buffer: { chunkSize: 8 * 1024, chunkCount: 2 },
  })
  return { store, failures }
}

export interface MemberOptions {
  /** An empty one when it is not given. */
  readonly disk?: SimulatedDisk
  /** Told up to where the log has been written. */
  readonly written?: (offset: number) => void
}

/** The store of one member of several, opened; failures are thrown. */
export async function openMember(
  time: SimulatedTime,
  { disk = new SimulatedDisk({ clock: time }), written = () => undefined }: MemberOptions = {},
): Promise<MessageStore> {
  const store = new MessageStore({
    config: testConfig({ flushDiskType: 'SYNC_FLUSH' }),
    runtime: { clock: time, timers: time, disk },
    logger: silentLogger,
    storeHost: () => TEST_HOST,
    onFailure: (error) => {
      throw error
    },
    replication: { written, persisted: () => undefined, refusal: () => null },
    buffer: { chunkSize: 8 * 1024, chunkCount: 2 },
  })
  const starting = store.start()
  await time.settle()
  await starting
  return store
}

/** Resolves when the put is answered. */
export function put(
  store: MessageStore,
  messages: MessageToStore | readonly MessageToStore[],
  wait: PutWait = 'inTime',
): Promise<PutResult> {
  const batch = Array.isArray(messages) ? messages : [messages]
  return new Promise((resolve) => store.put(batch, wait, resolve))
}

export function get(store: MessageStore, request: Partial<GetRequest> = {}): Promise<GetResult> {
  const whole = { topic: 'Orders', queueId: 0, queueOffset: 0, maxMessages: 32, filter: null }
  return new Promise((resolve) => store.get({ ...whole, ...request }, resolve))
}

/** Where a test runs: on the simulated disk in virtual time, or on the real one. */
export interface TestWorld {
  readonly kind: 'simulated' | 'real'
  readonly runtime: Pick<Runtime, 'clock' | 'timers' | 'disk'>
  readonly root: string
  /** Waits for a promise while turns of the event loop pass. */
  readonly settle: <Result>(promise: Promise<Result>) => Promise<Result>
  readonly cleanUp: () => void
}

export function simulatedWorld(): TestWorld & {
  readonly time: SimulatedTime
  readonly disk: SimulatedDisk
  /** Ends the process like kill -9. */
  readonly kill: () => void
  /** Cuts the power; with `random`, unsynced sectors survive by chance. */
  readonly cutPower: (random: Random | null) => void
} {
  const time = new SimulatedTime()
  const disk = new SimulatedDisk({ clock: time })
  return {
    kind: 'simulated',
    runtime: { clock: time, timers: time, disk },
    root: '/store',
    settle: async (promise) => {
      let isDone = false
      const watched = promise.finally(() => {
        isDone = true
      })
      // A rejection is the caller's; this only stops the loop.
      watched.catch(() => undefined)
      for (let turn = 0; turn < 10_000 && !isDone; turn++) await time.settle()
      return watched
    },
    cleanUp: () => undefined,
    time,
    disk,
    kill: () => {
      time.killProcess()
      disk.kill()
    },
    cutPower: (random) => {
      time.killProcess()
      disk.crash(random)
    },
  }
}

export function realWorld(): TestWorld {
  const root = mkdtempSync(`${tmpdir()}/gantry-store-`)
  return {
    kind: 'real',
    runtime: createRuntime(),
    root: `${root}/store`,
    settle: (promise) => promise,
    cleanUp: () => rmSync(root, { recursive: true, force: true }),
  }
}

export const TEST_WORLDS: readonly (readonly [string, () => TestWorld])[] = [
  ['simulated', simulatedWorld],
  ['real', realWorld],
]

/** A started store in a world. */
export async function openStore(
  world: TestWorld,
  overrides: Partial<StoreConfig> = {},
  retention: Retention | null = null,
): Promise<{ readonly store: MessageStore; readonly failures: Error[] }> {
  const config = { storePathRootDir: world.root, storePathCommitLog: '', ...overrides }
  const opened = testStore(world.runtime, config, retention)
  await world.settle(opened.store.start())
  return opened
}
