/** Credentials as configurations and environments give them. */

/** Who asks, and what proves it. */
export interface Credentials {
  readonly accessKey: string
  readonly secretKey: string
}

/** What a process of Gantry signs its requests with, when brokers ask for it. */
const ACCESS_KEY_VARIABLE = 'GANTRY_ACCESS_KEY'
const SECRET_KEY_VARIABLE = 'GANTRY_SECRET_KEY'
const ADMINISTRATOR_VARIABLE = 'GANTRY_CONFIG_initAuthenticationUser'

/** Of `GANTRY_ACCESS_KEY` and `GANTRY_SECRET_KEY`; else, in the pod of a broker, the administrator that it makes; null without. */
export function credentialsIn(
  environment: Readonly<Record<string, string | undefined>>,
): Credentials | null {
  const accessKey = environment[ACCESS_KEY_VARIABLE] ?? ''
  const secretKey = environment[SECRET_KEY_VARIABLE] ?? ''
  if (accessKey !== '' && secretKey !== '') return { accessKey, secretKey }
  const administrator = initialUserIn(environment[ADMINISTRATOR_VARIABLE] ?? '')
  return typeof administrator === 'string' ? null : administrator
}

/** The environment that `credentialsIn` reads. */
export function environmentWith(credentials: Credentials | null): Readonly<Record<string, string>> {
  if (credentials === null) return {}
  const { accessKey, secretKey } = credentials
  return { [ACCESS_KEY_VARIABLE]: accessKey, [SECRET_KEY_VARIABLE]: secretKey }
}

/** Of the text of `initAuthenticationUser`: null when it is empty, a sentence when it is none. */
export function initialUserIn(text: string): Credentials | null | string {
  return pairIn(text, 'username', 'password')
}

/** Of the text of `innerClientAuthenticationCredentials`. */
export function innerUserIn(text: string): Credentials | null | string {
  return pairIn(text, 'accessKey', 'secretKey')
}

function pairIn(text: string, name: string, secret: string): Credentials | null | string {
  if (text.trim() === '') return null
  const wanted = `{"${name}":"…","${secret}":"…"} is expected`
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return wanted
  }
  if (typeof json !== 'object' || json === null) return wanted
  const members = new Map<string, unknown>(Object.entries(json))
  const accessKey = members.get(name)
  const secretKey = members.get(secret)
  if (typeof accessKey !== 'string' || typeof secretKey !== 'string') return wanted
  if (accessKey.trim() === '' || secretKey.trim() === '') return wanted
  return { accessKey, secretKey }
}
