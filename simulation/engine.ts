/**
 * The event loop of a simulated world: a queue of events on virtual time, run one by one, promises settling between them.
 *
 * Events of one process that are due at the same instant run in the order in which they were asked for; those of different processes
 * in an order drawn from the seed. A hash over all events tells whether two runs were the same to the bit.
 */
import assert from 'node:assert/strict'
import type { Timer } from '../common/ports.ts'
import type { Guard } from './guard.ts'

/** Who events belong to: a process can be stopped for a while, and die. */
export interface EventOwner {
  readonly id: number
  readonly isAlive: boolean
  /** True when the event has been kept for later: the process is stopped. */
  hold(event: SimulatedEvent): boolean
  /** An event has thrown: in Node that ends the process. */
  crashed(error: unknown): void
}

/** What is to happen; whoever asked for it may cancel it. */
export class SimulatedEvent implements Timer {
  at: number
  readonly tie: number
  readonly order: number
  readonly owner: EventOwner | null
  readonly label: string
  run: (() => void) | null

  constructor(
    when: { readonly at: number; readonly tie: number; readonly order: number },
    owner: EventOwner | null,
    label: string,
    run: () => void,
  ) {
    this.at = when.at
    this.tie = when.tie
    this.order = when.order
    this.owner = owner
    this.label = label
    this.run = run
  }

  cancel(): void {
    this.run = null
  }
}

/** A rule of the simulation is broken; `step` is when that was noticed. */
export interface Violation {
  readonly rule: string
  readonly message: string
  readonly step: number
  readonly atMs: number
}

/** Events run in one turn of the real event loop. */
const EVENTS_PER_TURN = 256
const HASH_EVERY = 1000
const FNV_PRIME = 0x01000193

export class Engine {
  readonly #seed: number
  readonly #guard: Guard
  readonly #heap: SimulatedEvent[] = []
  readonly #labels = new Map<string, number>()
  #now = 0
  #order = 0
  #steps = 0
  #hash = 0x811c9dc5
  #violation: Violation | null = null
  /** Told of every event before it runs; null: nobody. */
  trace: ((line: string) => void) | null = null
  /** Called before every event, when the promises behind the last one have settled: with the owner of that one, null when it had none. */
  betweenEvents: (last: EventOwner | null) => void = () => undefined
  #lastOwner: EventOwner | null = null
  readonly hashes: number[] = []

  constructor(seed: number, guard: Guard) {
    this.#seed = seed
    this.#guard = guard
  }

  /** Milliseconds since the world began. */
  get now(): number {
    return this.#now
  }

  get steps(): number {
    return this.#steps
  }

  /** Over all events up to now. */
  get hash(): number {
    return this.#hash >>> 0
  }

  get violation(): Violation | null {
    return this.#violation
  }

  /** The first one ends the run after the event at hand. */
  violate(rule: string, message: string): void {
    this.note(`VIOLATION ${rule}: ${message}`)
    this.#violation ??= { rule, message, step: this.#steps, atMs: this.#now }
  }

  /** A line of the trace that is no event. */
  note(line: string): void {
    this.trace?.(`${this.#now.toFixed(3)}          ${line}`)
  }

