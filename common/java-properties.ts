/**
 * Java's Properties text format, as `broker.conf` files are written: `#` and `!` comments, `=`, `:` or blank as
 * separator, backslash escapes (including `\uXXXX`), and lines continued by a trailing backslash.
 */
export interface PropertyEntry {
  readonly key: string
  readonly value: string
  /** 1-based line on which the entry begins. */
  readonly line: number
}

export function parseJavaProperties(content: string): readonly PropertyEntry[] {
  const entries: PropertyEntry[] = []
  const lines = content.split(/\r\n|\r|\n/)
  for (let index = 0; index < lines.length; index++) {
    const line = index + 1
    let logical = (lines[index] ?? '').trimStart()
    if (logical === '' || logical.startsWith('#') || logical.startsWith('!')) continue
    while (endsInContinuation(logical) && index + 1 < lines.length) {
      index++
      logical = logical.slice(0, -1) + (lines[index] ?? '').trimStart()
    }
    const { key, value } = splitEntry(logical)
    entries.push({ key: unescape(key), value: unescape(value), line })
  }
  return entries
}

/** `key=value` lines that `parseJavaProperties` reads back as they were. */
export function formatJavaProperties(entries: Iterable<readonly [string, string]>): string {
  let textOut = ''
  for (const [key, value] of entries) textOut += `${escape(key, true)}=${escape(value, false)}\n`
  return textOut
}

function endsInContinuation(line: string): boolean {
  let backslashes = 0
  for (let index = line.length - 1; index >= 0 && line[index] === '\\'; index--) backslashes++
  return backslashes % 2 === 1
}

function splitEntry(line: string): { readonly key: string; readonly value: string } {
  let end = 0
  while (end < line.length && !/[=:\s]/.test(line[end] ?? '')) end += line[end] === '\\' ? 2 : 1
  const rest = line.slice(end).trimStart()
  const value = rest.startsWith('=') || rest.startsWith(':') ? rest.slice(1).trimStart() : rest
  return { key: line.slice(0, end), value }
}

const ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

function unescape(textIn: string): string {
  return textIn.replace(/\\(u[0-9a-fA-F]{4}|[^])/g, (_match, code: string) =>
    code.length === 5
      ? String.fromCharCode(Number.parseInt(code.slice(1), 16))
      : (ESCAPES[code] ?? code),
  )
}

function escape(textIn: string, isKey: boolean): string {
  const escaped = textIn
    .replaceAll('\\', '\\\\')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
    .replaceAll('\t', '\\t')
    .replace(/^ /, '\\ ')
  return isKey ? escaped.replace(/[=: #!]/g, (found) => `\\${found}`) : escaped
}
