/** The decoders that untrusted bytes reach, each with valid examples to start from and the errors it may throw. */
import assert from 'node:assert/strict'
import { constants, deflateSync } from 'node:zlib'
import { ConfigError, fileSource, flag, integer, loadConfig, text } from '../common/config.ts'
import { parseJavaProperties } from '../common/java-properties.ts'
import { decodeBatchBody, iterateRecords, MessageCodecError } from '../common/message-codec.ts'
import { decodeOffsetMessageId } from '../common/message-id.ts'
import { keyWords, parseProperties, tagsCodeOf } from '../common/properties.ts'
import { decodeBinaryHeader } from './binary-header.ts'
import { decodeConsumerConnection } from './bodies/client-connections.ts'
import { decodeClusterInfo } from './bodies/cluster-info.ts'
import { decodeConsumeStats } from './bodies/consume-stats.ts'
import { parseFastjson } from './bodies/fastjson.ts'
import { decodeHeartbeatData } from './bodies/heartbeat-data.ts'
import { decodeLockBatchBody } from './bodies/lock-batch-body.ts'
import { decodeRegisterBrokerBody } from './bodies/register-broker-body.ts'
import { decodeSubscriptionGroupConfig } from './bodies/subscription-group-config.ts'
import { decodeTopicConfigTable } from './bodies/topic-config.ts'
import { decodeTopicRouteData } from './bodies/topic-route-data.ts'
import { decodeTopicStatsTable } from './bodies/topic-stats-table.ts'
import { decodeCommand } from './command-codec.ts'
import { RemotingError } from './errors.ts'
import { FrameDecoder } from './frame-decoder.ts'
import { FrameScanner } from './frame-scanner.ts'
import * as examples from './fuzz-examples.ts'
import { decodeJsonHeader } from './json-header.ts'
import { readProxyHeader } from './proxy-protocol.ts'
import { copyUnescaped } from './request-frame.ts'
import type { ExtFields, RemotingCommand } from './command.ts'
import type { RequestFrame } from './request-frame.ts'

export interface FuzzDecoder {
  readonly name: string
  /** Valid inputs; mutations start from them. */
  readonly examples: readonly Buffer[]
  /** Takes anything; throws only what `isExpected` accepts. */
  readonly decode: (bytes: Buffer) => void
  readonly isExpected: (error: unknown) => boolean
}

const isRemotingError = (error: unknown): boolean => error instanceof RemotingError
const isMessageCodecError = (error: unknown): boolean => error instanceof MessageCodecError
const isConfigError = (error: unknown): boolean => error instanceof ConfigError

export const FUZZ_DECODERS: readonly FuzzDecoder[] = [
  {
    name: 'stream',
    examples: examples.frames(),
    decode: decodeStream,
    isExpected: isRemotingError,
  },
  {
    name: 'proxy-protocol',
    examples: examples.proxyHeaders(),
    decode: (bytes) => void readProxyHeader(bytes),
    isExpected: isRemotingError,
  },
  { name: 'frame', examples: examples.frames(), decode: decodeFrame, isExpected: isRemotingError },
  {
    name: 'json-header',
    examples: examples.jsonHeaders(),
    decode: (bytes) => void decodeJsonHeader(bytes, 0, bytes.length),
    isExpected: isRemotingError,
  },
  {
    name: 'binary-header',
    examples: examples.binaryHeaders(),
    decode: (bytes) => void decodeBinaryHeader(bytes, 0, bytes.length),
    isExpected: isRemotingError,
  },
  {
    name: 'frame-scanner',
    examples: examples.frames(),
    decode: scanFrame,
    isExpected: isRemotingError,
  },
  body('fastjson', parseFastjson, examples.jsonTexts()),
  body('heartbeat', decodeHeartbeatData, examples.heartbeats()),
  body('lock-batch', decodeLockBatchBody, examples.lockBatches()),
  body('topic-route', decodeTopicRouteData, examples.routes()),
  body('topic-config', decodeTopicConfigTable, examples.topicTables()),
  body('subscription-group', decodeSubscriptionGroupConfig, examples.subscriptionGroups()),
  body('answers', decodeAnswers, examples.answers()),
  body('register-broker', decodeRegistration, examples.registrations(false)),
  body('register-broker-inflated', decodeInflated, examples.inflatedRegistrations()),
  body('register-broker-deflated', decodeDeflated, examples.registrations(true)),
  {
    name: 'batch-body',
    examples: examples.batches(),
    decode: (bytes) => void decodeBatchBody(bytes),
    isExpected: isMessageCodecError,
  },
  {
    name: 'record',
    examples: examples.records(),
    decode: (bytes) => {
      for (const message of iterateRecords(bytes)) parseProperties(message.properties)
    },
    isExpected: isMessageCodecError,
  },
  {
    name: 'properties',
    examples: examples.properties(),
    decode: decodeProperties,
    isExpected: () => false,
  },
  {
    name: 'config',
    examples: [
      Buffer.from('brokerName = broker-a\\\n  b\n# comment\nlistenPort=10911\nfast=true\n'),
    ],
    decode: decodeConfig,
    isExpected: isConfigError,
  },
]

