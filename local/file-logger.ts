/** JSON lines into a file: what the controller does, kept off the terminal. Without pino, which would cost a start of `gantry dev` its loading time. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { messageOf } from '../common/errors.ts'
import type { LogFields, Logger } from '../common/log.ts'
import type { Clock } from '../common/ports.ts'

export interface FileLogger extends Logger {
  close(): void
}

/** Appends to `file`; `trace` and `debug` are dropped. */
export function createFileLogger(file: string, clock: Clock): FileLogger {
  let descriptor: number | null = openSync(file, 'a')
  const write = (level: string, bound: LogFields, fields: LogFields, message: string): void => {
    if (descriptor === null) return
    const time = new Date(clock.now()).toISOString()
    const entry = { level, time, component: 'dev', ...bound, ...fields, msg: message }
    writeSync(descriptor, `${JSON.stringify(entry, withoutErrorObjects)}\n`)
  }
  return {
    ...bind(write, {}),
    close: () => {
      if (descriptor !== null) closeSync(descriptor)
      descriptor = null
    },
  }
}

type Write = (level: string, bound: LogFields, fields: LogFields, message: string) => void

function bind(write: Write, bound: LogFields): Logger {
  return {
    trace: () => undefined,
    debug: () => undefined,
    info: (fields, message) => write('info', bound, fields, message),
    warn: (fields, message) => write('warn', bound, fields, message),
    error: (fields, message) => write('error', bound, fields, message),
    child: (fields) => bind(write, { ...bound, ...fields }),
  }
}

function withoutErrorObjects(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value
  return { type: value.name, message: messageOf(value), stack: value.stack }
}
