import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeBatchAcks, encodeBatchAcks } from '../../remoting/bodies/pop-bodies.ts'
import { encodeCommand } from '../../remoting/command-codec.ts'
import { LanguageCode, SerializeType } from '../../remoting/command.ts'
import { FrameScanner } from '../../remoting/frame-scanner.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { BatchAckReader } from './batch-ack-frame.ts'
import type { BatchAck } from '../../remoting/bodies/pop-bodies.ts'

const name = fc.oneof(fc.constantFrom('T', 'Grüße', 'a"b'), fc.string({ minLength: 1 }))
const count = fc.nat(2 ** 45)
const ack: fc.Arbitrary<BatchAck> = fc.record({
  consumerGroup: name,
  topic: name,
  retry: fc.constantFrom('0', '1', '2'),
  startOffset: count,
  queueId: fc.nat(100),
  reviveQueueId: fc.nat(999),
  popTime: count,
  invisibleTime: count,
  distances: fc
    .uniqueArray(fc.nat(70), { maxLength: 32 })
    .map((given) => given.toSorted((left, right) => left - right)),
})
const bodies = fc
  .tuple(fc.string(), fc.array(ack, { maxLength: 3 }))
  .map(([brokerName, acks]) => encodeBatchAcks(brokerName, acks))

/** What JSON and base64 know, and what they do not. */
const LETTERS = Array.from('"\\,:{}[]0=-b1Aü \n')

function readFrame(body: Buffer): readonly BatchAck[] | null {
  const frame = encodeCommand({
    code: RequestCode.BATCH_ACK_MESSAGE,
    language: LanguageCode.JAVA,
    version: 485,
    opaque: 1,
    flag: 0,
    remark: null,
    extFields: new Map(),
    body,
    serializeType: SerializeType.JSON,
  })
  // What follows is of another request.
  const received = Buffer.concat([frame, Buffer.from(',"t":"0"}]}')])
  const scanner = new FrameScanner()
  expect(scanner.scan(received, 4, frame.length, 0)).toBe(true)
  return new BatchAckReader().read(scanner)
}

test('the body that clients write is read as in the ordinary way', () => {
  const body = Buffer.from(
    '{"acks":[{"b":"AwE=","c":"G","it":60000,"pt":1700000000000,"q":3,"r":"0","rq":7,"so":100,"t":"T"},' +
      '{"b":"/w==","c":"G","it":1,"pt":2,"q":0,"r":"2","rq":0,"so":0,"t":"Grüße"}],"brokerName":"broker-a"}',
  )

  const acks = readFrame(body)

  expect(acks?.map(({ distances }) => distances)).toEqual([
    [0, 1, 8],
    [0, 1, 2, 3, 4, 5, 6, 7],
  ])
  expect(acks).toEqual(decodeBatchAcks(body))
})

// Goal: no body means something else here than there. Method: bodies as they are, cut, or with some bytes that JSON knows changed.
test('what is read of any body is what the ordinary way reads', () => {
  fc.assert(
    fc.property(
      bodies,
      fc.array(fc.tuple(fc.nat(), fc.constantFrom(...LETTERS)), { maxLength: 2 }),
      fc.option(fc.nat()),
      (body, changes, cut) => {
        for (const [at, letter] of changes) body.write(letter, at % body.length)
        const given = cut === null ? body : body.subarray(0, cut % body.length)

        const acks = readFrame(given)

        if (acks !== null) expect(acks).toEqual(decodeBatchAcks(given))
      },
    ),
    { numRuns: 3000 },
  )
})
