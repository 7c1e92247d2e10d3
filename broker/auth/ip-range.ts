/** The addresses that a policy is for: one, or a range in CIDR notation. */
import { parseHostAddress } from '../../common/host-address.ts'

export interface IpRange {
  /** As it was given. */
  readonly text: string
  readonly ip: Buffer
  /** So many leading bits count. */
  readonly prefixBits: number
}

/** `1.2.3.4`, `1.2.3.0/24`, `::1`, `fd00::/8`; null for anything else. */
export function parseIpRange(text: string): IpRange | null {
  const [host = '', bits, more] = text.split('/')
  const ip = addressOf(host)
  if (ip === null || more !== undefined) return null
  if (bits === undefined) return { text, ip, prefixBits: ip.length * 8 }
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > ip.length * 8) return null
  return { text, ip, prefixBits: Number(bits) }
}

/** `address` is one of the range; what is no address is in none. */
export function isInRange(address: Buffer | null, { ip, prefixBits }: IpRange): boolean {
  if (address === null || address.length !== ip.length) return false
  const whole = prefixBits >> 3
  for (let at = 0; at < whole; at++) if (address[at] !== ip[at]) return false
  const rest = prefixBits & 7
  if (rest === 0) return true
  const mask = (0xff << (8 - rest)) & 0xff
  return ((address[whole] ?? 0) & mask) === ((ip[whole] ?? 0) & mask)
}

/** IPv4 addresses that come as IPv6 count as what they are. */
export function addressOf(host: string): Buffer | null {
  return parseHostAddress(host, 0)?.ip ?? null
}
