/** Requests about delayed messages: GET_ALL_DELAY_OFFSET (45), GET_TIMER_CHECK_POINT (60), GET_TIMER_METRICS (61), RECALL_MESSAGE (370). */
import { writeInt64 } from '../../common/bytes.ts'
import { dataVersionRecord } from '../../remoting/bodies/data-version.ts'
import { formatFastjson } from '../../remoting/bodies/fastjson.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { TIMER_TOPIC } from '../names.ts'
import { success } from '../processors/answers.ts'
import { recallProcessor } from '../timer/recall.ts'
import type { Processor } from '../../remoting/connection.ts'
import type { BrokerParts } from '../parts.ts'
import type { TimerDelivery } from '../timer/timer-delivery.ts'
import type { LevelDelivery } from './level-delivery.ts'

export function delayProcessors(
  parts: BrokerParts,
  levels: LevelDelivery,
  timers: TimerDelivery,
): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [
      RequestCode.GET_ALL_DELAY_OFFSET,
      (request) => request.respond(success(undefined, levels.encodeOffsets())),
    ],
    [
      RequestCode.GET_TIMER_CHECK_POINT,
      (request) => request.respond(success(undefined, timerCheckPoint(parts, timers))),
    ],
    [
      RequestCode.GET_TIMER_METRICS,
      (request) => request.respond(success(undefined, timerMetrics(parts, timers))),
    ],
    [RequestCode.RECALL_MESSAGE, recallProcessor(parts, timers)],
  ])
}

/**
 * Java's `timercheck` (protocol §19.9), seven int64: the time up to which messages are delivered, the end of its timer log, which Gantry
 * does not have, twice the queue offset up to which the topic is read, and a version.
 */
function timerCheckPoint({ clock }: BrokerParts, timers: TimerDelivery): Buffer {
  const bytes = Buffer.alloc(56)
  writeInt64(bytes, 0, Math.min(clock.now(), timers.nextDueTime ?? Infinity))
  writeInt64(bytes, 16, timers.indexedTo)
  writeInt64(bytes, 24, timers.indexedTo)
  writeInt64(bytes, 40, clock.now())
  return bytes
}

/** Waiting messages, all under the name of the topic in which they wait. */
function timerMetrics({ clock }: BrokerParts, timers: TimerDelivery): Buffer {
  const timestamp = clock.now()
  const waiting = timers.waiting ?? 0
  const counted = { count: waiting, timeStamp: timestamp }
  return formatFastjson({
    timingCount: waiting === 0 ? {} : { [TIMER_TOPIC]: counted },
    dataVersion: dataVersionRecord({ stateVersion: 0, timestamp, counter: timers.indexedTo }),
  })
}
