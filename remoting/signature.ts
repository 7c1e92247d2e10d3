/**
 * The signature of a request (protocol §17.1): HMAC-SHA1 with the user's secret over the values of all ext fields, in the order of their
 * names, and the body.
 *
 * Neither time nor opaque is part of it: who has recorded a request can send it once more. That is the protocol's; TLS closes it.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Credentials } from '../common/credentials.ts'
import { extFieldsOf } from './command-codec.ts'
import type { ExtFields, RemotingCommand, RequestContent } from './command.ts'
import { NO_BODY } from './command.ts'

export const ACCESS_KEY = 'AccessKey'
export const SIGNATURE = 'Signature'

/** Clients up to this version (V4_9_3) add the field after they have signed. */
const UNSIGNED_QUERY_VERSION = 399
const UNIQUE_KEY_QUERY = '_UNIQUE_KEY_QUERY'
/** What the members of a group add when they pass a request on. */
export const UNSIGNED_PREFIX = 'gantryForwarded'

/** The request with the fields that prove who sends it. */
export function signed(request: RequestContent, credentials: Credentials): RequestContent {
  const fields = new Map(extFieldsOf(request.extFields))
  fields.set(ACCESS_KEY, credentials.accessKey)
  const body = request.body ?? NO_BODY
  fields.set(SIGNATURE, signatureOf(fields, body, credentials.secretKey).toString('base64'))
  return { ...request, extFields: fields }
}

/** True when the request bears the signature that `secretKey` gives; takes as long whatever is wrong with it. */
export function isSigned(
  { extFields, body, version }: Pick<RemotingCommand, 'extFields' | 'body' | 'version'>,
  secretKey: string,
): boolean {
  const given = Buffer.from(extFields.get(SIGNATURE) ?? '')
  const isOld = version <= UNSIGNED_QUERY_VERSION
  const wanted = Buffer.from(signatureOf(extFields, body, secretKey, isOld).toString('base64'))
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

function signatureOf(
  fields: ExtFields,
  body: Buffer,
  secretKey: string,
  isOld: boolean = false,
): Buffer {
  const names: string[] = []
  for (const name of fields.keys()) {
    if (name === SIGNATURE || name.startsWith(UNSIGNED_PREFIX)) continue
    if (isOld && name === UNIQUE_KEY_QUERY) continue
    names.push(name)
  }
  names.sort()
  let text = ''
  for (const name of names) text += fields.get(name) ?? ''
  return createHmac('sha1', secretKey).update(text).update(body).digest()
}
