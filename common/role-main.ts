/** What the `main.ts` of the servers share: files that are named, flags that are wrong, signals, ports that cannot be had. */
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { ConfigError } from './config.ts'
import { ExitCode, messageOf, systemCodeOf } from './errors.ts'
import { nearestName } from './nearest-name.ts'

/** How a role ends that cannot run. */
export interface EndOfRole {
  readonly exitCode: ExitCode
  readonly sentence: string
}

/** A file that whoever starts a role has named, as text, with its name; throws `ConfigError` when it cannot be read. */
export function readNamedFile(
  path: string,
  what = 'the configuration file',
): { readonly path: string; readonly content: string } {
  try {
    return { path, content: readFileSync(path, 'utf8') }
  } catch (error) {
    throw new ConfigError('badSyntax', `${what} ${path}: ${messageOf(error)}`, error)
  }
}

/** The first SIGTERM or SIGINT ends a role in good order; the second ends the process. */
export function nextSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal))
  })
}

/** What is wrong with a command line that `parseArgs` refused, with the nearest of the known long options. */
export function usageProblem(error: unknown, options: Readonly<Record<string, unknown>>): string {
  const message = messageOf(error)
  if (systemCodeOf(error) !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return message
  const given = /'(--?[^' ]+)/.exec(message)?.[1] ?? ''
  const nearest = nearestName(
    given,
    Object.keys(options).map((name) => `--${name}`),
  )
  return `unknown option ${given}${nearest === null ? '' : `; did you mean ${nearest}?`}`
}

/** Why a server could not listen, naming the keys (`ports`) that it took its ports from; FAILED for any other error. */
export function listenProblem(
  error: unknown,
  { ports, bindAddress }: { readonly ports: string; readonly bindAddress: string },
): EndOfRole {
  const sentence = messageOf(error)
  switch (systemCodeOf(error)) {
    case 'EADDRINUSE':
      return {
        exitCode: ExitCode.UNAVAILABLE,
        sentence: `a port is in use by another process (${ports}): ${sentence}`,
      }
    case 'EACCES':
      return {
        exitCode: ExitCode.DENIED,
        sentence: `a port may not be used by this user (${ports}): ${sentence}`,
      }
    case 'EADDRNOTAVAIL':
      return {
        exitCode: ExitCode.USAGE,
        sentence: `bindAddress ${bindAddress} is no address of this machine`,
      }
    default:
      return { exitCode: ExitCode.FAILED, sentence }
  }
}
