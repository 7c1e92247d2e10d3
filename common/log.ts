/** Structured logs: one JSON line per event, constant message, data in fields (conventions §7). */
import { pino } from 'pino'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'

export type LogFields = Readonly<Record<string, unknown>>

export interface Logger {
  trace(fields: LogFields, message: string): void
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  /** Someone may act. */
  warn(fields: LogFields, message: string): void
  /** Someone must act. An exception goes into the field `err`. */
  error(fields: LogFields, message: string): void
  child(fields: LogFields): Logger
}

/** A logger that writes JSON lines to standard error; `component` names the role (`broker`, `namesrv`, `operator` …). */
export function createLogger(component: string, level: LogLevel): Logger {
  return pino(
    {
      level,
      base: { component },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ dest: 2, sync: true }),
  )
}

/** Drops everything; for tests and tools. */
export const silentLogger: Logger = {
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
}
