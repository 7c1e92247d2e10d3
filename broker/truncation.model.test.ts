/**
 * What a member has derived from its log when it comes to lead, after it has followed a leader whose last records were never committed: the
 * same as one that has read the final log from its beginning. Two random histories of one leader share their beginning; the member follows
 * the first one beyond it, loses that end, and follows the other one, killed now and then, with commits behind what it holds.
 */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { iterateRecords } from '../common/message-codec.ts'
import { PropertyName, formatProperties, parseProperties } from '../common/properties.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { SeededRandom } from '../simulation/random.ts'
import { HISTORIES_TIMEOUT_MS, histories } from '../simulation/testing.ts'
import { popFields, poppedOf } from './pop/testing.ts'
import { OtherMembers, createBrokerWorld } from './testing-world.ts'
import { COMMIT, ROLLBACK, TransactionWorld } from './transaction/testing.ts'
import type { Random } from '../common/ports.ts'
import type { Popped } from './pop/testing.ts'
import type { BrokerWorld } from './testing-world.ts'
import type { Sent } from './transaction/testing.ts'

const HISTORIES = histories(20)
const KEYS = {
  flushDiskType: 'SYNC_FLUSH',
  recallMessageEnable: 'true',
  messageDelayLevel: '1s 3s 8s',
  transactionTimeOut: '2000',
  transactionCheckInterval: '3000',
  transactionCheckMax: '2',
}
const TOPIC = 'T'
/** Longer than anything waits: timers, levels, pops, and transactions that nobody decides. */
const ALL_DUE_MS = 60_000
/** Longer than a history takes. */
const LED_AFTER_MS = 150_000

vi.setConfig({ testTimeout: HISTORIES_TIMEOUT_MS })

/** A leader that does the same in the same steps, and its log. */
class Leader {
  readonly #at: TransactionWorld
  readonly #halves: Sent[] = []
  readonly #handles: string[] = []
  readonly #popped: Popped[] = []
  #names = 0

  private constructor(at: TransactionWorld) {
    this.#at = at
  }

  static async create(): Promise<Leader> {
    return new Leader(await TransactionWorld.create(KEYS, new OtherMembers()))
  }

  get endOffset(): number {
    return this.#at.world.log.endOffset
  }

  /** The records from `fromOffset` to `toOffset`, cut at random. */
  async records(fromOffset: number, toOffset: number, random: Random): Promise<readonly Buffer[]> {
    const { log } = this.#at.world
    const found: Buffer[] = []
    for (let at = fromOffset; at < toOffset;) {
      const end = Math.min(toOffset, log.batchEnd(at, 1 + random.integer(4000)))
      found.push(Buffer.from(await log.readRecords(at, end)))
      at = end
    }
    return found
  }

  async step(step: string, random: Random): Promise<void> {
    const { world } = this.#at
    const name = `m${this.#names++}`
    switch (step) {
      case 'plain':
        return void (await this.#send(name, {}))
      case 'level':
        return void (await this.#send(name, { DELAY: String(1 + random.integer(3)) }))
      case 'timer': {
        const sent = await this.#send(name, { TIMER_DELAY_MS: String(1 + random.integer(20_000)) })
        this.#handles.push(sent.field('recallHandle') ?? '')
        return undefined
      }
      case 'recall': {
        const recallHandle = pick(this.#handles, random)
        if (recallHandle === undefined) return undefined
        const extFields = { producerGroup: 'P', topic: TOPIC, recallHandle }
        return void (await world.call({ code: RequestCode.RECALL_MESSAGE, extFields }))
      }
      case 'half':
        this.#halves.push(await this.#at.prepare(name))
        return undefined
      case 'decide': {
        const half = pick(this.#halves, random)
        const decision = random.integer(2) === 0 ? COMMIT : ROLLBACK
        return half === undefined ? undefined : void (await this.#at.end(half, decision))
      }
      case 'pop': {
        const invisibleTime = String(1000 * (1 + random.integer(20)))
        const fields = { topic: TOPIC, maxMsgNums: '3', invisibleTime }
        const extFields = popFields(world.time.now(), fields)
        const request = await world.call({ code: RequestCode.POP_MESSAGE, extFields })
        this.#popped.push(...poppedOf(request))
        return undefined
      }
      case 'ack':
      case 'change':
        return this.#answerPop(step, pick(this.#popped, random))
      default:
        return world.time.advance(random.integer(3000))
    }
  }

  #send(name: string, properties: Readonly<Record<string, string>>) {
    return this.#at.world.call({
      code: RequestCode.SEND_MESSAGE_V2,
      extFields: {
        ...{ a: 'P', b: TOPIC, c: 'TBW102', d: '2', e: '0', f: '0', h: '0', j: '0' },
        g: String(this.#at.world.time.now()),
        i: formatProperties([['UNIQ_KEY', name], ...Object.entries(properties)]),
      },
      body: Buffer.from(name),
    })
  }

  async #answerPop(step: 'ack' | 'change', popped: Popped | undefined): Promise<void> {
    if (popped === undefined) return
    const isAck = step === 'ack'
    await this.#at.world.call({
      code: isAck ? RequestCode.ACK_MESSAGE : RequestCode.CHANGE_MESSAGE_INVISIBLETIME,
      extFields: {
        consumerGroup: 'Shop',
        topic: popped.topic,
        queueId: String(popped.queueId),
        extraInfo: popped.handle,
        offset: String(popped.queueOffset),
        ...(isAck ? {} : { invisibleTime: '15000' }),
      },
    })
  }
}

