/** Sends messages as mails, each over a connection of its own that has one end in time, whatever the server does. */
import type { Disk, Timers } from '../../common/ports.ts'
import type { Message } from './messages.ts'
import type { MailTarget } from './receiver-config.ts'
import { SendError, lateSentence, readSecret, sentenceOf } from './sender.ts'
import type { Sender } from './sender.ts'

const MIN_VERSION = 'TLSv1.2'

export function mailSender(target: MailTarget, disk: Disk, timers: Timers): Sender {
  const { caFile, user, passwordFile, timeoutMs } = target
  return {
    async send(message, signal) {
      const ca = caFile === null ? null : readSecret(disk, caFile)
      const pass = passwordFile === null ? '' : readSecret(disk, passwordFile)
      const late = new AbortController()
      const timer = timers.after(timeoutMs, () => late.abort())
      try {
        const both = AbortSignal.any([signal, late.signal])
        const refused = await mail(target, message, { ca, pass, signal: both })
        return refused.length === 0 ? null : `the server refuses mail to ${refused.join(', ')}`
      } catch (error) {
        if (late.signal.aborted) throw new SendError('unreachable', lateSentence(timeoutMs), error)
        // As it goes over the wire with AUTH PLAIN, should a server repeat it.
        const secrets = pass === '' ? [] : [pass, `\u0000${user ?? ''}\u0000${pass}`]
        const code = isRefusal(error) ? 'refused' : 'unreachable'
        throw new SendError(code, sentenceOf(error, secrets), error)
      } finally {
        timer.cancel()
      }
    },
  }
}

/** Resolves with the recipients that the server does not want, while it took the mail for others. */
async function mail(
  target: MailTarget,
  { subject, text }: Message,
  parts: { readonly ca: string | null; readonly pass: string; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const { ca, pass, signal } = parts
  const { host, port, tls: mode, user, from, to, timeoutMs } = target
  // Loaded by consoles that send mails only.
  const { createTransport } = await import('nodemailer')
  const transport = createTransport({
    host,
    port,
    secure: mode === 'implicit',
    requireTLS: mode === 'starttls',
    ignoreTLS: mode === 'none',
    tls: { minVersion: MIN_VERSION, ...(ca === null ? {} : { ca }) },
    ...(user === null ? {} : { auth: { user, pass } }),
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  const headers = { 'Auto-Submitted': 'auto-generated' }
  const { rejected } = await transport.sendMail({
    from,
    to: [...to],
    subject,
    text,
    headers,
    signal,
  })
  return rejected
}

/** The server answered that it does not want it, now or ever: a wrong password, an unknown recipient. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if ('code' in error && error.code === 'EAUTH') return true
  const status = 'responseCode' in error ? error.responseCode : undefined
  return typeof status === 'number' && status >= 500
}
