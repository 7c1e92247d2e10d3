/** The two kinds of message ids (protocol §5.5). */
import assert from 'node:assert/strict'
import { isSafeInt64, readInt64, writeInt64 } from './bytes.ts'
import type { HostAddress } from './message.ts'
import type { Clock, Random } from './ports.ts'

/** Where a record lies: the address of its broker and its physical offset there. */
export interface OffsetMessageId {
  readonly host: HostAddress
  readonly physicalOffset: number
}

/** The offset id: upper-case hex of address, port (int32) and physical offset; 32 characters for IPv4, 56 for IPv6. */
export function encodeOffsetMessageId(host: HostAddress, physicalOffset: number): string {
  const ipSize = host.ip.length
  assert(ipSize === 4 || ipSize === 16, 'an address has 4 or 16 bytes')
  const bytes = Buffer.allocUnsafe(ipSize + 12)
  host.ip.copy(bytes)
  bytes.writeInt32BE(host.port, ipSize)
  writeInt64(bytes, ipSize + 4, physicalOffset)
  return bytes.toString('hex').toUpperCase()
}

/** Null when the text is no offset id. */
export function decodeOffsetMessageId(text: string): OffsetMessageId | null {
  if ((text.length !== 32 && text.length !== 56) || !/^[0-9a-fA-F]+$/.test(text)) return null
  const bytes = Buffer.from(text, 'hex')
  const ipSize = bytes.length - 12
  const port = bytes.readInt32BE(ipSize)
  if (port < 0 || port > 65_535 || !isSafeInt64(bytes, ipSize + 4)) return null
  const physicalOffset = readInt64(bytes, ipSize + 4)
  if (physicalOffset < 0) return null
  return { host: { ip: bytes.subarray(0, ipSize), port }, physicalOffset }
}

/** Makes unique ids in the form of the Java client: ip, pid, loader hash, milliseconds since the first of the month, counter. */
export class UniqueIdGenerator {
  readonly #clock: Clock
  readonly #prefix: string
  #counter = 0

  constructor(options: {
    readonly clock: Clock
    readonly random: Random
    readonly ip: Buffer
    readonly pid: number
  }) {
    this.#clock = options.clock
    const pid = Buffer.alloc(2)
    pid.writeUInt16BE(options.pid & 0xffff)
    // Java puts the hash of a class loader here; any value that differs between processes will do.
    const loader = options.random.bytes(4)
    this.#prefix = Buffer.concat([options.ip, pid, loader]).toString('hex')
  }

  next(): string {
    const now = this.#clock.now()
    const start = new Date(now)
    start.setDate(1)
    start.setHours(0, 0, 0, 0)
    const tail = Buffer.alloc(6)
    tail.writeUInt32BE((now - start.getTime()) >>> 0, 0)
    tail.writeUInt16BE(this.#counter, 4)
    this.#counter = (this.#counter + 1) & 0xffff
    return (this.#prefix + tail.toString('hex')).toUpperCase()
  }
}