/** The other members of the group: what a member writes that does not lead is not committed by that. */
class LedMembers extends OtherMembers {
  #isLed = false

  follow(): void {
    this.#isLed = true
  }

  override written(endOffset: number): void {
    if (this.#isLed) super.written(endOffset)
  }
}

/** A member that follows, and in the end leads. */
class Follower {
  #world: BrokerWorld
  #others: LedMembers

  private constructor(world: BrokerWorld, others: LedMembers) {
    this.#world = world
    this.#others = others
  }

  static async create(): Promise<Follower> {
    const others = new LedMembers()
    return new Follower(await createBrokerWorld(KEYS, undefined, others), others)
  }

  get endOffset(): number {
    return this.#world.log.endOffset
  }

  async append(records: Buffer): Promise<void> {
    assert(this.#world.log.appendBytes(records))
    await this.#world.time.settle()
  }

  async commitTo(offset: number): Promise<void> {
    const { log } = this.#world
    if (offset > log.commitOffset) log.commitTo(offset)
    await this.#world.time.advance(100)
  }

  async truncateTo(offset: number): Promise<void> {
    this.#world.log.truncateTo(offset)
    await this.#world.time.settle()
  }

  async restart(): Promise<void> {
    this.#world.time.killProcess()
    this.#world.disk.kill()
    this.#others = new LedMembers()
    this.#world = await createBrokerWorld(KEYS, this.#world, this.#others)
  }

  /** Leads from `at` on until nothing waits any more; returns what it has appended, whose order is free where all was due before. */
  async lead(at: number): Promise<readonly string[]> {
    const { time, log, processors } = this.#world
    const from = this.endOffset
    await time.advance(at - time.now())
    this.#others.follow()
    for (const service of processors.leaderServices) service.startLeading()
    await time.advance(ALL_DUE_MS)
    const records = [...iterateRecords(await log.readRecords(from, this.endOffset))]
    return records
      .map(({ topic, queueId, body, properties }) => {
        const kept = [...parseProperties(properties)].filter(
          ([name]) => name !== PropertyName.CRC32,
        )
        return `${topic} ${queueId} ${body.toString('latin1')} ${kept.join(' ')}`
      })
      .toSorted()
  }
}

const STEP = fc.constantFrom(
  ...['plain', 'level', 'timer', 'timer', 'recall', 'half', 'half', 'decide'],
  ...['pop', 'pop', 'ack', 'change', 'wait'],
)
const STEPS = fc.array(STEP, { minLength: 1, maxLength: 15 })

test('a member that lost records which were never committed comes to lead as one that never had them', async () => {
  await fc.assert(
    fc.asyncProperty(STEPS, STEPS, STEPS, fc.nat(0xffff), async (shared, lost, kept, seed) => {
      const [former, leader] = [await Leader.create(), await Leader.create()]
      for (const each of [former, leader]) await perform(each, shared, seed)
      const fork = leader.endOffset
      await perform(former, lost, seed + 1)
      await perform(leader, kept, seed + 2)
      const random = new SeededRandom(seed)
      const [member, reader] = [await Follower.create(), await Follower.create()]

      await follow(member, former, fork, random)
      await member.truncateTo(fork)
      await follow(member, leader, leader.endOffset, random)
      await member.commitTo(leader.endOffset)
      for (const records of await leader.records(0, leader.endOffset, random)) {
        await reader.append(records)
      }
      await reader.commitTo(leader.endOffset)

      const at = Date.UTC(2026, 0, 1) + LED_AFTER_MS
      const [found, wanted] = [await member.lead(at), await reader.lead(at)]
      expect(found).toEqual(wanted)
    }),
    { numRuns: HISTORIES },
  )
})

async function perform(leader: Leader, steps: readonly string[], seed: number): Promise<void> {
  const random = new SeededRandom(seed)
  for (const step of steps) await leader.step(step, random)
}

/** The member comes to hold the leader's log; what lies below `committed` may be committed, and the process may be killed. */
async function follow(
  member: Follower,
  leader: Leader,
  committed: number,
  random: Random,
): Promise<void> {
  for (const records of await leader.records(member.endOffset, leader.endOffset, random)) {
    await member.append(records)
    if (random.integer(3) === 0) await member.commitTo(Math.min(member.endOffset, committed))
    if (random.integer(12) === 0) await member.restart()
  }
}

function pick<Value>(values: readonly Value[], random: Random): Value | undefined {
  return values[random.integer(Math.max(1, values.length))]
}
