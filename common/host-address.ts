/** IP addresses between text and the bytes that records and message ids hold. */
import type { HostAddress } from './message.ts'

/** The bytes of an IPv4 (4) or IPv6 (16) address; null when `text` is neither. A zone (`%eth0`) is dropped. */
export function parseIp(text: string): Buffer | null {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text)
}

/** `host` must be an address, not a name: null otherwise. IPv4 addresses wrapped in IPv6 come out as IPv4. */
export function parseHostAddress(host: string, port: number): HostAddress | null {
  const ip = parseIp(host)
  if (ip === null) return null
  return { ip: isWrappedIpv4(ip) ? ip.subarray(12) : ip, port }
}

/** `1.2.3.4` or the canonical form of IPv6 (RFC 5952). */
export function formatIp(ip: Buffer): string {
  if (ip.length === 4) return ip.join('.')
  const groups = Array.from({ length: 8 }, (_, index) => ip.readUInt16BE(index * 2))
  const run = longestZeroRun(groups)
  const text = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  if (run.length < 2) return text(0, 8)
  return `${text(0, run.start)}::${text(run.start + run.length, 8)}`
}

/** `1.2.3.4:5` or `[::1]:5`. */
export function formatHostAddress(address: HostAddress): string {
  const host = formatIp(address.ip)
  return address.ip.length === 4 ? `${host}:${address.port}` : `[${host}]:${address.port}`
}

/** True for an address of this machine alone; `host` may be any text. */
export function isLoopback(host: string): boolean {
  const address = parseHostAddress(host, 0)
  if (address === null) return false
  const { ip } = address
  return ip.length === 4
    ? ip[0] === 127
    : ip.readUInt8(15) === 1 && ip.subarray(0, 15).every((byte) => byte === 0)
}

function parseIpv4(text: string): Buffer | null {
  const parts = text.split('.')
  if (parts.length !== 4) return null
  const bytes = Buffer.alloc(4)
  for (const [index, part] of parts.entries()) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return null
    bytes[index] = Number(part)
  }
  return bytes
}

function parseIpv6(text: string): Buffer | null {
  const plain = text.split('%')[0] ?? ''
  const halves = plain.split('::')
  if (halves.length > 2) return null
  const head = groupsOf(halves[0] ?? '')
  const tail = groupsOf(halves[1] ?? '')
  if (head === null || tail === null) return null
  const missing = 8 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null
  const bytes = Buffer.alloc(16)
  head.forEach((group, index) => bytes.writeUInt16BE(group, index * 2))
  tail.forEach((group, index) => bytes.writeUInt16BE(group, 16 - (tail.length - index) * 2))
  return bytes
}

function groupsOf(text: string): readonly number[] | null {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    const ipv4 = index === parts.length - 1 && part.includes('.') ? parseIpv4(part) : null
    if (ipv4 !== null) groups.push(ipv4.readUInt16BE(0), ipv4.readUInt16BE(2))
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16))
    else return null
  }
  return groups
}

function isWrappedIpv4(ip: Buffer): boolean {
  return (
    ip.length === 16 && ip.readUInt16BE(10) === 0xffff && ip.subarray(0, 10).every((b) => b === 0)
  )
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  return best
}
