/**
 * A table of the group for the simulation: which values were put under which names, in the order of the log. How often is not told: a
 * member that falls while it is given the group's tables makes changes again that they hold, which no table may mind.
 */
import assert from 'node:assert/strict'
import type { GroupTable, TableRecord } from '../broker/group-tables.ts'
import type { JsonObject, JsonValue } from '../remoting/bodies/fastjson.ts'

export class Journal implements GroupTable {
  readonly name = 'journal'
  readonly fileName = 'journal.json'
  readonly saveAfterMs = 500
  #values = new Map<string, string>()

  apply(change: JsonValue, _record: TableRecord): void {
    assert(change instanceof Map)
    const name = change.get('name')
    const value = change.get('value')
    assert(typeof name === 'string' && typeof value === 'string')
    this.#values.set(name, value)
  }

  *render(): Iterable<string> {
    yield '{"values":{'
    let separator = ''
    for (const [name, value] of this.#values) {
      yield `${separator}"${name}":"${value}"`
      separator = ','
    }
    yield '}'
  }

  restore(file: JsonObject | null): void {
    this.#values = new Map()
    if (file === null) return
    const values = file.get('values')
    assert(values instanceof Map)
    for (const [name, value] of values) {
      assert(typeof name === 'string' && typeof value === 'string')
      this.#values.set(name, value)
    }
  }

  get(name: string): string | null {
    return this.#values.get(name) ?? null
  }

  /** Everything, as text. */
  get content(): string {
    const values = [...this.#values].toSorted(([left], [right]) => (left < right ? -1 : 1))
    return `${values.length} values: ${JSON.stringify(values)}`
  }
}
