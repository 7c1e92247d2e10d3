/** How answers are printed: in the columns of Java's tool, as a table, as JSON or as YAML. */
import { stringify } from 'yaml'
import { formatFastjson } from '../../remoting/bodies/fastjson.ts'
import type { BodyValue } from '../../remoting/bodies/fastjson.ts'

export type OutputFormat = 'table' | 'json' | 'yaml' | 'name'

/** Positive: filled up at the right (`%-20s`), negative: at the left (`%20s`). As in Java, what is too long is not cut. */
export type Width = number

/** One line in Java's columns: widths and the text between them. */
export function javaLine(widths: readonly Width[], cells: readonly (string | number)[]): string {
  return cells
    .map((cell, index) => {
      const text = String(cell)
      const width = widths[index] ?? 0
      return width < 0 ? text.padStart(-width) : text.padEnd(width)
    })
    .join('  ')
}

/** Java's `frontStringAtLeast`: the first characters. */
export function front(text: string, length: number): string {
  return text.slice(0, length)
}

/** `2026-01-31 12:00:00,123`, in the zone of whoever looks. */
export function humanTime(timestamp: number): string {
  if (timestamp <= 0) return ''
  const date = new Date(timestamp)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  return `${day} ${time},${String(date.getMilliseconds()).padStart(3, '0')}`
}

/** As Java prints objects: tabs, and no blank behind a name. */
export function javaJson(value: BodyValue): string {
  const plain: unknown = JSON.parse(formatFastjson(value).toString())
  return JSON.stringify(plain, null, '\t').replaceAll(/^(\t*"(?:[^"\\]|\\.)*"): /gmu, '$1:')
}

export type Row = Readonly<Record<string, unknown>>

/** What a command of the modern form found: rows for people, the same and more for programs. */
export interface Answer {
  /** Of the table, in order. */
  readonly columns: readonly string[]
  readonly rows: readonly Row[]
  /** For JSON and YAML; the rows when absent. */
  readonly data?: unknown
  /** The column that `-o name` prints. */
  readonly name?: string
}

export function render(answer: Answer, format: OutputFormat): string {
  const data = answer.data ?? answer.rows
  if (format === 'json') return `${JSON.stringify(data, null, 2)}\n`
  if (format === 'yaml') return stringify(data)
  const [first = ''] = answer.columns
  if (format === 'name') {
    return answer.rows.map((row) => `${textOf(row[answer.name ?? first])}\n`).join('')
  }
  return renderTable(answer)
}

function renderTable({ columns, rows }: Answer): string {
  const cells = rows.map((row) => columns.map((column) => textOf(row[column])))
  const widths = columns.map((column, index) =>
    Math.max(column.length, ...cells.map((row) => row[index]?.length ?? 0)),
  )
  const line = (row: readonly string[]) =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd()
  const head = line(columns.map((column) => column.toUpperCase()))
  return [head, ...cells.map(line)].map((text) => `${text}\n`).join('')
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return '-'
  if (typeof value === 'string') return value
  if (typeof value === 'number' && !Number.isInteger(value)) return value.toFixed(2)
  return typeof value === 'number' ? String(value) : JSON.stringify(value)
}
