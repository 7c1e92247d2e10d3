/** For tests: a webhook and a mail server on loopback that keep what they are sent. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { freePorts } from './testing.ts'

export interface WebhookRequest {
  readonly method: string
  readonly path: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: unknown
}

/** Answers each request with `status`. */
export class WebhookReceiver {
  readonly got: WebhookRequest[] = []
  status = 200
  /** Headers of the answers. */
  headers: Readonly<Record<string, string>> = {}
  /** Never answers. */
  isDeaf = false
  #server: http.Server | null = null
  #port = 0

  get port(): number {
    return this.#port
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** The second time on the port of the first. */
  async open(): Promise<void> {
    const server = http.createServer((request, response) => {
      const parts: Buffer[] = []
      request.on('data', (bytes: Buffer) => parts.push(bytes))
      request.on('end', () => {
        const { method = '', url: path = '', headers } = request
        const body: unknown = JSON.parse(Buffer.concat(parts).toString('utf8'))
        this.got.push({ method, path, headers, body })
        if (!this.isDeaf) response.writeHead(this.status, this.headers).end('{"ok":true}')
      })
    })
    this.#port = await listening(server, this.#port)
    this.#server = server
  }

  async close(): Promise<void> {
    const server = this.#server
    this.#server = null
    if (server === null) return
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

export interface Mail {
  readonly from: string
  readonly to: readonly string[]
  /** As it came, headers and all. */
  readonly content: string
  readonly isEncrypted: boolean
  readonly user: string | null
}

export interface MailServerOptions {
  /** Null: everybody may send. */
  readonly login: { readonly user: string; password: string } | null
  /** Offers STARTTLS; logins are taken over TLS only then. */
  readonly certificate: { readonly key: string; readonly cert: string } | null
}

/** As much of SMTP as a client needs that wants to be rid of a mail: EHLO, STARTTLS, AUTH PLAIN, MAIL, RCPT, DATA. */
export class MailServer {
  readonly got: Mail[] = []
  /** Recipients that it does not know. */
  readonly unknown: Set<string> = new Set<string>()
  /** Attempts to log in. */
  logins = 0
  readonly #options: MailServerOptions
  readonly #sockets = new Set<net.Socket>()
  #server: net.Server | null = null
  #port = 0

  constructor(options: MailServerOptions) {
    this.#options = options
  }

  get port(): number {
    return this.#port
  }

  async open(): Promise<void> {
    const server = net.createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', () => undefined)
      socket.write('220 mail.example.com\r\n')
      this.#serve(socket, false)
    })
    this.#port = await listening(server, this.#port)
    this.#server = server
  }

  async close(): Promise<void> {
    const server = this.#server
    this.#server = null
    if (server === null) return
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }

  #serve(socket: net.Socket, isEncrypted: boolean): void {
    let text = ''
    let data: string[] | null = null
    let user: string | null = null
    let from = ''
    let to: string[] = []
    const say = (line: string): void => void socket.write(`${line}\r\n`)
    const take = (line: string): void => {
      if (data !== null) {
        if (line !== '.') {
          data.push(line.replace(/^\./u, ''))
          return
        }
        this.got.push({ from, to, content: data.join('\n'), isEncrypted, user })
        data = null
        say('250 taken')
        return
      }
      const [word = ''] = line.split(' ')
      switch (word.toUpperCase()) {
        case 'EHLO':
          for (const offer of this.#offers(isEncrypted)) say(`250-${offer}`)
          return say('250 8BITMIME')
        case 'STARTTLS':
          if (this.#options.certificate === null) return say('502 not here')
          say('220 go on')
          return this.#encrypt(socket, onData)
        case 'AUTH':
          user = this.#login(line)
          return say(user === null ? `535 wrong: ${line}` : '235 welcome')
        case 'MAIL':
          if (this.#options.login !== null && user === null) return say('530 log in first')
          from = addressIn(line)
          to = []
          return say('250 well')
        case 'RCPT':
          if (this.unknown.has(addressIn(line))) return say('550 there is no such user')
          to.push(addressIn(line))
          return say('250 well')
        case 'DATA':
          data = []
          return say('354 go on')
        case 'QUIT':
          say('221 bye')
          return void socket.end()
        default:
          return say('250 well')
      }
    }
    const onData = (bytes: Buffer): void => {
      text += bytes.toString('utf8')
      const lines = text.split('\r\n')
      text = lines.pop() ?? ''
      for (const line of lines) take(line)
    }
    socket.on('data', onData)
  }

  #offers(isEncrypted: boolean): readonly string[] {
    const { login, certificate } = this.#options
    const mayLogIn = login !== null && (isEncrypted || certificate === null)
    return [
      'mail.example.com',
      ...(certificate !== null && !isEncrypted ? ['STARTTLS'] : []),
      ...(mayLogIn ? ['AUTH PLAIN'] : []),
    ]
  }

  #encrypt(socket: net.Socket, onData: (bytes: Buffer) => void): void {
    const { certificate } = this.#options
    if (certificate === null) return
    socket.off('data', onData)
    const encrypted = new tls.TLSSocket(socket, { isServer: true, ...certificate })
    encrypted.on('error', () => undefined)
    this.#serve(encrypted, true)
  }

  /** Null: wrong. */
  #login(line: string): string | null {
    this.logins++
    const { login } = this.#options
    const given = Buffer.from(line.split(' ')[2] ?? '', 'base64').toString('utf8')
    const [, user = '', password = ''] = given.split('\u0000')
    return login !== null && user === login.user && password === login.password ? user : null
  }
}

/** A certificate of its own for 127.0.0.1 and localhost. */
export function makeCertificate(): { readonly key: string; readonly cert: string } {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-certificate-'))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  try {
    const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']
    const args = [...request, '-nodes', '-days', '2', ...names, '-keyout', key, '-out', cert]
    execFileSync('openssl', args, { stdio: 'pipe' })
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function addressIn(line: string): string {
  return /<([^>]*)>/u.exec(line)?.[1] ?? ''
}

/** On `port`; 0: on one that no outgoing connection takes while the server is closed. */
async function listening(server: net.Server, port: number): Promise<number> {
  const chosen = port === 0 ? await freePorts(1) : port
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(chosen, '127.0.0.1', () => resolve(chosen))
  })
}
