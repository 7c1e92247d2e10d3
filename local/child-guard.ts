/**
 * Loaded into each process of `gantry dev` before its own code: ends the process when its parent has ended, however that came about. The
 * parent holds the other end of standard input and never writes to it.
 */
import process from 'node:process'

/** Time for a stop in good order. */
const STOP_LIMIT_MS = 15_000

process.stdin.on('close', () => {
  // A stop has begun already when the signal's handler is gone; the timer does not keep the process alive.
  setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref()
  process.kill(process.pid, 'SIGTERM')
})
process.stdin.on('error', () => undefined)
process.stdin.resume()
if ('unref' in process.stdin && typeof process.stdin.unref === 'function') process.stdin.unref()
