/**
 * Pops over random histories against a reference model: consumers pop, acknowledge, change times and wait, messages are sent, the broker
 * is killed, loses its power or its leadership and leads again.
 *
 * What must hold: a message is never given out while it is invisible to others (but after a power cut, which may forget what was popped
 * last); an acknowledged one never again; every other one in time; and at the end, when all is acknowledged, none was lost.
 */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { ResponseCode } from '../../remoting/response-code.ts'
import { HISTORIES_TIMEOUT_MS, histories } from '../../simulation/testing.ts'
import { TOPIC, createPopWorld } from './testing.ts'
import type { Popped, PopWorld } from './testing.ts'

const KILLS = histories(20)
const CUTS = histories(15)
/** Timers and the scan of what is due. */
const LATE_MS = 300

vi.setConfig({ testTimeout: HISTORIES_TIMEOUT_MS })

interface Held {
  readonly popped: Popped
  /** Nobody else gets it before. */
  until: number
}

class Model {
  world: PopWorld
  readonly sent = new Set<string>()
  readonly acked = new Set<string>()
  /** Invisible, as far as anybody knows. */
  readonly held = new Map<string, Held>()
  /** Given out, and not acknowledged since: the handles of consumers. */
  readonly handles: Popped[] = []
  /** Perhaps acknowledged: at the last moment, or before a power cut which may have forgotten it. */
  readonly doubtful = new Set<string>()
  /** The end of the longest time that any message was ever given: a power cut may forget that it was cut short. */
  #longestUntil = 0
  /** Messages may be invisible for so long of which nobody knows whether they are. */
  #hiddenUntil = 0
  #sends = 0

  constructor(world: PopWorld) {
    this.world = world
  }

  get now(): number {
    return this.world.time.monotonic()
  }

  async send(): Promise<void> {
    const queueId = this.#sends++ % 2
    const text = `${queueId}:${this.world.parts.store.maxOffsetInQueue(TOPIC, queueId)}`
    await this.world.send(text, { queueId })
    this.sent.add(text)
  }

  async pop(max: number, invisibleMs: number, queueId: number): Promise<void> {
    const popped = await this.world.pop({
      maxMsgNums: String(max),
      invisibleTime: String(invisibleMs),
      queueId: String(queueId),
    })
    for (const message of popped) {
      const { text } = message
      assert(this.sent.has(text), `${text} was sent`)
      assert(!this.acked.has(text), `${text} is not acknowledged`)
      const held = this.held.get(text)
      // The end of a time is known to the tick.
      assert((held?.until ?? 0) <= this.now + 1, `${text} is visible`)
      this.#hold(message, invisibleMs)
      this.handles.push(message)
    }
  }

  async ack(index: number): Promise<void> {
    const [popped] = this.handles.splice(index % Math.max(1, this.handles.length), 1)
    if (popped === undefined) return
    const held = this.held.get(popped.text)
    const { response } = await this.world.ack(popped)
    assert.equal(response?.code, ResponseCode.SUCCESS)
    if (held?.popped !== popped || this.now >= held.until + LATE_MS) return
    // Until the next tick an acknowledgement may just be in time.
    if (this.now >= held.until) {
      this.doubtful.add(popped.text)
      return
    }
    this.acked.add(popped.text)
    this.held.delete(popped.text)
  }

  async change(index: number, invisibleMs: number): Promise<void> {
    const at = index % Math.max(1, this.handles.length)
    const popped = this.handles[at]
    if (popped === undefined) return
    const held = this.held.get(popped.text)
    const isPending = held?.popped === popped && this.now < held.until
    const request = await this.world.change(popped, invisibleMs)
    if (isPending) assert.equal(request.response?.code, ResponseCode.SUCCESS)
    if (request.response?.code !== ResponseCode.SUCCESS) return
    const [, , , reviveQueueId, ...rest] = popped.handle.split(' ')
    const times = `${request.field('popTime')} ${invisibleMs} ${reviveQueueId}`
    const handle = `${popped.queueOffset} ${times} ${rest.join(' ')}`
    const renewed = { ...popped, handle }
    this.handles[at] = renewed
    this.#hold(renewed, invisibleMs)
  }