function body(
  name: string,
  decode: (bytes: Buffer) => unknown,
  examples: readonly Buffer[],
): FuzzDecoder {
  return { name, examples, decode: (bytes) => void decode(bytes), isExpected: isRemotingError }
}

/** As a connection does it, in pieces whose sizes come from the bytes themselves. */
function decodeStream(bytes: Buffer): void {
  const decoder = new FrameDecoder(64 * 1024, (source, start, end) => {
    decodeCommand(source, start, end)
  })
  for (let at = 0; at < bytes.length;) {
    const size = 1 + ((bytes[at] ?? 0) % 97) * 3
    decoder.push(bytes.subarray(at, at + size))
    at += size
  }
}

function decodeFrame(bytes: Buffer): void {
  decodeCommand(bytes, Math.min(4, bytes.length), bytes.length)
}

/** What the scanner takes means what the decoder says; a `RemotingError` of the decoder then is a fault of the scanner. */
function scanFrame(bytes: Buffer): void {
  const scanner = new FrameScanner()
  const start = Math.min(4, bytes.length)
  if (!scanner.scan(bytes, start, bytes.length, 0)) return
  let command: RemotingCommand
  try {
    command = decodeCommand(bytes, start, bytes.length)
  } catch (error) {
    throw new Error('the scanner takes a frame that the decoder refuses', { cause: error })
  }
  assert.deepEqual(scannedFields(scanner), wellFormed(command.extFields))
  const { code, opaque, flag, version, serializeType } = scanner
  const {
    body: _body,
    language: _language,
    remark: _remark,
    extFields: _fields,
    ...decoded
  } = command
  assert.deepEqual({ code, opaque, flag, version, serializeType }, decoded)
  assert(bytes.subarray(scanner.bodyStart, scanner.bodyEnd).equals(command.body))
}

/** Fields as they are once written as UTF-8, which has no half surrogate pairs. */
export function wellFormed(fields: ExtFields): Map<string, string> {
  return new Map([...fields].map(([name, value]) => [name, value.toWellFormed()]))
}

/** The ext fields of a scanned frame as the ordinary decoder has them. */
export function scannedFields(frame: RequestFrame): Map<string, string> {
  const fields = new Map<string, string>()
  for (let index = 0; index < frame.fieldCount; index++) {
    const name = frame.source.toString('utf8', frame.nameStart(index), frame.nameEnd(index))
    const start = frame.valueStart(index)
    const end = frame.valueEnd(index)
    if (!frame.hasEscapes(index)) {
      fields.set(name, frame.source.toString('utf8', start, end))
      continue
    }
    // What is not UTF-8 was replaced before the escapes were looked at.
    const text = Buffer.from(frame.source.toString('utf8', start, end))
    const target = Buffer.alloc(text.length)
    const size = copyUnescaped(text, 0, text.length, target, 0)
    fields.set(name, target.toString('utf8', 0, size))
  }
  return fields
}

function decodeAnswers(bytes: Buffer): void {
  const decoders = [
    decodeConsumeStats,
    decodeTopicStatsTable,
    decodeConsumerConnection,
    decodeClusterInfo,
  ]
  decoders[bytes.length % decoders.length]?.(bytes)
}

function decodeRegistration(bytes: Buffer): void {
  decodeRegisterBrokerBody(bytes, { compressed: false, withMappings: true })
}

function decodeDeflated(bytes: Buffer): void {
  decodeRegisterBrokerBody(bytes, { compressed: true, withMappings: bytes.length % 2 === 0 })
}

/** What lies inside the compression, which mutated deflate data would seldom reach. */
function decodeInflated(bytes: Buffer): void {
  decodeDeflated(deflateSync(bytes, { level: constants.Z_NO_COMPRESSION }))
}

function decodeProperties(bytes: Buffer): void {
  const parsed = parseProperties(bytes)
  keyWords(parsed.get('KEYS') ?? '')
  tagsCodeOf(bytes)
  decodeOffsetMessageId(bytes.toString('latin1'))
}

const CONFIG_SCHEMA = {
  brokerName: text('broker', { description: 'Name' }),
  listenPort: integer(10_911, {
    min: 1,
    max: 65_535,
    description: 'Port',
  }),
  fast: flag(false, { description: 'Fast' }),
}

function decodeConfig(bytes: Buffer): void {
  const content = bytes.toString('utf8')
  parseJavaProperties(content)
  loadConfig({ schema: CONFIG_SCHEMA, sources: [fileSource('fuzz.conf', content)] })
}
