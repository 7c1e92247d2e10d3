/** Posts messages to a webhook. Only the address of the alarms file is asked: redirects are not followed. */
import http from 'node:http'
import https from 'node:https'
import type { Disk, Timers } from '../../common/ports.ts'
import { webhookUrlProblem } from './receiver-config.ts'
import type { WebhookTarget } from './receiver-config.ts'
import { SendError, lateSentence, readSecret, sentenceOf } from './sender.ts'
import type { Sender } from './sender.ts'

/** Of the answer no more is read. */
const ANSWER_MAX_BYTES = 64 * 1024
/** Answers that say: not now. */
const LATER: ReadonlySet<number> = new Set([408, 425, 429])

interface Target {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly ca: string | null
  readonly secrets: readonly string[]
}

export function webhookSender(target: WebhookTarget, disk: Disk, timers: Timers): Sender {
  return {
    async send({ webhook }, signal) {
      const body = Buffer.from(JSON.stringify(webhook))
      const status = await post(resolved(target, disk), body, {
        signal,
        timers,
        timeoutMs: target.timeoutMs,
      })
      if (status >= 200 && status < 300) return null
      if (status >= 300 && status < 400) {
        throw new SendError('refused', `it answers ${status}; redirects are not followed`)
      }
      const isRefused = status < 500 && !LATER.has(status)
      throw new SendError(isRefused ? 'refused' : 'unreachable', `it answers ${status}`)
    },
  }
}

/** With the secrets as they are now. */
function resolved(
  { url, urlFile, headers, headerFiles, caFile }: WebhookTarget,
  disk: Disk,
): Target {
  const secrets: string[] = []
  const secret = (path: string): string => {
    const text = readSecret(disk, path)
    secrets.push(text)
    return text
  }
  const address = url ?? secret(urlFile ?? '').trim()
  const problem = webhookUrlProblem(address)
  if (problem !== null) throw new SendError('refused', `what ${urlFile ?? 'url'} has ${problem}`)
  const all: Record<string, string> = { ...headers }
  for (const [name, path] of Object.entries(headerFiles)) {
    const value = secret(path)
    // oxlint-disable-next-line no-control-regex -- they would end the line of the header
    if (/[\u0000-\u001f\u007f]/u.test(value)) {
      throw new SendError('refused', `${path} is no value of a header`)
    }
    all[name] = value
  }
  const ca = caFile === null ? null : readSecret(disk, caFile)
  return { url: new URL(address), headers: all, ca, secrets }
}

function post(
  { url, headers, ca, secrets }: Target,
  body: Buffer,
  until: { readonly signal: AbortSignal; readonly timers: Timers; readonly timeoutMs: number },
): Promise<number> {
  const { signal, timers, timeoutMs } = until
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? https : http).request(url, {
      method: 'POST',
      agent: false,
      signal,
      headers: {
        'user-agent': 'gantry-console',
        ...headers,
        'content-type': 'application/json',
        'content-length': body.length,
      },
      ...(ca === null ? {} : { ca }),
    })
    const timer = timers.after(timeoutMs, () => request.destroy(new Error(lateSentence(timeoutMs))))
    request.on('close', () => timer.cancel())
    request.on('error', (error) =>
      reject(new SendError('unreachable', sentenceOf(error, secrets), error)),
    )
    request.on('response', (response) => {
      let size = 0
      response.on('data', (bytes: Buffer) => {
        size += bytes.length
        if (size > ANSWER_MAX_BYTES) request.destroy()
      })
      // The answer is known; what becomes of its body does not matter.
      response.on('error', () => undefined)
      resolve(response.statusCode ?? 0)
    })
    request.end(body)
  })
}
