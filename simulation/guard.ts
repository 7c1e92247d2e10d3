/**
 * While simulated events run, what Node offers past the ports is out of reach: real time, real randomness, real timers. Whoever
 * reaches for it would make a run that no seed brings back, and gets an error with its stack instead.
 */
import { performance as realPerformance } from 'node:perf_hooks'
import process from 'node:process'

/**
 * Stands before what is banned. V8 throws much of its optimized code away when it is put up or removed: one for all runs of a process.
 */
export interface Guard {
  /** The real one. */
  readonly setImmediate: (callback: () => void) => void
  /** From here on events run, and what is banned throws. */
  enter(): void
  /** The events of this turn, and the promises behind them, are done: what the process does otherwise is left alone. */
  leave(): void
  /** Puts everything back. */
  remove(): void
}

/** Names of what is banned, in `globalThis`. */
const BANNED_FUNCTIONS = ['setTimeout', 'setInterval', 'setImmediate', 'fetch'] as const

export class NondeterminismError extends Error {}

export function putUpGuard(): Guard {
  let isOn = false
  const { setImmediate } = globalThis
  const remove = install(() => isOn)
  return {
    setImmediate,
    enter: () => {
      isOn = true
    },
    leave: () => {
      isOn = false
    },
    remove,
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