  schedule(delayMs: number, owner: EventOwner | null, label: string, run: () => void): Timer {
    assert(Number.isFinite(delayMs))
    const at = this.#now + Math.max(0, delayMs)
    const tie = mix(this.#seed ^ ((owner?.id ?? -1) + 1), Math.floor(at * 1000))
    const event = new SimulatedEvent({ at, tie, order: this.#order++ }, owner, label, run)
    this.#push(event)
    return event
  }

  /** Brings back an event that its owner had held. */
  release(event: SimulatedEvent): void {
    event.at = Math.max(event.at, this.#now)
    this.#push(event)
  }

  /** Runs until `isDone` says so after an event, a rule is broken, or `limitMs` of virtual time have passed: false. */
  run(isDone: () => boolean, limitMs: number): Promise<boolean> {
    const end = this.#now + limitMs
    const finished = (): boolean | null => {
      if (this.#violation !== null) return false
      if (isDone()) return true
      const next = this.#heap[0]
      if (next === undefined || next.at > end) {
        this.#now = Math.max(this.#now, end)
        return false
      }
      return null
    }
    return this.#runTurns(finished)
  }

  /** Lets virtual time pass. */
  async advance(byMs: number): Promise<void> {
    await this.run(() => false, byMs)
  }

  #runTurns(finished: () => boolean | null): Promise<boolean> {
    const loop = this.#guard
    return new Promise((resolve, reject) => {
      let outcome: boolean | null = null
      let hasFailed = false
      const one = (): void => {
        if (outcome !== null || hasFailed) return
        try {
          outcome = finished()
          if (outcome === null) this.#step()
        } catch (error) {
          hasFailed = true
          reject(error)
        }
      }
      // Node lets promises settle between two immediates of one turn.
      const turn = (): void => {
        loop.setImmediate(() => loop.enter())
        for (let event = 0; event < EVENTS_PER_TURN; event++) loop.setImmediate(one)
        loop.setImmediate(() => {
          loop.leave()
          if (outcome !== null) resolve(outcome)
          else if (!hasFailed) turn()
        })
      }
      turn()
    })
  }

  #step(): void {
    const event = this.#pop()
    this.betweenEvents(this.#lastOwner)
    if (this.#violation !== null) return
    this.#now = Math.max(this.#now, event.at)
    const { run, owner, label } = event
    if (run === null || owner?.isAlive === false) return
    if (owner?.hold(event) === true) return
    this.#steps++
    this.#lastOwner = owner
    this.#note(owner, label)
    event.run = null
    if (owner === null) run()
    else this.#runIn(owner, run)
  }

  #runIn(owner: EventOwner, run: () => void): void {
    try {
      run()
    } catch (error) {
      owner.crashed(error)
    }
  }

  #note(owner: EventOwner | null, label: string): void {
    let code = this.#labels.get(label)
    if (code === undefined) {
      code = this.#labels.size
      this.#labels.set(label, code)
    }
    const id = owner?.id ?? -1
    this.#hash = Math.imul(this.#hash ^ Math.floor(this.#now * 1000), FNV_PRIME)
    this.#hash = Math.imul(this.#hash ^ ((id << 16) | code), FNV_PRIME)
    if (this.#steps % HASH_EVERY === 0) this.hashes.push(this.hash)
    this.trace?.(`${this.#now.toFixed(3)} #${this.#steps} p${id} ${label}`)
  }

  #push(event: SimulatedEvent): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parentAt = (at - 1) >> 1
      const parent = heap[parentAt]
      if (parent === undefined || !isBefore(event, parent)) break
      heap[at] = parent
      at = parentAt
    }
    heap[at] = event
  }

  #pop(): SimulatedEvent {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    assert(first !== undefined && last !== undefined)
    if (heap.length === 0) return first
    let at = 0
    for (;;) {
      let childAt = 2 * at + 1
      let child = heap[childAt]
      if (child === undefined) break
      const right = heap[childAt + 1]
      if (right !== undefined && isBefore(right, child)) {
        child = right
        childAt++
      }
      if (!isBefore(child, last)) break
      heap[at] = child
      at = childAt
    }
    heap[at] = last
    return first
  }
}

function isBefore(left: SimulatedEvent, right: SimulatedEvent): boolean {
  if (left.at !== right.at) return left.at < right.at
  if (left.tie !== right.tie) return left.tie < right.tie
  return left.order < right.order
}

function mix(left: number, right: number): number {
  let mixed = Math.imul(left ^ (right >>> 7), 0x9e3779b1) ^ right
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b)
  return (mixed ^ (mixed >>> 13)) >>> 0
}
