/** Finds body and queue offset of the records in a pull answer (protocol §5.1), and nothing else: the rest is the broker's business. */
import { readInt64 } from '../../common/bytes.ts'
import { MAGIC_V1, MAGIC_V2 } from '../../common/message-codec.ts'
import { MessageSysFlag } from '../../common/message.ts'

/** Bytes of the fields before the body's length, with IPv4 addresses. */
const BODY_LENGTH_AT = 84
const IPV6_EXTRA = 12
const SMALLEST = 91

export class RecordWalker {
  size = 0
  queueOffset = 0
  bodyCrc = 0
  bodyAt = 0
  bodySize = 0

  /** Reads the record at `at`, which must end by `end`; false: it is none. */
  read(source: Buffer, at: number, end: number): boolean {
    if (end - at < SMALLEST) return false
    const size = source.readInt32BE(at)
    const magic = source.readUInt32BE(at + 4)
    if (size < SMALLEST || size > end - at) return false
    if (magic !== MAGIC_V1 && magic !== MAGIC_V2) return false
    const sysFlag = source.readInt32BE(at + 36)
    let bodyLengthAt = at + BODY_LENGTH_AT
    if ((sysFlag & MessageSysFlag.BORN_HOST_V6) !== 0) bodyLengthAt += IPV6_EXTRA
    if ((sysFlag & MessageSysFlag.STORE_HOST_V6) !== 0) bodyLengthAt += IPV6_EXTRA
    if (bodyLengthAt + 4 > at + size) return false
    const bodySize = source.readInt32BE(bodyLengthAt)
    if (bodySize < 0 || bodyLengthAt + 4 + bodySize > at + size) return false
    this.size = size
    this.queueOffset = readInt64(source, at + 20)
    this.bodyCrc = source.readInt32BE(at + 8)
    this.bodyAt = bodyLengthAt + 4
    this.bodySize = bodySize
    return true
  }
}
