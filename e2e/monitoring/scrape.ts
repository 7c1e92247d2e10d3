/** One scrape, and what it says. */

type Labels = Readonly<Record<string, string>>

interface Line {
  readonly name: string
  readonly labels: Labels
  readonly value: number
}

const SAMPLE = /^([a-z_A-Z0-9:]+)(?:\{(.*)\})? (\S+)$/u
const LABEL = /([a-zA-Z_0-9]+)="((?:[^"\\]|\\.)*)"/gu

export class Scrape {
  readonly lines: readonly Line[]
  /** By name of the family. */
  readonly types: ReadonlyMap<string, string>

  private constructor(text: string) {
    const types = new Map<string, string>()
    const lines: Line[] = []
    for (const line of text.split('\n')) {
      const [, family, type] = /^# TYPE (\S+) (\S+)$/u.exec(line) ?? []
      if (family !== undefined && type !== undefined) types.set(family, type)
      const [, name, labels = '', value] = SAMPLE.exec(line) ?? []
      if (name !== undefined) lines.push({ name, labels: labelsIn(labels), value: Number(value) })
    }
    this.lines = lines
    this.types = types
  }

  static async of(port: number, path: string = '/metrics'): Promise<Scrape> {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    return new Scrape(await response.text())
  }

  /** The sum of the samples that have these labels; NaN when there is none. */
  sum(name: string, labels: Labels = {}): number {
    const found = this.lines.filter(
      (line) =>
        line.name === name &&
        Object.entries(labels).every(([label, value]) => line.labels[label] === value),
    )
    if (found.length === 0) return Number.NaN
    return found.reduce((sum, { value }) => sum + value, 0)
  }
}

function labelsIn(text: string): Labels {
  return Object.fromEntries(
    Array.from(text.matchAll(LABEL), ([, name = '', value = '']) => [name, value]),
  )
}
