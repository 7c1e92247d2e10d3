/** What commands of administrators are tried on: topics, messages, a trace, and an online producer and consumer of the official client. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messages, runClient, startClient } from './clients.ts'
import type { ClientProcess } from './clients.ts'
import type { MqadminWorld } from './mqadmin-command.ts'
import { Mqadmin } from './mqadmin.ts'
import { textAt } from './json.ts'

export const TOPIC = 'MqadminTopic'
const GROUP = 'MqadminGroup'

interface WorldPlace {
  readonly namesrv: string
  readonly mqadmin: Mqadmin
  /** Where files may be written. */
  readonly folder: string
  /** Takes the clients that stay online; the caller ends them. */
  readonly clients: ClientProcess[]
}

/** Messages that are consumed, by clients that stay online, and files that commands read. */
export async function prepareWorld(place: WorldPlace): Promise<MqadminWorld> {
  const { namesrv, mqadmin, folder, clients } = place
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
  const tracedId = await sendTraced(namesrv, folder)
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
  await waitUntilConsumed(namesrv, mqadmin)
  const members = await mqadmin.run(['consumerConnection', '-g', GROUP, '-n', namesrv])
  const clientId = /^(\S+@\S+) /mu.exec(members.stdout)?.[1]
  if (clientId === undefined) throw new Error(`nobody is online:\n${members.stdout}`)
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
    clientId,
    folder,
  }
}

/** In a process of its own: the command keeps its producer, with the trace, for its next call. */
async function sendTraced(namesrv: string, folder: string): Promise<string> {
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

/** Until the offsets have been committed, which clients do every 5 s. Of a group without offsets no queue is shown, and the total is 0. */
function waitUntilConsumed(namesrv: string, mqadmin: Mqadmin): Promise<void> {
  return waitFor('the consumer to commit all it was given', async () => {
    const { stdout } = await mqadmin.run(['consumerProgress', '-g', GROUP, '-n', namesrv])
    return stdout.includes(`\n${TOPIC} `) && /Consume Diff Total: 0/u.test(stdout)
  })
}

async function waitFor(what: string, isThere: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 60; attempt++) {
    if (await isThere()) return
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
  throw new Error(`waited in vain for ${what}`)
}
