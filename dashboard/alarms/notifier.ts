/**
 * Who has to be told what, and when. Pure: time and randomness are handed in.
 *
 * One message tells one receiver all alarms of one kind. What a receiver knows is compared with what is so now, each time anew: a message that
 * could not be delivered is not queued, the next attempt tells the state of then. So a receiver that was away for long gets one message.
 */
import type { Alarm, AlarmStates } from './alarm-states.ts'
import type { AlarmConfig } from './alarm-config.ts'
import { ALARM_KINDS } from './alarm-kinds.ts'
import type { AlarmKind } from './alarm-kinds.ts'
import type { Receiver } from './receiver-config.ts'
import type { Silences } from './silences.ts'

/** What a receiver knows of one kind. */
export interface Flow {
  readonly receiver: string
  readonly kind: AlarmKind
  readonly lastSentAt: number | null
  /** Alarms that it was told of, and when it was told last. */
  readonly told: readonly { readonly key: string; readonly at: number }[]
}

export interface ReceiverStatus {
  readonly name: string
  readonly lastDeliveryAt: number | null
  readonly lastErrorAt: number | null
  /** Null: the last attempt was well. */
  readonly lastError: string | null
  /** Attempts in a row that failed. */
  readonly failures: number
  /** Null: at once. */
  readonly nextTryAt: number | null
}

/** One message. */
export interface Notification {
  readonly receiver: Receiver
  readonly kind: AlarmKind
  readonly firing: readonly Alarm[]
  readonly resolved: readonly Alarm[]
}

interface MutableFlow {
  lastSentAt: number | null
  readonly told: Map<string, number>
}

/** Attempts in a row are this far apart at least and at most; longer when the receiver said no: it may lock an account. */
const RETRY = { firstMs: 5_000, maxMs: 300_000 } as const
const REFUSED_RETRY = { firstMs: 60_000, maxMs: 1_800_000 } as const
const FAILURES_COUNTED = 30

export class Notifier {
  readonly #config: Pick<AlarmConfig, 'receivers' | 'groupWaitMs' | 'groupIntervalMs'>
  readonly #flows = new Map<string, MutableFlow>()
  readonly #statuses = new Map<string, ReceiverStatus>()
  readonly #busy = new Set<string>()

  /** Of receivers that are configured no more nothing is kept. */
  constructor(
    config: Pick<AlarmConfig, 'receivers' | 'groupWaitMs' | 'groupIntervalMs'>,
    flows: readonly Flow[],
    statuses: readonly ReceiverStatus[],
  ) {
    this.#config = config
    for (const { name } of config.receivers) {
      const known = statuses.find((status) => status.name === name)
      // After a restart everything is tried at once: the reason may have been mended.
      this.#statuses.set(name, { ...UNUSED, ...known, name, nextTryAt: null })
      for (const { receiver, kind, lastSentAt, told } of flows) {
        if (receiver !== name) continue
        const times = new Map(told.map(({ key, at }) => [key, at]))
        this.#flows.set(flowKey(name, kind), { lastSentAt, told: times })
      }
    }
  }

