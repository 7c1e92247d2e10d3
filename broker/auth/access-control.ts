/**
 * Who may send which request: the user that signs it, and the policies of that user.
 *
 * While both switches are off requests go to their processors as they are, and only what is for administrators asks for its rights
 * (request-rights.ts). `respond` of a refused request is called at once, with NO_PERMISSION and Java's words.
 */
import { ACCESS_KEY, isSigned } from '../../remoting/signature.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { CONTROL_TOPIC } from '../../store/control-record.ts'
import { ADMIN_CODES, withRights } from '../request-rights.ts'
import { Audit } from './audit.ts'
import { decide } from './decision.ts'
import { sealOrigin, sealedOrigin } from './forwarding.ts'
import { addressOf } from './ip-range.ts'
import { subjectOf } from '../../common/access-names.ts'
import { requiredAccess } from './required-access.ts'
import type { Access } from './decision.ts'
import type { User } from './model.ts'
import type { AccessFacts } from './required-access.ts'
import type { Asker } from './audit.ts'
import type { AuthTable } from './auth-table.ts'
import type { FirstUsers } from './first-users.ts'
import type { BrokerConfig } from '../config.ts'
import type { TopicTable } from '../topics.ts'
import type { Logger } from '../../common/log.ts'
import type { StoredMessage } from '../../common/message.ts'
import type { Clock } from '../../common/ports.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { Store } from '../../store/types.ts'

/** Name servers send them, which are nobody; they change nothing. */
const ALWAYS_FREE: readonly number[] = [RequestCode.NOTIFY_MIN_BROKER_ID_CHANGE]
const CHANGES: ReadonlySet<number> = new Set(ADMIN_CODES)

/** Whoever has sent a request that needs no user. */
const NOBODY: User = { username: '', password: '', userType: 'Normal', userStatus: 'enable' }

export interface AccessControlOptions {
  readonly config: Pick<BrokerConfig, 'values'>
  readonly users: AuthTable
  readonly firstUsers: Pick<FirstUsers, 'waiting'>
  readonly topics: Pick<TopicTable, 'get'>
  readonly store: Pick<Store, 'messageAt' | 'physicalOffsetAt'>
  readonly clock: Pick<Clock, 'monotonic'>
  readonly logger: Logger
}

interface Verdict {
  /** Null: nobody is proved. */
  readonly user: User | null
  /** Why the request is refused, or null. */
  readonly refusal: string | null
}

export class AccessControl {
  readonly #options: AccessControlOptions
  readonly #audit: Audit
  readonly #facts: AccessFacts
  #whitelists = { authentication: NO_CODES, authorization: NO_CODES }

