/** What the suites of single features share: a `gantry dev`, the official clients as producers and consumers, and an administrator. */
import { onTestFinished } from 'vitest'
import { AdminClient } from '../client/admin.ts'
import { silentLogger } from '../common/log.ts'
import { iterateRecords } from '../common/message-codec.ts'
import { parseProperties } from '../common/properties.ts'
import { createRuntime } from '../common/runtime.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { events, messages, runClient, startClient } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import { listAt, numberAt, recordAt, textAt } from './json.ts'
import type { RemotingCommand, RequestContent } from '../remoting/command.ts'
import type { Client, ClientProcess, Flags, Message } from './clients.ts'
import type { DevOptions } from './dev-server.ts'

/** A client hears of a retry topic at its next look at the routes; those of the Go and Python clients cannot be set. */
const SOON = { 'poll-route-ms': 2000 }
const STARTED_MS = 60_000

export interface Produced {
  readonly id: string
  readonly acked: number
  readonly failed: number
  /** What failed sends were told, and how often. */
  readonly errors: Readonly<Record<string, unknown>>
  readonly acks: readonly Message[]
}

export interface PulledLight {
  /** In the order that they came. */
  readonly seqs: readonly number[]
  /** Where it began, and where it goes on. */
  readonly first: number
  readonly next: number
  readonly maxOffset: number
}

export class MessagingWorld {
  readonly namesrv: string
  /** host:port of the first broker. */
  readonly broker: string
  readonly admin: AdminClient
  readonly #client: RemotingClient
  readonly #stop: () => Promise<void>
  readonly #run: string = Date.now().toString(36)

  private constructor(given: {
    readonly namesrv: string
    readonly broker: string
    readonly client: RemotingClient
    readonly stop: () => Promise<void>
  }) {
    this.namesrv = given.namesrv
    this.broker = given.broker
    this.#client = given.client
    this.admin = new AdminClient(given.client)
    this.#stop = given.stop
  }

  static async start(options: DevOptions): Promise<MessagingWorld> {
    const server = await startDevServer(options)
    const { network, clock, timers } = createRuntime()
    const client = new RemotingClient({ network, clock, timers, logger: silentLogger })
    const { brokers } = await new AdminClient(client).clusterInfo(server.namesrv)
    const broker = [...brokers.values()][0]?.brokerAddrs.get(0)
    if (broker === undefined) throw new Error('no broker has registered')
    const stop = () => server.stop()
    return new MessagingWorld({ namesrv: server.namesrv, broker, client, stop })
  }

  async stop(): Promise<void> {
    await this.#client.close()
    await this.#stop()
  }

  /** A name that no other test and no earlier run has used. */
  name(client: Client, purpose: string): string {
    return `E2e-${client.replaceAll('.', '_')}-${purpose}-${this.#run}`
  }

  /** A request of the test's own to the broker. */
  ask(request: RequestContent): Promise<RemotingCommand> {
    return this.#client.invoke(this.broker, request, 15_000)
  }

  /** Sends messages; those that are refused are told, and are no error here. */
  async produce(client: Client, topic: string, flags: Flags = {}): Promise<Produced> {
    const started = startClient(client, 'produce', this.namesrv, {
      topic,
      ...patient(client),
      ...flags,
    })
    const { summary, lines, stderr } = await started.finished()
    if (summary === null) throw new Error(`a producer ended without a summary:\n${stderr}`)
    return {
      id: textAt(summary, 'id'),
      acked: numberAt(summary, 'acked'),
      failed: numberAt(summary, 'failed'),
      errors: recordAt(summary, 'errors'),
      acks: messages(lines, 'ack'),
    }
  }

  /** Runs a push consumer until it has what it expects; its lines. */
  async consume(client: Client, topic: string, flags: Flags): Promise<readonly unknown[]> {
    const all = { topic, ...patient(client), ...flags }
    return (await runClient(client, 'push-consume', this.namesrv, all)).lines
  }

