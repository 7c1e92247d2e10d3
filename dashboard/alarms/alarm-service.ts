/**
 * Alarms at work: each picture of the cluster goes through the rules, what is due is sent, and what is known is kept on disk. Sending runs
 * beside everything else, one message at a time for each receiver, each with an end in time.
 */
import type { ClusterPicture } from '../../client/cluster-picture.ts'
import { brokerGoneFinding } from '../../client/health-verdicts.ts'
import type { Finding } from '../../client/health-verdicts.ts'
import { messageOf as sentenceOfError } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { Clock, Disk, Random, Timer, Timers } from '../../common/ports.ts'
import { ApiError } from '../api-error.ts'
import type { AlarmRow, AlarmSettingsAnswer } from '../alarm-types.ts'
import type { EventRow } from '../api-types.ts'
import type { AlarmConfig } from './alarm-config.ts'
import { canTell, conditionsOf } from './alarm-conditions.ts'
import type { AlarmTotals, AttemptResult } from './alarm-metrics.ts'
import { KIND_FACTS } from './alarm-kinds.ts'
import { alarmRow, receiverRow, ruleRow } from './alarm-rows.ts'
import { loadAlarmFile, saveAlarmFile } from './alarm-state-file.ts'
import { AlarmStates } from './alarm-states.ts'
import type { Alarm } from './alarm-states.ts'
import { ClusterMemory } from './cluster-memory.ts'
import { messageOf, testMessage } from './messages.ts'
import type { Message, MessageContext } from './messages.ts'
import { Notifier } from './notifier.ts'
import type { Notification } from './notifier.ts'
import { SendError, sentenceOf } from './sender.ts'
import type { Sender } from './sender.ts'
import { Silences } from './silences.ts'
import type { Silence } from '../alarm-types.ts'

export interface AlarmServiceOptions {
  readonly config: AlarmConfig
  /** By the names of the receivers. */
  readonly senders: ReadonlyMap<string, Sender>
  readonly path: string
  readonly disk: Disk
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly logger: Logger
  readonly onEvent: (event: EventRow) => void
  /** A receiver was to be told; tests are not counted. */
  readonly onAttempt: (receiver: string, result: AttemptResult) => void
}

const PUMP_MS = 1_000
const SAVE_AFTER_MS = 200
const WINDOW_MIN_MS = 60_000
const CLUSTERS_NAMED = 3
const ID_BYTES = 9

export class AlarmService {
  readonly #options: AlarmServiceOptions
  readonly #states: AlarmStates
  readonly #notifier: Notifier
  readonly #silences: Silences
  readonly #memory: ClusterMemory
  readonly #stop = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #testing = new Set<string>()
  #cluster = ''
  #pumpTimer: Timer | null = null
  #saveTimer: Timer | null = null
  #goneFindings: readonly Finding[] = []

  constructor(options: AlarmServiceOptions) {
    const { config, disk, path, logger } = options
    const file = loadAlarmFile(disk, path, logger)
    const windows = config.rules.map(({ withinMs }) => withinMs)
    this.#options = options
    this.#cluster = config.cluster
    this.#states = new AlarmStates(config.resolveAfterMs, file.alarms)
    this.#notifier = new Notifier(config, file.flows, file.statuses)
    this.#silences = new Silences(file.silences)
    this.#memory = new ClusterMemory(file.memory, Math.max(WINDOW_MIN_MS, ...windows))
  }

  /** What the picture alone cannot say: broker groups that were there before. */
  get findings(): readonly Finding[] {
    return this.#goneFindings
  }

  start(): void {
    this.#pumpTimer = this.#options.timers.every(PUMP_MS, () => this.#pump())
  }

