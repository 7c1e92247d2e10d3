/** Clusters by name, in `$XDG_CONFIG_HOME/gantry/contexts.json`: `gantry context use prod`. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { systemCodeOf } from '../../common/errors.ts'
import { AdminError } from './session.ts'

export interface Contexts {
  readonly current: string | null
  /** Name server lists by name. */
  readonly contexts: ReadonlyMap<string, string>
}

export function contextsPath(): string {
  const home = process.env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config')
  return join(home, 'gantry', 'contexts.json')
}

/** None when there is no file; throws `AdminError` when it is damaged. */
export function readContexts(): Contexts {
  let text: string
  try {
    text = readFileSync(contextsPath(), 'utf8')
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return { current: null, contexts: new Map() }
    throw error
  }
  const json: unknown = parse(text)
  const { current, contexts } = { current: null, contexts: {}, ...object(json) }
  const entries = Object.entries(object(contexts)).map(([name, namesrv]) => {
    if (typeof namesrv !== 'string') throw damaged(`contexts.${name} is no text`)
    return [name, namesrv] as const
  })
  return { current: typeof current === 'string' ? current : null, contexts: new Map(entries) }
}

export function writeContexts({ current, contexts }: Contexts): void {
  const path = contextsPath()
  const text = JSON.stringify({ current, contexts: Object.fromEntries(contexts) }, null, 2)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.tmp`, `${text}\n`)
  renameSync(`${path}.tmp`, path)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw damaged('it is no JSON')
  }
}

function object(value: unknown): object {
  if (typeof value !== 'object' || value === null) throw damaged('an object was expected')
  return value
}

function damaged(problem: string): AdminError {
  return new AdminError('usage', `${contextsPath()}: ${problem}`)
}
