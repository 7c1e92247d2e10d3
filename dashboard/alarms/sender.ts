/** How messages leave the console: what every sender does, and what can go wrong. */
import { GantryError, messageOf, systemCodeOf } from '../../common/errors.ts'
import type { Disk } from '../../common/ports.ts'
import type { Message } from './messages.ts'

export interface Sender {
  /**
   * Resolves when the receiver has it; with a sentence when only some of the people behind it have. Rejects with `SendError`, also when
   * `signal` aborts.
   */
  send(message: Message, signal: AbortSignal): Promise<string | null>
}

export type SendErrorCode =
  /** Nobody answers, or not now: worth another attempt soon. */
  | 'unreachable'
  /** The receiver answered that it does not want it. */
  | 'refused'

export class SendError extends GantryError<SendErrorCode> {}

const SECRET_MAX_BYTES = 64 * 1024
const SENTENCE_MAX = 300
const HIDDEN_LENGTH = 4

/** A file without its last line end. Read for each message, so that a Secret can be renewed. */
export function readSecret(disk: Pick<Disk, 'readFileSync' | 'statusSync'>, path: string): string {
  let text: string
  try {
    const size = disk.statusSync(path)?.size ?? 0
    if (size > SECRET_MAX_BYTES) throw new SendError('refused', `${path} is too large`)
    const content = disk.readFileSync(path)
    if (content === null) throw new SendError('refused', `${path} is not there`)
    text = content.toString('utf8').replace(/\r?\n$/u, '')
  } catch (error) {
    if (error instanceof SendError) throw error
    throw new SendError('refused', `${path} cannot be read: ${messageOf(error)}`, error)
  }
  if (text === '') throw new SendError('refused', `${path} is empty`)
  return text
}

export function lateSentence(timeoutMs: number): string {
  return `no answer within ${timeoutMs / 1000} s`
}

/** What may be shown of an error: one line without the secrets, whoever repeated them. */
export function sentenceOf(error: unknown, secrets: readonly string[]): string {
  let sentence = plainSentence(error)
  for (const secret of secrets) {
    if (secret.length < HIDDEN_LENGTH) continue
    for (const form of [
      secret,
      Buffer.from(secret).toString('base64'),
      encodeURIComponent(secret),
    ]) {
      sentence = sentence.replaceAll(form, '***')
    }
  }
  // oxlint-disable-next-line no-control-regex -- what a receiver answers may have any
  return sentence.replaceAll(/[\u0000-\u001f\u007f]+/gu, ' ').slice(0, SENTENCE_MAX)
}

function plainSentence(error: unknown): string {
  // An attempt over several addresses has no message of its own.
  if (error instanceof AggregateError && error.message === '') {
    const [first] = error.errors
    return messageOf(first)
  }
  const message = messageOf(error)
  return message === '' ? (systemCodeOf(error) ?? 'it failed') : message
}
