/**
 * The PROXY protocol, by which a load balancer says whose connection it passes on: version 1, a line of text, and version 2, binary.
 *
 *   v1  PROXY TCP4|TCP6 source destination sourcePort destinationPort CR LF · PROXY UNKNOWN … CR LF, at most 107 bytes
 *   v2  0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A · version 2 and command (4 bits each) · family and transport (4 bits each) · length 2 ·
 *       source and destination address (4 or 16 bytes each) · source and destination port (2 each) · TLVs
 *
 * Nothing but the source address is used. A header that names none (UNKNOWN, LOCAL, Unix sockets) leaves the connection as it is.
 */
import { formatIp, parseIp } from '../common/host-address.ts'
import { RemotingError } from './errors.ts'

const TEXT_START = Buffer.from('PROXY ', 'latin1')
const TEXT_MAX_SIZE = 107
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const BINARY_FIXED_SIZE = 16
/** Far more than any load balancer's TLVs need. */
const BINARY_MAX_SIZE = 4096
const VERSION_2 = 2
const COMMAND_PROXY = 1
const COMMAND_LOCAL = 0
const FAMILY_IPV4 = 1
const FAMILY_IPV6 = 2

export interface ProxyHeader {
  /** Where the first frame begins. */
  readonly end: number
  /** The client's own address; null when the header names none. */
  readonly source: { readonly host: string; readonly port: number } | null
}

/** True when a connection that begins with this byte may begin with a header; no frame does. */
export function mayBeginProxyHeader(first: number | undefined): boolean {
  return first === TEXT_START[0] || first === SIGNATURE[0]
}

/** Reads the header at the beginning of `bytes`; null when it is not whole yet. Throws `RemotingError` (`malformed`) for anything else. */
export function readProxyHeader(bytes: Buffer): ProxyHeader | null {
  if (startsLike(bytes, TEXT_START)) return readText(bytes)
  if (startsLike(bytes, SIGNATURE)) return readBinary(bytes)
  throw malformed('it begins with neither signature')
}

/** True when the bytes begin with the signature, or could after more of them. */
function startsLike(bytes: Buffer, signature: Buffer): boolean {
  const size = Math.min(bytes.length, signature.length)
  return bytes.subarray(0, size).equals(signature.subarray(0, size))
}

function readText(bytes: Buffer): ProxyHeader | null {
  const found = bytes.subarray(0, TEXT_MAX_SIZE).indexOf('\r\n', 0, 'latin1')
  if (found < 0) {
    if (bytes.length >= TEXT_MAX_SIZE) throw malformed('its line has no end')
    return null
  }
  const end = found + 2
  const [, family, host = '', , port = '', ...rest] = bytes.toString('latin1', 0, found).split(' ')
  if (family === 'UNKNOWN') return { end, source: null }
  const wanted = family === 'TCP4' ? 4 : 16
  if (family !== 'TCP4' && family !== 'TCP6') throw malformed('its family is unknown')
  if (parseIp(host)?.length !== wanted || host.includes('%'))
    throw malformed('its source is no address')
  if (rest.length !== 1 || !/^\d{1,5}$/.test(port)) throw malformed('its source port is missing')
  const number = Number(port)
  if (number > 65_535) throw malformed('its source port is out of range')
  return { end, source: { host, port: number } }
}

function readBinary(bytes: Buffer): ProxyHeader | null {
  if (bytes.length < BINARY_FIXED_SIZE) return null
  const versionAndCommand = bytes.readUInt8(12)
  const command = versionAndCommand & 0xf
  if (versionAndCommand >> 4 !== VERSION_2) throw malformed('its version is not 2')
  if (command !== COMMAND_PROXY && command !== COMMAND_LOCAL) {
    throw malformed('its command is unknown')
  }
  const end = BINARY_FIXED_SIZE + bytes.readUInt16BE(14)
  if (end > BINARY_MAX_SIZE) throw malformed('it is too long')
  if (bytes.length < end) return null
  const family = bytes.readUInt8(13) >> 4
  const size = family === FAMILY_IPV4 ? 4 : 16
  if (command === COMMAND_LOCAL || (family !== FAMILY_IPV4 && family !== FAMILY_IPV6)) {
    return { end, source: null }
  }
  const portAt = BINARY_FIXED_SIZE + 2 * size
  if (portAt + 4 > end) throw malformed('it is too short for its addresses')
  const host = formatIp(bytes.subarray(BINARY_FIXED_SIZE, BINARY_FIXED_SIZE + size))
  return { end, source: { host, port: bytes.readUInt16BE(portAt) } }
}

function malformed(why: string): RemotingError {
  return new RemotingError('malformed', `malformed PROXY protocol header: ${why}`)
}
