import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { RouteTable } from './route-table.ts'
import type { Registration } from './route-table.ts'
import { DEFAULT_OPTIONS, registration, topicTable } from './testing.ts'

interface QueueRow {
  readonly topic: string
  readonly brokerName: string
  readonly perm: number
}

/** The slow obvious form: one list of living brokers, one list of queues, everything else looked up by going through them. */
class Model {
  brokers: { readonly as: Registration; lastUpdate: number }[] = []
  queues: QueueRow[] = []

  apply(event: Step, now: number): string | number {
    switch (event.type) {
      case 'register':
        return this.register(registrationOf(event), now)
      case 'close':
      case 'pass': {
        const gone = this.brokers.filter(({ as, lastUpdate }) =>
          event.type === 'close'
            ? as.connectionId === event.connectionId
            : lastUpdate + 120_000 < now,
        )
        gone.forEach(({ as }) => this.remove(as))
        return gone.length
      }
      case 'wipe':
        return this.wipe(event.brokerName)
      default:
        this.remove(event)
        return 0
    }
  }

  register(as: Registration, now: number): string {
    const present = this.brokers.find(
      (broker) => broker.as.brokerName === as.brokerName && broker.as.brokerId === as.brokerId,
    )
    if (present !== undefined) {
      const moved = present.as.brokerAddr !== as.brokerAddr
      const isOlder =
        as.topicTable.dataVersion.stateVersion < present.as.topicTable.dataVersion.stateVersion
      if (as.term < present.as.term) return 'outdated'
      if (as.term === present.as.term && moved && isOlder) return 'outdated'
    }
    if (present === undefined && as.topicTable.topics.size === 1) return 'refused'
    for (const other of this.brokers.filter(
      (broker) => broker.as.brokerAddr === as.brokerAddr && broker.as.brokerName !== as.brokerName,
    )) {
      this.remove(other.as)
    }
    const same =
      present !== undefined &&
      present.as.brokerAddr === as.brokerAddr &&
      JSON.stringify(present.as.topicTable.dataVersion) ===
        JSON.stringify(as.topicTable.dataVersion)
    this.brokers = this.brokers.filter(
      (broker) => broker !== present && broker.as.brokerAddr !== as.brokerAddr,
    )
    this.brokers.push({ as, lastUpdate: now })
    if (this.speaks(as)) {
      for (const { topicName, perm } of as.topicTable.topics.values()) {
        if (same && this.has(topicName, as.brokerName)) continue
        this.queues = this.queues.filter(
          (row) => row.topic !== topicName || row.brokerName !== as.brokerName,
        )
        this.queues.push({ topic: topicName, brokerName: as.brokerName, perm })
      }
    }
    return 'registered'
  }

  remove({
    brokerName,
    brokerAddr,
  }: {
    readonly brokerName: string
    readonly brokerAddr: string
  }): void {
    this.brokers = this.brokers.filter(
      (broker) => broker.as.brokerName !== brokerName || broker.as.brokerAddr !== brokerAddr,
    )
    if (this.brokers.some((broker) => broker.as.brokerName === brokerName)) return
    this.queues = this.queues.filter((row) => row.brokerName !== brokerName)
  }

  wipe(brokerName: string): number {
    this.queues = this.queues.map((row) =>
      row.brokerName === brokerName ? { ...row, perm: row.perm & ~2 } : row,
    )
    return this.queues.filter((row) => row.brokerName === brokerName).length
  }

  /** Topic, then group with its permission and addresses; all sorted. */
  view(): unknown {
    const topics = [...new Set(this.queues.map(({ topic }) => topic))].sort()
    return topics.map((topic) => [
      topic,
      this.queues
        .filter((row) => row.topic === topic)
        .sort((left, right) => (left.brokerName < right.brokerName ? -1 : 1))
        .map(({ brokerName, perm }) => [brokerName, perm, this.addresses(brokerName)]),
    ])
  }

