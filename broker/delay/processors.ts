/** Requests about delayed messages: GET_ALL_DELAY_OFFSET (45). */
import { RequestCode } from '../../remoting/request-code.ts'
import { success } from '../processors/answers.ts'
import type { Processor } from '../../remoting/connection.ts'
import type { LevelDelivery } from './level-delivery.ts'

export function delayProcessors(levels: LevelDelivery): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [
      RequestCode.GET_ALL_DELAY_OFFSET,
      (request) => request.respond(success(undefined, levels.encodeOffsets())),
    ],
  ])
}
