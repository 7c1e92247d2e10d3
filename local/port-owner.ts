/** Says who holds a port that is needed. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import net from 'node:net'
import { messageOf, systemCodeOf } from '../common/errors.ts'

/** A sentence that names the first of `ports` which cannot be listened on, and its holder when that can be told; null: all are free. */
export async function portInUse(host: string, ports: readonly number[]): Promise<string | null> {
  for (const port of ports) {
    const error = await tryPort(host, port)
    if (error === null) continue
    if (systemCodeOf(error) !== 'EADDRINUSE') {
      return `port ${port} of ${host} cannot be listened on: ${messageOf(error)}`
    }
    const owner = ownerOf(port)
    return `port ${port} is in use by ${owner ?? 'another process'}`
  }
  return null
}

function tryPort(host: string, port: number): Promise<Error | null> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', resolve)
    server.listen({ host, port }, () => server.close(() => resolve(null)))
  })
}

const LISTENING = '0A'

/** `process 123 (java -jar …)`; null when this system does not tell. */
function ownerOf(port: number): string | null {
  const inodes = new Set([
    ...listeners('/proc/net/tcp', port),
    ...listeners('/proc/net/tcp6', port),
  ])
  if (inodes.size === 0) return null
  for (const pid of entriesOf('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const descriptor of entriesOf(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${descriptor}`))?.[1]
      if (inode !== undefined && inodes.has(inode)) return `process ${pid} (${commandOf(pid)})`
    }
  }
  return null
}

function listeners(table: string, port: number): readonly string[] {
  const rows = contentOf(table).split('\n').slice(1)
  return rows.flatMap((row) => {
    const [, local = '', , state, , , , , , inode = ''] = row.trim().split(/\s+/)
    const isHere = Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16) === port
    return isHere && state === LISTENING ? [inode] : []
  })
}

function commandOf(pid: string): string {
  const words = contentOf(`/proc/${pid}/cmdline`).split('\0').join(' ').trim()
  return words.length > 80 ? `${words.slice(0, 79)}…` : words
}

// Processes come and go while they are looked at, and those of others may not be: both read as nothing.
function entriesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function linkOf(file: string): string {
  try {
    return readlinkSync(file)
  } catch {
    return ''
  }
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
