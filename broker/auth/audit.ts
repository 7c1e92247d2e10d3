/** Log lines of who has changed what, from where, and with which outcome; and of who was refused. */
import { UNSIGNED_PREFIX } from '../../remoting/signature.ts'
import { answeredBy } from '../../remoting/connection.ts'
import { requestCodeName } from '../../remoting/request-code.ts'
import type { Logger } from '../../common/log.ts'
import type { Clock } from '../../common/ports.ts'
import type { RemotingCommand } from '../../remoting/command.ts'
import type { RemotingRequest } from '../../remoting/connection.ts'

const REFUSALS_PER_SECOND = 10
/** Of the fields of a request. */
const DETAIL_MAX = 1024
/** They say who asks, or prove it. */
const OF_THE_USER: readonly string[] = ['AccessKey', 'Signature', 'SecurityToken']

/** Who asks, from where. */
export interface Asker {
  /** Null: nobody is asked to prove it. */
  readonly username: string | null
  readonly remoteAddress: string
}

export class Audit {
  readonly #logger: Logger
  readonly #clock: Pick<Clock, 'monotonic'>
  #second = 0
  #refusals = 0
  #suppressed = 0

  constructor(logger: Logger, clock: Pick<Clock, 'monotonic'>) {
    this.#logger = logger
    this.#clock = clock
  }

  /** The request, whose answer is logged. Bodies are not: they hold secrets. */
  watched(request: RemotingRequest, asker: () => Asker): RemotingRequest {
    return answeredBy(request, (response) => {
      const { code, remark } = response
      const { command } = request
      this.#logger.info(
        {
          audit: true,
          action: requestCodeName(command.code) ?? String(command.code),
          ...asker(),
          fields: detailsOf(command),
          responseCode: code,
          ...(remark === undefined || remark === null ? {} : { remark }),
        },
        'an administrative request',
      )
      request.respond(response)
    })
  }

  /** A peer that asks in vain again and again does not fill the log. */
  refused(command: Pick<RemotingCommand, 'code'>, asker: Asker, reason: string): void {
    const second = Math.floor(this.#clock.monotonic() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#refusals = 0
    }
    this.#refusals++
    if (this.#refusals > REFUSALS_PER_SECOND) {
      this.#suppressed++
      return
    }
    const notLogged = this.#suppressed
    this.#suppressed = 0
    this.#logger.warn(
      {
        audit: true,
        action: requestCodeName(command.code) ?? String(command.code),
        ...asker,
        reason,
        ...(notLogged === 0 ? {} : { notLogged }),
      },
      'a request was refused',
    )
  }
}

function detailsOf({ extFields }: RemotingCommand): Readonly<Record<string, string>> {
  const details: Record<string, string> = {}
  let left = DETAIL_MAX
  for (const [name, value] of extFields) {
    if (OF_THE_USER.includes(name) || name.startsWith(UNSIGNED_PREFIX)) continue
    left -= name.length + value.length
    if (left < 0) break
    details[name] = value
  }
  return details
}
