/** What the tests of delayed messages share: a broker that can be killed and started again, sends, and what a topic holds. */
import { expect } from 'vitest'
import { RecordReader, storedMessageOf } from '../../common/message-codec.ts'
import { formatProperties, parseProperties } from '../../common/properties.ts'
import { topicConfig } from '../../remoting/bodies/topic-config.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { StoredMessage } from '../../common/message.ts'
import type { Random } from '../../common/ports.ts'
import type { FakeRequest } from '../testing.ts'
import type { BrokerWorld, OtherMembers } from '../testing-world.ts'

export interface Delivered {
  readonly body: string
  readonly queueId: number
  readonly storeTimestamp: number
  readonly properties: ReadonlyMap<string, string>
  readonly message: StoredMessage
}

/** A broker with the topic `T` of two queues, which leads. */
export class DelayWorld {
  readonly #keys: Readonly<Record<string, string>>
  world: BrokerWorld

  private constructor(keys: Readonly<Record<string, string>>, world: BrokerWorld) {
    this.#keys = keys
    this.world = world
  }

  static async create(
    keys: Readonly<Record<string, string>> = {},
    others?: OtherMembers,
  ): Promise<DelayWorld> {
    const world = await createBrokerWorld(keys, undefined, others)
    const queues = { readQueueNums: 2, writeQueueNums: 2 }
    const saved = world.parts.topics.put(topicConfig('T', queues))
    await world.time.settle()
    await saved
    const delayed = new DelayWorld(keys, world)
    delayed.#lead()
    return delayed
  }

  /** Ends the process like kill -9; with `random` the power goes too. */
  kill(random?: Random): void {
    this.world.time.killProcess()
    if (random === undefined) this.world.disk.kill()
    else this.world.disk.crash(random)
  }

  async restart(): Promise<void> {
    this.world = await createBrokerWorld(this.#keys, this.world)
    this.#lead()
  }

  async send(body: string, properties: Readonly<Record<string, string>>): Promise<FakeRequest> {
    return this.world.call({
      code: RequestCode.SEND_MESSAGE_V2,
      extFields: {
        a: 'P',
        b: 'T',
        c: 'TBW102',
        d: '4',
        e: '1',
        f: '0',
        g: '1700000000000',
        h: '7',
        i: formatProperties(Object.entries(properties)),
        j: '0',
      },
      body: Buffer.from(body),
    })
  }

  async advance(ms: number): Promise<void> {
    await this.world.time.advance(ms)
  }

  /** The messages of a topic in the order of its queues. */
  async delivered(
    topic = 'T',
    queueIds: readonly number[] = [0, 1],
  ): Promise<readonly Delivered[]> {
    const found: Delivered[] = []
    for (const queueId of queueIds) {
      for (let queueOffset = 0; ; queueOffset++) {
        const message = await this.#read(topic, queueId, queueOffset)
        if (message === null) break
        const properties = parseProperties(message.properties)
        const { storeTimestamp } = message
        found.push({ body: message.body.toString(), queueId, storeTimestamp, properties, message })
      }
    }
    return found
  }

  async bodies(): Promise<readonly string[]> {
    return (await this.delivered()).map(({ body }) => body)
  }

  async #read(topic: string, queueId: number, queueOffset: number): Promise<StoredMessage | null> {
    const { store } = this.world.parts
    const physicalOffset = store.physicalOffsetAt(topic, queueId, queueOffset)
    const record = physicalOffset === null ? null : store.recordAt(physicalOffset)
    const reader = new RecordReader()
    if (record === null || reader.read(record, 0, record.length, false) !== null) return null
    return Promise.resolve(storedMessageOf(reader, record))
  }

  #lead(): void {
    this.world.processors.levels.startLeading()
    this.world.processors.timers.startLeading()
  }
}

/** Sends, time that passes and power cuts, by chance; the bodies that were acknowledged. */
export async function sendThroughPowerCuts(
  world: DelayWorld,
  random: Random,
  properties: () => Readonly<Record<string, string>>,
): Promise<readonly string[]> {
  const acknowledged: string[] = []
  for (let step = 0; step < 40; step++) {
    const choice = random.integer(10)
    if (choice < 6) {
      const answered = await world.send(`m${step}`, properties())
      if (answered.response?.code === ResponseCode.SUCCESS) acknowledged.push(`m${step}`)
    } else if (choice < 9) {
      await world.advance(random.integer(1500))
    } else {
      world.kill(random)
      await world.restart()
    }
  }
  return acknowledged
}

/** Each of `bodies` was delivered, and nothing twice. */
export async function expectOnce(world: DelayWorld, bodies: readonly string[]): Promise<void> {
  const delivered = await world.bodies()
  expect(bodies.filter((body) => !delivered.includes(body))).toEqual([])
  expect(new Set(delivered).size).toBe(delivered.length)
}
