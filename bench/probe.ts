/** When a broker that has just been started, or has just taken over, acknowledges its first send. */
import { messageOf } from '../common/errors.ts'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { Target } from '../tools/bench/target.ts'
import { sleep } from '../tools/bench/time.ts'
import type { ServerProcess } from '../e2e/server-process.ts'

const TRY_TIMEOUT_MS = 1_000
const PAUSE_MS = 5
const LIMIT_MS = 300_000

/** Seconds from the start of the process to the first acknowledged send. Rejects after five minutes. */
export async function secondsToFirstSend(broker: ServerProcess, topic: string): Promise<number> {
  const { network, clock, timers } = createRuntime()
  await using client = new RemotingClient({ network, clock, timers, logger: silentLogger })
  let last = ''
  for (;;) {
    try {
      const extFields = sendFields(topic)
      const request = { code: RequestCode.SEND_MESSAGE_V2, extFields, body: Buffer.from('probe') }
      const answer = await client.invoke(broker.address, request, TRY_TIMEOUT_MS)
      if (answer.code === ResponseCode.SUCCESS) {
        return (performance.now() - broker.startedAt) / 1000
      }
      last = `${answer.code} ${answer.remark ?? ''}`
    } catch (error) {
      last = messageOf(error)
    }
    if (performance.now() - broker.startedAt > LIMIT_MS) {
      throw new Error(`no send was acknowledged: ${last}\n${broker.output}`)
    }
    await sleep(PAUSE_MS)
  }
}

/**
 * Seconds from `since` (`performance.now()`) to the first send that a group acknowledges, as a client sees it that asks for the route
 * again after each failure. Rejects after five minutes.
 */
export async function secondsToNextSend(
  nameServer: string,
  topic: string,
  since: number,
): Promise<number> {
  const runtime = createRuntime()
  await using target = new Target(runtime, [nameServer])
  await using client = new RemotingClient({ ...runtime, logger: silentLogger })
  for (;;) {
    const [master] = await target.masters().catch(() => [])
    if (master !== undefined && (await isAcknowledged(client, master.address, topic))) {
      return (performance.now() - since) / 1000
    }
    if (performance.now() - since > LIMIT_MS) throw new Error('no send was acknowledged')
    await sleep(PAUSE_MS)
  }
}

async function isAcknowledged(
  client: RemotingClient,
  address: string,
  topic: string,
): Promise<boolean> {
  const request = {
    code: RequestCode.SEND_MESSAGE_V2,
    extFields: sendFields(topic),
    body: Buffer.from('probe'),
  }
  try {
    const { code } = await client.invoke(address, request, TRY_TIMEOUT_MS)
    return code === ResponseCode.SUCCESS
  } catch {
    return false
  }
}

function sendFields(topic: string): Readonly<Record<string, string>> {
  return {
    a: 'probe',
    b: topic,
    c: 'TBW102',
    d: '4',
    e: '0',
    f: '0',
    g: String(Date.now()),
    h: '0',
    i: '',
    j: '0',
    k: 'false',
    l: '0',
    m: 'false',
  }
}
