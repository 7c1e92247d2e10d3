/** Goal: who reads cold data waits for the others. Method: a real broker's pulls, with a store that calls everything cold. */
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { topicConfig } from '../../remoting/bodies/topic-config.ts'
import { FrameScanner } from '../../remoting/frame-scanner.ts'
import { encodeCommand, extFieldsOf } from '../../remoting/command-codec.ts'
import { LanguageCode, SerializeType } from '../../remoting/command.ts'
import { pullFields } from '../../remoting/pull-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { FakeConnection } from '../testing.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { FakeRequestOptions } from '../testing.ts'
import type { BrokerWorld } from '../testing-world.ts'

let world: BrokerWorld

beforeEach(async () => {
  world = await createBrokerWorld({
    coldDataFlowControlEnable: 'true',
    cgColdReadThreshold: '250',
    globalColdReadThreshold: '5000',
  })
  const saved = world.parts.topics.put(topicConfig('T', { readQueueNums: 1, writeQueueNums: 1 }))
  await world.time.settle()
  await saved
  await world.time.advance(60_000)
  for (let index = 0; index < 10; index++) await sendMessage('x'.repeat(100))
  vi.spyOn(world.parts.store, 'isInMemory').mockReturnValue(false)
})

function sendMessage(body: string) {
  const fields = { a: 'P', b: 'T', c: 'TBW102', d: '4', e: '0', f: '0', g: '1', h: '0' }
  const code = RequestCode.SEND_MESSAGE_V2
  return world.call({ code, extFields: { ...fields, i: '' }, body: Buffer.from(body) })
}

function fieldsOfPull(consumerGroup: string, queueOffset: number) {
  return pullFields({ consumerGroup, topic: 'T', queueId: 0, queueOffset })
}

async function pull(consumerGroup: string, queueOffset = 0) {
  const extFields = fieldsOfPull(consumerGroup, queueOffset)
  return answerTo({ code: RequestCode.PULL_MESSAGE, extFields })
}

function admin(code: number, body = '') {
  return answerTo({ code, extFields: {}, body: Buffer.from(body) })
}

async function answerTo(request: FakeRequestOptions): Promise<ResponseContent> {
  const { response } = await world.call(request)
  if (response === null) throw new Error('the request was not answered')
  return response
}

async function info(): Promise<unknown> {
  const response = await admin(RequestCode.GET_COLD_DATA_FLOW_CTR_INFO)
  return JSON.parse(String(response.body))
}

describe('a group that reads cold data', () => {
  test('waits when it has read its share, and gets more when five seconds are over', async () => {
    const first = await pull('G')
    const second = await pull('G')
    const other = await pull('Other')
    await world.time.advance(5_000)
    const later = await pull('G')

    expect(first.code).toBe(ResponseCode.SUCCESS)
    expect(second.code).toBe(ResponseCode.SYSTEM_BUSY)
    expect(second.remark).toContain('reading cold data')
    expect(other.code).toBe(ResponseCode.SUCCESS)
    expect(later.code).toBe(ResponseCode.SUCCESS)
  })

  test('does not wait for what is in memory, nor for what is not there yet', async () => {
    await pull('G')

    const beyond = await pull('G', 10)
    vi.spyOn(world.parts.store, 'isInMemory').mockReturnValue(true)
    const warm = await pull('G')

    expect(beyond.code).toBe(ResponseCode.PULL_NOT_FOUND)
    expect(warm.code).toBe(ResponseCode.SUCCESS)
  })

  test('waits with all others when together they have read their share', async () => {
    world.config.update([{ key: 'cgColdReadThreshold', value: '1000000' }], 0)
    const codes: number[] = []
    for (const group of ['A', 'B', 'C', 'D', 'A']) codes.push((await pull(group)).code)

    const { SUCCESS, SYSTEM_BUSY } = ResponseCode
    expect(codes).toEqual([SUCCESS, SUCCESS, SUCCESS, SUCCESS, SYSTEM_BUSY])
  })

  test('waits as a frame too', async () => {
    await pull('G')
    const scanner = new FrameScanner()
    const bytes = encodeCommand({
      code: RequestCode.PULL_MESSAGE,
      language: LanguageCode.JAVA,
      version: 500,
      opaque: 1,
      flag: 0,
      remark: null,
      extFields: extFieldsOf(fieldsOfPull('G', 0)),
      body: Buffer.alloc(0),
      serializeType: SerializeType.JSON,
    })

    expect(scanner.scan(bytes, 4, bytes.length, 0)).toBe(true)
    const take = world.processors.byFrame.get(RequestCode.PULL_MESSAGE)
    expect(take?.(new FakeConnection(1), scanner)).toBe(false)
  })

  test('has the threshold that an administrator gives it, until it is taken away', async () => {
    const given = await admin(RequestCode.UPDATE_COLD_DATA_FLOW_CTR_CONFIG, 'G=1000000\nH=1')
    await pull('G')
    const second = await pull('G')
    const told = await info()
    await admin(RequestCode.REMOVE_COLD_DATA_FLOW_CTR_CONFIG, 'G')
    const third = await pull('G')

    expect(given.code).toBe(ResponseCode.SUCCESS)
    expect(second.code).toBe(ResponseCode.SUCCESS)
    expect(told).toMatchObject({
      configTable: { G: 1_000_000, H: 1 },
      cgColdReadThreshold: 250,
      globalColdReadThreshold: 5000,
      runtimeTable: { G: { lastColdReadTimeMills: expect.any(Number) } },
    })
    expect(third.code).toBe(ResponseCode.SYSTEM_BUSY)
    expect(world.parts.stats.flowControl).toMatchObject({ coldData: 1, sendQueue: 0 })
  })

  test('keeps its threshold when one of many is no number', async () => {
    const response = await admin(RequestCode.UPDATE_COLD_DATA_FLOW_CTR_CONFIG, 'G=5\nH=many')

    expect(response.code).toBe(ResponseCode.INVALID_PARAMETER)
    expect(response.remark).toContain('H')
    expect(await info()).toMatchObject({ configTable: {} })
  })
})

test('nobody waits while flow control is off', async () => {
  world.config.update([{ key: 'coldDataFlowControlEnable', value: 'false' }], 0)
  await pull('G')

  expect((await pull('G')).code).toBe(ResponseCode.SUCCESS)
  expect(await info()).toMatchObject({ runtimeTable: {}, globalAcc: 0 })
})
