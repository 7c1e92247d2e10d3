/** A member as it is: the whole broker, with its servers on the simulated network. */
import { createRegistry } from '../common/metrics.ts'
import { Broker } from '../broker/broker.ts'
import { diskConfigFolder } from '../broker/config-folder.ts'
import { loadBrokerConfig } from '../broker/config.ts'
import { RaftMember } from '../broker/raft-member.ts'
import { MessageStore } from '../store/message-store.ts'
import { CLIENT_PORT, PEER_PORT } from './store-program.ts'
import type { AdminRoutes } from '../common/admin-server.ts'
import type { BrokerValues } from '../broker/config.ts'
import type { StoreOptions } from '../broker/broker.ts'
import type { RaftDriver } from '../raft/driver.ts'
import type { Program, ProgramOptions } from './member.ts'

const HAND_OVER = 'POST /admin/v1/raft/transfer'
const ACCEPTED = 202

export class BrokerProgram implements Program {
  readonly #broker: Broker
  #admin: AdminRoutes = {}
  readonly store: MessageStore

  constructor(options: ProgramOptions) {
    const { member, runtime, logger, onFailure } = options
    const values = valuesOf(options)
    const stores: MessageStore[] = []
    this.#broker = new Broker({
      values,
      runtime,
      logger,
      registry: createRegistry({
        cluster: values.brokerClusterName,
        nodeType: 'broker',
        nodeId: values.brokerName,
      }),
      openStore: (storeOptions) => {
        const store = openStore(options, storeOptions)
        stores.push(store)
        return store
      },
      configFolder: (path) => diskConfigFolder(runtime.disk, path),
      kubernetes: null,
      leaderService: null,
      pid: 1 + member.id,
      listenAdmin: ({ routes }) => {
        this.#admin = routes
        return Promise.resolve({ port: 0, close: () => Promise.resolve() })
      },
      onFatal: onFailure,
    })
    const [store] = stores
    if (store === undefined) throw new Error('a broker opens its store')
    this.store = store
  }

  get driver(): RaftDriver | null {
    const { member } = this.#broker
    return member instanceof RaftMember ? member.driver : null
  }

  get isReady(): boolean {
    return this.driver?.raft?.role === 'leader' && this.#broker.member.facts?.isReady === true
  }

  /** As `gantry admin` and a pod that stops ask for it. */
  async handOver(): Promise<boolean> {
    const request = { path: HAND_OVER, query: new URLSearchParams(), body: '' }
    const answer = await this.#admin[HAND_OVER]?.(request)
    return answer?.status === ACCEPTED
  }

  start(): Promise<void> {
    return this.#broker.start()
  }

  close(): Promise<void> {
    return this.#broker.close()
  }
}

function openStore({ member, context }: ProgramOptions, options: StoreOptions): MessageStore {
  const { plant, settings } = context
  const { replication } = options
  const planted =
    replication === undefined
      ? undefined
      : member.observed(plant?.replication?.(replication, () => member) ?? replication)
  return new MessageStore({
    ...options,
    ...(planted === undefined ? {} : { replication: planted }),
    buffer: { chunkSize: settings.chunkSize, chunkCount: settings.chunkCount },
  })
}

/** As in production but for sizes, and for times that would make a run long. */
function valuesOf({ member, context }: ProgramOptions): BrokerValues {
  const { settings, config } = context
  const peers = context.peersOf(member).map((id) => `n${id}-n${id}:${PEER_PORT}`)
  const keys = {
    brokerName: 'broker-a',
    brokerIP1: `10.0.0.${1 + member.id}`,
    bindAddress: member.host,
    listenPort: CLIENT_PORT,
    // Its administrator has an address of another machine.
    allowUnauthenticatedAdmin: true,
    enableDLegerCommitLog: true,
    dLegerPeers: peers.join(';'),
    dLegerSelfId: `n${member.id}`,
    storePathRootDir: config.storePathRootDir,
    flushDiskType: settings.flushDiskType,
    mappedFileSizeCommitLog: settings.segmentSize,
    mappedFileSizeConsumeQueue: config.mappedFileSizeConsumeQueue,
    maxMessageSize: 4096,
    maxHashSlotNum: config.maxHashSlotNum,
    maxIndexNum: config.maxIndexNum,
    recallMessageEnable: true,
    enableLmq: true,
    enableMultiDispatch: true,
    enablePropertyFilter: true,
    transactionTimeOut: 2000,
    transactionCheckInterval: 3000,
    transactionCheckMax: 1000,
    transactionOpBatchInterval: 500,
  }
  return loadBrokerConfig({
    file: null,
    environment: {},
    flags: Object.entries(keys).map(([key, value]) => `${key}=${value}`),
    nameServers: null,
    defaults: { hostName: member.host, homeDirectory: '/' },
  }).values
}
