/** A member without its processors: the store, Raft and a table, with the glue of the broker. */
import { diskConfigFolder } from '../broker/config-folder.ts'
import { GroupTables } from '../broker/group-tables.ts'
import { RaftMember } from '../broker/raft-member.ts'
import { MessageStore } from '../store/message-store.ts'
import { Journal } from './journal.ts'
import type { TableHandle } from '../broker/group-tables.ts'
import type { RaftDriver } from '../raft/driver.ts'
import type { Program, ProgramOptions } from './member.ts'

export const PEER_PORT = 40_911
export const CLIENT_PORT = 10_911

export class StoreProgram implements Program {
  readonly #options: ProgramOptions
  readonly #group: RaftMember
  readonly #tables: GroupTables
  readonly store: MessageStore
  readonly journal: Journal = new Journal()
  readonly handle: TableHandle
  isReady: boolean = false

  constructor(options: ProgramOptions) {
    this.#options = options
    const { context, runtime, logger } = options
    const { config, settings } = context
    this.#group = this.#newGroup()
    this.store = this.#newStore()
    this.#tables = new GroupTables({
      log: this.store,
      folder: diskConfigFolder(runtime.disk, `${config.storePathRootDir}/config`),
      timers: runtime.timers,
      logger,
      segmentSize: settings.segmentSize,
    })
    this.handle = this.#tables.add(this.journal)
  }

  get driver(): RaftDriver | null {
    return this.#group.driver
  }

  async start(): Promise<void> {
    await this.store.start()
    this.#options.context.plant?.started?.(this.store)
    await this.#tables.load()
    await this.#group.start()
  }

  handOver(): Promise<boolean> {
    return Promise.resolve(this.driver?.transferLeadership(null) === null)
  }

  async close(): Promise<void> {
    this.isReady = false
    await this.#group.close()
    await this.#tables.close()
    await this.store.close()
  }

  #newGroup(): RaftMember {
    const { member, context, runtime, logger, onFailure } = this.#options
    const { config } = context
    return new RaftMember({
      runtime,
      logger,
      storePathRootDir: config.storePathRootDir,
      group: 'simulation/broker-a',
      id: member.id,
      peers: context.peersOf(member).map((id) => ({ id, host: `n${id}`, port: PEER_PORT })),
      listenHost: member.host,
      clientPort: CLIENT_PORT,
      store: () => this.store,
      tables: () => this.#tables,
      events: {
        onLeading: (term) => this.#lead(term),
        onFollowing: () => {
          this.isReady = false
        },
        onNoRoom: (successor) => this.driver?.transferLeadership(successor),
      },
      onFailure,
    })
  }

  #newStore(): MessageStore {
    const { member, context, runtime, logger, onFailure } = this.#options
    const { config, settings, plant } = context
    const { replication } = this.#group
    return new MessageStore({
      config,
      runtime,
      logger,
      storeHost: () => ({ ip: Buffer.from([10, 0, 0, 1 + member.id]), port: CLIENT_PORT }),
      onFailure,
      retention: {
        slowestRead: () => Promise.resolve(null),
        readOffset: () => null,
        reserveHours: () => null,
        neededOffset: () => this.#tables.savedOffset,
      },
      replication: member.observed(plant?.replication?.(replication, () => member) ?? replication),
      buffer: { chunkSize: settings.chunkSize, chunkCount: settings.chunkCount },
    })
  }

  #lead(term: number): void {
    const { member, context } = this.#options
    context.engine.note(`${member.host} leads term=${term}`)
    this.isReady = true
    context.plant?.ready?.(this.store)
  }
}
