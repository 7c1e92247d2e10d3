/** The keys of `broker.conf` for pops: RocketMQ's names, units and defaults (BrokerConfig). */
import { choice, flag, integer } from '../../common/config.ts'
import type { ConfigKey } from '../../common/config.ts'

export const POP_KEYS: {
  readonly popPollingSize: ConfigKey<number>
  readonly maxPopPollingSize: ConfigKey<number>
  readonly popFromRetryProbability: ConfigKey<number>
  readonly enableRetryTopicV2: ConfigKey<boolean>
  readonly retrieveMessageFromPopRetryTopicV1: ConfigKey<boolean>
  readonly popResponseReturnActualRetryTopic: ConfigKey<boolean>
  readonly initPopOffsetByCheckMsgInMem: ConfigKey<boolean>
  readonly enablePopMessageThreshold: ConfigKey<boolean>
  readonly popInflightMessageThreshold: ConfigKey<number>
  readonly serverLoadBalancerEnable: ConfigKey<boolean>
  readonly defaultMessageRequestMode: ConfigKey<'PULL' | 'POP'>
  readonly defaultPopShareQueueNum: ConfigKey<number>
} = {
  popPollingSize: integer(1024, {
    description:
      'Pops of one group that wait for messages of one topic or queue; more are answered POLLING_FULL.',
    min: 1,
    max: 1_000_000,
    live: true,
  }),
  maxPopPollingSize: integer(100_000, {
    description: 'Pops of all groups that wait for messages; more are answered POLLING_FULL.',
    min: 1,
    max: 1_000_000,
    live: true,
  }),
  popFromRetryProbability: integer(20, {
    description: 'In so many of a hundred pops messages that came back are taken before new ones.',
    min: 0,
    max: 100,
    live: true,
  }),
  enableRetryTopicV2: flag(false, {
    description: 'Messages that come back go to %RETRY%group+topic instead of %RETRY%group_topic.',
    live: true,
  }),
  retrieveMessageFromPopRetryTopicV1: flag(true, {
    description: 'With enableRetryTopicV2: pops still read %RETRY%group_topic too.',
    live: true,
  }),
  popResponseReturnActualRetryTopic: flag(false, {
    description: 'Messages that came back are answered under the name of their retry topic.',
    live: true,
  }),
  initPopOffsetByCheckMsgInMem: flag(true, {
    description: 'A group that wants to begin at the end of a young queue begins at its start.',
    live: true,
  }),
  enablePopMessageThreshold: flag(false, {
    description: 'popInflightMessageThreshold is heeded.',
    live: true,
  }),
  popInflightMessageThreshold: integer(10_000, {
    description:
      'With enablePopMessageThreshold: a group that has popped more messages of a queue and not acknowledged them gets no further ones.',
    min: 1,
    max: 100_000,
    live: true,
  }),
  serverLoadBalancerEnable: flag(true, {
    description: 'QUERY_ASSIGNMENT divides the queues; false: every client is given all of them.',
    live: true,
  }),
  defaultMessageRequestMode: choice('PULL', ['PULL', 'POP'], {
    description: 'How clients that ask for their assignment consume when nobody has set it.',
    live: true,
  }),
  defaultPopShareQueueNum: integer(-1, {
    description:
      'With POP by default: with how many following clients the queues of a client are shared; -1: all share all.',
    min: -1,
    max: 65_536,
    live: true,
  }),
}
