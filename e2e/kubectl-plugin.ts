/** `kubectl gantry` as a person types it. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { ROOT, kubeconfig } from './environment.ts'

export interface PluginResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const TIMEOUT_MS = 60_000
const OUTPUT_MAX = 64 * 1024 * 1024

/** kubectl finds its plugins on the PATH. */
function environment(): NodeJS.ProcessEnv {
  const path = `${ROOT}:${process.env['PATH'] ?? ''}`
  return { ...process.env, PATH: path, KUBECONFIG: kubeconfig() }
}

/** Runs `kubectl gantry WORDS…` to its end, whatever its exit code. */
export function kubectlGantry(words: readonly string[]): Promise<PluginResult> {
  return new Promise((resolve) => {
    const options = { env: environment(), timeout: TIMEOUT_MS, maxBuffer: OUTPUT_MAX }
    execFile('kubectl', ['gantry', ...words], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, stdout, stderr })
    })
  })
}

/** Runs it until it has printed `count` lines, then ends it as Ctrl-C does; resolves with those lines and the exit code. */
export async function followGantry(
  words: readonly string[],
  count: number,
): Promise<{ readonly lines: readonly string[]; readonly code: number | null }> {
  const child = spawn('kubectl', ['gantry', ...words], {
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = once(child, 'close')
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (lines.length === count) child.kill('SIGINT')
  }
  await closed
  clearTimeout(timer)
  return { lines, code: child.exitCode }
}