  /** Ends what is being sent; idempotent. */
  async close(): Promise<void> {
    this.#pumpTimer?.cancel()
    this.#stop.abort(new Error('the console stops'))
    await Promise.all(this.#running)
    if (this.#saveTimer !== null) this.#save()
  }

  /** Takes what is wrong in a picture of the cluster. */
  take(picture: ClusterPicture): void {
    const { config, clock, onEvent } = this.#options
    const names = [...new Set(picture.brokers.map(({ cluster }) => cluster))]
    if (config.cluster === '' && names.length > 0) {
      this.#cluster = names.slice(0, CLUSTERS_NAMED).join(', ')
    }
    const isRemembered = this.#memory.observe(picture)
    this.#goneFindings = this.#memory.gone.map(({ brokerName, goneSince }) =>
      brokerGoneFinding(brokerName, picture.at - goneSince),
    )
    const now = clock.now()
    const changed = this.#states.observe(
      now,
      conditionsOf(picture, config, this.#memory),
      canTell(picture, this.#memory),
      (key) => this.#notifier.isTold(key),
    )
    for (const alarm of changed) onEvent(eventOf(alarm, now))
    if (changed.length > 0 || isRemembered) this.#saveLater()
    this.#pump()
  }

  /** Firing and pending ones. */
  get rows(): readonly AlarmRow[] {
    const { config, clock } = this.#options
    const now = clock.now()
    const { flows } = this.#notifier
    const goneBrokers = new Set(this.#memory.gone.map(({ brokerName }) => brokerName))
    const rows: AlarmRow[] = []
    for (const alarm of this.#states.all) {
      if (!isShown(alarm)) continue
      const silence = this.#silences.silencing(alarm, now)
      rows.push(alarmRow(alarm, { config, flows, silence, goneBrokers }))
    }
    return rows
  }

  get settings(): AlarmSettingsAnswer {
    const { config, clock } = this.#options
    const now = clock.now()
    const { firing, pending, silenced, leftOut } = this.totals
    return {
      at: now,
      firing,
      pending,
      silenced,
      leftOut,
      receivers: this.#notifier.statuses.flatMap((status) => receiverRow(config, status)),
      silences: this.#silences.all.filter(({ endsAt }) => endsAt > now),
      rules: config.rules.map(ruleRow),
    }
  }

  get totals(): AlarmTotals {
    const { config, clock } = this.#options
    const now = clock.now()
    const shown = [...this.#states.all].filter(isShown)
    const silenced = shown.filter((alarm) => this.#silences.silencing(alarm, now) !== null)
    const failures = new Map(
      this.#notifier.statuses.map((status) => [status.name, status.failures]),
    )
    return {
      pending: shown.filter(({ state }) => state === 'pending').length,
      firing: shown.filter(({ state }) => state === 'firing').length,
      silenced: silenced.length,
      leftOut: this.#states.leftOut,
      receivers: config.receivers.map(({ name }) => ({
        name,
        failures: failures.get(name) ?? 0,
        silenced: silenced.filter(
          ({ state, receivers }) => state === 'firing' && receivers.includes(name),
        ).length,
      })),
    }
  }

  silence(given: {
    readonly kind: Silence['kind']
    readonly subject: string
    readonly comment: string
    readonly by: string
    readonly minutes: number
  }): Silence {
    const { kind, subject, comment, by, minutes } = given
    const startsAt = this.#options.clock.now()
    const id = this.#options.random.bytes(ID_BYTES).toString('base64url')
    const endsAt = startsAt + minutes * 60_000
    const silence: Silence = { id, kind, subject, comment, by, startsAt, endsAt }
    this.#silences.add(silence)
    this.#save()
    return silence
  }

  unsilence(id: string): void {
    this.#silences.remove(id)
    this.#save()
  }

  /** A broker group that was removed on purpose. */
  forgetBroker(brokerName: string): void {
    if (!this.#memory.forget(brokerName)) {
      throw new ApiError('notFound', `${brokerName} is no broker group that is gone`)
    }
    this.#save()
  }

  /** Sends a message that is no alarm; throws `ApiError` with what went wrong. */
  async test(name: string, by: string): Promise<void> {
    const { clock, senders } = this.#options
    const sender = senders.get(name)
    if (sender === undefined) throw new ApiError('notFound', `there is no receiver ${name}`)
    if (this.#testing.has(name)) throw new ApiError('conflict', `${name} is being tested already`)
    this.#testing.add(name)
    try {
      const message = testMessage(name, by, clock.now(), this.#context)
      const note = await sender.send(message, this.#stop.signal)
      if (note !== null) throw new SendError('refused', note)
      this.#notifier.noteDelivery(name, clock.now())
      this.#saveLater()
    } catch (error) {
      throw new ApiError('conflict', `${name}: ${sentenceOf(error, [])}`, error)
    } finally {
      this.#testing.delete(name)
    }
  }

  get #context(): MessageContext {
    return { config: this.#options.config, cluster: this.#cluster }
  }

  #pump(): void {
    if (this.#stop.signal.aborted) return
    const now = this.#options.clock.now()
    if (this.#silences.prune(now)) this.#saveLater()
    for (const notification of this.#notifier.due(now, this.#states, this.#silences)) {
      const running = this.#deliver(notification).finally(() => {
        this.#running.delete(running)
        // The receiver may have to be told of another kind.
        this.#pump()
      })
      this.#running.add(running)
    }
  }

  /** Never rejects. */
  async #deliver(notification: Notification): Promise<void> {
    const { clock, random, senders, logger, onEvent, onAttempt } = this.#options
    const { receiver, firing, resolved } = notification
    const { name } = receiver
    const before = this.#notifier.statuses.find((status) => status.name === name)?.failures ?? 0
    const counts = { receiver: name, firing: firing.length, resolved: resolved.length }
    try {
      const message: Message = messageOf(notification, this.#context)
      const note = await required(senders, name).send(message, this.#stop.signal)
      this.#notifier.delivered(notification, clock.now())
      onAttempt(name, 'delivered')
      logger.info({ ...counts, kind: notification.kind }, 'a receiver was told of alarms')
      const text = `was told: ${message.subject}`
      const at = clock.now()
      onEvent({ at, severity: 'info', subject: `receiver ${name}`, text })
      if (note !== null) {
        onEvent({ at, severity: 'warning', subject: `receiver ${name}`, text: note })
      }
    } catch (error) {
      // Not the receiver's fault, and told after the next start.
      if (this.#stop.signal.aborted) return
      const isRefused = error instanceof SendError && error.code === 'refused'
      const sentence = sentenceOf(error, [])
      const failure = { sentence, isRefused, random: random.next() }
      this.#notifier.failed(notification, clock.now(), failure)
      onAttempt(name, isRefused ? 'refused' : 'failed')
      logger.warn({ ...counts, problem: sentence }, 'a receiver could not be told of alarms')
      const text = `could not be told of alarms: ${sentence}`
      const event = {
        at: clock.now(),
        severity: 'warning',
        subject: `receiver ${name}`,
        text,
      } as const
      if (before === 0) onEvent(event)
    }
    // Before anything else happens, so that a restart tells as little as possible twice.
    this.#save()
  }

  #saveLater(): void {
    this.#saveTimer ??= this.#options.timers.after(SAVE_AFTER_MS, () => this.#save())
  }

  #save(): void {
    const { disk, path, logger } = this.#options
    this.#saveTimer?.cancel()
    this.#saveTimer = null
    try {
      saveAlarmFile(disk, path, {
        alarms: [...this.#states.all],
        flows: this.#notifier.flows,
        statuses: this.#notifier.statuses,
        silences: this.#silences.all,
        memory: this.#memory.state,
      })
    } catch (error) {
      const text = `the state of the alarms cannot be written: ${sentenceOfError(error)}`
      logger.warn({ err: error, path }, text)
    }
  }
}

function isShown(alarm: Alarm): alarm is Alarm & { readonly state: 'pending' | 'firing' } {
  return alarm.state !== 'resolved'
}

function eventOf({ state, severity, kind, subject, problem }: Alarm, at: number): EventRow {
  const { title } = KIND_FACTS[kind]
  return state === 'firing'
    ? { at, severity, subject, text: `alarm: ${title}: ${problem}` }
    : { at, severity: 'info', subject, text: `alarm is over: ${title}` }
}

function required(senders: ReadonlyMap<string, Sender>, name: string): Sender {
  const sender = senders.get(name)
  if (sender !== undefined) return sender
  throw new SendError('refused', `there is no receiver ${name}`)
}
