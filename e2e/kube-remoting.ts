/** RocketMQ requests to a pod, written by hand so that the suites do not test Gantry's codec with itself. */
import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { kubeconfig } from './environment.ts'
import { numberAt, recordAt, textAt } from './json.ts'

export interface Answer {
  readonly code: number
  readonly remark: string
  readonly extFields: Readonly<Record<string, unknown>>
  readonly body: string
}

/** Calls `use` with a local port that leads to `port` of the pod. */
export async function withForward<Result>(
  where: { readonly namespace: string; readonly pod: string; readonly port: number },
  use: (localPort: number) => Promise<Result>,
): Promise<Result> {
  const { namespace, pod, port } = where
  const child = spawn(
    'kubectl',
    ['--namespace', namespace, 'port-forward', `pod/${pod}`, `:${port}`],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, KUBECONFIG: kubeconfig() },
    },
  )
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const found = /127\.0\.0\.1:(\d+)/.exec(line)
      if (found !== null) return await use(Number(found[1]))
    }
    throw new Error(`port-forward to ${pod}:${port} ended`)
  } finally {
    child.kill()
  }
}

/** One request with a JSON header, answered or rejected within 5 s. */
export function ask(
  port: number,
  code: number,
  extFields: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const header = Buffer.from(
    JSON.stringify({ code, language: 'JAVA', version: 435, opaque: 1, flag: 0, extFields }),
  )
  const frame = Buffer.alloc(8 + header.length)
  frame.writeInt32BE(4 + header.length, 0)
  frame.writeInt32BE(header.length, 4)
  header.copy(frame, 8)

  return new Promise((resolve, reject) => {
    const socket: Socket = connect(port, '127.0.0.1', () => socket.write(frame))
    let received = Buffer.alloc(0)
    socket.setTimeout(5000, () => socket.destroy(new Error(`no answer to request ${code} in 5 s`)))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed before the answer to request ${code}`)))
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return
      resolve(decode(received))
      socket.destroy()
    })
  })
}

function decode(frame: Buffer): Answer {
  // The header's first byte tells its serialization: 0 is JSON, which is what we asked in.
  const headerLength = frame.readInt32BE(4) & 0xffffff
  const header: unknown = JSON.parse(frame.subarray(8, 8 + headerLength).toString('utf8'))
  return {
    code: numberAt(header, 'code'),
    remark: textAt(header, 'remark'),
    extFields: recordAt(header, 'extFields'),
    body: frame.subarray(8 + headerLength, 4 + frame.readInt32BE(0)).toString('utf8'),
  }
}

/** JSON as fastjson writes it: numbers as member names stand without quotes. */
export function parseJavaJson(text: string): unknown {
  const value: unknown = JSON.parse(text.replaceAll(/([{,])(-?\d+):/g, '$1"$2":'))
  return value
}

const REQUEST = {
  GET_ALL_TOPIC_CONFIG: 21,
  GET_BROKER_CONFIG: 26,
  GET_BROKER_CLUSTER_INFO: 106,
  GET_ALL_SUBSCRIPTIONGROUP_CONFIG: 201,
} as const

const BROKER_PORT = 10911
const NAMESRV_PORT = 9876

/** Names of all topics and consumer groups which a broker has. */
export async function brokerMetadata(
  namespace: string,
  pod: string,
): Promise<{ readonly topics: readonly string[]; readonly consumerGroups: readonly string[] }> {
  return await withForward({ namespace, pod, port: BROKER_PORT }, async (port) => {
    const topics = await ask(port, REQUEST.GET_ALL_TOPIC_CONFIG)
    const groups = await ask(port, REQUEST.GET_ALL_SUBSCRIPTIONGROUP_CONFIG)
    return {
      topics: Object.keys(recordAt(parseJavaJson(topics.body), 'topicConfigTable')),
      consumerGroups: Object.keys(recordAt(parseJavaJson(groups.body), 'subscriptionGroupTable')),
    }
  })
}

/** The properties that GET_BROKER_CONFIG answers with. */
export async function brokerConfig(
  namespace: string,
  pod: string,
): Promise<ReadonlyMap<string, string>> {
  const answer = await withForward({ namespace, pod, port: BROKER_PORT }, (port) =>
    ask(port, REQUEST.GET_BROKER_CONFIG),
  )
  const entries = answer.body
    .split('\n')
    .filter((line) => line.includes('='))
    .map((line): [string, string] => {
      const separator = line.indexOf('=')
      return [line.slice(0, separator), line.slice(separator + 1)]
    })
  return new Map(entries)
}

/** What a name server knows: brokerName -> address of its master. */
export async function registrations(
  namespace: string,
  pod: string,
): Promise<Readonly<Record<string, string>>> {
  const answer = await withForward({ namespace, pod, port: NAMESRV_PORT }, (port) =>
    ask(port, REQUEST.GET_BROKER_CLUSTER_INFO),
  )
  const table = recordAt(parseJavaJson(answer.body), 'brokerAddrTable')
  return Object.fromEntries(
    Object.entries(table).map(([name, broker]) => [name, textAt(broker, 'brokerAddrs', '0')]),
  )
}
