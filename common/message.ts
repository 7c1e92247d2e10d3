/** The message as the parts of Gantry hand it to each other; bytes are in `message-codec.ts`. */

/** An address as records hold it: 4 or 16 bytes and a port. */
export interface HostAddress {
  /** 4 bytes (IPv4) or 16 bytes (IPv6). */
  readonly ip: Buffer
  readonly port: number
}

/** Bits of a message's `sysFlag` (protocol §5.1). */
export const MessageSysFlag = {
  COMPRESSED: 0x1,
  MULTI_TAGS: 0x2,
  TRANSACTION_PREPARED: 0x4,
  TRANSACTION_COMMIT: 0x8,
  TRANSACTION_ROLLBACK: 0xc,
  TRANSACTION_MASK: 0xc,
  BORN_HOST_V6: 0x10,
  STORE_HOST_V6: 0x20,
  NEED_UNWRAP: 0x40,
  INNER_BATCH: 0x80,
  COMPRESSION_TYPE_MASK: 0x700,
} as const

/** A message to be stored: all of a record that the store does not assign itself. */
export interface MessageToStore {
  readonly topic: string
  readonly queueId: number
  readonly flag: number
  /** Without the two host bits: the codec sets them from the addresses. */
  readonly sysFlag: number
  readonly bornTimestamp: number
  readonly bornHost: HostAddress
  readonly reconsumeTimes: number
  readonly preparedTransactionOffset: number
  /** Not copied before the append; must not change until the put has been answered. */
  readonly body: Buffer
  /** `name 0x01 value 0x02 …` (protocol §5.3), at most 32,767 bytes. */
  readonly properties: Buffer
}

/** A record read back. */
export interface StoredMessage {
  readonly topic: string
  readonly queueId: number
  readonly flag: number
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly size: number
  readonly sysFlag: number
  readonly bornTimestamp: number
  readonly bornHost: HostAddress
  readonly storeTimestamp: number
  readonly storeHost: HostAddress
  readonly reconsumeTimes: number
  readonly preparedTransactionOffset: number
  readonly bodyCrc: number
  /** A slice of the record. */
  readonly body: Buffer
  readonly properties: Buffer
}
