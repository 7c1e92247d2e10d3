/** Helpers of the tests of pops: a world whose broker leads, messages, and requests by their names. */
import { iterateRecords } from '../../common/message-codec.ts'
import { propertyOf } from '../../common/properties.ts'
import { encodeBatchAcks } from '../../remoting/bodies/pop-bodies.ts'
import { topicConfig } from '../../remoting/bodies/topic-config.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { BrokerWorld, OtherMembers } from '../testing-world.ts'
import type { FakeRequest } from '../testing.ts'
import type { Connection } from '../../remoting/connection.ts'
import type { MessageToStore, StoredMessage } from '../../common/message.ts'
import type { BatchAck } from '../../remoting/bodies/pop-bodies.ts'

export const TOPIC = 'Orders'
export const GROUP = 'Shop'

/** A message as a consumer sees it, with the handle that it acknowledges it by. */
export interface Popped {
  /** The topic in which it lies, which may be a retry topic. */
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  readonly text: string
  readonly reconsumeTimes: number
  readonly handle: string
  readonly message: StoredMessage
}

export interface PopWorld extends BrokerWorld {
  send(text: string, options?: { readonly queueId?: number; readonly tags?: string }): Promise<void>
  startPop(fields?: Readonly<Record<string, string>>, connection?: Connection): Promise<FakeRequest>
  pop(fields?: Readonly<Record<string, string>>): Promise<readonly Popped[]>
  ack(popped: Popped): Promise<FakeRequest>
  batchAck(acks: readonly BatchAck[]): Promise<FakeRequest>
  change(popped: Popped, invisibleTime: number): Promise<FakeRequest>
  /** Kills the broker and starts it anew; with `isPowerCut` all that was not synced is gone. */
  restart(isPowerCut?: boolean): Promise<PopWorld>
}

export async function createPopWorld(
  keys: Readonly<Record<string, string>> = {},
  before?: Pick<BrokerWorld, 'time' | 'disk'>,
  others?: OtherMembers,
): Promise<PopWorld> {
  const world = await createBrokerWorld(keys, before, others)
  const config = topicConfig(TOPIC, { readQueueNums: 2, writeQueueNums: 2 })
  const made = world.parts.topics.ensure(config)
  await world.time.settle()
  await made
  world.processors.pops.startLeading()
  await world.time.settle()
  return popWorld(world, keys)
}

/** A pop of all queues of `TOPIC` that does not wait. */
export function popFields(
  bornTime: number,
  fields: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    consumerGroup: GROUP,
    topic: TOPIC,
    queueId: '-1',
    maxMsgNums: '32',
    invisibleTime: '60000',
    pollTime: '0',
    bornTime: String(bornTime),
    initMode: '0',
    order: 'false',
    ...fields,
  }
}

function popWorld(world: BrokerWorld, keys: Readonly<Record<string, string>>): PopWorld {
  const { time, disk, parts } = world
  const handleFields = (popped: Popped): Record<string, string> => ({
    consumerGroup: GROUP,
    topic: popped.topic,
    queueId: String(popped.queueId),
    extraInfo: popped.handle,
    offset: String(popped.queueOffset),
  })
  const startPop: PopWorld['startPop'] = (fields = {}, connection) =>
    world.call({
      code: RequestCode.POP_MESSAGE,
      extFields: popFields(time.now(), fields),
      ...(connection === undefined ? {} : { connection }),
    })
  return {
    ...world,
    startPop,
    send: async (text, options = {}) => {
      const stored = new Promise((resolve) =>
        parts.store.put([messageOf(text, options)], 'inTime', resolve),
      )
      await time.settle()
      await stored
      await time.settle()
    },
    pop: async (fields = {}) => poppedOf(await startPop(fields)),
    ack: (popped) => world.call({ code: RequestCode.ACK_MESSAGE, extFields: handleFields(popped) }),
    batchAck: (acks) =>
      world.call({
        code: RequestCode.BATCH_ACK_MESSAGE,
        body: encodeBatchAcks('broker-a', acks),
      }),
    change: (popped, invisibleTime) =>
      world.call({
        code: RequestCode.CHANGE_MESSAGE_INVISIBLETIME,
        extFields: { ...handleFields(popped), invisibleTime: String(invisibleTime) },
      }),
    restart: async (isPowerCut = false) => {
      time.killProcess()
      if (isPowerCut) disk.crash(null)
      else disk.kill()
      return createPopWorld(keys, { time, disk })
    },
  }
}

function messageOf(
  text: string,
  { queueId = 0, tags }: { readonly queueId?: number; readonly tags?: string },
): MessageToStore {
  return {
    topic: TOPIC,
    queueId,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: 1_700_000_000_000,
    bornHost: { ip: Buffer.from([10, 0, 0, 7]), port: 40_000 },
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: Buffer.from(text),
    properties: Buffer.from(tags === undefined ? '' : `TAGS\u0001${tags}\u0002`),
  }
}

/** The messages of an answer, as the Java client makes them of its fields. */
export function poppedOf(request: FakeRequest): readonly Popped[] {
  const { response } = request
  if (response === null) throw new Error('the pop is not answered')
  const { body } = response
  if (body === undefined) return []
  const bytes = Buffer.isBuffer(body) ? body : Buffer.concat([...body])
  const starts = new Map(
    (request.field('startOffsetInfo') ?? '').split(';').map((item) => {
      const [mark, queueId, start] = item.split(' ')
      return [`${mark}@${queueId}`, start ?? ''] as const
    }),
  )
  const times = `${request.field('popTime')} ${request.field('invisibleTime')} ${request.field('reviveQid')}`
  return Array.from(iterateRecords(bytes), (message) => {
    const { queueId, queueOffset } = message
    const own = propertyOf(message.properties, 'POP_CK')
    const handle =
      own ?? `${starts.get(`0@${queueId}`)} ${times} 0 broker-a ${queueId} ${queueOffset}`
    const mark = handle.split(' ')[4]
    return {
      topic: mark === '0' ? TOPIC : `%RETRY%${GROUP}${mark === '1' ? '_' : '+'}${TOPIC}`,
      queueId,
      queueOffset,
      text: message.body.toString(),
      reconsumeTimes: message.reconsumeTimes,
      handle,
      message,
    }
  })
}

export function textsOf(popped: readonly Popped[]): readonly string[] {
  return popped.map(({ text }) => text)
}
