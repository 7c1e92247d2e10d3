import { describe, expect, test } from 'vitest'
import { decodeBatchBody } from '../../common/message-codec.ts'
import { parseProperties } from '../../common/properties.ts'
import { decodeCommand } from '../../remoting/command-codec.ts'
import type { RemotingCommand } from '../../remoting/command.ts'
import { SerializeType } from '../../remoting/command.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { BodyReader } from './message-body.ts'
import { SendFrames } from './send-frames.ts'
import type { SendFrameOptions, SendSlot } from './send-frames.ts'

const OPTIONS: SendFrameOptions = {
  topic: 'orders',
  topics: 1,
  brokerName: 'broker-a',
  producerGroup: 'group',
  queues: 16,
  bodySize: 100,
  batch: 1,
  serializeType: SerializeType.JSON,
  delay: { delayMs: 0, spreadMs: 0 },
  run: 0xfedcba98,
}
const SLOT: SendSlot = {
  opaque: 1_234_567_890,
  queueId: 7,
  topicNumber: 42,
  sender: 3,
  sequence: 5_000_000_000,
  bornTimestamp: 1_795_267_684_635,
  sentAt: 1_795_267_684_635.25,
}

describe.each([
  ['JSON', SerializeType.JSON],
  ['binary', SerializeType.ROCKETMQ],
])('with %s headers', (_, serializeType) => {
  test('a patched frame is the request that was meant', () => {
    const command = patched({ ...OPTIONS, serializeType }, SLOT)

    expect(command.code).toBe(RequestCode.SEND_MESSAGE_V2)
    expect(command.opaque).toBe(SLOT.opaque)
    expect(Number(command.extFields.get('e'))).toBe(7)
    expect(command.extFields.get('b')).toBe('orders')
    expect(command.extFields.get('g')).toBe('1795267684635')
    const properties = parseProperties(command.extFields.get('i') ?? '')
    expect(properties.get('UNIQ_KEY')).toBe('FEDCBA9800000003000000012A05F200')
    expect(properties.get('WAIT')).toBe('true')
    expect(bodyOf(command.body)).toEqual({ run: 0xfedcba98, sender: 3, sequence: 5_000_000_000 })
  })

  test('a frame that has been used before is patched completely', () => {
    const frames = new SendFrames({ ...OPTIONS, serializeType })
    const block = frames.acquire(2)
    frames.patch(block, frames.frameSize, SLOT)
    frames.release(block)
    const again = frames.acquire(2)
    const slot = { ...SLOT, opaque: 1_000_000_001, queueId: 15, sequence: 1, bornTimestamp: 1e12 }
    frames.patch(again, frames.frameSize, slot)

    const command = decodeCommand(again, frames.frameSize + 4, 2 * frames.frameSize)

    expect(again).toBe(block)
    expect(command.opaque).toBe(1_000_000_001)
    expect(command.extFields.get('e')).toBe('15')
    expect(command.extFields.get('g')).toBe('1000000000000')
    expect(bodyOf(command.body).sequence).toBe(1)
  })

  test('a delayed message is due in its time, and says when', () => {
    const delay = { delayMs: 60_000, spreadMs: 5_000 }

    const command = patched({ ...OPTIONS, serializeType, delay }, SLOT)

    const properties = parseProperties(command.extFields.get('i') ?? '')
    const dueAt = Number(properties.get('TIMER_DELIVER_MS'))
    const reader = new BodyReader()
    expect(reader.read(command.body, 0, command.body.length)).toBe('whole')
    expect(reader.sentAt).toBe(dueAt)
    expect(dueAt).toBeGreaterThanOrEqual(SLOT.sentAt + 60_000)
    expect(dueAt).toBeLessThanOrEqual(SLOT.sentAt + 65_001)
  })

  test('one of many topics is named by its number', () => {
    const command = patched({ ...OPTIONS, serializeType, topics: 50_000 }, SLOT)

    expect(command.extFields.get('b')).toBe('orders-00042')
  })

  test('a batch holds numbered messages with keys of their own', () => {
    const command = patched({ ...OPTIONS, serializeType, batch: 3 }, { ...SLOT, sequence: 30 })

    const messages = decodeBatchBody(command.body)
    expect(command.code).toBe(RequestCode.SEND_BATCH_MESSAGE)
    expect(command.extFields.get('m')).toBe('true')
    expect(messages.map(({ body }) => bodyOf(body).sequence)).toEqual([30, 31, 32])
    expect(
      messages.map(({ properties }) => parseProperties(properties).get('UNIQ_KEY')?.slice(-2)),
    ).toEqual(['1E', '1F', '20'])
  })
})

function patched(options: SendFrameOptions, slot: SendSlot): RemotingCommand {
  const frames = new SendFrames(options)
  const block = frames.acquire(1)
  frames.patch(block, 0, slot)
  return decodeCommand(block, 4, frames.frameSize)
}

function bodyOf(body: Buffer): { run: number; sender: number; sequence: number } {
  const reader = new BodyReader()
  expect(reader.read(body, 0, body.length)).toBe('whole')
  const { run, sender, sequence } = reader
  return { run, sender, sequence }
}
