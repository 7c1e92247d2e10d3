/** A producer and the brokers that it talks to, one after the other on the same disk: for the tests of transactions. */
import { iterateRecords } from '../../common/message-codec.ts'
import { decodeOffsetMessageId } from '../../common/message-id.ts'
import { PropertyName, formatProperties, parseProperties } from '../../common/properties.ts'
import { LanguageCode } from '../../remoting/command.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { createBrokerWorld } from '../testing-world.ts'
import { FakeConnection } from '../testing.ts'
import type { StoredMessage } from '../../common/message.ts'
import type { Random } from '../../common/ports.ts'
import type { RequestContent } from '../../remoting/command.ts'
import type { FakeRequest } from '../testing.ts'
import type { BrokerWorld, OtherMembers } from '../testing-world.ts'

export const COMMIT = 8
export const ROLLBACK = 12
export const UNKNOWN = 0

/** A half message as its producer knows it. */
export interface Sent {
  readonly name: string
  readonly queueOffset: number
  readonly physicalOffset: number
}

/** What a producer is asked. */
export interface Check extends Sent {
  readonly properties: ReadonlyMap<string, string>
  readonly body: StoredMessage
}

export class TransactionWorld {
  world: BrokerWorld
  producer: FakeConnection = new FakeConnection(1)
  readonly #keys: Readonly<Record<string, string>>
  #connections = 1
  #checksRead = 0

  private constructor(world: BrokerWorld, keys: Readonly<Record<string, string>>) {
    this.world = world
    this.#keys = keys
  }

  static async create(
    keys: Readonly<Record<string, string>> = {},
    others?: OtherMembers,
  ): Promise<TransactionWorld> {
    const world = await createBrokerWorld(keys, undefined, others)
    const started = new TransactionWorld(world, keys)
    started.#lead()
    await started.world.time.settle()
    return started
  }

  /** The process dies, with `random` the whole machine, and comes back. */
  async restart(random: Random | null): Promise<void> {
    const { time, disk } = this.world
    time.killProcess()
    if (random === null) disk.kill()
    else disk.crash(random)
    this.world = await createBrokerWorld(this.#keys, { time, disk })
    this.producer = new FakeConnection(++this.#connections)
    this.#checksRead = 0
    this.#lead()
    await time.settle()
  }

  async saveOffsets(): Promise<void> {
    const saving = this.world.parts.offsets.flush()
    await this.world.time.advance(100)
    await saving
  }

  /** The broker stops leading and begins again, as if others had led in between. */
  async leadAgain(): Promise<void> {
    const { time, processors } = this.world
    const stopped = processors.transactions.stopLeading()
    await time.settle()
    await stopped
    processors.transactions.startLeading()
    await time.settle()
  }

  #lead(): void {
    this.register(this.producer)
    for (const service of this.world.processors.leaderServices) service.startLeading()
  }

  register(connection: FakeConnection, group = 'P'): void {
    this.world.parts.clients.registerProducer(group, {
      clientId: `c${connection.id}`,
      connection,
      language: LanguageCode.JAVA,
      version: 513,
    })
  }

  async send(
    name: string,
    properties: readonly (readonly [string, string])[] = [],
  ): Promise<FakeRequest> {
    return this.world.call({
      code: RequestCode.SEND_MESSAGE_V2,
      extFields: {
        a: 'P',
        b: 'Orders',
        c: 'TBW102',
        d: '1',
        e: '0',
        f: '4',
        g: String(this.world.time.now()),
        h: '7',
        i: formatProperties([
          [PropertyName.UNIQ_KEY, name],
          [PropertyName.TAGS, 'a'],
          [PropertyName.TRAN_MSG, 'true'],
          [PropertyName.PGROUP, 'P'],
          ...properties,
        ]),
      },
      body: Buffer.from(name),
    })
  }

  async prepare(
    name: string,
    properties: readonly (readonly [string, string])[] = [],
  ): Promise<Sent> {
    const request = await this.send(name, properties)
    const physicalOffset = decodeOffsetMessageId(request.field('msgId') ?? '')?.physicalOffset
    if (physicalOffset === undefined) throw new Error(request.response?.remark ?? 'no answer')
    return { name, queueOffset: Number(request.field('queueOffset')), physicalOffset }
  }

  end(
    sent: Sent,
    decision: number,
    fields: Readonly<Record<string, string>> = {},
  ): Promise<FakeRequest> {
    return this.world.call({
      code: RequestCode.END_TRANSACTION,
      extFields: {
        producerGroup: 'P',
        tranStateTableOffset: String(sent.queueOffset),
        commitLogOffset: String(sent.physicalOffset),
        commitOrRollback: String(decision),
        msgId: sent.name,
        ...fields,
      },
    })
  }

  /** What the producer has been asked since the last call. */
  checks(): readonly Check[] {
    const asked = this.producer.sent
      .slice(this.#checksRead)
      .filter(({ code }) => code === RequestCode.CHECK_TRANSACTION_STATE)
    this.#checksRead = this.producer.sent.length
    return asked.map(checkOf)
  }

  /** All messages of a queue. */
  async messages(topic: string): Promise<readonly StoredMessage[]> {
    const found: StoredMessage[] = []
    const { store } = this.world.parts
    const end = store.maxOffsetInQueue(topic, 0)
    for (let queueOffset = 0; queueOffset < end;) {
      const request = { topic, queueId: 0, queueOffset, maxMessages: 32, filter: null }
      let next = queueOffset
      store.get(request, ({ body, nextBeginOffset }) => {
        found.push(...iterateRecords(body))
        next = nextBeginOffset
      })
      await this.world.time.settle()
      if (next === queueOffset) throw new Error(`no message ${queueOffset} in ${topic}`)
      queueOffset = next
    }
    return found
  }

  /** The bodies of the messages of a queue. */
  async names(topic = 'Orders'): Promise<readonly string[]> {
    return (await this.messages(topic)).map(({ body }) => body.toString())
  }
}

export function checkOf({ extFields, body }: RequestContent): Check {
  const fields = extFields instanceof Map ? extFields : new Map(Object.entries(extFields ?? {}))
  const [message] = iterateRecords(body ?? Buffer.alloc(0))
  if (message === undefined) throw new Error('a check without a message')
  return {
    name: message.body.toString(),
    queueOffset: Number(fields.get('tranStateTableOffset')),
    physicalOffset: Number(fields.get('commitLogOffset')),
    properties: parseProperties(message.properties),
    body: message,
  }
}
