/**
 * A member that does not lead passes requests on to the leader, with the user's signature as it came. What the leader cannot see, the
 * address of the client and its version, is added; the proof that a member says so is made with what the members share and clients do
 * not know, the secrets of the super users.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { SIGNATURE, UNSIGNED_PREFIX } from '../../remoting/signature.ts'
import type { ExtFields } from '../../remoting/command.ts'
import type { User } from './model.ts'

const FROM = `${UNSIGNED_PREFIX}From`
const VERSION = `${UNSIGNED_PREFIX}Version`
const PROOF = `${UNSIGNED_PREFIX}Proof`

/** What a request was when it came to the group. */
export interface Origin {
  readonly host: string
  readonly version: number
}

/** Adds the origin to the fields of a request that is passed on. */
export function sealOrigin(
  fields: Map<string, string>,
  { host, version }: Origin,
  users: Iterable<User>,
): void {
  const key = sharedKey(users)
  if (key === null) return
  fields.set(FROM, host)
  fields.set(VERSION, String(version))
  fields.set(PROOF, proofOf(fields, key))
}

/** The origin that a member of the group has added; null when nobody has, or somebody else. */
export function sealedOrigin(fields: ExtFields, users: Iterable<User>): Origin | null {
  const given = fields.get(PROOF)
  const key = given === undefined ? null : sharedKey(users)
  if (given === undefined || key === null) return null
  const wanted = Buffer.from(proofOf(fields, key))
  const proof = Buffer.from(given)
  if (proof.length !== wanted.length || !timingSafeEqual(proof, wanted)) return null
  return { host: fields.get(FROM) ?? '', version: Number(fields.get(VERSION)) }
}

function proofOf(fields: ExtFields, key: Buffer): string {
  const text = [SIGNATURE, FROM, VERSION].map((name) => fields.get(name) ?? '').join('\n')
  return createHmac('sha256', key).update(text).digest('base64')
}

/** The same on every member, since they have the same users; null without a super user. */
function sharedKey(users: Iterable<User>): Buffer | null {
  const secrets = [...users]
    .filter(({ userType }) => userType === 'Super')
    .map(({ username, password }) => JSON.stringify([username, password]))
    .sort()
  if (secrets.length === 0) return null
  return createHash('sha256').update(secrets.join('\n')).digest()
}
