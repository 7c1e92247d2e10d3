/** The figures of a comparison: what they are, which way is better, and what is to be reached. */

export interface Metric {
  readonly id: string
  readonly title: string
  readonly unit: string
  readonly better: 'more' | 'less'
  /** Digits after the point in tables. */
  readonly digits?: number
  readonly target?: Target
}

export type Target =
  /** So many times better than the Java broker. */
  | { readonly type: 'ratio'; readonly atLeast: number }
  /** Gantry's median, in the metric's unit. */
  | { readonly type: 'limit'; readonly atMost: number }
  /** Gantry's median by that of another figure of Gantry's. */
  | { readonly type: 'relative'; readonly to: string; readonly atMost: number }
  | { readonly type: 'relative'; readonly to: string; readonly atLeast: number }

export function ratioTarget(atLeast: number): Target {
  return { type: 'ratio', atLeast }
}

export function limitTarget(atMost: number): Target {
  return { type: 'limit', atMost }
}

/** The metrics of one send load: rate, CPU, and latency of the answers. */
export function sendMetrics(
  id: string,
  title: string,
  targets: { readonly rate?: Target; readonly cpu?: Target },
): readonly Metric[] {
  return [
    {
      id: `${id}.rate`,
      title,
      unit: 'msg/s',
      better: 'more',
      ...(targets.rate === undefined ? {} : { target: targets.rate }),
    },
    {
      id: `${id}.cpu`,
      title: `${title}: CPU of the broker`,
      unit: 's per million',
      better: 'less',
      digits: 1,
      ...(targets.cpu === undefined ? {} : { target: targets.cpu }),
    },
    { id: `${id}.p99`, title: `${title}: p99`, unit: 'ms', better: 'less', digits: 1 },
  ]
}

/** What one write and fdatasync of a record take, measured beside a load. */
export function diskMetric(id: string): Metric {
  const title = 'the disk itself: write and fdatasync, p50'
  return { id, title, unit: 'ms', better: 'less', digits: 3 }
}
