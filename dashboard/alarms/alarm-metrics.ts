/** Metrics of the alarms: how many there are, and how telling the receivers goes. A receiver that hears nothing must not look like a quiet night. */
import { Counter, Gauge } from '../../common/metrics.ts'
import type { Registry } from '../../common/metrics.ts'

/** `refused`: the receiver answered, and does not want it. */
export type AttemptResult = 'delivered' | 'failed' | 'refused'

export interface AlarmTotals {
  readonly pending: number
  readonly firing: number
  /** Of the pending and firing ones. */
  readonly silenced: number
  /** Beyond what is kept at most. */
  readonly leftOut: number
  readonly receivers: readonly {
    readonly name: string
    /** Attempts in a row. */
    readonly failures: number
    /** Firing alarms that it is not told of because of a silence. */
    readonly silenced: number
  }[]
}

const RESULTS: readonly AttemptResult[] = ['delivered', 'failed', 'refused']

/** Every receiver has its series from the start. Answers what counts an attempt. */
export function registerAlarmMetrics(
  registry: Registry,
  receivers: readonly string[],
  totals: () => AlarmTotals,
): (receiver: string, result: AttemptResult) => void {
  const registers = [registry]
  const messages = new Counter({
    name: 'rocketmq_dashboard_alarm_messages_total',
    help: 'Attempts to tell a receiver of alarms, without tests.',
    labelNames: ['receiver', 'result'],
    registers,
  })
  for (const receiver of receivers) {
    for (const result of RESULTS) messages.inc({ receiver, result }, 0)
  }
  const alarms: Gauge<'state'> = new Gauge({
    name: 'rocketmq_dashboard_alarms',
    help: 'Alarms by state; silenced ones are counted in their own state too.',
    labelNames: ['state'],
    registers,
    collect: () => {
      const { pending, firing, silenced, leftOut } = totals()
      alarms.set({ state: 'pending' }, pending)
      alarms.set({ state: 'firing' }, firing)
      alarms.set({ state: 'silenced' }, silenced)
      alarms.set({ state: 'left_out' }, leftOut)
    },
  })
  addReceiverGauge(registry, {
    name: 'rocketmq_dashboard_receiver_failures',
    help: 'Attempts in a row that a receiver could not be told; 0 when the last one was well.',
    value: ({ failures }) => failures,
    totals,
  })
  addReceiverGauge(registry, {
    name: 'rocketmq_dashboard_receiver_silenced_alarms',
    help: 'Firing alarms that a receiver is not told of because of a silence.',
    value: ({ silenced }) => silenced,
    totals,
  })
  return (receiver, result) => messages.inc({ receiver, result })
}

function addReceiverGauge(
  registry: Registry,
  parts: {
    readonly name: string
    readonly help: string
    readonly value: (receiver: AlarmTotals['receivers'][number]) => number
    readonly totals: () => AlarmTotals
  },
): void {
  const { name, help, value, totals } = parts
  const gauge: Gauge<'receiver'> = new Gauge({
    name,
    help,
    labelNames: ['receiver'],
    registers: [registry],
    collect: () => {
      for (const receiver of totals().receivers) {
        gauge.set({ receiver: receiver.name }, value(receiver))
      }
    },
  })
}
