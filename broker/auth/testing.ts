/** A broker with access control on a simulated disk, and requests that its users sign. */
import { silentLogger } from '../../common/log.ts'
import { signed } from '../../remoting/signature.ts'
import { AccessControl } from './access-control.ts'
import { FakeConnection, FakeRequest } from '../testing.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { User } from './model.ts'
import type { Logger } from '../../common/log.ts'
import type { BrokerWorld } from '../testing-world.ts'
import type { Credentials } from '../../common/credentials.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { FakeRequestOptions } from '../testing.ts'

export const ROOT: Credentials = { accessKey: 'root', secretKey: 'root-secret' }
export const APP: Credentials = { accessKey: 'app', secretKey: 'app-secret' }

export const SECURED: Readonly<Record<string, string>> = {
  authenticationEnabled: 'true',
  authorizationEnabled: 'true',
  initAuthenticationUser: '{"username":"root","password":"root-secret"}',
  brokerClusterName: 'C',
}

export interface SecuredWorld extends BrokerWorld {
  readonly access: AccessControl
  /** Sends a request as a peer does: through the checks, signed with the credentials if there are any. */
  ask(
    options: FakeRequestOptions,
    credentials?: Credentials | null,
    host?: string,
  ): Promise<ResponseContent>
}

class ConnectionFrom extends FakeConnection {
  override readonly remoteHost: string

  constructor(host: string) {
    super(1)
    this.remoteHost = host
  }
}

/** The first user is there. */
export async function securedWorld(
  keys: Readonly<Record<string, string>> = {},
  machine?: Parameters<typeof createBrokerWorld>[1],
  logger: Logger = silentLogger,
): Promise<SecuredWorld> {
  const world = await createBrokerWorld({ ...SECURED, ...keys }, machine)
  for (const service of world.processors.leaderServices) service.startLeading()
  await world.time.settle()
  const firstUsers = { waiting: new Map<string, User>() }
  const access = new AccessControl({ ...world.parts, firstUsers, logger })
  return {
    ...world,
    access,
    async ask(options, credentials = ROOT, host = '10.0.0.7') {
      const content = credentials === null ? options : signed(options, credentials)
      const extFields = Object.fromEntries(new Map(fieldsOf(content.extFields)))
      const connection = new ConnectionFrom(host)
      const request = new FakeRequest({ ...options, extFields, connection })
      const free = world.processors.byCode.get(options.code)
      if (free === undefined) throw new Error(`no processor for ${options.code}`)
      const running = access.guarded(options.code, free)(request)
      await world.time.settle()
      await running
      await world.time.settle()
      return request.response ?? { code: -1, remark: 'no answer' }
    },
  }
}

function fieldsOf(
  fields: ReadonlyMap<string, string> | Readonly<Record<string, string | undefined>> | undefined,
): Iterable<readonly [string, string]> {
  if (fields instanceof Map) return fields
  return Object.entries(fields ?? {}).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  )
}

/** A logger, and the lines that it has written. */
export function loggedLines(): { readonly logger: Logger; readonly lines: readonly string[] } {
  const lines: string[] = []
  const write = (fields: object, message: string): void => {
    lines.push(JSON.stringify({ ...fields, message }))
  }
  const logger: Logger = {
    trace: write,
    debug: write,
    info: write,
    warn: write,
    error: write,
    child: () => logger,
  }
  return { logger, lines }
}