  get flows(): readonly Flow[] {
    return this.#config.receivers.flatMap(({ name: receiver }) =>
      ALARM_KINDS.flatMap((kind) => {
        const flow = this.#flows.get(flowKey(receiver, kind))
        if (flow === undefined) return []
        const told = [...flow.told].map(([key, at]) => ({ key, at }))
        return [{ receiver, kind, lastSentAt: flow.lastSentAt, told }]
      }),
    )
  }

  get statuses(): readonly ReceiverStatus[] {
    return [...this.#statuses.values()]
  }

  isTold(key: string): boolean {
    return [...this.#flows.values()].some(({ told }) => told.has(key))
  }

  /** Messages that are due; a receiver gets one at a time. Each has to be ended by `delivered` or `failed`. */
  due(now: number, states: AlarmStates, silences: Silences): readonly Notification[] {
    const found: Notification[] = []
    const loud = [...states.all].filter(
      (alarm) => alarm.state === 'firing' && silences.silencing(alarm, now) === null,
    )
    for (const receiver of this.#config.receivers) {
      const { name } = receiver
      if (this.#busy.has(name) || this.#mustWait(name, now)) continue
      const next = this.#nextOf(receiver, now, states, loud)
      if (next === null) continue
      this.#busy.add(name)
      found.push(next)
    }
    return found
  }

  delivered({ receiver, kind, firing, resolved }: Notification, now: number): void {
    const flow = this.#flowOf(receiver.name, kind)
    flow.lastSentAt = now
    for (const { key } of firing) flow.told.set(key, now)
    for (const { key } of resolved) flow.told.delete(key)
    this.#busy.delete(receiver.name)
    this.noteDelivery(receiver.name, now)
  }

  /** `isRefused`: the receiver answered, and does not want it. `random`: uniform in [0, 1). */
  failed(
    { receiver }: Notification,
    now: number,
    failure: { readonly sentence: string; readonly isRefused: boolean; readonly random: number },
  ): void {
    const { name } = receiver
    const failures = Math.min((this.#statuses.get(name)?.failures ?? 0) + 1, FAILURES_COUNTED)
    const { firstMs, maxMs } = failure.isRefused ? REFUSED_RETRY : RETRY
    const delayMs = Math.min(maxMs, firstMs * 2 ** (failures - 1))
    // Between half of it and all of it, so that many consoles do not come at once.
    const nextTryAt = now + Math.round(delayMs * (0.5 + failure.random / 2))
    this.#busy.delete(name)
    this.#statuses.set(name, {
      name,
      lastDeliveryAt: this.#statuses.get(name)?.lastDeliveryAt ?? null,
      lastErrorAt: now,
      lastError: failure.sentence,
      failures,
      nextTryAt,
    })
  }

  /** Also after a test: what waits for a receiver that is well again goes at once. */
  noteDelivery(name: string, now: number): void {
    const lastErrorAt = this.#statuses.get(name)?.lastErrorAt ?? null
    this.#statuses.set(name, { ...UNUSED, name, lastDeliveryAt: now, lastErrorAt })
  }

  #mustWait(name: string, now: number): boolean {
    const nextTryAt = this.#statuses.get(name)?.nextTryAt ?? null
    if (nextTryAt === null || now >= nextTryAt) return false
    // Further ahead than any back-off: the clock was set back.
    return nextTryAt - now <= REFUSED_RETRY.maxMs
  }

  #nextOf(
    receiver: Receiver,
    now: number,
    states: AlarmStates,
    loud: readonly Alarm[],
  ): Notification | null {
    for (const kind of ALARM_KINDS) {
      const flow = this.#flowOf(receiver.name, kind)
      this.#forget(flow, states, receiver.sendResolved)
      const firing = loud.filter(
        (alarm) => alarm.kind === kind && alarm.receivers.includes(receiver.name),
      )
      const resolved = [...flow.told.keys()].flatMap((key) => {
        const alarm = states.get(key)
        return alarm?.state === 'resolved' ? [alarm] : []
      })
      if (!this.#isDue(flow, firing, resolved, now)) continue
      return { receiver, kind, firing, resolved }
    }
    return null
  }

  /** What is over without a word, and what is no alarm any more. */
  #forget(flow: MutableFlow, states: AlarmStates, sendResolved: boolean): void {
    for (const key of flow.told.keys()) {
      const alarm = states.get(key)
      if (alarm === null || (alarm.state === 'resolved' && !sendResolved)) flow.told.delete(key)
    }
  }

  #isDue(
    { told, lastSentAt }: MutableFlow,
    firing: readonly Alarm[],
    resolved: readonly Alarm[],
    now: number,
  ): boolean {
    const { groupWaitMs, groupIntervalMs } = this.#config
    const mayChange = lastSentAt === null || elapsed(lastSentAt, now) >= groupIntervalMs
    if (resolved.length > 0 && mayChange) return true
    return firing.some(({ key, firingAt, repeatMs }) => {
      const toldAt = told.get(key)
      if (toldAt !== undefined) return elapsed(toldAt, now) >= repeatMs
      return mayChange && elapsed(firingAt ?? now, now) >= groupWaitMs
    })
  }

  #flowOf(receiver: string, kind: AlarmKind): MutableFlow {
    const key = flowKey(receiver, kind)
    const known = this.#flows.get(key)
    if (known !== undefined) return known
    const flow: MutableFlow = { lastSentAt: null, told: new Map<string, number>() }
    this.#flows.set(key, flow)
    return flow
  }
}

const UNUSED: Omit<ReceiverStatus, 'name'> = {
  lastDeliveryAt: null,
  lastErrorAt: null,
  lastError: null,
  failures: 0,
  nextTryAt: null,
}

/** After the clock was set back nothing waits for the time of before. */
function elapsed(since: number, now: number): number {
  return since > now ? Infinity : now - since
}

function flowKey(receiver: string, kind: AlarmKind): string {
  return `${receiver} ${kind}`
}
