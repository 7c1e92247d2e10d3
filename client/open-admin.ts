/** An `AdminClient` with connections of its own, for those who do not otherwise speak the protocol. */
import type { Logger } from '../common/log.ts'
import type { Runtime } from '../common/ports.ts'
import { RemotingClient } from '../remoting/client.ts'
import type { Credentials } from '../common/credentials.ts'
import { AdminClient } from './admin.ts'

export interface OpenAdmin extends AsyncDisposable {
  readonly admin: AdminClient
}

/** Connections are made when they are needed; disposing closes them. */
export function openAdmin(
  runtime: Runtime,
  logger: Logger,
  options: {
    readonly timeoutMs?: number
    readonly credentials?: () => Credentials | null
  } = {},
): OpenAdmin {
  const { credentials = () => null } = options
  const client = new RemotingClient({ ...runtime, logger, credentials })
  return {
    admin: new AdminClient(client, options.timeoutMs),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}
