/**
 * Each command of the official mqadmin against a `gantry dev` with topics, messages, a trace, and an online producer and consumer of the
 * official Java client. GANTRY_E2E_UPDATE=true writes the table of verdicts into docs/compatibility.md.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildClients, messages, runClient, startClient } from './clients.ts'
import type { ClientProcess } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { ROOT, environmentVariable, figures } from './environment.ts'
import { covers } from './features.ts'
import { MQADMIN_COMMANDS, mqadminTable } from './mqadmin-commands.ts'
import type { MqadminRun, MqadminWorld, Verdict } from './mqadmin-command.ts'
import { Mqadmin, buildMqadmin } from './mqadmin.ts'
import type { MqadminResult } from './mqadmin.ts'
import { textAt } from './json.ts'

const CONFIG = { traceTopicEnable: 'true' }
const TOPIC = 'MqadminTopic'
const GROUP = 'MqadminGroup'
const ENDLESS_MS = 4_000
const DOCUMENT = join(ROOT, 'docs', 'compatibility.md')
const BEGIN = '<!-- The table of mqadmin is written by its test. -->'
const END = '<!-- End of the table of mqadmin. -->'

let server: DevServer
let folder: string
let mqadmin: Mqadmin
let world: MqadminWorld
const clients: ClientProcess[] = []

beforeAll(async () => {
  await Promise.all([buildClients(), buildMqadmin()])
  folder = await mkdtemp(join(tmpdir(), 'gantry-mqadmin-'))
  server = await startDevServer({ portOffset: 28_000, groups: 1, config: CONFIG })
  mqadmin = new Mqadmin(folder)
  await writeFile(
    join(folder, 'topics.json'),
    JSON.stringify(
      ['ListedTopic1', 'ListedTopic2'].map((topicName) => ({
        topicName,
        readQueueNums: 2,
        writeQueueNums: 2,
        perm: 6,
      })),
    ),
  )
  await writeFile(join(folder, 'groups.json'), JSON.stringify([{ groupName: 'ListedGroup' }]))
  world = await prepareWorld()
})

afterAll(async () => {
  await Promise.all(clients.map((client) => client.kill()))
  await mqadmin?.close()
  await server?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

test('the tool has the commands of the table, and no others', async () => {
  const { stdout } = await mqadmin.run([])

  const listed = stdout.matchAll(/^ {3}(\w+) +\S/gmu).map(([, name]) => name)
  expect(new Set(listed)).toEqual(new Set(MQADMIN_COMMANDS.map(({ name }) => name)))
})

test.for(MQADMIN_COMMANDS)('$name: $verdict', async ({ name, verdict, runs }, { task }) => {
  if (verdict === 'works') covers(task, 'A2')

  for (const each of runs) {
    const result = await runOnce(name, each)
    expectAnswer(result, verdict, each)
  }
})

test('what is exported can be read', async () => {
  const metadata: unknown = JSON.parse(await readFile(join(folder, 'metadata.json'), 'utf8'))

  expect(metadata).toMatchObject({ topicConfigTable: { [TOPIC]: { topicName: TOPIC } } })
})

test('the documentation has the table', async () => {
  const text = await readFile(DOCUMENT, 'utf8')
  const begin = text.indexOf(BEGIN) + BEGIN.length
  const wanted = `${text.slice(0, begin)}\n\n${mqadminTable()}\n\n${text.slice(text.indexOf(END))}`

  if (environmentVariable('GANTRY_E2E_UPDATE') === 'true') await writeFile(DOCUMENT, wanted)
  else expect(text).toBe(wanted)
})

/** Messages that are consumed, by clients that stay online. */
async function prepareWorld(): Promise<MqadminWorld> {
  const { namesrv } = server
  figures('mqadmin', { server: server.description })
  const list = await mqadmin.run(['clusterList', '-n', namesrv])
  const line = /^(?<cluster>\S+) +(?<brokerName>\S+) +0 +(?<broker>[\d.]+:\d+)/mu.exec(list.stdout)
  const { cluster, brokerName, broker } = line?.groups ?? {}
  if (cluster === undefined || brokerName === undefined || broker === undefined) {
    throw new Error(`clusterList shows no broker:\n${list.stdout}${list.stderr}`)
  }
  const produced = await runClient('java-5.5.0', 'produce', namesrv, {
    topic: TOPIC,
    count: 40,
    'timeout-ms': 20_000,
    tags: 'A,B',
    verbose: true,
  })
  const [message] = messages(produced.lines, 'ack').slice(-1)
  if (message === undefined) throw new Error('no message was acknowledged')
  const tracedId = await sendTraced(namesrv)
  const consumer = startClient('java-5.5.0', 'push-consume', namesrv, {
    topic: TOPIC,
    group: GROUP,
    from: 'first',
    expect: 1_000_000,
    'run-ms': 600_000,
  })
  const load = startClient('java-5.5.0', 'control-load', namesrv, {
    topic: `${TOPIC}Load`,
    group: `${GROUP}Load`,
    rate: 5,
    'run-ms': 600_000,
  })
  clients.push(consumer, load)
  await consumer.line('the last message', 60_000, (one) => isMessageOf(one, message.id))
  await load.line('progress', 60_000, (one) => textAt(one, 'event') === 'progress')
  await waitUntilConsumed(namesrv)
  return {
    cluster,
    brokerName,
    broker,
    topic: TOPIC,
    group: GROUP,
    // The producers of the control load name themselves after their consumers.
    producerGroup: `${GROUP}Load-producer`,
    message: {
      uniqueId: message.msgId,
      offsetId: message.offsetMsgId,
      key: `${message.id}-${message.seq}`,
      queueId: Number(message.queue.split(':').at(-1)),
      queueOffset: message.queueOffset,
    },
    tracedId,
    folder,
  }
}

