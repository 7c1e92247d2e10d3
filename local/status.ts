/** `gantry dev status`: tells of the running `gantry dev` of a data folder, from the file that it keeps there. */
import { ExitCode } from '../common/errors.ts'
import type { Disk } from '../common/ports.ts'
import { isRecord, listAt, textAt, valueAt } from '../operator/json.ts'
import { pidOf, readStatusFile } from './data-folder.ts'

/** The contract of `-o json`. */
export interface DevStatus {
  /** `HOST:PORT`, more than one separated by semicolons. */
  readonly namesrv: string
  readonly pods: readonly DevPodStatus[]
  readonly groups: readonly DevGroupStatus[]
}

export interface DevGroupStatus {
  /** The brokerName. */
  readonly name: string
  /** What clients dial: the only member, or the relay to the one that leads. */
  readonly address: string
  /** Its pod; null: nobody is known to lead. */
  readonly leader: string | null
}

export interface DevPodStatus {
  readonly name: string
  readonly kind: 'namesrv' | 'broker' | 'proxy' | 'dashboard'
  /** The broker group by its brokerName; null for others. */
  readonly group: string | null
  /** `leader`, `follower` …; null while unknown and for pods which have none. */
  readonly role: string | null
  readonly pid: number | null
  readonly address: string
  readonly dataDir: string
  readonly ready: boolean
}

export interface StatusOutput {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** What to print; exit code 3 when no `gantry dev` runs on the folder. */
export function statusOf(
  root: string,
  format: 'json' | 'text',
  disk: Disk,
  isAlive: (pid: number) => boolean,
): StatusOutput {
  const written = readStatusFile(root, disk)
  const pid = pidOf(written)
  if (!isRecord(written) || pid === null || !isAlive(pid)) {
    const stderr = `gantry dev status: no gantry dev is running on ${root}\n`
    return { exitCode: ExitCode.NOT_FOUND, stdout: '', stderr }
  }
  const status = {
    namesrv: written['namesrv'],
    pods: written['pods'],
    groups: written['groups'],
  }
  const stdout = format === 'json' ? `${JSON.stringify(status, null, 2)}\n` : textOf(status)
  return { exitCode: ExitCode.DONE, stdout, stderr: '' }
}

function textOf(status: Readonly<Record<string, unknown>>): string {
  const rows = listAt(status, 'pods').map((pod) => [
    textAt(pod, 'name') ?? '',
    textAt(pod, 'role') ?? textAt(pod, 'kind') ?? '',
    textAt(pod, 'address') ?? '',
    valueAt(pod, 'ready') === true ? 'ready' : 'not ready',
    textAt(pod, 'dataDir') ?? '',
  ])
  const table = [['POD', 'ROLE', 'ADDRESS', 'STATE', 'DATA'], ...rows]
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...table.map((row) => (row[column] ?? '').length)),
  )
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return `namesrv ${textAt(status, 'namesrv') ?? ''}\n${lines.join('\n')}\n`
}
