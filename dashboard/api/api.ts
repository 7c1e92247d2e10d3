/** What the handlers of the page's requests share, and what they are made of. */
import type { AdminClient } from '../../client/admin.ts'
import type { BrokerState, ClusterPicture } from '../../client/cluster-picture.ts'
import { REFUSED_ADVICE } from '../../client/health-verdicts.ts'
import type { Finding } from '../../client/health-verdicts.ts'
import type { Producer } from '../../client/producer.ts'
import type { Clock } from '../../common/ports.ts'
import { ApiError } from '../api-error.ts'
import type { AlarmService } from '../alarms/alarm-service.ts'
import type { EventRow, OperationRow, Role } from '../api-types.ts'
import type { PasswordChecks } from '../auth/password-checks.ts'
import type { Users } from '../auth/users.ts'
import type { BrokerUsers } from '../broker-users.ts'
import type { Collector } from '../collector.ts'
import type { Fields } from '../fields.ts'
import type { History } from '../history.ts'
import type { Journal } from '../journal.ts'

export interface Api {
  readonly admin: AdminClient
  readonly producer: Producer
  readonly nameServers: readonly string[]
  readonly clock: Clock
  readonly collector: Collector
  readonly history: History
  readonly users: Users
  readonly passwords: PasswordChecks
  /** Those of the brokers, not of the console. */
  readonly brokerUsers: BrokerUsers
  readonly alarms: AlarmService
  readonly events: Journal<EventRow>
  readonly operations: Journal<OperationRow>
  readonly findings: () => readonly Finding[]
  readonly viewersSeeBodies: boolean
}

export interface ApiRequest {
  /** Of the path, decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly body: Fields
  readonly userName: string
  readonly role: Role
  /** Where the request came from. */
  readonly address: string
}

/** GET looks, everything else acts: it is told in the list of operations as `what`. */
export type ApiRoute = {
  readonly path: string
  readonly role: Role
  readonly handle: (api: Api, request: ApiRequest) => unknown
} & (
  | { readonly method: 'GET' }
  | {
      readonly method: 'POST' | 'PUT' | 'DELETE'
      /** What was asked for, without secrets. */
      readonly what: (request: ApiRequest) => string
    }
)

/** Answered as it is, to be saved by the browser. */
export class Download {
  readonly fileName: string
  readonly contentType: string
  readonly content: string

  constructor(fileName: string, contentType: string, content: string) {
    this.fileName = fileName
    this.contentType = contentType
    this.content = content
  }
}

/** What is known of the cluster; of brokers that tell nothing it says why. */
export function anyPictureOf({ collector }: Api): ClusterPicture {
  const { picture } = collector
  if (picture !== null) return picture
  throw new ApiError('unavailable', 'the cluster is being looked at for the first time')
}

/** Throws while there is nothing in it because the console may not look: an empty list would be a lie. */
export function pictureOf(api: Api): ClusterPicture {
  const picture = anyPictureOf(api)
  const refused = picture.brokers.find(({ isRefused }) => isRefused)
  if (refused === undefined || picture.brokers.some((broker) => broker.picture !== null)) {
    return picture
  }
  const problem = refused.problem ?? ''
  throw new ApiError('unavailable', `brokers refuse the console: ${problem} (${REFUSED_ADVICE})`)
}

export function param({ params }: ApiRequest, name: string): string {
  const value = params[name]
  if (value === undefined || value === '') throw new ApiError('badRequest', `${name} is missing`)
  return value
}

export interface Leader {
  readonly brokerName: string
  readonly address: string
}

/** Those that can be asked; throws for one that cannot, because a change has to reach them all. */
export function leadersOf(brokers: readonly BrokerState[]): readonly Leader[] {
  return brokers.map(({ brokerName, address }) => {
    if (address !== null) return { brokerName, address }
    throw new ApiError('unavailable', `broker ${brokerName} has no leader now; try again`)
  })
}

/** The leaders of the brokers that have a topic. */
export function leadersOfTopic(api: Api, topic: string): readonly Leader[] {
  const picture = pictureOf(api)
  const state = picture.topics.get(topic)
  if (state === undefined) throw new ApiError('notFound', `there is no topic ${topic}`)
  const names = new Set(state.on.map(({ brokerName }) => brokerName))
  return leadersOf(picture.brokers.filter(({ brokerName }) => names.has(brokerName)))
}

/** Acts on one broker after the other; a failure says which have it already. */
export async function onEach(
  leaders: readonly Leader[],
  act: (leader: Leader) => Promise<unknown>,
): Promise<void> {
  const done: string[] = []
  for (const leader of leaders) {
    try {
      await act(leader)
    } catch (error) {
      if (done.length === 0) throw error
      const sentence = error instanceof Error ? error.message : String(error)
      throw new ApiError(
        'conflict',
        `done on ${done.join(', ')}, but not on ${leader.brokerName}: ${sentence}`,
        error,
      )
    }
    done.push(leader.brokerName)
  }
}
