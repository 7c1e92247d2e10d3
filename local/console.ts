/**
 * What `gantry dev` shows: on a terminal a status view that is redrawn in place below the messages, elsewhere one plain line for each message.
 */
import type { WriteStream } from 'node:tty'

export interface ViewPod {
  readonly name: string
  readonly kind: string
  readonly role: string | null
  readonly address: string
  readonly pid: number | null
  readonly state: string
  readonly isReady: boolean
}

export interface View {
  readonly cluster: string
  /** `Ready`, or why not. */
  readonly summary: string
  readonly isReady: boolean
  readonly namesrv: string
  readonly dataFolder: string
  readonly pods: readonly ViewPod[]
  readonly plan: readonly string[]
}

/** Where lines go; a terminal has a size. */
export type Output = Pick<WriteStream, 'write'> &
  Partial<Pick<WriteStream, 'isTTY' | 'columns' | 'rows'>>

const GREEN = '32'
const YELLOW = '33'
const DIM = '2'
const BOLD = '1'
const DEFAULT_COLUMNS = 80
const DEFAULT_ROWS = 24
/** Narrower or lower than this, a table helps nobody: plain lines then. */
const MIN_COLUMNS = 40
const MIN_ROWS = 6

export class Console {
  readonly #output: Output
  readonly #isColoured: boolean
  readonly #isLive: boolean
  #drawnLines = 0
  #view: View | null = null

  constructor(output: Output, environment: Readonly<Record<string, string | undefined>>) {
    this.#output = output
    const isTerminal = output.isTTY === true && environment['TERM'] !== 'dumb'
    this.#isLive = isTerminal
    this.#isColoured = isTerminal && (environment['NO_COLOR'] ?? '') === ''
  }

  /** A line that stays. */
  say(line: string): void {
    this.#erase()
    this.#output.write(`${line}\n`)
    this.#draw()
  }

  show(view: View): void {
    this.#view = view
    if (!this.#isLive) return
    this.#erase()
    this.#draw()
  }

  /** Leaves the last view on the screen and draws no more. */
  close(): void {
    this.#view = null
    this.#drawnLines = 0
  }

  #erase(): void {
    if (this.#drawnLines > 0) this.#output.write(`\u001B[${this.#drawnLines}A\u001B[0J`)
    this.#drawnLines = 0
  }

  #draw(): void {
    const { columns = DEFAULT_COLUMNS, rows = DEFAULT_ROWS } = this.#output
    if (!this.#isLive || this.#view === null || columns < MIN_COLUMNS || rows < MIN_ROWS) return
    const lines = renderView(this.#view, { columns, rows, isColoured: this.#isColoured })
    this.#output.write(lines.map((line) => `${line}\n`).join(''))
    this.#drawnLines = lines.length
  }
}

/** The lines of the view, none wider than the terminal, together lower than it. Pure. */
export function renderView(
  view: View,
  size: { readonly columns: number; readonly rows: number; readonly isColoured: boolean },
): readonly string[] {
  const paint = (code: string, text: string): string =>
    size.isColoured && text !== '' ? `\u001B[${code}m${text}\u001B[0m` : text
  const fit = (text: string): string =>
    text.length < size.columns ? text : `${text.slice(0, Math.max(0, size.columns - 2))}…`

  const head = [
    paint(BOLD, fit(`gantry dev · ${view.cluster} · ${view.namesrv}`)),
    paint(view.isReady ? GREEN : YELLOW, fit(view.summary)),
  ]
  const plan = view.plan.slice(0, 3).map((step) => paint(DIM, fit(`  next: ${step}`)))
  const foot = [paint(DIM, fit(`data ${view.dataFolder} · Ctrl-C stops`))]
  const room = size.rows - 1 - head.length - plan.length - foot.length
  const rows = tableOf(view.pods)
  const shown = rows.length <= room ? rows : rows.slice(0, Math.max(0, room - 1))
  const hidden = rows.length - shown.length
  const table = shown.map((row) =>
    paint(row.isHead ? DIM : row.isReady ? '0' : YELLOW, fit(`  ${row.text}`)),
  )
  const more = hidden === 0 ? [] : [paint(DIM, fit(`  … ${hidden} more`))]
  return [...head, ...table, ...more, ...plan, ...foot]
}

function tableOf(
  pods: readonly ViewPod[],
): readonly { readonly text: string; readonly isHead: boolean; readonly isReady: boolean }[] {
  const cells = [
    ['POD', 'ROLE', 'ADDRESS', 'PID', 'STATE'],
    ...pods.map((pod) => [
      pod.name,
      pod.role ?? pod.kind,
      pod.address,
      pod.pid === null ? '-' : String(pod.pid),
      pod.state,
    ]),
  ]
  const widths = [0, 1, 2, 3, 4].map((column) =>
    Math.max(...cells.map((row) => (row[column] ?? '').length)),
  )
  return cells.map((row, index) => ({
    text: row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
    isHead: index === 0,
    isReady: pods[index - 1]?.isReady ?? true,
  }))
}
