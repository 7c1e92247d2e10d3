/**
 * prom-client behind one door: each role makes a registry of its own, so that two roles can live in one process.
 *
 * Its parts are imported one by one: the whole package loads a push gateway, and with it 10 MiB of Node's HTTP client in every role.
 */
import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import Counter from 'prom-client/lib/counter.js'
import Gauge from 'prom-client/lib/gauge.js'
import Histogram from 'prom-client/lib/histogram.js'
import PromRegistry from 'prom-client/lib/registry.js'

export { Counter, Gauge, Histogram }

export type NodeType = 'broker' | 'nameserver' | 'proxy' | 'operator' | 'dashboard'

export type MetricLabels = Readonly<Record<string, string>>

export interface MetricSample {
  /** Behind the metric's name: nothing, or `_bucket`, `_sum`, `_count`. */
  readonly suffix: string
  readonly labels: MetricLabels
  readonly value: number
}

/** A metric whose samples are made while they are written, for those with thousands of series. */
export interface SampledMetric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  samples(): Iterable<MetricSample>
}

/** A metric with its samples, which do not have the common labels yet. */
export interface MetricFamily extends Omit<SampledMetric, 'samples'> {
  readonly samples: readonly MetricSample[]
}

/** Samples that are made in one turn of the event loop; the dearest ones look at a record in each queue of a topic. */
const TURN_SAMPLES = 128
const NO_LABELS: MetricLabels = {}

/** A registry whose samples all carry RocketMQ's common labels (`cluster`, `node_type`, `node_id`), and `more` of them. */
export function createRegistry(labels: {
  readonly cluster: string
  readonly nodeType: NodeType
  readonly nodeId: string
  readonly more?: MetricLabels
}): Registry {
  return new Registry({
    ...labels.more,
    cluster: labels.cluster,
    node_type: labels.nodeType,
    node_id: labels.nodeId,
  })
}

export class Registry extends PromRegistry {
  readonly commonLabels: MetricLabels
  readonly #commonNames: readonly string[]
  readonly #commonText: string
  readonly #sampled = new Map<string, SampledMetric>()

  /** `commonLabels` stand in every sample that has none of the name itself. */
  constructor(commonLabels: MetricLabels = NO_LABELS) {
    super()
    this.setDefaultLabels(commonLabels)
    this.commonLabels = commonLabels
    this.#commonNames = Object.keys(commonLabels)
    this.#commonText = labelsText(commonLabels)
  }

  registerSampled(metric: SampledMetric): void {
    assert(!this.#sampled.has(metric.name), `${metric.name} is registered twice`)
    this.#sampled.set(metric.name, metric)
  }

  /** The text exposition; other work has its turn in between. */
  override async metrics(): Promise<string> {
    const parts: string[] = []
    for (const metric of this.getMetricsAsArray()) {
      parts.push(await this.getSingleMetricAsString(metric.name), '\n\n')
      await nextTurn()
    }
    for (const metric of this.#sampled.values()) await this.#writeSampled(metric, parts)
    return parts.join('')
  }

  /** What `metrics` writes, metric by metric; other work has its turn in between. */
  async *families(): AsyncIterable<MetricFamily> {
    for (const { name, help, type, values } of await this.getMetricsAsJSON()) {
      const samples = values.map((value) => ({
        suffix: 'metricName' in value ? String(value.metricName).slice(name.length) : '',
        labels: textLabels(value.labels),
        value: value.value,
      }))
      yield { name, help, type: familyType(String(type)), samples }
      await nextTurn()
    }
    for (const metric of this.#sampled.values()) {
      const { name, help, type } = metric
      const samples: MetricSample[] = []
      for (const sample of metric.samples()) {
        samples.push(sample)
        if (samples.length % TURN_SAMPLES === 0) await nextTurn()
      }
      yield { name, help, type, samples }
      await nextTurn()
    }
  }

  async #writeSampled(metric: SampledMetric, parts: string[]): Promise<void> {
    const { name, help, type } = metric
    let text = `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`
    let count = 0
    for (const sample of metric.samples()) {
      text += this.#line(name, sample)
      count++
      if (count % TURN_SAMPLES !== 0) continue
      parts.push(text)
      text = ''
      await nextTurn()
    }
    parts.push(text, '\n')
    await nextTurn()
  }

  #line(name: string, { suffix, labels, value }: MetricSample): string {
    const all = this.#allLabels(labels)
    return `${name}${suffix}${all === '' ? '' : `{${all}}`} ${valueText(value)}\n`
  }

  #allLabels(labels: MetricLabels): string {
    if (this.#commonNames.some((name) => name in labels)) {
      return labelsText({ ...this.commonLabels, ...labels })
    }
    const own = labelsText(labels)
    const comma = own === '' || this.#commonText === '' ? '' : ','
    return `${own}${comma}${this.#commonText}`
  }
}

/** One histogram without labels; `add` is fit for hot paths. */
export class BucketCounts {
  readonly #ends: readonly number[]
  /** One for each bucket, not cumulative, and one for all above. */
  readonly #counts: number[]
  /** The last bucket that was counted in, and what its count does not hold yet. */
  #last = 0
  #uncounted = 0
  #sum = 0

  /** `ends`: the upper bounds, ascending, inclusive. */
  constructor(ends: readonly number[]) {
    this.#ends = ends
    this.#counts = Array.from({ length: ends.length + 1 }, () => 0)
  }

  /** `times` values that are all `value`. */
  add(value: number, times: number): void {
    let index = 0
    while (index < this.#ends.length && value > (this.#ends[index] ?? 0)) index++
    if (index !== this.#last) {
      this.#count()
      this.#last = index
    }
    this.#uncounted += times
    this.#sum += value * times
  }

  #count(): void {
    this.#counts[this.#last] = (this.#counts[this.#last] ?? 0) + this.#uncounted
    this.#uncounted = 0
  }

  *samples(labels: MetricLabels): Iterable<MetricSample> {
    let count = 0
    this.#count()
    for (const [index, inBucket] of this.#counts.entries()) {
      count += inBucket
      const end = this.#ends[index]
      const le = end === undefined ? '+Inf' : String(end)
      yield { suffix: '_bucket', labels: { le, ...labels }, value: count }
    }
    yield { suffix: '_sum', labels, value: this.#sum }
    yield { suffix: '_count', labels, value: count }
  }
}

function familyType(type: string): MetricFamily['type'] {
  assert(type === 'counter' || type === 'gauge' || type === 'histogram', type)
  return type
}

function textLabels(labels: Readonly<Record<string, string | number | undefined>>): MetricLabels {
  return Object.fromEntries(
    Object.entries(labels).map(([name, value]) => [name, String(value ?? '')]),
  )
}

function labelsText(labels: MetricLabels): string {
  let text = ''
  for (const name of Object.keys(labels)) {
    text += `${text === '' ? '' : ','}${name}="${escapeLabel(labels[name] ?? '')}"`
  }
  return text
}

const SPECIAL = /[\\"\n]/g

function escapeLabel(value: string): string {
  return value.replace(SPECIAL, (character) => (character === '\n' ? '\\n' : `\\${character}`))
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function valueText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)
}
