/** The keys of `broker.conf` about delayed messages (MessageStoreConfig, BrokerConfig); `messageDelayLevel` is the store's. */
import { integer } from '../../common/config.ts'
import type { ConfigKey } from '../../common/config.ts'

export const DELAY_KEYS: {
  readonly flushDelayOffsetInterval: ConfigKey<number>
} = {
  flushDelayOffsetInterval: integer(10_000, {
    description: 'delayOffset.json is written this often; a restart does not go by it.',
    unit: 'ms',
    min: 100,
    max: 600_000,
  }),
}
