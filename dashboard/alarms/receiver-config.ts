/** Receivers of the alarms file. Secrets are in files of their own, which are read anew for each message. */
import type { ConfigNode } from './config-node.ts'

export interface WebhookTarget {
  readonly type: 'webhook'
  /** Null: it is in `urlFile`. */
  readonly url: string | null
  readonly urlFile: string | null
  readonly headers: Readonly<Record<string, string>>
  /** Files with the values of headers. */
  readonly headerFiles: Readonly<Record<string, string>>
  /** PEM; null: the authorities that Node trusts. */
  readonly caFile: string | null
  readonly timeoutMs: number
}

export const TLS_MODES = ['starttls', 'implicit', 'none'] as const
export type TlsMode = (typeof TLS_MODES)[number]

export interface MailTarget {
  readonly type: 'email'
  readonly host: string
  readonly port: number
  readonly tls: TlsMode
  readonly caFile: string | null
  readonly user: string | null
  readonly passwordFile: string | null
  readonly from: string
  readonly to: readonly string[]
  readonly timeoutMs: number
}

export interface Receiver {
  readonly name: string
  readonly sendResolved: boolean
  readonly target: WebhookTarget | MailTarget
}

const NAME = /^[A-Za-z0-9._-]{1,64}$/u
const HEADER = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/u
const ADDRESS = /^[^\s@<>,;:"()]{1,64}@[^\s@<>,;:"()]{1,255}$/u
const HEADERS_MAX = 20
const RECIPIENTS_MAX = 50
const TIMEOUT_MS = 10_000
/** Mail servers take their time on purpose. */
const MAIL_TIMEOUT_MS = 30_000
const TIMEOUT_BOUNDS = { min: 1_000, max: 60_000 } as const
const PORTS: Readonly<Record<TlsMode, number>> = { starttls: 587, implicit: 465, none: 25 }
/** What the body or the connection decides. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  'content-type',
  'content-length',
  'transfer-encoding',
  'connection',
  'host',
])

export function receiverOf(node: ConfigNode): Receiver {
  const of = node.members(['name', 'sendResolved', 'webhook', 'email'])
  const name = of('name').text()
  if (!NAME.test(name)) of('name').fail('1 to 64 letters, digits, dots, dashes or underscores')
  const [webhook, email] = [of('webhook'), of('email')]
  if (webhook.isAbsent === email.isAbsent) node.fail('has either webhook or email')
  return {
    name,
    sendResolved: of('sendResolved').flag(true),
    target: webhook.isAbsent ? mailOf(email) : webhookOf(webhook),
  }
}

function webhookOf(node: ConfigNode): WebhookTarget {
  const of = node.members(['url', 'urlFile', 'headers', 'headerFiles', 'caFile', 'timeout'])
  if (of('url').isAbsent === of('urlFile').isAbsent) node.fail('has either url or urlFile')
  const url = of('url').isAbsent ? null : of('url').text()
  const problem = url === null ? null : webhookUrlProblem(url)
  if (problem !== null) of('url').fail(problem)
  return {
    type: 'webhook',
    url,
    urlFile: of('urlFile').isAbsent ? null : of('urlFile').text(),
    headers: headersOf(of('headers')),
    headerFiles: headersOf(of('headerFiles')),
    caFile: of('caFile').isAbsent ? null : of('caFile').text(),
    timeoutMs: of('timeout').durationMs(TIMEOUT_MS, TIMEOUT_BOUNDS),
  }
}

/** Null: a webhook can be there. Does not repeat the address, which may be a secret. */
export function webhookUrlProblem(text: string): string | null {
  if (!URL.canParse(text)) return 'is no address'
  const { protocol, username, password } = new URL(text)
  if (protocol !== 'http:' && protocol !== 'https:') return 'is no http or https address'
  if (username === '' && password === '') return null
  return 'has a user or password: put them into a file, as headerFiles.Authorization'
}

function headersOf(node: ConfigNode): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  for (const [name, value] of node.entries(HEADERS_MAX)) {
    if (!HEADER.test(name)) value.fail('is no name of a header')
    if (OWN_HEADERS.has(name.toLowerCase())) value.fail('is set by the console')
    headers[name] = value.text()
  }
  return headers
}

function mailOf(node: ConfigNode): MailTarget {
  const of = node.members([
    'host',
    'port',
    'tls',
    'caFile',
    'user',
    'passwordFile',
    'from',
    'to',
    'timeout',
  ])
  const tls = of('tls').isAbsent ? 'starttls' : of('tls').choice(TLS_MODES)
  const to = of('to').texts(RECIPIENTS_MAX)
  if (to.length === 0) of('to').fail('is missing')
  for (const address of to) {
    if (!ADDRESS.test(address)) of('to').fail(`'${address}' is no mail address`)
  }
  const from = of('from').text()
  if (!ADDRESS.test(from)) of('from').fail(`'${from}' is no mail address`)
  if (of('user').isAbsent !== of('passwordFile').isAbsent) {
    node.fail('user and passwordFile belong together')
  }
  return {
    type: 'email',
    host: of('host').text(),
    port: of('port').isAbsent ? PORTS[tls] : of('port').integer({ min: 1, max: 65_535 }),
    tls,
    caFile: of('caFile').isAbsent ? null : of('caFile').text(),
    user: of('user').isAbsent ? null : of('user').text(),
    passwordFile: of('passwordFile').isAbsent ? null : of('passwordFile').text(),
    from,
    to,
    timeoutMs: of('timeout').durationMs(MAIL_TIMEOUT_MS, TIMEOUT_BOUNDS),
  }
}

/** Host and port, or the recipients: what may be shown. An address of a webhook can be a secret itself. */
export function describeTarget(target: WebhookTarget | MailTarget): string {
  if (target.type === 'email') return `${target.to.join(', ')} by ${target.host}:${target.port}`
  if (target.url === null) return 'a webhook, its address is in a file'
  return new URL(target.url).origin
}