  #hold(popped: Popped, invisibleMs: number): void {
    const until = this.now + invisibleMs
    this.held.set(popped.text, { popped, until })
    this.#longestUntil = Math.max(this.#longestUntil, until)
  }

  async wait(ms: number): Promise<void> {
    await this.world.time.advance(ms)
  }

  async crash(isPowerCut: boolean): Promise<void> {
    this.world = await this.world.restart(isPowerCut)
    if (!isPowerCut) return
    // What was not synced is gone: messages, and what was popped and acknowledged of them.
    this.forget()
  }

  /** After a power cut: what the log has not kept may be given out at once, and what is not in it was never sent. */
  forget(): void {
    this.#hiddenUntil = this.#longestUntil
    this.held.clear()
    this.handles.length = 0
    for (const text of this.acked) this.doubtful.add(text)
    this.acked.clear()
    const { store } = this.world.parts
    for (const text of this.sent) {
      const [queueId = 0, queueOffset = 0] = text.split(':').map(Number)
      if (queueOffset >= store.maxOffsetInQueue(TOPIC, queueId)) this.sent.delete(text)
    }
  }

  async lead(): Promise<void> {
    const { pops } = this.world.processors
    const stopped = pops.stopLeading()
    await this.world.time.settle()
    await stopped
    pops.startLeading()
    await this.world.time.settle()
  }

  /** Every message that is not acknowledged comes in time; then all are acknowledged. */
  async finish(): Promise<readonly string[]> {
    const untils = Array.from(this.held.values(), ({ until }) => until)
    await this.wait(Math.max(0, Math.max(this.#hiddenUntil, ...untils) - this.now) + LATE_MS)
    const seen = new Set<string>()
    for (let round = 0; round < 50; round++) {
      const popped = await this.world.pop({ invisibleTime: '600000' })
      if (popped.length === 0) break
      for (const message of popped) {
        seen.add(message.text)
        await this.world.ack(message)
      }
    }
    for (const known of [this.acked, this.doubtful]) for (const text of known) seen.add(text)
    return [...this.sent].filter((text) => !seen.has(text))
  }
}

type Step = (model: Model) => Promise<void>

const time = fc.constantFrom(1000, 3000, 10_000, 60_000, 1_500_000)
const send = fc.constant<Step>((model) => model.send())
const pop = fc.tuple(fc.integer({ min: 1, max: 5 }), time, fc.constantFrom(-1, -1, 0, 1)).map(
  ([max, ms, queueId]): Step =>
    (model) =>
      model.pop(max, ms, queueId),
)
const ack = fc.nat(20).map(
  (index): Step =>
    (model) =>
      model.ack(index),
)
const change = fc.tuple(fc.nat(20), time).map(
  ([index, ms]): Step =>
    (model) =>
      model.change(index, ms),
)
const wait = fc.constantFrom(50, 500, 2500, 12_000).map(
  (ms): Step =>
    (model) =>
      model.wait(ms),
)
/** So long that what is still needed is told anew in the revive log. */
const pass = fc.constant<Step>((model) => model.wait(610_000))
const kill = fc.constant<Step>((model) => model.crash(false))
const lead = fc.constant<Step>((model) => model.lead())
const cut = fc.constant<Step>((model) => model.crash(true))

const ordinary = [
  { arbitrary: send, weight: 16 },
  { arbitrary: pop, weight: 16 },
  { arbitrary: ack, weight: 16 },
  { arbitrary: change, weight: 6 },
  { arbitrary: wait, weight: 10 },
  { arbitrary: pass, weight: 1 },
  { arbitrary: kill, weight: 3 },
  { arbitrary: lead, weight: 2 },
]

async function lost(steps: readonly Step[]): Promise<readonly string[]> {
  const model = new Model(await createPopWorld())
  for (const step of steps) await step(model)
  return model.finish()
}

test('nothing is lost, seen while invisible, late or given out after its acknowledgement, whoever is killed', async () => {
  const steps = fc.array(fc.oneof(...ordinary), { minLength: 20, maxLength: 60 })
  await fc.assert(
    fc.asyncProperty(steps, async (history) => {
      expect(await lost(history)).toEqual([])
    }),
    { numRuns: KILLS, seed: 20_261_121 },
  )
})

test('nothing that is on the disk is lost by power cuts', async () => {
  const withCuts = fc.oneof(...ordinary, { arbitrary: cut, weight: 4 })
  const steps = fc.array(withCuts, { minLength: 20, maxLength: 60 })
  await fc.assert(
    fc.asyncProperty(steps, async (history) => {
      expect(await lost(history)).toEqual([])
    }),
    { numRuns: CUTS, seed: 20_261_122 },
  )
})
