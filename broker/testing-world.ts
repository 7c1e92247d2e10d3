/** A broker's parts and processors on the real store, on a simulated disk in virtual time: what the tests of processors run against. */
import { silentLogger } from '../common/log.ts'
import { SimulatedDisk } from '../simulation/disk.ts'
import { SeededRandom } from '../simulation/random.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { MessageStore } from '../store/message-store.ts'
import { ClientRegistry } from './client-registry.ts'
import { AuthTable } from './auth/auth-table.ts'
import { BrokerConfig } from './config.ts'
import { ConsumerOffsets } from './consumer-offsets.ts'
import { diskConfigFolder } from './config-folder.ts'
import { GroupTables } from './group-tables.ts'
import { Delays } from './delay/delays.ts'
import { LongPolling } from './long-polling.ts'
import { createProcessors } from './processors.ts'
import { notifyMembers } from './processors/clients.ts'
import { RequestModes } from './pop/request-modes.ts'
import { QueueLocks } from './queue-locks.ts'
import { BrokerStats } from './stats.ts'
import { SubscriptionGroups } from './subscription-groups.ts'
import { FakeRequest, brokerValues } from './testing.ts'
import { TopicTable } from './topics.ts'
import type { FakeRequestOptions } from './testing.ts'
import type { BrokerParts } from './parts.ts'
import type { BrokerProcessors } from './processors.ts'
import type { HostAddress } from '../common/message.ts'
import type { Replication } from '../store/types.ts'

const HOST: HostAddress = { ip: Buffer.from([10, 0, 0, 1]), port: 10911 }
const SMALL: Readonly<Record<string, string>> = {
  storePathRootDir: '/store',
  mappedFileSizeCommitLog: String(512 * 1024),
  mappedFileSizeConsumeQueue: '2000',
  maxMessageSize: String(64 * 1024),
  maxHashSlotNum: '101',
  maxIndexNum: '1000',
}

/** Of the only member of a group. */
const FACTS = {
  id: 0,
  incarnation: 0,
  role: 'leader',
  term: 7,
  leader: 0,
  isReady: true,
  members: [{ id: 0, role: 'voter', incarnation: 0, address: '10.0.0.1:10911' }],
  peers: [],
} as const

export interface BrokerWorld {
  readonly time: SimulatedTime
  readonly disk: SimulatedDisk
  readonly config: BrokerConfig
  readonly parts: BrokerParts
  /** The store as the log of the group. */
  readonly log: MessageStore
  readonly processors: BrokerProcessors
  /** Starts a request and lets its turn and what it waits for pass; the answer may be missing when the request is held. */
  call(options: FakeRequestOptions): Promise<FakeRequest>
}

/** The other members of a broker's group: what is written is committed in the next turn, unless they are away. */
export class OtherMembers implements Replication {
  #commit: ((endOffset: number) => void) | null = null
  #endOffset = 0
  #areAway = false

  join(time: Pick<SimulatedTime, 'soon'>, store: Pick<MessageStore, 'commitTo'>): void {
    this.#commit = (endOffset) => time.soon(() => store.commitTo(endOffset))
  }

  written(endOffset: number): void {
    this.#endOffset = endOffset
    if (!this.#areAway) this.#commit?.(endOffset)
  }

  persisted(): void {
    // What is written counts.
  }

  refusal(): null {
    return null
  }

  leave(): void {
    this.#areAway = true
  }

  return(): void {
    this.#areAway = false
    this.#commit?.(this.#endOffset)
  }
}

/** `machine`: where a broker has run before, to be started again. Without other members it is the only one of its group. */
export async function createBrokerWorld(
  keys: Readonly<Record<string, string>> = {},
  machine?: { readonly time: SimulatedTime; readonly disk: SimulatedDisk },
  others?: OtherMembers,
): Promise<BrokerWorld> {
  const time = machine?.time ?? new SimulatedTime()
  const disk = machine?.disk ?? new SimulatedDisk({ clock: time })
  const config = new BrokerConfig(brokerValues({ ...SMALL, ...keys }), time.now())
  const log = createLog(time, disk, config, others)
  const parts = createParts(time, disk, config, log)
  const processors = createProcessors({
    parts,
    registered: () => Promise.resolve(),
    route: () => Promise.resolve(null),
    group: {
      facts: () => ({
        ...FACTS,
        commitOffset: parts.store.status().commitOffset,
        endOffset: parts.store.endOffset,
      }),
      epochs: () => [{ term: 7, startOffset: 0 }],
      transfer: () => 'the group has one member',
    },
  })
  parts.clients.onGroupChange((group) => notifyMembers(parts, group))
  const started = parts.store.start()
  await time.settle()
  await started
  const loaded = parts.tables.load()
  await time.settle()
  await loaded
  return {
    time,
    disk,
    config,
    parts,
    log,
    processors,
    async call(options) {
      const request = new FakeRequest(options)
      const processor = processors.byCode.get(options.code)
      if (processor === undefined) throw new Error(`no processor for ${options.code}`)
      const running = processor(request)
      await time.settle()
      await running
      await time.settle()
      return request
    },
  }
}

function createLog(
  time: SimulatedTime,
  disk: SimulatedDisk,
  config: BrokerConfig,
  others: OtherMembers | undefined,
): MessageStore {
  const log = new MessageStore({
    config: config.storeConfig(),
    runtime: { clock: time, timers: time, disk },
    logger: silentLogger,
    storeHost: () => HOST,
    onFailure: () => undefined,
    buffer: { chunkSize: 64 * 1024, chunkCount: 4 },
    ...(others === undefined ? {} : { replication: others }),
  })
  others?.join(time, log)
  return log
}

function createParts(
  time: SimulatedTime,
  disk: SimulatedDisk,
  config: BrokerConfig,
  store: MessageStore,
): BrokerParts {
  const folder = diskConfigFolder(disk, '/store/config')
  const tables = new GroupTables({
    log: store,
    folder,
    timers: time,
    logger: silentLogger,
    segmentSize: 512 * 1024,
  })
  let ids = 0
  const stats = new BrokerStats(time)
  return {
    config,
    store,
    tables,
    topics: new TopicTable({
      config,
      tables,
      clock: time,
      onDelete: (topic, physicalOffset) => store.deleteTopic(topic, physicalOffset),
    }),
    groups: new SubscriptionGroups({ config, tables, clock: time }),
    offsets: new ConsumerOffsets({ tables, saveAfterMs: 5000 }),
    requestModes: new RequestModes({ config, tables }),
    users: new AuthTable(tables),
    clients: new ClientRegistry(time),
    locks: new QueueLocks(time),
    longPolling: new LongPolling({
      clock: time,
      timers: time,
      store,
    }),
    stats,
    delays: new Delays(config, time, stats),
    configFolder: folder,
    clock: time,
    timers: time,
    random: new SeededRandom(1),
    logger: silentLogger,
    diskSpace: () => disk.spaceSync(),
    uniqueId: () => `UNIQUE${ids++}`,
    storeHost: () => HOST,
    brokerAddress: () => '10.0.0.1:10911',
  }
}
