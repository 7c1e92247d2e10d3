/** A line chart over time. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import type { HistoryAnswer } from '../api-types.ts'
import { queryOf } from './server.ts'
import { html, usePoll } from './ui.ts'

export interface ChartLine {
  /** The series of the history. */
  readonly series: string
  readonly label: string
}

const HEIGHT = 160
const COLOURS = ['--line-1', '--line-2', '--line-3', '--line-4', '--line-5', '--line-6'] as const
const RANGES = [
  { label: '1 h', ms: 3_600_000 },
  { label: '24 h', ms: 86_400_000 },
  { label: '7 d', ms: 604_800_000 },
] as const

export function Chart({
  title,
  lines,
  format,
}: {
  readonly title: string
  readonly lines: readonly ChartLine[]
  readonly format: (value: number | null) => string
}): ComponentChildren {
  const [rangeMs, setRange] = useState<number>(RANGES[0].ms)
  const query = queryOf({ rangeMs })
  const wanted = lines.map(({ series }) => `series=${encodeURIComponent(series)}`).join('&')
  const { data } = usePoll<HistoryAnswer>(`history?${query}&${wanted}`, 10_000)
  const target = useRef<HTMLDivElement>(null)
  const last = lines.map(({ series, label }) => {
    const values = data?.series[series] ?? []
    return { label, value: values.findLast((value) => value !== null) ?? null }
  })
  usePlot(target, data, lines, format)
  return html`<figure class="chart">
    <figcaption>
      <span>${title}</span>
      <span class="legend">
        ${last.map(({ label, value }, at) => html`<span><i class=${`swatch line-${(at % COLOURS.length) + 1}`}></i>${label} ${format(value)}</span>`)}
      </span>
      <span class="ranges" role="group" aria-label=${`Range of ${title}`}>
        ${RANGES.map(({ label, ms }) => html`<button type="button" aria-pressed=${ms === rangeMs} onClick=${() => setRange(ms)}>${label}</button>`)}
      </span>
    </figcaption>
    <div
      ref=${target}
      class="plot"
      role="img"
      aria-label=${`${title}: ${last.map(({ label, value }) => `${label} ${format(value)}`).join(', ')}`}
    ></div>
  </figure>`
}

function usePlot(
  target: { readonly current: HTMLDivElement | null },
  data: HistoryAnswer | null,
  lines: readonly ChartLine[],
  format: (value: number | null) => string,
): void {
  const plot = useRef<uPlot | null>(null)
  const shape = lines.map(({ series }) => series).join('\n')
  useEffect(() => {
    const element = target.current
    if (element === null) return undefined
    const colour = (name: string): string => colourOf(element, name)
    const axis = {
      stroke: colour('--muted'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { show: false },
    }
    const made = new uPlot(
      {
        width: Math.max(160, element.clientWidth),
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        scales: { y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
        axes: [
          { ...axis, size: 26, values: (_plot, ticks) => tickTimes(ticks) },
          { ...axis, size: 52, values: (_plot, ticks) => ticks.map((tick) => format(tick)) },
        ],
        series: [
          {},
          ...lines.map(({ label }, at) => ({
            label,
            stroke: colour(COLOURS[at % COLOURS.length] ?? '--line-1'),
            width: 1.5,
            points: { show: false },
            spanGaps: false,
          })),
        ],
      },
      [[], ...lines.map(() => [])],
      element,
    )
    plot.current = made
    const observer = new ResizeObserver(() =>
      made.setSize({ width: Math.max(160, element.clientWidth), height: HEIGHT }),
    )
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [shape, document.documentElement.dataset['theme']])
  useEffect(() => {
    if (data === null || plot.current === null) return
    const times = data.times.map((at) => at / 1000)
    plot.current.setData([times, ...lines.map(({ series }) => [...(data.series[series] ?? [])])])
  }, [data, shape])
}

/** A variable's colour as it is shown: its own value may be one for light and one for dark, which a canvas does not take. */
function colourOf(element: HTMLElement, name: string): string {
  element.style.color = `var(${name})`
  const { color } = getComputedStyle(element)
  element.style.color = ''
  return color
}

/** Hours and minutes, and the day where one begins or days are shown. */
function tickTimes(ticks: readonly number[]): string[] {
  const two = (value: number): string => String(value).padStart(2, '0')
  return ticks.map((tick) => {
    const date = new Date(tick * 1000)
    const clock = `${two(date.getHours())}:${two(date.getMinutes())}`
    return clock === '00:00' ? `${two(date.getMonth() + 1)}-${two(date.getDate())}` : clock
  })
}
