/** A Grafana board in few words, and the JSON that Grafana loads. */

export interface Query {
  /** PromQL; `$f` stands for the filter of the board's variables. */
  readonly expr: string
  /** How Grafana names a series, for example `{{node_id}}`; nothing for a single one. */
  readonly legend: string
}

export interface Panel {
  readonly title: string
  /** `stat` shows the last value alone. */
  readonly type: 'timeseries' | 'stat'
  /** Grafana's name of the unit: `short`, `ops`, `Bps`, `bytes`, `ms`, `s`, `percentunit`. */
  readonly unit: string
  readonly description?: string
  readonly queries: readonly Query[]
}

export interface Row {
  readonly title: string
  readonly panels: readonly Panel[]
}

export interface Board {
  /** Of the file and of the link; stays as it is. */
  readonly id: string
  readonly title: string
  readonly description: string
  /** Variables: their label in the metrics, and a metric that has it. The first ones limit those that follow. */
  readonly variables: readonly Variable[]
  readonly rows: readonly Row[]
}

export interface Variable {
  readonly label: string
  readonly metric: string
}

const WIDTH = 24
const STATS_PER_ROW = 6
const CHARTS_PER_ROW = 3
const STAT_HEIGHT = 4
const CHART_HEIGHT = 8
const SOURCE = { type: 'prometheus', uid: '${datasource}' }

export function panel(
  title: string,
  unit: string,
  queries: Readonly<Record<string, string>>,
  description?: string,
): Panel {
  return {
    title,
    unit,
    type: 'timeseries',
    queries: Object.entries(queries).map(([legend, expr]) => ({ expr, legend })),
    ...(description === undefined ? {} : { description }),
  }
}

export function stat(title: string, unit: string, expr: string): Panel {
  return { title, unit, type: 'stat', queries: [{ expr, legend: '' }] }
}

/** The expressions of a board as Prometheus gets them when every variable is All, `window` long. */
export function expressionsOf(
  board: Board,
  window: string,
): readonly { readonly title: string; readonly expr: string }[] {
  return board.rows
    .flatMap(({ panels }) => panels)
    .flatMap(({ title, queries }) =>
      queries.map(({ expr }) => ({
        title,
        expr: expanded(board, expr)
          .replaceAll('$__rate_interval', window)
          .replaceAll(/"\$[a-z_]+"/gu, '".*"'),
      })),
    )
}

export function boardJson(board: Board): string {
  const json = {
    uid: `gantry-${board.id}`,
    title: board.title,
    description: board.description,
    tags: ['gantry', 'rocketmq'],
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    schemaVersion: 39,
    time: { from: 'now-1h', to: 'now' },
    timezone: '',
    links: [
      { type: 'dashboards', title: 'Gantry', tags: ['gantry'], asDropdown: true, keepTime: true },
    ],
    templating: { list: [dataSource(), ...board.variables.map((_, at) => variable(board, at))] },
    panels: panels(board),
  }
  return `${JSON.stringify(json, null, 1)}\n`
}

function expanded({ variables }: Board, expr: string): string {
  const filter = variables.map(({ label }) => `${label}=~"$${label}"`).join(',')
  return expr.replaceAll('$f', filter)
}

function dataSource(): unknown {
  return { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus' }
}

function variable({ variables }: Board, at: number): unknown {
  const { label, metric } = variables[at] ?? { label: '', metric: '' }
  const before = variables.slice(0, at).map((one) => `${one.label}=~"$${one.label}"`)
  const query = `label_values(${metric}{${before.join(',')}}, ${label})`
  return {
    name: label,
    type: 'query',
    datasource: SOURCE,
    definition: query,
    query: { query, refId: label },
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    // A label that is missing counts as empty, which this matches.
    allValue: '.*',
    current: { text: ['All'], value: ['$__all'] },
  }
}

function panels(board: Board): readonly unknown[] {
  const made: unknown[] = []
  let id = 0
  let y = 0
  for (const row of board.rows) {
    made.push({
      id: ++id,
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos: { x: 0, y: y++, w: WIDTH, h: 1 },
      panels: [],
    })
    let x = 0
    let height = 0
    for (const one of row.panels) {
      const isStat = one.type === 'stat'
      const w = WIDTH / (isStat ? STATS_PER_ROW : CHARTS_PER_ROW)
      const h = isStat ? STAT_HEIGHT : CHART_HEIGHT
      if (x + w > WIDTH || (height !== 0 && h !== height)) {
        x = 0
        y += height
      }
      height = h
      made.push(panelJson(board, one, { id: ++id, gridPos: { x, y, w, h } }))
      x += w
    }
    y += height
  }
  return made
}

function panelJson(
  board: Board,
  { title, type, unit, description, queries }: Panel,
  place: object,
) {
  return {
    ...place,
    type,
    title,
    ...(description === undefined ? {} : { description }),
    datasource: SOURCE,
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    options: type === 'stat' ? STAT_OPTIONS : CHART_OPTIONS,
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCodePoint(65 + index),
      datasource: SOURCE,
      expr: expanded(board, expr),
      legendFormat: legend,
      ...(type === 'stat' ? { instant: true } : {}),
    })),
  }
}

const STAT_OPTIONS = {
  reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
  colorMode: 'value',
  graphMode: 'none',
}
const CHART_OPTIONS = {
  legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
  tooltip: { mode: 'multi', sort: 'desc' },
}
