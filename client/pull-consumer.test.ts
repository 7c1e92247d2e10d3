import { afterEach, expect, test, vi } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { encodeRecord, recordSize } from '../common/message-codec.ts'
import type { HostAddress } from '../common/message.ts'
import type { Timers } from '../common/ports.ts'
import { RemotingClient } from '../remoting/client.ts'
import type { ResponseContent } from '../remoting/command.ts'
import type { RemotingRequest } from '../remoting/connection.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { PullConsumer } from './pull-consumer.ts'
import type { PullConsumerOptions } from './pull-consumer.ts'
import { RouteCache } from './route.ts'
import { startNameServer, startServer, testRuntime } from './testing.ts'
import type { RoutedBroker, ScriptedServer } from './testing.ts'

const stack: AsyncDisposable[] = []

afterEach(async () => {
  for (const each of stack.splice(0).toReversed()) await each[Symbol.asyncDispose]()
})

function kept<Kept extends AsyncDisposable>(each: Kept): Kept {
  stack.push(each)
  return each
}

const HOST: HostAddress = { ip: Buffer.from([127, 0, 0, 1]), port: 10911 }

function record(queueId: number, queueOffset: number, body: string): Buffer {
  const message = {
    topic: 'T1',
    queueId,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: 1,
    bornHost: HOST,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: Buffer.from(body),
    properties: Buffer.alloc(0),
    tagsCode: 0,
  }
  const bytes = Buffer.alloc(recordSize(message, HOST))
  encodeRecord(bytes, 0, message, {
    queueOffset,
    physicalOffset: 0,
    storeTimestamp: 1,
    storeHost: HOST,
  })
  return bytes
}

/** Queues of bodies; a pull at the end of one is held until something is added. */
class FakeBroker {
  readonly queues: string[][]
  readonly committed = new Map<number, number>()
  /** Codes to answer the next pulls with instead. */
  readonly failures: number[] = []
  readonly #waiting: (() => void)[] = []

  constructor(queues: string[][]) {
    this.queues = queues
  }

  add(queueId: number, body: string): void {
    this.queues[queueId]?.push(body)
    for (const wake of this.#waiting.splice(0)) wake()
  }

  start(): Promise<ScriptedServer> {
    return startServer({
      [RequestCode.PULL_MESSAGE]: (request) => this.#pull(request),
      [RequestCode.GET_MIN_OFFSET]: () => offsetAnswer(0),
      [RequestCode.GET_MAX_OFFSET]: (request) =>
        offsetAnswer(this.queues[queueIdOf(request)]?.length ?? 0),
      [RequestCode.QUERY_CONSUMER_OFFSET]: (request) => {
        const found = this.committed.get(queueIdOf(request))
        return found === undefined ? { code: ResponseCode.QUERY_NOT_FOUND } : offsetAnswer(found)
      },
      [RequestCode.UPDATE_CONSUMER_OFFSET]: (request) => {
        const { extFields } = request.command
        this.committed.set(queueIdOf(request), Number(extFields.get('commitOffset')))
        return { code: ResponseCode.SUCCESS }
      },
    })
  }

  async #pull(request: RemotingRequest): Promise<ResponseContent> {
    const failure = this.failures.shift()
    if (failure !== undefined) return { code: failure, remark: 'as told' }
    const queueId = queueIdOf(request)
    const begin = Number(request.command.extFields.get('queueOffset'))
    while ((this.queues[queueId]?.length ?? 0) <= begin) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    const bodies = this.queues[queueId]?.slice(begin) ?? []
    return {
      code: ResponseCode.SUCCESS,
      extFields: { nextBeginOffset: String(begin + bodies.length), minOffset: '0', maxOffset: '9' },
      body: bodies.map((body, index) => record(queueId, begin + index, body)),
    }
  }
}

function queueIdOf(request: RemotingRequest): number {
  return Number(request.command.extFields.get('queueId'))
}

function offsetAnswer(queueOffset: number): ResponseContent {
  return { code: ResponseCode.SUCCESS, extFields: { offset: String(queueOffset) } }
}

async function createConsumer(
  brokers: () => readonly RoutedBroker[],
  given: Partial<PullConsumerOptions> = {},
): Promise<{ readonly consumer: PullConsumer; readonly seen: string[] }> {
  const namesrv = kept(await startNameServer(() => ({ T1: brokers() })))
  const client = kept(new RemotingClient({ ...testRuntime, logger: silentLogger }))
  const { clock, timers } = testRuntime
  const seen: string[] = []
  const consumer = kept(
    new PullConsumer({
      client,
      routes: new RouteCache({ client, clock, nameServers: [namesrv.address] }),
      timers,
      logger: silentLogger,
      consumerGroup: 'g',
      topic: 'T1',
      from: 'first',
      commit: false,
      onMessages: (messages) => {
        seen.push(...messages.map(({ body }) => body.toString()))
        return Promise.resolve()
      },
      ...given,
    }),
  )
  return { consumer, seen }
}

