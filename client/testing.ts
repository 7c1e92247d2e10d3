/** A broker and a name server of a few lines, for the tests of this folder: real sockets, scripted answers. */
import { silentLogger } from '../common/log.ts'
import type { Runtime } from '../common/ports.ts'
import { createRuntime } from '../common/runtime.ts'
import { encodeTopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import type { ResponseContent } from '../remoting/command.ts'
import type { RemotingRequest } from '../remoting/connection.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { RemotingServer } from '../remoting/server.ts'

export const testRuntime: Runtime = createRuntime()

export type Answer = (request: RemotingRequest) => ResponseContent | Promise<ResponseContent>

export interface ScriptedServer extends AsyncDisposable {
  readonly address: string
  /** What was asked, in order. */
  readonly requests: readonly RemotingRequest[]
  close(): Promise<void>
}

/** Listens on a free port of loopback and answers each code as told. */
export async function startServer(
  answers: Readonly<Record<number, Answer>>,
): Promise<ScriptedServer> {
  const server = new RemotingServer({
    ...testRuntime,
    logger: silentLogger,
    limits: { closeTimeoutMs: 50 },
  })
  const requests: RemotingRequest[] = []
  for (const [code, answer] of Object.entries(answers)) {
    server.register(Number(code), async (request) => {
      requests.push(request)
      request.respond(await answer(request))
    })
  }
  const { port } = await server.listen('127.0.0.1', 0)
  const close = () => server.close()
  return { address: `127.0.0.1:${port}`, requests, close, [Symbol.asyncDispose]: close }
}

export interface RoutedBroker {
  readonly brokerName: string
  readonly address: string
  readonly queues?: number
  readonly perm?: number
}

/** A name server that knows these brokers for each topic; topics that are absent do not exist. */
export function startNameServer(
  topics: () => Readonly<Record<string, readonly RoutedBroker[]>>,
): Promise<ScriptedServer> {
  return startServer({
    [RequestCode.GET_ROUTEINFO_BY_TOPIC]: ({ command }) => {
      const brokers = topics()[command.extFields.get('topic') ?? '']
      if (brokers === undefined) return { code: ResponseCode.TOPIC_NOT_EXIST, remark: 'no such' }
      return { code: ResponseCode.SUCCESS, body: routeBody(brokers) }
    },
  })
}

function routeBody(brokers: readonly RoutedBroker[]): Buffer {
  return encodeTopicRouteData(
    {
      orderTopicConf: null,
      topicQueueMappingByBroker: null,
      queueDatas: brokers.map(({ brokerName, queues = 2, perm = 6 }) => ({
        brokerName,
        readQueueNums: queues,
        writeQueueNums: queues,
        perm,
        topicSysFlag: 0,
      })),
      brokerDatas: brokers.map(({ brokerName, address }) => ({
        cluster: 'c1',
        brokerName,
        brokerAddrs: new Map([[0, address]]),
        zoneName: null,
        enableActingMaster: false,
      })),
    },
    'standard',
  )
}
