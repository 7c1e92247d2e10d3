/**
 * POP_MESSAGE of the plain kind, from the bytes of the request to the bytes of the answer: a known group pops messages that are in memory.
 *
 * The rules are those of the ordinary way (pop.ts), which everything else goes, and whatever is refused or held. A test sends random
 * requests both ways and compares what is answered.
 */
import assert from 'node:assert/strict'
import { ONEWAY_FLAG, SerializeType } from '../../remoting/command.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { AnswerBuffers } from '../pop/answer-buffers.ts'
import { MemoryPop } from '../pop/memory-pop.ts'
import { popProblem, readProblem } from '../pop/pop-rules.ts'
import { answeredBy, askedBy, writeAnswer } from './frame-answer.ts'
import { writePoppedHeader } from './pop-answer-frame.ts'
import { NOT_RECORDED, POP_OUTPUT_BYTES_MAX, popRequestOf } from './pop.ts'
import { PopFrameHeader } from './pop-frame.ts'
import type { Connection } from '../../remoting/connection.ts'
import type { FrameProcessor } from '../../remoting/request-frame.ts'
import type { PopRequest } from '../pop/pop-task.ts'
import type { Asked } from './frame-answer.ts'
import type { PopProcessor } from './pop.ts'

/** Bytes of an answer before the records: 32 messages of as many queues take half of it. */
const HEADER_ROOM = 8 * 1024

export class FastPop {
  readonly #processor: PopProcessor
  readonly #header = new PopFrameHeader()
  readonly #buffers = new AnswerBuffers()

  constructor(processor: PopProcessor) {
    this.#processor = processor
  }

  readonly take: FrameProcessor = (connection, frame) => {
    const { parts, pops } = this.#processor
    const header = this.#header
    const now = parts.clock.now()
    // The codes of this family do not fit the binary header.
    const isPlain = (frame.flag & ONEWAY_FLAG) === 0 && frame.serializeType === SerializeType.JSON
    if (!isPlain || !pops.isLeading || !header.read(frame, now)) return false
    if (connection.outputBytes > POP_OUTPUT_BYTES_MAX) return false
    if (popProblem(parts, header, now) !== null) return false
    if (readProblem(parts, header, connection.remoteAddress) !== null) return false
    const filter = this.#processor.filterOf(header)
    if (filter !== null && ('code' in filter || filter.matchesProperties !== null)) return false
    const request = popRequestOf(header, filter)
    const asked = askedBy(frame)
    return new MemoryPop({
      parts,
      pops,
      buffers: this.#buffers,
      request,
      headerRoom: HEADER_ROOM,
      onDone: (pop) => this.#answer(connection, asked, request, pop),
    }).run()
  }

  #answer(connection: Connection, asked: Asked, request: PopRequest, pop: MemoryPop): void {
    if (pop.isFailed) writeAnswer(connection, asked, NOT_RECORDED)
    else this.#answerFound(connection, asked, request, pop)
    this.#buffers.giveBack(pop.buffer)
  }

  #answerFound(connection: Connection, asked: Asked, request: PopRequest, pop: MemoryPop): void {
    const { buffer, end, parts, popTime, restCount } = pop
    const { invisibleTimeMs } = request
    const { opaque } = asked
    const bodySize = end - HEADER_ROOM
    const found = { opaque, popTime, invisibleTimeMs, restCount, parts }
    const size = writePoppedHeader(buffer, bodySize, found)
    assert(size <= HEADER_ROOM, 'the header of an answer fits its room')
    const start = HEADER_ROOM - size
    buffer.copyWithin(start, 0, size)
    for (const [index, part] of parts.entries()) {
      this.#processor.count(part, part.offsets.length, pop.partBytes[index] ?? 0)
    }
    connection.writeFrames(buffer, start, end, answeredBy(asked, ResponseCode.SUCCESS))
  }
}
