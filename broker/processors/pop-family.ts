/** The processors of pops and their acknowledgements, of both ways. */
import { RequestCode } from '../../remoting/request-code.ts'
import { FastAck } from './fast-ack.ts'
import { FastPop } from './fast-pop.ts'
import { popAckProcessors } from './pop-ack.ts'
import type { Processor } from '../../remoting/connection.ts'
import type { FrameProcessor } from '../../remoting/request-frame.ts'
import type { PopProcessor } from './pop.ts'

export function popProcessors(pop: PopProcessor): ReadonlyMap<number, Processor> {
  return new Map([
    ...popAckProcessors(pop.parts, pop.pops),
    [RequestCode.POP_MESSAGE, pop.handle] as const,
  ])
}

/** Those that take frames, of the plain cases. */
export function popFrameProcessors(pop: PopProcessor): ReadonlyMap<number, FrameProcessor> {
  const acks = new FastAck(pop.parts, pop.pops)
  return new Map<number, FrameProcessor>([
    [RequestCode.POP_MESSAGE, new FastPop(pop).take],
    [RequestCode.ACK_MESSAGE, acks.take],
    [RequestCode.BATCH_ACK_MESSAGE, acks.takeBatch],
  ])
}
