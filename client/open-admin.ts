/** An `AdminClient` with connections of its own, for those who do not otherwise speak the protocol. */
import type { Logger } from '../common/log.ts'
import type { Runtime } from '../common/ports.ts'
import { RemotingClient } from '../remoting/client.ts'
import { signed } from '../remoting/signature.ts'
import type { Credentials } from '../common/credentials.ts'
import { AdminClient } from './admin.ts'

export interface OpenAdmin extends AsyncDisposable {
  /** Who gives no credentials. */
  readonly admin: AdminClient
  /** Over the same connections, who signs every request. */
  as(credentials: Credentials): AdminClient
}

/** Connections are made when they are needed; disposing closes them. */
export function openAdmin(
  runtime: Runtime,
  logger: Logger,
  { timeoutMs }: { readonly timeoutMs?: number } = {},
): OpenAdmin {
  const client = new RemotingClient({ ...runtime, logger })
  return {
    admin: new AdminClient(client, timeoutMs),
    as: (credentials) => {
      const invoke: RemotingClient['invoke'] = (address, request, timeout) =>
        client.invoke(address, signed(request, credentials), timeout)
      return new AdminClient({ invoke }, timeoutMs)
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}