  private speaks(as: Registration): boolean {
    if (as.brokerId === 0) return true
    const ids = this.brokers
      .filter((broker) => broker.as.brokerName === as.brokerName)
      .map((broker) => broker.as.brokerId)
    return Math.min(...ids) === as.brokerId
  }

  private has(topic: string, brokerName: string): boolean {
    return this.queues.some((row) => row.topic === topic && row.brokerName === brokerName)
  }

  private addresses(brokerName: string): readonly (readonly [number, string])[] {
    return this.brokers
      .filter((broker) => broker.as.brokerName === brokerName)
      .map((broker) => [broker.as.brokerId, broker.as.brokerAddr] as const)
      .sort(([left], [right]) => left - right)
  }
}

function viewOf(table: RouteTable): unknown {
  return table.topics().map((topic) => {
    const route = table.route(topic)
    return [
      topic,
      route?.queueDatas.map(({ brokerName, perm }) => [
        brokerName,
        perm,
        [...(route.brokerDatas.find((data) => data.brokerName === brokerName)?.brokerAddrs ?? [])],
      ]),
    ]
  })
}

const topics = fc
  .uniqueArray(fc.constantFrom('T1', 'T2', 'T3', 'T4'), { minLength: 1, maxLength: 4 })
  .map((names) => names.map((name) => topicConfig(name)))
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('register' as const),
      brokerName: fc.constantFrom('a', 'b', 'c'),
      brokerId: fc.integer({ min: 0, max: 2 }),
      brokerAddr: fc.constantFrom('h1:1', 'h2:1', 'h3:1', 'h4:1'),
      clusterName: fc.constantFrom('c1', 'c2'),
      term: fc.integer({ min: 0, max: 2 }),
      stateVersion: fc.integer({ min: 0, max: 1 }),
      counter: fc.integer({ min: 0, max: 2 }),
      connectionId: fc.integer({ min: 1, max: 3 }),
      topics,
    }),
  },
  fc.record({ type: fc.constant('close' as const), connectionId: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ type: fc.constant('pass' as const), elapsedMs: fc.integer({ min: 0, max: 90_000 }) }),
  fc.record({ type: fc.constant('wipe' as const), brokerName: fc.constantFrom('a', 'b', 'c') }),
  fc.record({
    type: fc.constant('unregister' as const),
    brokerName: fc.constantFrom('a', 'b', 'c'),
    brokerAddr: fc.constantFrom('h1:1', 'h2:1', 'h3:1', 'h4:1'),
  }),
)

type Step = typeof step extends fc.Arbitrary<infer Event> ? Event : never

function registrationOf(event: Extract<Step, { readonly type: 'register' }>): Registration {
  const { stateVersion, counter, topics, type: _type, ...rest } = event
  return registration({ ...rest, topicTable: topicTable(topics, { stateVersion, counter }) })
}

/** Lets the step happen; returns what it tells: the kind of result, or how many brokers it concerned. */
function applyTo(table: RouteTable, event: Step, now: number): string | number {
  switch (event.type) {
    case 'register':
      return table.register(registrationOf(event), now).type
    case 'close':
    case 'pass': {
      const gone = event.type === 'close' ? table.brokersOf(event.connectionId) : table.expired(now)
      table.unregister(gone)
      return gone.length
    }
    case 'wipe':
      return table.wipeWritePermission(event.brokerName)
    default:
      table.unregister([{ ...event, term: null }])
      return 0
  }
}

// Goal: whatever happens in whatever order, the routes are those of a list that is searched from end to end.
// Method: random histories over few names, so that ids, addresses and terms collide often.
test('the routes equal those of an obvious model over random histories', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (history) => {
      const table = new RouteTable(() => DEFAULT_OPTIONS)
      const model = new Model()
      let now = 0
      for (const event of history) {
        if (event.type === 'pass') now += event.elapsedMs
        const [actual, expected] = [applyTo(table, event, now), model.apply(event, now)]
        expect(actual).toBe(expected)
        expect(viewOf(table)).toEqual(model.view())
        expect(table.brokerCount).toBe(model.brokers.length)
      }
    }),
    { numRuns: 500 },
  )
})
