/**
 * `gantry hand-over`: asks the member of this machine to give its leadership to another, and waits until one has it. The preStop hook of a
 * broker's pod: whoever stops the pod, clients go on with the next leader instead of waiting for an election.
 */
import process from 'node:process'
import { parseArgs } from 'node:util'
import { ExitCode, messageOf } from '../common/errors.ts'

const USAGE = `usage: gantry hand-over [--admin-port 5557] [--host 127.0.0.1] [--timeout SECONDS]

Asks the broker whose admin port this is to hand leadership over, and waits until it does not lead any more.
Exit code 0 when it does not lead, 6 when it still leads after the time-out (30 s).
`
const POLL_MS = 100
const REQUEST_MS = 2_000

export interface HandOverOptions {
  /** `http://host:port` of the admin port. */
  readonly url: string
  readonly timeoutMs: number
  readonly now: () => number
  readonly pause: (ms: number) => Promise<void>
}

/** Resolves with what has become of it: `led` means that it leads still. Never rejects: a pod that stops must stop. */
export async function handOver(options: HandOverOptions): Promise<'done' | 'led'> {
  const { url, timeoutMs, now, pause } = options
  const deadline = now() + timeoutMs
  let isLeading = false
  for (;;) {
    const facts = await factsOf(url)
    // Whoever does not answer cannot be asked, and a member without others has nobody to hand over to.
    if (facts === null || facts.role !== 'leader' || facts.voters < 2) return 'done'
    if (isLeading && now() >= deadline) return 'led'
    // Refusals (another transfer is under way, nobody has caught up) may be over in a moment.
    await post(`${url}/admin/v1/raft/transfer`, { to: null })
    isLeading = true
    await pause(POLL_MS)
  }
}

interface Facts {
  readonly role: string
  readonly voters: number
}

async function factsOf(url: string): Promise<Facts | null> {
  try {
    const response = await fetch(`${url}/admin/v1/raft`, {
      signal: AbortSignal.timeout(REQUEST_MS),
    })
    const body: unknown = await response.json()
    if (!response.ok || typeof body !== 'object' || body === null) return null
    const { role, members } = { role: undefined, members: undefined, ...body }
    const list: readonly unknown[] = Array.isArray(members) ? members : []
    return { role: String(role), voters: list.filter(isVoter).length }
  } catch {
    return null
  }
}

function isVoter(member: unknown): boolean {
  return (
    typeof member === 'object' && member !== null && 'role' in member && member.role === 'voter'
  )
}

async function post(url: string, request: unknown): Promise<void> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      body: JSON.stringify(request),
      headers: { 'content-type': 'application/json' },
      signal: AbortSignal.timeout(REQUEST_MS),
    })
    await response.text()
  } catch {
    // What became of it is seen on the facts.
  }
}

/** The command. */
export async function run(argv: readonly string[]): Promise<number> {
  let values: ReturnType<typeof parsed>
  try {
    values = parsed(argv)
  } catch (error) {
    process.stderr.write(`gantry hand-over: ${messageOf(error)}\n${USAGE}`)
    return ExitCode.USAGE
  }
  if (values.help) {
    process.stdout.write(USAGE)
    return ExitCode.DONE
  }
  const timeoutMs = Number(values.timeout) * 1000
  const port = Number(values['admin-port'])
  if (!Number.isInteger(port) || port < 1 || port > 65_535 || !(timeoutMs > 0)) {
    process.stderr.write(`gantry hand-over: a port and a time are needed\n${USAGE}`)
    return ExitCode.USAGE
  }
  const result = await handOver({
    url: `http://${values.host}:${port}`,
    timeoutMs,
    now: () => performance.now(),
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  })
  if (result === 'done') return ExitCode.DONE
  process.stderr.write('gantry hand-over: no other member could take over in time\n')
  return ExitCode.TIMED_OUT
}

function parsed(argv: readonly string[]): {
  readonly 'admin-port': string
  readonly host: string
  readonly timeout: string
  readonly help: boolean
} {
  return parseArgs({
    args: [...argv],
    options: {
      'admin-port': { type: 'string', default: '5557' },
      host: { type: 'string', default: '127.0.0.1' },
      timeout: { type: 'string', default: '30' },
      help: { type: 'boolean', default: false },
    },
  }).values
}
