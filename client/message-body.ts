/** The body of a received message as its sender wrote it. Clients compress; brokers store what they get (protocol §5.1). */
import { inflateSync, zstdDecompressSync } from 'node:zlib'
import { messageOf } from '../common/errors.ts'
import { MessageSysFlag } from '../common/message.ts'
import type { StoredMessage } from '../common/message.ts'
import { ClientError } from './errors.ts'

/** Twice RocketMQ's largest message: a bomb goes no further. */
const MAX_BODY_BYTES = 8 * 1024 * 1024

const CompressionType = { UNNAMED: 0, LZ4: 0x100, ZSTD: 0x200, ZLIB: 0x300 } as const

/** Throws `ClientError` (`badAnswer`) for a body that cannot be decompressed; LZ4 is not supported. */
export function messageBody({ body, sysFlag }: Pick<StoredMessage, 'body' | 'sysFlag'>): Buffer {
  if ((sysFlag & MessageSysFlag.COMPRESSED) === 0) return body
  const options = { maxOutputLength: MAX_BODY_BYTES }
  const type = sysFlag & MessageSysFlag.COMPRESSION_TYPE_MASK
  try {
    // Old clients name no type and mean ZLIB.
    if (type === CompressionType.ZLIB || type === CompressionType.UNNAMED) {
      return inflateSync(body, options)
    }
    if (type === CompressionType.ZSTD) return zstdDecompressSync(body, options)
  } catch (error) {
    const problem = `a message body cannot be decompressed: ${messageOf(error)}`
    throw new ClientError('badAnswer', problem, { cause: error })
  }
  throw new ClientError(
    'badAnswer',
    'a message body is compressed with LZ4, which is not supported',
  )
}
