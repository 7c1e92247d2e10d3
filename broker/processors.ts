/** All request codes that a broker serves, with their processors. */
import { RequestCode } from '../remoting/request-code.ts'
import { AccessControl } from './auth/access-control.ts'
import { FirstUsers } from './auth/first-users.ts'
import { authProcessors } from './auth/processors.ts'
import { ExpectedConsumers } from './expected-consumers.ts'
import { ColdDataControl } from './cold/cold-data-control.ts'
import { coldDataProcessors } from './cold/processors.ts'
import { success } from './processors/answers.ts'
import { assignmentProcessors } from './processors/assignment.ts'
import { brokerAdminProcessors } from './processors/broker-admin.ts'
import { clientCallProcessors } from './processors/client-calls.ts'
import { clientProcessors } from './processors/clients.ts'
import { FastPull } from './processors/fast-pull.ts'
import { FAST_SEND_CODES } from './processors/fast-send.ts'
import { compatibleAdminProcessors } from './processors/compatible-admin.ts'
import { groupStateProcessors } from './processors/group-state.ts'
import { groupAdminProcessors } from './processors/groups-admin.ts'
import { lockProcessors } from './processors/locks.ts'
import { offsetProcessors } from './processors/offsets.ts'
import { popLookProcessors } from './processors/pop-look.ts'
import { pictureProcessors } from './processors/picture.ts'
import { PopProcessor } from './processors/pop.ts'
import { popFrameProcessors, popProcessors } from './processors/pop-family.ts'
import { progressProcessors } from './processors/progress-admin.ts'
import { PULL_CODES, PullRules } from './processors/pull-rules.ts'
import { PullProcessor } from './processors/pull.ts'
import { queryProcessors } from './processors/query.ts'
import { REPLY_CODES, ReplyProcessor } from './processors/reply.ts'
import { resetOffsetProcessors } from './processors/reset-offset.ts'
import { sendBackProcessors } from './retry/send-back.ts'
import { SEND_CODES, SendProcessor } from './processors/send.ts'
import { statsProcessors } from './processors/stats-admin.ts'
import { topicAdminProcessors } from './processors/topics-admin.ts'
import { PopService } from './pop/pop-service.ts'
import { TopicRoutes } from './pop/topic-routes.ts'
import { RunningRequests } from './running-requests.ts'
import { StoreRates } from './store-rates.ts'
import { transactionProcessors } from './transaction/processors.ts'
import { Transactions } from './transaction/transactions.ts'
import { LevelDelivery } from './delay/level-delivery.ts'
import { delayProcessors } from './delay/processors.ts'
import { TimerDelivery } from './timer/timer-delivery.ts'
import type { LeaderService } from './leader-service.ts'
import type { Processor } from '../remoting/connection.ts'
import type { FrameProcessor } from '../remoting/request-frame.ts'
import type { TopicAdminOptions } from './processors/topics-admin.ts'

/** Requests that wait or read: the VIP port does not serve them. */
export const NOT_ON_VIP_PORT: readonly number[] = [
  ...PULL_CODES,
  RequestCode.POP_MESSAGE,
  RequestCode.PEEK_MESSAGE,
  RequestCode.NOTIFICATION,
]

/** What waits for the store, for messages or for the revive log is counted there. */
const WAITING_CODES: ReadonlySet<number> = new Set([
  ...SEND_CODES,
  ...PULL_CODES,
  RequestCode.POP_MESSAGE,
  RequestCode.NOTIFICATION,
  RequestCode.ACK_MESSAGE,
  RequestCode.BATCH_ACK_MESSAGE,
  RequestCode.CHANGE_MESSAGE_INVISIBLETIME,
])

export interface BrokerProcessors {
  readonly access: AccessControl
  readonly send: SendProcessor
  readonly pops: PopService
  readonly running: RunningRequests
  /** To be sampled with the statistics. */
  readonly rates: StoreRates
  readonly byCode: ReadonlyMap<number, Processor>
  /** Offered the requests of a code before they are decoded. */
  readonly byFrame: ReadonlyMap<number, FrameProcessor>
  readonly transactions: Transactions
  readonly levels: LevelDelivery
  readonly timers: TimerDelivery
  readonly consumers: ExpectedConsumers
  readonly leaderServices: readonly LeaderService[]
}

export function createProcessors(options: TopicAdminOptions): BrokerProcessors {
  const { parts } = options
  const firstUsers = new FirstUsers(parts)
  const access = new AccessControl({ ...parts, firstUsers })
  const transactions = new Transactions(parts)
  const send = new SendProcessor(parts, transactions)
  const levels = new LevelDelivery(parts)
  const timers = new TimerDelivery(parts)
  parts.delays.timers = timers
  const cold = new ColdDataControl(parts)
  const rules = new PullRules(parts, cold)
  const pull = new PullProcessor(parts, rules)
  const pops = new PopService(parts)
  const routes = new TopicRoutes(parts.clock, options.route)
  const consumers = new ExpectedConsumers(parts)
  const rates = new StoreRates(parts.store, parts.clock)
  const pop = new PopProcessor(parts, pops, rules)
  const byFrame = new Map<number, FrameProcessor>(popFrameProcessors(pop))
  const fastPull = new FastPull(parts, rules, pull)
  for (const code of PULL_CODES) byFrame.set(code, fastPull.take)
  for (const code of FAST_SEND_CODES) byFrame.set(code, send.fast.handle)
  const byCode = new Map<number, Processor>()
  for (const code of SEND_CODES) byCode.set(code, send.handle)
  for (const code of PULL_CODES) byCode.set(code, pull.handle)
  const reply = new ReplyProcessor(parts, send)
  for (const code of REPLY_CODES) byCode.set(code, reply.handle)
  const families: readonly ReadonlyMap<number, Processor>[] = [
    offsetProcessors(parts),
    queryProcessors(parts),
    coldDataProcessors(cold),
    clientProcessors(parts),
    lockProcessors(parts),
    topicAdminProcessors(options),
    groupAdminProcessors(parts),
    brokerAdminProcessors(parts, rates, () => send.inFlight),
    statsProcessors(parts),
    progressProcessors(parts),
    groupStateProcessors(parts, options.group),
    pictureProcessors(parts, options.group),
    compatibleAdminProcessors(),
    resetOffsetProcessors(parts),
    transactionProcessors(parts, transactions),
    clientCallProcessors(parts),
    delayProcessors(parts, levels, timers),
    popProcessors(pop),
    popLookProcessors(parts, pops),
    assignmentProcessors(parts, routes),
    sendBackProcessors(parts),
    authProcessors({ users: parts.users, askerOf: (request) => access.userOf(request) }),
  ]
  for (const family of families) for (const [code, processor] of family) byCode.set(code, processor)
  // Name servers tell a group's members of a new master; a group of one has nobody else to turn to.
  byCode.set(RequestCode.NOTIFY_MIN_BROKER_ID_CHANGE, (request) => request.respond(success()))
  return {
    access,
    send,
    pops,
    running: new RunningRequests(byCode, WAITING_CODES),
    rates,
    byCode,
    byFrame,
    transactions,
    levels,
    timers,
    consumers,
    // Stopped in reverse: before connections of clients end, who consumes is noted no more.
    leaderServices: [firstUsers, levels, timers, transactions, pops, consumers],
  }
}
