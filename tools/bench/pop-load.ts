/** Connections that pop a topic and acknowledge what they got, a batch for each pop: `gantry bench consumer --mode pop`. */
import { messageOf } from '../../common/errors.ts'
import { silentLogger } from '../../common/log.ts'
import type { Runtime } from '../../common/ports.ts'
import { encodeBatchAcks } from '../../remoting/bodies/pop-bodies.ts'
import type { BatchAck } from '../../remoting/bodies/pop-bodies.ts'
import { RemotingClient } from '../../remoting/client.ts'
import type { RemotingCommand } from '../../remoting/command.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { PullTotals } from './pull-totals.ts'

const INVISIBLE_MS = 60_000
const POLL_MS = 1000
const TIMEOUT_MS = 10_000

export interface PopPlan {
  readonly runtime: Runtime
  readonly topic: string
  readonly group: string
  /** One of each broker of the topic. */
  readonly addresses: readonly string[]
  readonly connections: number
  /** Messages to a pop. */
  readonly batch: number
}

export class PopLoad {
  readonly totals: PullTotals = new PullTotals(null)
  readonly #plan: PopPlan
  readonly #clients: RemotingClient[] = []
  #running = 0
  #isStopping = false

  constructor(plan: PopPlan) {
    this.#plan = plan
  }

  /** False once every connection has found nothing more, or failed. */
  get isRunning(): boolean {
    return this.#running > 0
  }

  start(): void {
    const { network, clock, timers } = this.#plan.runtime
    for (let index = 0; index < this.#plan.connections; index++) {
      const client = new RemotingClient({ network, clock, timers, logger: silentLogger })
      this.#clients.push(client)
      for (const address of this.#plan.addresses) {
        this.#running++
        void this.#consume(client, address)
      }
    }
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.all(this.#clients.map((client) => client.close()))
  }

  async #consume(client: RemotingClient, address: string): Promise<void> {
    try {
      while (!this.#isStopping && (await this.#popOnce(client, address)));
    } catch (error) {
      if (!this.#isStopping) this.totals.fail(messageOf(error))
    }
    this.#running--
  }

  /** False when there was nothing. */
  async #popOnce(client: RemotingClient, address: string): Promise<boolean> {
    const { runtime, topic, group, batch } = this.#plan
    const startedAt = runtime.clock.monotonic()
    const request = {
      consumerGroup: group,
      topic,
      queueId: '-1',
      maxMsgNums: String(batch),
      invisibleTime: String(INVISIBLE_MS),
      pollTime: String(POLL_MS),
      bornTime: String(runtime.clock.now()),
      initMode: '0',
      order: 'false',
    }
    const code = RequestCode.POP_MESSAGE
    const answer = await client.invoke(address, { code, extFields: request }, TIMEOUT_MS)
    this.totals.answered(answer.code, runtime.clock.monotonic() - startedAt)
    if (answer.code !== ResponseCode.SUCCESS) return false
    const acks = this.#acksOf(answer)
    const count = acks.reduce((sum, { distances }) => sum + distances.length, 0)
    const bytes = answer.body.length / Math.max(1, count)
    for (let index = 0; index < count; index++) this.totals.received(bytes)
    const body = encodeBatchAcks('', acks)
    const ack = { code: RequestCode.BATCH_ACK_MESSAGE, body }
    const acked = await client.invoke(address, ack, TIMEOUT_MS)
    if (acked.code !== ResponseCode.SUCCESS) this.totals.fail(`an acknowledgement: ${acked.code}`)
    return true
  }

  #acksOf({ extFields }: RemotingCommand): readonly BatchAck[] {
    const { topic, group } = this.#plan
    const starts = new Map(
      split(extFields.get('startOffsetInfo')).map(([mark, queueId, start]) => [
        `${mark} ${queueId}`,
        Number(start),
      ]),
    )
    return split(extFields.get('msgOffsetInfo')).map(([mark = '0', queueId, offsets = '']) => {
      const startOffset = starts.get(`${mark} ${queueId}`) ?? 0
      return {
        consumerGroup: group,
        topic,
        retry: mark,
        startOffset,
        queueId: Number(queueId),
        reviveQueueId: Number(extFields.get('reviveQid')),
        popTime: Number(extFields.get('popTime')),
        invisibleTime: INVISIBLE_MS,
        distances: offsets.split(',').map((offset) => Number(offset) - startOffset),
      }
    })
  }
}

/** `a b c;a b c`. */
function split(text: string | undefined): readonly (readonly string[])[] {
  return (text ?? '').split(';').flatMap((item) => (item === '' ? [] : [item.split(' ')]))
}
