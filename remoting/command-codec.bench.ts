/** A send of the Java client decoded, and its answer encoded, in both serializations (hot-path budget: 4 CPU-s per million sends in all). */
import { test } from 'vitest'
import { decodeCommand, encodeCommand, encodeFrame } from './command-codec.ts'
import { LanguageCode, NO_BODY, SerializeType } from './command.ts'
import { ChunkPool, OutputBuffer } from './output-buffer.ts'

const PROPERTIES =
  'KEYS\u0001OrderID188\u0002UNIQ_KEY\u00017F0000010B5C18B4AAC2123456780000\u0002WAIT\u0001true\u0002TAGS\u0001TagA\u0002'
const SEND = {
  a: 'please_rename_unique_group_name',
  b: 'TopicTest',
  c: 'TBW102',
  d: '4',
  e: '2',
  f: '0',
  g: '1763712000000',
  h: '0',
  i: PROPERTIES,
  j: '0',
  k: 'false',
  l: '0',
  m: 'false',
}
const ANSWER = {
  msgId: '7F00000100002A9F0000000000000000',
  queueId: '2',
  queueOffset: '123',
  transactionId: '7F0000010B5C18B4AAC2123456780000',
  MSG_REGION: 'DefaultRegion',
  TRACE_ON: 'true',
}
const ANSWERS_PER_WRITE = 32

test('a send in JSON', async ({ bench }) => {
  const { decode, encode } = work(SerializeType.JSON)
  await bench('decode a send, JSON', decode).run()
  await bench(`encode ${ANSWERS_PER_WRITE} answers, JSON`, encode).run()
})

test('a send in ROCKETMQ', async ({ bench }) => {
  const { decode, encode } = work(SerializeType.ROCKETMQ)
  await bench('decode a send, ROCKETMQ', decode).run()
  await bench(`encode ${ANSWERS_PER_WRITE} answers, ROCKETMQ`, encode).run()
})

function work(serializeType: SerializeType) {
  const header = { language: LanguageCode.JAVA, version: 479, opaque: 123_456, remark: null }
  const extFields = new Map(Object.entries(SEND))
  const body = Buffer.alloc(128)
  const frame = encodeCommand({ ...header, code: 310, flag: 0, extFields, body, serializeType })
  const answer = { ...header, code: 0, flag: 1, extFields: new Map(Object.entries(ANSWER)) }
  const output = new OutputBuffer(new ChunkPool())
  return {
    decode: () => {
      decodeCommand(frame, 4, frame.length)
    },
    encode: () => {
      for (let count = 0; count < ANSWERS_PER_WRITE; count++) {
        encodeFrame(answer, serializeType, NO_BODY, output)
      }
      output.take().release(true)
    },
  }
}
