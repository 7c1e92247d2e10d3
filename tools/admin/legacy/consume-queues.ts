/** mqadmin's `queryCq`: how a queue lies on disk. */
import { parseFastjson } from '../../../remoting/bodies/fastjson.ts'
import {
  asObject,
  integerMember,
  listMember,
  optionalText,
} from '../../../remoting/bodies/json-members.ts'
import { RequestCode } from '../../../remoting/request-code.ts'
import { TOPIC, option } from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { javaJson } from '../table.ts'

const RULE = '='.repeat(38)

async function queryConsumeQueue(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const index = flags.needNumber('i')
  const broker = flags.text('b') ?? (await session.leadersOf(topic))[0]?.address
  if (broker === undefined) throw new AdminError('notFound', `no broker has ${topic}`)
  const answer = await session.admin.ask(broker, {
    code: RequestCode.QUERY_CONSUME_QUEUE,
    extFields: {
      topic,
      queueId: String(flags.needNumber('q')),
      index: String(index),
      count: String(flags.number('c', 10)),
      consumerGroup: flags.text('g') ?? '',
    },
  })
  const json = asObject(parseFastjson(answer.body), 'QueryConsumeQueueResponseBody')
  const subscription = json.get('subscriptionData')
  if (subscription !== undefined && subscription !== null) {
    session.line(`Subscription data: \n${javaJson(asObject(subscription, 'subscriptionData'))}`)
    session.line(RULE)
  }
  const filter = optionalText(json, 'filterData')
  if (filter !== null) session.line(`Filter data: \n${filter}\n${RULE}`)
  const [max, min] = ['maxQueueIndex', 'minQueueIndex'].map((name) => integerMember(json, name, 0))
  session.line(`Queue data: \nmax: ${max}, min: ${min}\n${RULE}`)
  for (const [at, item] of listMember(json, 'queueData').entries()) {
    const unit = asObject(item, 'queueData')
    const text = (name: string) => optionalText(unit, name)
    const place = `physicOffset=${text('physicOffset')}, physicSize=${text('physicSize')}`
    const filters = `extendDataJson='${text('extendDataJson')}', bitMap='${text('bitMap')}'`
    const rest = `eval=${text('eval')}, msg='${text('msg')}'`
    session.line(`idx: ${index + at}`)
    session.line(
      `ConsumeQueueData{${place}, tagsCode=${text('tagsCode')}, ${filters}, ${rest}}\n${RULE}`,
    )
  }
}

export const CONSUME_QUEUE_COMMANDS: readonly LegacyCommand[] = [
  {
    name: 'queryCq',
    description: 'Query cq command.',
    options: [
      TOPIC,
      option('q', 'queue', 'queue id', true),
      option('i', 'index', 'from this queue offset on', true),
      option('c', 'count', 'how many (10)'),
      option('b', 'broker', 'address of one broker'),
      option('g', 'consumer', 'with the filter of this consumer group'),
    ],
    run: queryConsumeQueue,
  },
]
