/** Posts messages to a webhook. Only the address of the alarms file is asked: redirects are not followed. */
import http from 'node:http'
import https from 'node:https'
import type { Disk, Timers } from '../../common/ports.ts'
import type { Message } from './messages.ts'
import { webhookUrlProblem } from './receiver-config.ts'
import type { WebhookTarget } from './receiver-config.ts'
import { SendError, readSecret, sentenceOf } from './sender.ts'
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

export class WebhookSender implements Sender {
  readonly #target: WebhookTarget
  readonly #disk: Disk
  readonly #timers: Timers

  constructor(target: WebhookTarget, disk: Disk, timers: Timers) {
    this.#target = target
    this.#disk = disk
    this.#timers = timers
  }

  async send({ webhook }: Message, signal: AbortSignal): Promise<null> {
    const target = this.#read()
    const status = await this.#post(target, Buffer.from(JSON.stringify(webhook)), signal)
    if (status >= 200 && status < 300) return null
    if (status >= 300 && status < 400) {
      throw new SendError('refused', `it answers ${status}; redirects are not followed`)
    }
    const isRefused = status < 500 && !LATER.has(status)
    throw new SendError(isRefused ? 'refused' : 'unreachable', `it answers ${status}`)
  }

  /** With the secrets as they are now. */
  #read(): Target {
    const { url, urlFile, headers, headerFiles, caFile } = this.#target
    const secrets: string[] = []
    const secret = (path: string): string => {
      const text = readSecret(this.#disk, path)
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
    const ca = caFile === null ? null : readSecret(this.#disk, caFile)
    return { url: new URL(address), headers: all, ca, secrets }
  }

  #post(target: Target, body: Buffer, signal: AbortSignal): Promise<number> {
    const { url, headers, ca, secrets } = target
    const { timeoutMs } = this.#target
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
      const timer = this.#timers.after(timeoutMs, () =>
        request.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)),
      )
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
}
