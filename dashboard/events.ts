/** What happened between two pictures of the cluster. Pure. */
import type { ClusterPicture } from '../client/cluster-picture.ts'
import type { Finding } from '../client/health-verdicts.ts'
import type { EventRow } from './api-types.ts'

/** More of one kind at once are told as a number. */
const NAMED_AT_ONCE = 10

export function eventsBetween(before: ClusterPicture, now: ClusterPicture): readonly EventRow[] {
  const { at } = now
  const events: EventRow[] = []
  const info = (subject: string, text: string): void =>
    void events.push({ at, severity: 'info', subject, text })
  const brokers = new Map(before.brokers.map((broker) => [broker.brokerName, broker]))
  for (const broker of now.brokers) {
    const earlier = brokers.get(broker.brokerName)
    brokers.delete(broker.brokerName)
    const subject = `broker ${broker.brokerName}`
    if (earlier === undefined) info(subject, 'joined the cluster')
    const present = broker.picture?.broker
    const former = earlier?.picture?.broker
    if (present === undefined || former === undefined) continue
    if (present.term !== former.term && present.role === 'leader') {
      info(subject, `member ${present.memberId} leads since term ${present.term}`)
    }
    const ids = (members: typeof present.members): string => members.map(({ id }) => id).join(', ')
    if (ids(present.members) !== ids(former.members)) {
      info(subject, `its members are now ${ids(present.members)}`)
    }
    if (present.memberId === former.memberId && present.bootTimestamp !== former.bootTimestamp) {
      info(subject, `member ${present.memberId} was started anew`)
    }
  }
  for (const gone of brokers.keys()) info(`broker ${gone}`, 'left the cluster')
  // After a gap nothing can be said about what came and went.
  if (now.brokers.every(({ problem }) => problem === null)) {
    events.push(...namesBetween(at, 'topic', before.topics, now.topics))
    events.push(...namesBetween(at, 'group', before.groups, now.groups))
  }
  return events
}

function namesBetween(
  at: number,
  kind: 'topic' | 'group',
  before: ReadonlyMap<string, unknown>,
  now: ReadonlyMap<string, unknown>,
): readonly EventRow[] {
  const events: EventRow[] = []
  const tell = (names: readonly string[], text: string): void => {
    for (const name of names.slice(0, NAMED_AT_ONCE)) {
      events.push({ at, severity: 'info', subject: `${kind} ${name}`, text })
    }
    const more = names.length - NAMED_AT_ONCE
    if (more > 0)
      events.push({ at, severity: 'info', subject: `${kind}s`, text: `${more} more: ${text}` })
  }
  tell(
    [...now.keys()].filter((name) => !before.has(name)),
    'was created',
  )
  tell(
    [...before.keys()].filter((name) => !now.has(name)),
    'was deleted',
  )
  return events
}

/** Findings that came, and those that are over. */
export function findingEvents(
  at: number,
  before: readonly Finding[],
  now: readonly Finding[],
): readonly EventRow[] {
  const former = new Set(before.map(findingKey))
  const present = new Set(now.map(findingKey))
  return [
    ...now
      .filter((finding) => !former.has(findingKey(finding)))
      .map(({ severity, subject, problem }) => ({ at, severity, subject, text: problem })),
    ...before
      .filter((finding) => !present.has(findingKey(finding)))
      .map(({ subject, problem }) => ({
        at,
        severity: 'info' as const,
        subject,
        text: `over: ${problem}`,
      })),
  ]
}

/** Its numbers change, it stays the same finding. */
export function findingKey({ code, subject }: Finding): string {
  return `${code} ${subject}`
}
