import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeCommand } from '../../remoting/command-codec.ts'
import { LanguageCode, RESPONSE_FLAG, SerializeType } from '../../remoting/command.ts'
import { AnswerReader } from './answer-reader.ts'

interface Sent {
  readonly code: number
  readonly opaque: number
  readonly body: string
}

const answers = fc.array(
  fc.record({
    code: fc.integer({ min: 0, max: 2000 }),
    opaque: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    body: fc.string({ maxLength: 200 }),
    remark: fc.option(fc.string({ maxLength: 40 })),
    msgId: fc.string({ maxLength: 40 }),
    serializeType: fc.constantFrom(SerializeType.JSON, SerializeType.ROCKETMQ),
  }),
  { minLength: 1, maxLength: 20 },
)

test('answers of both serializations come out as they were encoded, wherever the stream is cut', () => {
  fc.assert(
    fc.property(answers, fc.integer({ min: 1, max: 400 }), (sent, chunkSize) => {
      const stream = Buffer.concat(
        sent.map(({ code, opaque, body, remark, msgId, serializeType }) =>
          encodeCommand({
            code,
            language: LanguageCode.JAVA,
            version: 513,
            opaque,
            flag: RESPONSE_FLAG,
            remark,
            extFields: new Map([['msgId', msgId]]),
            body: Buffer.from(body),
            serializeType,
          }),
        ),
      )
      const got: Sent[] = []
      const reader = new AnswerReader(({ code, opaque, source, bodyStart, bodyEnd }) => {
        got.push({ code, opaque, body: source.toString('utf8', bodyStart, bodyEnd) })
      })

      for (let at = 0; at < stream.length; at += chunkSize) {
        reader.feed(Buffer.from(stream.subarray(at, at + chunkSize)))
      }

      expect(got).toEqual(sent.map(({ code, opaque, body }) => ({ code, opaque, body })))
    }),
  )
})

test('answers of one server whose headers differ in order and length are all read', () => {
  const got: string[] = []
  const reader = new AnswerReader(({ code, opaque }) => got.push(`${code} ${opaque}`))

  reader.feed(frameOf('{"code":0,"flag":1,"opaque":1000000001,"version":513}'))
  reader.feed(frameOf('{"code":10,"remark":"late","flag":1,"opaque":1000000002,"version":5}'))
  reader.feed(frameOf('{"opaque":3,"flag":1,"code": -2}'))

  expect(got).toEqual(['0 1000000001', '10 1000000002', '-2 3'])
})

test('bytes that are no frames are refused', () => {
  const reader = new AnswerReader(() => undefined)

  expect(() => reader.feed(Buffer.from('HTTP/1.1 400 Bad Request\r\n'))).toThrow('an answer of')
  expect(() => reader.feed(frameOf('{"flag":1}'))).toThrow('an answer without "code":')
})

function frameOf(header: string): Buffer {
  const frame = Buffer.alloc(8 + header.length)
  frame.writeInt32BE(4 + header.length, 0)
  frame.writeInt32BE(header.length, 4)
  frame.write(header, 8)
  return frame
}