/** Retries at once, and refreshes routes when told. */
function promptTimers(): Timers & { readonly tick: () => void } {
  const repeated: (() => void)[] = []
  return {
    after: (_delayMs, callback) => testRuntime.timers.after(0, callback),
    every: (_intervalMs, callback) => {
      repeated.push(callback)
      return { cancel: () => undefined }
    },
    soon: (callback) => testRuntime.timers.soon(callback),
    tick: () => repeated.forEach((callback) => callback()),
  }
}

test('all queues are read from their first message, and what comes later too', async () => {
  const fake = new FakeBroker([['a0', 'a1'], ['b0']])
  const broker = kept(await fake.start())
  const { consumer, seen } = await createConsumer(() => [
    { brokerName: 'a', address: broker.address },
  ])

  await consumer.start()
  await vi.waitFor(() => expect([...seen].sort()).toEqual(['a0', 'a1', 'b0']))
  fake.add(1, 'b1')

  await vi.waitFor(() => expect(seen).toContain('b1'))
  expect(consumer.offsets().map(({ queueId, nextOffset }) => [queueId, nextOffset])).toEqual([
    [0, 2],
    [1, 2],
  ])
})

test('from the last message on, only what was sent after the start is seen', async () => {
  const fake = new FakeBroker([['old'], []])
  const broker = kept(await fake.start())
  const { consumer, seen } = await createConsumer(
    () => [{ brokerName: 'a', address: broker.address }],
    { from: 'last' },
  )

  await consumer.start()
  fake.add(0, 'new')

  await vi.waitFor(() => expect(seen).toEqual(['new']))
})

test('committed offsets are where a later consumer of the group goes on', async () => {
  const fake = new FakeBroker([['m0', 'm1'], []])
  const broker = kept(await fake.start())
  const route = () => [{ brokerName: 'a', address: broker.address }]
  const first = await createConsumer(route, { commit: true })
  await first.consumer.start()
  await vi.waitFor(() => expect(first.seen).toEqual(['m0', 'm1']))

  await first.consumer.close()
  fake.add(0, 'm2')
  const second = await createConsumer(route, { commit: true })
  await second.consumer.start()

  await vi.waitFor(() => expect(second.seen).toEqual(['m2']))
  expect(fake.committed.get(0)).toBe(2)
})

test('a batch whose handler fails comes again, and nothing after it before', async () => {
  const fake = new FakeBroker([['m0'], []])
  const broker = kept(await fake.start())
  const calls: string[] = []
  const { consumer } = await createConsumer(() => [{ brokerName: 'a', address: broker.address }], {
    timers: promptTimers(),
    onMessages: (messages) => {
      calls.push(messages.map(({ body }) => body.toString()).join())
      return calls.length === 1 ? Promise.reject(new Error('not now')) : Promise.resolve()
    },
  })

  await consumer.start()
  await vi.waitFor(() => expect(calls).toEqual(['m0', 'm0']))
  fake.add(0, 'm1')

  await vi.waitFor(() => expect(calls).toEqual(['m0', 'm0', 'm1']))
})

test('an error answer is tried again', async () => {
  const fake = new FakeBroker([['m0'], []])
  fake.failures.push(ResponseCode.SYSTEM_ERROR, ResponseCode.NO_PERMISSION)
  const broker = kept(await fake.start())
  const { consumer, seen } = await createConsumer(
    () => [{ brokerName: 'a', address: broker.address }],
    { timers: promptTimers() },
  )

  await consumer.start()

  await vi.waitFor(() => expect(seen).toEqual(['m0']))
})

test('a broker that joins later is read from its first message', async () => {
  const [one, two] = [new FakeBroker([['a0']]), new FakeBroker([['b0']])]
  const [first, second] = [kept(await one.start()), kept(await two.start())]
  const brokers: RoutedBroker[] = [{ brokerName: 'a', address: first.address, queues: 1 }]
  const timers = promptTimers()
  const { consumer, seen } = await createConsumer(() => brokers, { timers, from: 'last' })
  await consumer.start()

  brokers.push({ brokerName: 'b', address: second.address, queues: 1 })
  timers.tick()

  await vi.waitFor(() => expect(seen).toEqual(['b0']))
})

test('closing does not wait for the pulls that a broker holds', async () => {
  const fake = new FakeBroker([[], []])
  const broker = kept(await fake.start())
  const { consumer } = await createConsumer(() => [{ brokerName: 'a', address: broker.address }])
  await consumer.start()
  await vi.waitFor(() => {
    const held = broker.requests.filter(({ command }) => command.code === RequestCode.PULL_MESSAGE)
    expect(held).toHaveLength(2)
  })

  await consumer.close()

  expect(consumer.offsets()).toHaveLength(2)
})
