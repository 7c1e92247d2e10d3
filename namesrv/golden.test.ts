/** The answers of a Java name server, as recorded in `remoting/testdata`, against ours for the same requests in the same state. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { decodeClusterInfo } from '../remoting/bodies/cluster-info.ts'
import { decodeCommand, extFieldsOf } from '../remoting/command-codec.ts'
import type { RemotingCommand, ResponseContent } from '../remoting/command.ts'
import type { Connection, Processor } from '../remoting/connection.ts'
import { NamesrvSettings, loadNamesrvConfig } from './config.ts'
import { KvConfig } from './kv-config.ts'
import { createProcessors } from './processors.ts'
import { RouteTable } from './route-table.ts'

const FRAMES = path.join(import.meta.dirname, '..', 'remoting', 'testdata')

let folder = ''
let processors: ReadonlyMap<number, Processor>

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gantry-golden-'))
  const runtime = createRuntime()
  const { values } = loadNamesrvConfig({
    file: null,
    environment: {},
    flags: [],
    homeDirectory: folder,
  })
  const settings = new NamesrvSettings(values)
  processors = createProcessors({
    routes: new RouteTable(() => settings.values),
    kvConfig: KvConfig.open(runtime.disk, `${folder}/kvConfig.json`),
    settings,
    clock: runtime.clock,
    logger: silentLogger,
    watch: () => undefined,
    notify: () => undefined,
  })
})

afterEach(() => {
  fs.rmSync(folder, { recursive: true })
})

function recorded(name: string): RemotingCommand {
  const bytes = fs.readFileSync(path.join(FRAMES, `${name}.bin`))
  return decodeCommand(bytes, 4, bytes.length)
}

const CONNECTION: Connection = {
  id: 1,
  remoteAddress: '127.0.0.1:1',
  remoteHost: '127.0.0.1',
  socketHost: '127.0.0.1',
  remotePort: 1,
  localHost: '127.0.0.1',
  isOpen: true,
  outputBytes: 0,
  invoke: () => Promise.reject(new Error('unused')),
  invokeOneway: () => false,
  writeFrames: () => false,
  reserveFrames: () => ({ buffer: Buffer.alloc(0), at: 0 }),
  commitFrames: () => false,
  onClose: () => undefined,
  close: () => undefined,
}

async function answer(command: RemotingCommand): Promise<ResponseContent> {
  const answers: ResponseContent[] = []
  const respond = (response: ResponseContent) => void answers.push(response)
  await processors.get(command.code)?.({ command, connection: CONNECTION, respond, receivedAt: 0 })
  const [first] = answers
  if (first === undefined) throw new Error(`no answer to ${command.code}`)
  return first
}

/** Code, ext fields and body, the latter as text; no body is empty. */
function viewOf({ code, extFields, body }: ResponseContent): unknown {
  const fields = Object.fromEntries(extFieldsOf(extFields))
  return { code, extFields: fields, body: Buffer.isBuffer(body) ? body.toString() : '' }
}

test.for(['java5', 'java4', 'java5-binary', 'java4-binary', 'go2'])(
  'the route that %s gets is, byte for byte, the one of the Java name server',
  async (client) => {
    await answer(recorded('broker.namesrv.register-broker.request'))
    const request = recorded(`${client}.namesrv.get-routeinfo-by-topic.request`)

    const ours = await answer({ ...request, extFields: new Map([['topic', 'TBW102']]) })

    const java = recorded(`${client}.namesrv.get-routeinfo-by-topic.response-0`)
    expect(viewOf(ours)).toEqual(viewOf(java))
  },
)

test('a topic without route is answered with the code and the sentence of Java, but for its link', async () => {
  const ours = await answer(recorded('java5.namesrv.get-routeinfo-by-topic.request-2'))

  const java = recorded('java5.namesrv.get-routeinfo-by-topic.response-17')
  expect(ours.code).toBe(java.code)
  expect(ours.remark).toBe(java.remark?.split('\n')[0])
})

test('a registration is answered as by Java, without and with an order config', async () => {
  const request = recorded('broker.namesrv.register-broker.request')
  const without = await answer(request)
  const putKv = recorded('admin5.namesrv.put-kv-config.request')
  await answer({
    ...putKv,
    extFields: new Map([
      ['namespace', 'ORDER_TOPIC_CONFIG'],
      ['key', 'AdminTopic2'],
      ['value', 'broker-a:4'],
    ]),
  })

  const withOrder = await answer(request)

  expect(viewOf(without)).toEqual(viewOf(recorded('broker.namesrv.register-broker.response-0')))
  expect(viewOf(withOrder)).toEqual(viewOf(recorded('broker.namesrv.register-broker.response-0-2')))
})

test('the cluster is described as by Java, with quoted broker ids', async () => {
  await answer(recorded('broker.namesrv.register-broker.request'))

  const { body } = await answer(recorded('admin5.namesrv.get-broker-cluster-info.request'))

  const java = recorded('admin5.namesrv.get-broker-cluster-info.response-0')
  const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0)
  expect(decodeClusterInfo(bytes)).toEqual(decodeClusterInfo(java.body))
  expect(JSON.parse(bytes.toString())).toHaveProperty(['brokerAddrTable', 'broker-a'])
})

test.for(['put-kv-config', 'delete-kv-config', 'update-namesrv-config'])(
  '%s of mqadmin is answered as by Java',
  async (name) => {
    const ours = await answer(recorded(`admin5.namesrv.${name}.request`))

    expect(viewOf(ours)).toEqual(viewOf(recorded(`admin5.namesrv.${name}.response-0`)))
  },
)

test('the unregistration of a Java broker ends its routes', async () => {
  await answer(recorded('broker.namesrv.register-broker.request'))

  const ours = await answer(recorded('broker.namesrv.unregister-broker.request'))
  const route = await answer(recorded('java4.namesrv.get-routeinfo-by-topic.request'))

  expect(viewOf(ours)).toEqual(viewOf(recorded('broker.namesrv.unregister-broker.response-0')))
  expect(route.code).toBe(17)
})
