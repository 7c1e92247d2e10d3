/** Passwords as argon2id hashes (RFC 9106), made off the event loop. */
import { argon2, timingSafeEqual } from 'node:crypto'
import type { Random } from '../../common/ports.ts'

export interface PasswordHash {
  readonly algorithm: 'argon2id'
  /** KiB. */
  readonly memory: number
  readonly passes: number
  /** Base64. */
  readonly nonce: string
  readonly tag: string
}

/** OWASP's second choice, which takes some tens of milliseconds. */
const MEMORY_KIB = 19_456
const PASSES = 2
const TAG_BYTES = 32
const NONCE_BYTES = 16
const PASSWORD_BYTES = 15

export const PASSWORD_MIN_LENGTH = 10
/** Longer ones cost more than they are worth. */
export const PASSWORD_MAX_LENGTH = 256

export async function hashPassword(password: string, random: Random): Promise<PasswordHash> {
  const nonce = random.bytes(NONCE_BYTES)
  const tag = await tagOf(password, nonce, MEMORY_KIB, PASSES)
  return {
    algorithm: 'argon2id',
    memory: MEMORY_KIB,
    passes: PASSES,
    nonce: nonce.toString('base64'),
    tag: tag.toString('base64'),
  }
}

export async function isPassword(password: string, hash: PasswordHash): Promise<boolean> {
  const expected = Buffer.from(hash.tag, 'base64')
  const nonce = Buffer.from(hash.nonce, 'base64')
  const tag = await tagOf(password, nonce, hash.memory, hash.passes)
  return tag.length === expected.length && timingSafeEqual(tag, expected)
}

/** 20 characters, 120 bits. */
export function makePassword(random: Random): string {
  return random.bytes(PASSWORD_BYTES).toString('base64url')
}

function tagOf(password: string, nonce: Buffer, memory: number, passes: number): Promise<Buffer> {
  const parameters = {
    message: Buffer.from(password),
    nonce,
    memory,
    passes,
    parallelism: 1,
    tagLength: TAG_BYTES,
  }
  return new Promise((resolve, reject) => {
    argon2('argon2id', parameters, (error, tag) => {
      if (error === null) resolve(tag)
      else reject(error)
    })
  })
}
