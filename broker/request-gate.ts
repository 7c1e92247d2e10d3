/**
 * Which requests this member answers: all while it leads; else those about the member itself, and the rest is asked of the leader.
 *
 * Clients come to a member that does not lead only for a moment, until the group's address leads to the next one. What they ask is passed
 * on over one connection; when no leader is known yet the request waits a little, so that a client's quick retries outlast an election.
 */
import { messageOf } from '../common/errors.ts'
import { LanguageCode, isOneway } from '../remoting/command.ts'
import { answeredBy } from '../remoting/connection.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import type { Timers } from '../common/ports.ts'
import type { RemotingClient } from '../remoting/client.ts'
import type { RemotingCommand, ResponseContent } from '../remoting/command.ts'
import type { Processor, RemotingRequest } from '../remoting/connection.ts'
import type { FrameProcessor } from '../remoting/request-frame.ts'

/** From this version on a client takes GO_AWAY as what it is and sends its request again elsewhere (V5_3_1). */
const GO_AWAY_VERSION = 475
/** About the member, not the group. */
const MEMBER_CODES: readonly number[] = [
  RequestCode.UPDATE_BROKER_CONFIG,
  RequestCode.GET_BROKER_CONFIG,
  RequestCode.GET_BROKER_RUNTIME_INFO,
]
/** A request has been passed on: it is not passed on again. */
const MARK = 'gantryForwarded'
const FORWARDED_MAX = 1000
const FORWARDED_BYTES_MAX = 64 * 1024 * 1024
const WAIT_FOR_LEADER_MS = 1000
const LOOK_EVERY_MS = 50
const ANSWER_TIMEOUT_MS = 3000
/** A Go client waits three seconds for an answer to a message that it gives back. */
const GO_PATIENCE_MS = 3500
/** A pull or pop may be held. */
const HELD_TIMEOUT_MS = 30_000

export interface RequestGateOptions {
  readonly client: Pick<RemotingClient, 'invoke' | 'invokeOneway'>
  readonly timers: Pick<Timers, 'after'>
  readonly isClosing: () => boolean
  /** This member leads, and is not handing over. */
  readonly isOpen: () => boolean
  /** It led a moment ago, and is going to end the connections of its clients. */
  readonly isLeaving: () => boolean
  readonly leaderAddress: () => string | null
  /** Requests that are answered late on purpose. */
  readonly heldCodes: readonly number[]
  /** Adds to a request that is passed on what the leader cannot see of it. */
  readonly seal: (fields: Map<string, string>, request: RemotingRequest) => void
}

/** The client is connected to another member of the group, which has passed its request on. */
export function isForwarded({ extFields }: Pick<RemotingCommand, 'extFields'>): boolean {
  return extFields.has(MARK)
}

export class RequestGate {
  readonly #options: RequestGateOptions
  #forwarded = 0
  #forwardedBytes = 0

  constructor(options: RequestGateOptions) {
    this.#options = options
  }

  guarded(processor: Processor): Processor {
    const { isOpen, isClosing } = this.#options
    return (request) => {
      const { command } = request
      if (isClosing() && command.version > GO_AWAY_VERSION) {
        request.respond({ code: ResponseCode.GO_AWAY, remark: 'please go away' })
        return undefined
      }
      const own = isUnheard(command) ? lateFailure(request, this.#options.timers) : request
      if (isOpen() || isClosing() || MEMBER_CODES.includes(command.code)) return processor(own)
      return this.#forward(heldRequest(own), processor)
    }
  }

  guardedFrames(processor: FrameProcessor): FrameProcessor {
    const { isOpen, isClosing } = this.#options
    return (connection, frame) => isOpen() && !isClosing() && processor(connection, frame)
  }

  async #forward(request: RemotingRequest, processor: Processor): Promise<void> {
    const { isOpen, isLeaving, leaderAddress, heldCodes } = this.#options
    const { command } = request
    const bytes = command.body.length
    const isFull =
      this.#forwarded >= FORWARDED_MAX || this.#forwardedBytes + bytes > FORWARDED_BYTES_MAX
    if (isFull || isForwarded(command)) {
      request.respond(busy('this member of the group does not lead'))
      return
    }
    this.#forwarded++
    this.#forwardedBytes += bytes
    try {
      for (let waitedMs = 0; waitedMs < WAIT_FOR_LEADER_MS; waitedMs += LOOK_EVERY_MS) {
        if (isOpen()) {
          await processor(request)
          return
        }
        if (isLeaving() && heldCodes.includes(command.code)) {
          request.respond(LEAVING)
          return
        }
        const address = leaderAddress()
        if (address !== null) {
          await this.#ask(address, request)
          return
        }
        await new Promise<void>((resolve) => this.#options.timers.after(LOOK_EVERY_MS, resolve))
      }
      request.respond(busy('no member of the group leads'))
    } finally {
      this.#forwarded--
      this.#forwardedBytes -= bytes
    }
  }

  async #ask(address: string, request: RemotingRequest): Promise<void> {
    const { client, heldCodes, seal } = this.#options
    const { code, body, remark, extFields } = request.command
    const marked = new Map(extFields)
    marked.set(MARK, 'true')
    seal(marked, request)
    const timeoutMs = heldCodes.includes(code) ? HELD_TIMEOUT_MS : ANSWER_TIMEOUT_MS
    const content = { code, body, remark, extFields: marked }
    try {
      if (isOneway(request.command)) {
        await client.invokeOneway(address, content, timeoutMs)
      } else {
        const answer = await client.invoke(address, content, timeoutMs)
        const { code: answerCode, remark: answerRemark, extFields: fields, body: found } = answer
        request.respond({ code: answerCode, remark: answerRemark, extFields: fields, body: found })
      }
    } catch (error) {
      request.respond(busy(`the leader of the group cannot be asked: ${messageOf(error)}`))
    }
  }
}

/**
 * The Go client takes every answer to a message that it gives back for a success, and forgets the message; without an answer it consumes it
 * again. So what fails is answered when it waits no longer.
 */
function isUnheard({ code, language }: RemotingCommand): boolean {
  return code === RequestCode.CONSUMER_SEND_MSG_BACK && language === LanguageCode.GO
}

function lateFailure(request: RemotingRequest, timers: Pick<Timers, 'after'>): RemotingRequest {
  return answeredBy(request, (response) => {
    if (response.code === ResponseCode.SUCCESS) request.respond(response)
    else timers.after(GO_PATIENCE_MS, () => request.respond(response))
  })
}

/** A request that outlives the buffer in which it came. */
function heldRequest(request: RemotingRequest): RemotingRequest {
  const { command } = request
  const respond = (response: ResponseContent): void => request.respond(response)
  return answeredBy(request, respond, { ...command, body: Buffer.from(command.body) })
}

/**
 * What is held when a leader ends the connections of its clients is answered before, and such that clients pause: those of Java 4.9 do not
 * notice that a connection with a pull under way is closed, and wait for its answer for half a minute.
 */
export const LEAVING: ResponseContent = busy(
  'the leader of the broker group changes, or the broker stops',
)

/** Clients try again, with another broker if there is one. */
function busy(remark: string): ResponseContent {
  return { code: ResponseCode.SYSTEM_BUSY, remark }
}
