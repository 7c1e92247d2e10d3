/** mqadmin's commands that send messages in order to see how it goes. */
import { writeQueues } from '../../../client/route.ts'
import { TOPIC, option } from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { humanTime, javaLine } from '../table.ts'
import { sendResultText } from './message-acts.ts'
import { makeProducer } from './messages.ts'

const DEFAULT_SIZE = 128

function bodyOf(size: number): Buffer {
  return Buffer.alloc(size, 'a')
}

/** To the topic that each broker has under its own name. */
async function sendMsgStatus(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('b')
  const producer = makeProducer(session, 'PID_SMSC')
  const body = bodyOf(flags.number('s', DEFAULT_SIZE))
  // The first one opens the connection.
  await producer.send({ topic, body: bodyOf(16) })
  for (let count = flags.number('c', 50); count > 0; count--) {
    const startedAt = session.now
    const result = await producer.send({ topic, body })
    session.line(`rt=${session.now - startedAt}ms, SendResult=${sendResultText(result)}`)
  }
}

async function checkMsgSendRT(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const amount = flags.number('a', 100)
  const body = bodyOf(flags.number('s', DEFAULT_SIZE))
  const producer = makeProducer(session, String(session.now))
  const queues = writeQueues(topic, await session.route(topic))
  const line = (cells: readonly (string | number | boolean)[]) =>
    session.line(`${javaLine([32, 4, 20], cells.slice(0, 3).map(String))}    ${cells[3]}`)
  line(['#Broker Name', '#QID', '#Send Result', '#RT'])
  let elapsedMs = 0
  for (let sent = 0; sent < amount; sent++) {
    const queue = queues[sent % queues.length]
    if (queue === undefined) throw new AdminError('failed', `no queue of ${topic} takes writes`)
    const { brokerName, queueId } = queue
    const startedAt = session.now
    const isSent = await succeeds(() => producer.send({ topic, body }, { queue }))
    const takenMs = session.now - startedAt
    // The first one opens the connection.
    if (sent > 0) elapsedMs += takenMs
    line([brokerName, queueId, isSent, takenMs])
  }
  session.line(`Avg RT: ${(elapsedMs / (amount - 1)).toFixed(2)}`)
}

async function succeeds(act: () => Promise<unknown>): Promise<boolean> {
  try {
    await act()
    return true
  } catch {
    return false
  }
}

/** Again and again, to the topic that each broker has under its own name. */
async function clusterRT(session: Session, flags: LegacyFlags): Promise<void> {
  const widths = [24, 24, 8, 16, 16]
  const isLog = flags.flag('p', false)
  const names = ['#Cluster Name', '#Broker Name', '#RT', '#successCount', '#failCount']
  if (!isLog) session.line(javaLine([24, 24, 4, 8, 8], names))
  const leaders = await session.leaders(flags.text('c'))
  const producer = makeProducer(session, String(session.now))
  const body = bodyOf(flags.number('s', DEFAULT_SIZE))
  const amount = flags.number('a', 100)
  while (!session.options.isInterrupted()) {
    for (const { cluster, brokerName } of leaders) {
      let failed = 0
      let elapsedMs = 0
      for (let sent = 0; sent < amount; sent++) {
        const startedAt = session.now
        if (!(await succeeds(() => producer.send({ topic: brokerName, body })))) failed++
        if (sent > 0) elapsedMs += session.now - startedAt
      }
      const average = elapsedMs / (amount - 1)
      if (isLog) {
        const time = humanTime(session.now).slice(0, 19)
        const room = flags.text('m') ?? 'noname'
        session.line([time, room, cluster, brokerName, Math.round(average)].join('|'))
      } else {
        const cells = [cluster, brokerName, average.toFixed(2), amount - failed, failed]
        session.line(javaLine(widths, cells))
      }
    }
    await session.pause(flags.number('i', 10) * 1000)
  }
}

const SIZE = option('s', 'size', `bytes of a message (${DEFAULT_SIZE})`)

export const PROBE_COMMANDS: readonly LegacyCommand[] = [
  {
    name: 'sendMsgStatus',
    description: 'Send msg to broker.',
    options: [
      option('b', 'brokerName', 'broker name', true),
      option('s', 'messageSize', `bytes of a message (${DEFAULT_SIZE})`),
      option('c', 'count', 'how many (50)'),
    ],
    run: sendMsgStatus,
  },
  {
    name: 'checkMsgSendRT',
    description: 'Check message send response time.',
    options: [TOPIC, option('a', 'amount', 'how many (100)'), SIZE],
    run: checkMsgSendRT,
  },
  {
    name: 'clusterRT',
    description: 'List All clusters Message Send RT.',
    options: [
      option('a', 'amount', 'messages of a round (100)'),
      SIZE,
      option('c', 'cluster', 'this cluster only'),
      option('i', 'interval', 'seconds between rounds (10)'),
      option('p', 'print', 'as lines of a log, separated by bars (true|false)'),
      option('m', 'machine', 'name of the machine room for the log (noname)'),
    ],
    run: clusterRT,
  },
]
