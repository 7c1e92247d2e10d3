/** What the processors of a broker work on; `broker.ts` makes one of these. */
import type { AuthTable } from './auth/auth-table.ts'
import type { BrokerConfig } from './config.ts'
import type { Delays } from './delay/delays.ts'
import type { ConfigFolder } from './persisted-table.ts'
import type { BrokerStats } from './stats.ts'
import type { ClientRegistry } from './client-registry.ts'
import type { ConsumerOffsets } from './consumer-offsets.ts'
import type { GroupTables } from './group-tables.ts'
import type { LongPolling } from './long-polling.ts'
import type { RequestModes } from './pop/request-modes.ts'
import type { QueueLocks } from './queue-locks.ts'
import type { SubscriptionGroups } from './subscription-groups.ts'
import type { TopicTable } from './topics.ts'
import type { HostAddress } from '../common/message.ts'
import type { Logger } from '../common/log.ts'
import type { Clock, DiskSpace, Random, Timers } from '../common/ports.ts'
import type { Store } from '../store/types.ts'

export interface BrokerParts {
  readonly config: BrokerConfig
  readonly store: Store
  /** Where tables of one's own are added, before the broker starts. */
  readonly tables: GroupTables
  readonly topics: TopicTable
  readonly groups: SubscriptionGroups
  readonly offsets: ConsumerOffsets
  readonly requestModes: RequestModes
  readonly users: AuthTable
  readonly clients: ClientRegistry
  readonly locks: QueueLocks
  readonly longPolling: LongPolling
  readonly stats: BrokerStats
  /** Whoever stores a message that may ask for a delay has it diverted there. */
  readonly delays: Delays
  /** `config/` of the data folder. */
  readonly configFolder: ConfigFolder
  readonly clock: Clock
  readonly timers: Pick<Timers, 'after' | 'soon'>
  readonly random: Random
  readonly logger: Logger
  /** Of the volume that holds the CommitLog; null when it cannot be told. */
  diskSpace(): DiskSpace | null
  /** Makes a UNIQ_KEY for messages whose client gave none. */
  uniqueId(): string
  /** The address that clients are told, as records and offset ids hold it. */
  storeHost(): HostAddress
  /** The same as `host:port`. */
  brokerAddress(): string
}