  constructor(options: AccessControlOptions) {
    const { logger, clock, config } = options
    this.#options = options
    this.#audit = new Audit(logger, clock)
    this.#facts = {
      clusterName: config.values.brokerClusterName,
      messageAt: (physicalOffset) => this.#messageAt(physicalOffset),
    }
  }

  /** Requests need a signature; never changes while the broker runs. */
  get isOn(): boolean {
    const { authenticationEnabled, authorizationEnabled } = this.#options.config.values
    return authenticationEnabled || authorizationEnabled
  }

  /** The processor behind everything that a request of the code has to pass. */
  guarded(code: number, processor: Processor): Processor {
    const checked = this.isOn ? this.#checked(processor) : this.#administered(code, processor)
    if (!CHANGES.has(code)) return checked
    return (request) => checked(this.#audit.watched(request, () => this.#asker(request)))
  }

  /** Who has sent a request that was let through: null while nobody has to prove who he is. */
  userOf({ command }: RemotingRequest): User | null {
    if (!this.isOn) return null
    if (this.#isWhitelisted('authentication', command.code)) return NOBODY
    return this.#userNamed(command.extFields.get(ACCESS_KEY) ?? '') ?? NOBODY
  }

  /** Adds to a request that another member shall answer what only this one knows of it. */
  seal(fields: Map<string, string>, { command, connection }: RemotingRequest): void {
    if (!this.isOn) return
    const origin = { host: connection.remoteHost, version: command.version }
    sealOrigin(fields, origin, this.#options.users.users.values())
  }

  /** Nobody has to sign, but whoever does is known by it. */
  #administered(code: number, processor: Processor): Processor {
    const { config, topics } = this.#options
    const isOfSuperUser = (request: RemotingRequest): boolean => {
      const proved = this.#proved(request, request.command.version)
      return typeof proved !== 'string' && proved.userType === 'Super'
    }
    return withRights(code, processor, { config, topics, isOfSuperUser })
  }

  #checked(processor: Processor): Processor {
    return (request) => {
      const { user, refusal } = this.#verdict(request)
      if (refusal === null) return processor(request)
      const username = user?.username ?? request.command.extFields.get(ACCESS_KEY) ?? null
      this.#audit.refused(request.command, { ...this.#asker(request), username }, refusal)
      request.respond({ code: ResponseCode.NO_PERMISSION, remark: refusal })
      return undefined
    }
  }

  #verdict(request: RemotingRequest): Verdict {
    const { command, connection } = request
    if (ALWAYS_FREE.includes(command.code)) return { user: null, refusal: null }
    const { values } = this.#options.config
    const origin = sealedOrigin(command.extFields, this.#options.users.users.values())
    const proved = this.#proved(request, origin?.version ?? command.version)
    const isFree = this.#isWhitelisted('authentication', command.code)
    if (typeof proved === 'string' && !isFree) return { user: null, refusal: proved }
    const user = typeof proved === 'string' ? NOBODY : proved
    if (!values.authorizationEnabled || user.userType === 'Super') return { user, refusal: null }
    if (this.#isWhitelisted('authorization', command.code)) return { user, refusal: null }
    const host = origin?.host ?? connection.remoteHost
    return {
      user,
      refusal: this.#lackOf(user, requiredAccess(command.code, command, this.#facts), host),
    }
  }

  /** The user that the request is signed by, or a sentence about why it is of none. */
  #proved({ command }: RemotingRequest, version: number): User | string {
    const username = command.extFields.get(ACCESS_KEY) ?? ''
    if (username === '') return 'username cannot be null.'
    const user = this.#userNamed(username)
    if (user === null) return `${subjectOf(username)} is not found.`
    if (user.userStatus === 'disable') return `${subjectOf(username)} is disabled.`
    const { extFields, body } = command
    if (isSigned({ extFields, body, version }, user.password)) return user
    return `${subjectOf(username)}: check signature failed.`
  }

  #userNamed(username: string): User | null {
    const { users, firstUsers } = this.#options
    return users.user(username) ?? firstUsers.waiting.get(username) ?? null
  }

  /** The first right that the user lacks, in Java's words; null when there is none. */
  #lackOf(user: User, needed: readonly Access[], host: string): string | null {
    const policies = this.#options.users.policies(user.username)
    const address = addressOf(host)
    for (const access of needed) {
      const decision = decide(policies, access, address)
      if (decision === 'Allow') continue
      const what = `${subjectOf(user.username)} has no permission to access ${access.type}:${access.name} from ${host}`
      return `${what}, ${decision === 'Deny' ? 'the decision is deny.' : 'no matched policies.'}`
    }
    return null
  }

  /** A peer may have written what looks like a record into the body of a message; no queue leads there. */
  #messageAt(physicalOffset: number): StoredMessage | 'hidden' | null {
    const { store } = this.#options
    const message = physicalOffset < 0 ? null : store.messageAt(physicalOffset)
    if (message === null) return null
    const { topic, queueId, queueOffset } = message
    const isInQueue = store.physicalOffsetAt(topic, queueId, queueOffset) === physicalOffset
    return isInQueue && topic !== CONTROL_TOPIC ? message : 'hidden'
  }

  #asker(request: RemotingRequest): Asker {
    const { command, connection } = request
    const user = this.userOf(request)
    const origin = sealedOrigin(command.extFields, this.#options.users.users.values())
    return {
      username: user?.username ?? null,
      remoteAddress: origin?.host ?? connection.remoteAddress,
    }
  }

  #isWhitelisted(list: 'authentication' | 'authorization', code: number): boolean {
    const { values } = this.#options.config
    const text =
      list === 'authentication' ? values.authenticationWhitelist : values.authorizationWhitelist
    if (text === '') return false
    if (this.#whitelists[list].text !== text) {
      this.#whitelists = { ...this.#whitelists, [list]: codesIn(text) }
    }
    return this.#whitelists[list].codes.has(String(code))
  }
}

interface CodeList {
  readonly text: string
  readonly codes: ReadonlySet<string>
}

const NO_CODES: CodeList = { text: '', codes: new Set() }

function codesIn(text: string): CodeList {
  return { text, codes: new Set(text.split(',').map((code) => code.trim())) }
}
