/** What tools have to show: messages with a group that reads them, and one that gives up all it gets. */
import { startClient } from './clients.ts'
import type { ClientProcess } from './clients.ts'
import { textAt } from './json.ts'

export const TOPIC = 'Orders'
export const GROUP = 'billing'
export const FAILING_GROUP = 'shipping'
const RUN_MS = 900_000

/** So many messages a second; resolves when they are read. The caller kills it. */
export async function startOrders(namesrv: string, rate: number): Promise<ClientProcess> {
  const load = startClient('java-5.5.0', 'control-load', namesrv, {
    topic: TOPIC,
    group: GROUP,
    rate,
    'run-ms': RUN_MS,
  })
  await load.line('progress', 90_000, (line) => textAt(line, 'event') === 'progress')
  return load
}

/** Resolves when it has given a message back. The caller kills it. */
export async function startFailing(namesrv: string): Promise<ClientProcess> {
  const failing = startClient('java-5.5.0', 'push-consume', namesrv, {
    topic: TOPIC,
    group: FAILING_GROUP,
    from: 'first',
    'fail-times': 99,
    'max-reconsume': 1,
    'poll-route-ms': 2000,
    'run-ms': RUN_MS,
  })
  await failing.line('failed', 60_000, (line) => textAt(line, 'event') === 'failed')
  return failing
}
