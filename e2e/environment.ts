/**
 * What the end-to-end suites stand on, taken from the environment; what is missing is an error in one sentence, never a skip.
 *
 * - `KUBECONFIG`: the Kubernetes cluster.
 * - `GANTRY_E2E_LOAD_IMAGE`: a command that makes a local image known to that cluster, called with its name; nothing needs
 *   loading when it is empty (the cluster pulls, or shares this machine's engine).
 * - `GANTRY_E2E_IMAGE`, `GANTRY_E2E_CLIENTS_IMAGE`: images to use as they are; built from this checkout when unset.
 */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { textAt } from './json.ts'

const execute = promisify(execFile)

/** The checkout. */
export const ROOT: string = fileURLToPath(new URL('..', import.meta.url))

/** The version of this checkout: the tag of its image, and what manifests ask for. */
export const VERSION: string = textAt(
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')),
  'version',
)

export interface CommandResult {
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command; rejects with its output when it fails. */
export async function run(
  command: string,
  args: readonly string[],
  options: { readonly timeoutMs?: number; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<CommandResult> {
  try {
    return await execute(command, [...args], {
      cwd: ROOT,
      timeout: options.timeoutMs ?? 600_000,
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, ...options.env },
    })
  } catch (error) {
    const output = [textAt(error, 'stdout'), textAt(error, 'stderr')].join('\n').trim()
    throw new Error(`${command} ${args.join(' ')} failed:\n${output}`, { cause: error })
  }
}

/** The path of the kubeconfig; throws when there is none. */
export function kubeconfig(): string {
  const path = process.env['KUBECONFIG'] ?? ''
  if (path === '') {
    throw new Error('KUBECONFIG is not set: the Kubernetes suites need a cluster to run against.')
  }
  return path
}

export function environmentVariable(name: string): string {
  return process.env[name] ?? ''
}

/** The engine's version; throws when no Docker engine answers. */
export async function dockerEngine(): Promise<string> {
  try {
    const { stdout } = await run('docker', ['version', '--format', '{{.Server.Version}}'], {
      timeoutMs: 20_000,
    })
    return stdout.trim()
  } catch (error) {
    throw new Error('No Docker engine answers: images cannot be built or run.', { cause: error })
  }
}

/** One line that a person or a program can read out of a test's output. */
export function figures(scenario: string, values: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`figures ${JSON.stringify({ scenario, ...values })}\n`)
}
