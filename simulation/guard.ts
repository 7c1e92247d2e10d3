/**
 * While simulated events run, what Node offers past the ports is out of reach: real time, real randomness, real timers. Whoever
 * reaches for it would make a run that no seed brings back, and gets an error with its stack instead.
 */
import { performance as realPerformance } from 'node:perf_hooks'
import process from 'node:process'

/** The real event loop, and when the simulation has it. */
export interface GuardedLoop {
  readonly setImmediate: (callback: () => void) => void
  /** From here on events run. */
  enter(): void
  /** The events of this turn, and the promises behind them, are done. */
  leave(): void
}

/** Names of what is banned, in `globalThis`. */
const BANNED_FUNCTIONS = ['setTimeout', 'setInterval', 'setImmediate', 'fetch'] as const

export class NondeterminismError extends Error {}

/** Runs `body`; between its `enter` and `leave` what is banned throws. What the process does otherwise is left alone. */
export async function withGuard<Result>(
  body: (loop: GuardedLoop) => Promise<Result>,
): Promise<Result> {
  let isOn = false
  const { setImmediate } = globalThis
  const undo = install(() => isOn)
  try {
    return await body({
      setImmediate,
      enter: () => {
        isOn = true
      },
      leave: () => {
        isOn = false
      },
    })
  } finally {
    undo()
  }
}

function install(isOn: () => boolean): () => void {
  const undo: (() => void)[] = []
  const ban = (target: object, name: string, label: string): void => {
    const descriptor = Object.getOwnPropertyDescriptor(target, name)
    const original: unknown = Reflect.get(target, name)
    if (typeof original !== 'function') return
    const guarded = function (this: unknown, ...values: unknown[]): unknown {
      if (isOn()) throw new NondeterminismError(`${label} was called in a simulation`)
      return Reflect.apply(original, this, values)
    }
    Object.defineProperty(target, name, { configurable: true, writable: true, value: guarded })
    undo.push(() => {
      if (descriptor === undefined) Reflect.deleteProperty(target, name)
      else Object.defineProperty(target, name, descriptor)
    })
  }
  for (const name of BANNED_FUNCTIONS) ban(globalThis, name, name)
  ban(Date, 'now', 'Date.now')
  ban(Math, 'random', 'Math.random')
  ban(Object.getPrototypeOf(realPerformance), 'now', 'performance.now')
  ban(process, 'hrtime', 'process.hrtime')
  const { crypto } = globalThis
  ban(Object.getPrototypeOf(crypto), 'getRandomValues', 'crypto.getRandomValues')
  ban(Object.getPrototypeOf(crypto), 'randomUUID', 'crypto.randomUUID')
  return () => {
    for (const step of undo.toReversed()) step()
  }
}
