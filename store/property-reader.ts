/**
 * Brings the properties of one record after the other to where a filter can look at them, without the body of a large one.
 *
 * The last record is kept: when a message comes, all who wait for it look at the same one.
 */
import { readInt32 } from '../common/bytes.ts'
import { MAGIC_V2, RecordReader } from '../common/message-codec.ts'
import { MessageSysFlag } from '../common/message.ts'
import { MAX_PROPERTIES_SIZE } from '../common/properties.ts'
import { PropertyPairs } from '../common/property-pairs.ts'

/** Records up to here are read whole. */
const WHOLE_SIZE_MAX = 16 * 1024
/** Where the body begins, with two IPv4 addresses; each IPv6 address takes more. */
const BODY_AT = 88
const IPV6_EXTRA = 12
const HEAD_SIZE = BODY_AT + 2 * IPV6_EXTRA
const SYS_FLAG_AT = 36
/** Topic, properties, and their lengths. */
const TAIL_SIZE_MAX = 2 + 0x7fff + 2 + MAX_PROPERTIES_SIZE

/** Reads `[offset, offset + size)` of the log to the start of `target`; false when that cannot be. */
export type ReadLog = (offset: number, size: number, target: Buffer) => boolean

export class PropertyReader {
  readonly #readLog: ReadLog
  readonly #record = new RecordReader()
  #physicalOffset = -1
  #bytes: Buffer = Buffer.allocUnsafeSlow(WHOLE_SIZE_MAX)
  /** The properties of the last record, until the next read. */
  readonly pairs: PropertyPairs = new PropertyPairs()

  constructor(readLog: ReadLog) {
    this.#readLog = readLog
  }

  /** False when the log has no such record at hand. */
  read(physicalOffset: number, size: number): boolean {
    if (physicalOffset === this.#physicalOffset) return true
    this.#physicalOffset = -1
    const isRead =
      size <= WHOLE_SIZE_MAX
        ? this.#readWhole(physicalOffset, size)
        : this.#readAround(physicalOffset, size)
    if (isRead) this.#physicalOffset = physicalOffset
    return isRead
  }

  /** Forgets the record that is kept: the log was cut. */
  drop(): void {
    this.#physicalOffset = -1
  }

  #readWhole(physicalOffset: number, size: number): boolean {
    const record = this.#record
    if (!this.#readLog(physicalOffset, size, this.#bytes)) return false
    if (!record.readTrusted(this.#bytes, 0, size) || record.type !== 'message') return false
    const { propertiesAt, propertiesSize } = record
    this.pairs.scan(this.#bytes, propertiesAt, propertiesAt + propertiesSize)
    return true
  }

  /** Reads what lies before the body, and then what lies behind it. */
  #readAround(physicalOffset: number, size: number): boolean {
    if (!this.#readLog(physicalOffset, HEAD_SIZE, this.#bytes)) return false
    const sysFlag = readInt32(this.#bytes, SYS_FLAG_AT)
    const isV2 = readInt32(this.#bytes, 4) >>> 0 === MAGIC_V2
    let bodyAt = BODY_AT
    if ((sysFlag & MessageSysFlag.BORN_HOST_V6) !== 0) bodyAt += IPV6_EXTRA
    if ((sysFlag & MessageSysFlag.STORE_HOST_V6) !== 0) bodyAt += IPV6_EXTRA
    const bodySize = readInt32(this.#bytes, bodyAt - 4)
    const tailSize = size - bodyAt - bodySize
    if (bodySize < 0 || tailSize < 3 || tailSize > TAIL_SIZE_MAX) return false
    if (tailSize > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(TAIL_SIZE_MAX)
    if (!this.#readLog(physicalOffset + size - tailSize, tailSize, this.#bytes)) return false
    const topicSize = isV2 ? this.#bytes.readUInt16BE(0) : (this.#bytes[0] ?? 0)
    const start = (isV2 ? 2 : 1) + topicSize + 2
    if (start > tailSize) return false
    this.pairs.scan(this.#bytes, start, tailSize)
    return true
  }
}