/** In a process of its own: the command keeps its producer, with the trace, for its next call. */
async function sendTraced(namesrv: string): Promise<string> {
  const other = new Mqadmin(folder)
  try {
    const sent = ['sendMessage', '-t', TOPIC, '-p', 'traced', '-m', 'true', '-n', namesrv]
    const { stdout, stderr } = await other.run(sent, 60_000)
    const id = /SEND_OK +([0-9A-F]{32,56})/u.exec(stdout)?.[1]
    if (id === undefined) throw new Error(`nothing was sent:\n${stdout}${stderr}`)
    await waitFor('the trace', async () => {
      const status = await other.run(['topicStatus', '-t', 'RMQ_SYS_TRACE_TOPIC', '-n', namesrv])
      return / 0 +1 +20\d\d-/u.test(status.stdout)
    })
    return id
  } finally {
    await other.close()
  }
}

function isMessageOf(line: unknown, id: string): boolean {
  return textAt(line, 'event') === 'message' && textAt(line, 'id') === id
}

/** Until the offsets have been committed, which clients do every 5 s. */
function waitUntilConsumed(namesrv: string): Promise<void> {
  return waitFor('the consumer to commit all it was given', async () => {
    const { stdout } = await mqadmin.run(['consumerProgress', '-g', GROUP, '-n', namesrv])
    return /Consume Diff Total: 0/u.test(stdout)
  })
}

async function waitFor(what: string, isThere: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 60; attempt++) {
    if (await isThere()) return
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
  throw new Error(`waited in vain for ${what}`)
}

function runOnce(name: string, { args, isEndless }: MqadminRun): Promise<MqadminResult> {
  const command = [name, ...args(world), '-n', server.namesrv]
  return isEndless === true ? mqadmin.run(command, ENDLESS_MS) : mqadmin.run(command)
}

function expectAnswer(result: MqadminResult, verdict: Verdict, run: MqadminRun): void {
  const { stdout, stderr, ended } = result
  const isEndless = run.isEndless === true
  const shown = verdict === 'works' ? stdout : stdout + stderr

  expect(ended).toBe(!isEndless)
  for (const wanted of run.shows(world)) {
    if (typeof wanted === 'string') expect(shown).toContain(wanted)
    else expect(shown).toMatch(wanted)
  }
  // One that repeats itself ends by an interrupt, which it prints.
  if (verdict === 'works' && !isEndless) expect(stderr).toBe('')
}