  /** Pulls a whole topic without a subscription. */
  async pullAll(client: Client, topic: string, expect: number): Promise<readonly Message[]> {
    const flags = {
      topic,
      group: 'e2e-look',
      assign: true,
      seek: 'begin',
      expect,
      ...patient(client),
    }
    return messages((await runClient(client, 'lite-pull', this.namesrv, flags)).lines, 'message')
  }

  /** Pulls a light queue until it has what it expects. */
  async pullLight(client: Client, flags: Flags): Promise<PulledLight> {
    const all = { 'timeout-ms': 15_000, ...flags }
    const { lines } = await runClient(client, 'light-queue', this.namesrv, all)
    const [told] = events(lines, 'light')
    return {
      seqs: messages(lines, 'message').map(({ seq }) => seq),
      first: numberAt(told, 'first'),
      next: numberAt(told, 'next'),
      maxOffset: numberAt(told, 'maxOffset'),
    }
  }

  /** The kinds of records that the trace topic has under the id of a message. */
  async traceOf(msgId: string): Promise<ReadonlySet<string>> {
    const answer = await this.ask({
      code: RequestCode.QUERY_MESSAGE,
      extFields: {
        topic: 'RMQ_SYS_TRACE_TOPIC',
        key: msgId,
        maxNum: '64',
        beginTimestamp: '0',
        endTimestamp: String(Number.MAX_SAFE_INTEGER),
      },
    })
    const kinds = new Set<string>()
    for (const { body, properties } of iterateRecords(answer.body)) {
      if (parseProperties(properties).get('KEYS')?.split(' ').includes(msgId) !== true) {
        throw new Error(`a trace that ${msgId} does not name was found by it`)
      }
      for (const record of body.toString().split('\u0002')) {
        if (record !== '') kinds.add(record.split('\u0001')[0] ?? '')
      }
    }
    return kinds
  }

  /** Resolves when clients can see a topic: the Go consumer does not start without. */
  known(topic: string): Promise<void> {
    return eventually(
      `${topic} at the name server`,
      async () => (await this.admin.route(this.namesrv, topic)) !== null,
    )
  }

  /** A push consumer that runs until the test ends, or `stop`. */
  member(client: Client, topic: string, flags: Flags): ClientProcess {
    const all = { topic, ...patient(client), 'run-ms': 300_000, ...flags }
    const started = startClient(client, 'push-consume', this.namesrv, all)
    onTestFinished(async () => {
      await started.kill()
    })
    return started
  }
}

function patient(client: Client): Flags {
  return client.startsWith('java') ? SOON : {}
}

/** Resolves when the consumer has been given queues, and has had a second to look its offsets up. */
export async function assigned(consumer: ClientProcess): Promise<void> {
  await consumer.line(
    'queues for the consumer',
    STARTED_MS,
    (line) => textAt(line, 'event') === 'assigned' && listAt(line, 'queues').length > 0,
  )
  await delay(1500)
}

/** Resolves when the consumer has `count` different messages of the producer `id`. */
export async function arrived(consumer: ClientProcess, id: string, count: number): Promise<void> {
  await eventually(`${count} messages`, () =>
    Promise.resolve(seqsOf(consumer.lines, id).length >= count),
  )
}

/** Numbers of the messages that a producer sent and a consumer was given, in order, each as often as it came. */
export function seqsOf(lines: readonly unknown[], id: string): readonly number[] {
  return messages(lines, 'message')
    .filter((message) => message.id === id)
    .map(({ seq }) => seq)
    .toSorted((a, b) => a - b)
}

/** The properties of each received message by its number, where the consumer ran with `verbose`. */
export function propertiesBySeq(
  lines: readonly unknown[],
): ReadonlyMap<number, Readonly<Record<string, unknown>>> {
  return new Map(
    events(lines, 'properties').map((line) => [
      numberAt(line, 'seq'),
      recordAt(line, 'properties'),
    ]),
  )
}

/** Resolves when `holds` does; looks twice a second for a minute. */
export async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + STARTED_MS
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not within ${STARTED_MS} ms: ${what}`)
    await delay(500)
  }
}

export function range(first: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => first + index)
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
