/** The keys of `broker.conf` about delayed messages (MessageStoreConfig, BrokerConfig); `messageDelayLevel` is the store's. */
import { flag, integer } from '../../common/config.ts'
import type { ConfigKey } from '../../common/config.ts'

export const DELAY_KEYS: {
  readonly flushDelayOffsetInterval: ConfigKey<number>
  readonly timerWheelEnable: ConfigKey<boolean>
  readonly timerMaxDelaySec: ConfigKey<number>
  readonly timerPrecisionMs: ConfigKey<number>
  readonly timerCongestNumEachSlot: ConfigKey<number>
  readonly recallMessageEnable: ConfigKey<boolean>
  readonly allowRecallWhenBrokerNotWriteable: ConfigKey<boolean>
} = {
  flushDelayOffsetInterval: integer(10_000, {
    description: 'delayOffset.json is written this often; a restart does not go by it.',
    unit: 'ms',
    min: 100,
    max: 600_000,
  }),
  timerWheelEnable: flag(true, {
    description:
      'Messages with a time of delivery are taken; those that wait are delivered anyhow.',
    live: true,
  }),
  timerMaxDelaySec: integer(259_200, {
    description: 'How far in the future a message may be delivered; the log is kept for as long.',
    unit: 's',
    min: 1,
    max: 315_360_000,
    live: true,
  }),
  timerPrecisionMs: integer(1000, {
    description: 'The tick of TIMER_OUT_MS and recalls; messages are delivered to the millisecond.',
    unit: 'ms',
    min: 1,
    max: 60_000,
  }),
  timerCongestNumEachSlot: integer(2_147_483_647, {
    description:
      'From so many messages for one tick on more are refused, by chance, and from twice as many all.',
    unit: 'messages',
    min: 1,
    max: 2_147_483_647,
  }),
  recallMessageEnable: flag(false, {
    description: 'Producers may recall a message that waits for its time.',
    live: true,
  }),
  allowRecallWhenBrokerNotWriteable: flag(true, {
    description: 'Recalls are taken also while brokerPermission forbids sends.',
    live: true,
  }),
}
