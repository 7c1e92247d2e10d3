/** The commands of the official mqadmin about topics, groups and messages. */
import { refused, runOf, toBroker, works } from './mqadmin-command.ts'
import type { MqadminCommand } from './mqadmin-command.ts'

export const TOPICS: readonly MqadminCommand[] = [
  works(
    'updateTopic',
    runOf(
      ({ broker }) => ['-b', broker, '-t', 'AdminTopic', '-r', '3', '-w', '3'],
      () => ['success.', 'readQueueNums=3'],
    ),
    runOf(
      ({ cluster }) => [
        '-c',
        cluster,
        '-t',
        'AdminOrders',
        '-a',
        '+message.type=FIFO',
        '-o',
        'true',
      ],
      () => ['success.', 'order=true', 'message.type=FIFO'],
    ),
  ),
  works(
    'updateTopicList',
    runOf(
      ({ broker, folder }) => ['-b', broker, '-f', `${folder}/topics.json`],
      () => ['submit batch of topic config', 'success'],
    ),
  ),
  works(
    'topicList',
    runOf(
      () => [],
      ({ topic }) => [new RegExp(`^${topic}$`, 'mu'), /^AdminTopic$/mu, /^ListedTopic2$/mu],
    ),
    runOf(
      () => ['-c'],
      ({ cluster, topic, group }) => [new RegExp(`${cluster} +${topic} +${group}`, 'u')],
    ),
  ),
  works(
    'updateTopicPerm',
    runOf(
      ({ broker }) => ['-b', broker, '-t', 'AdminTopic', '-p', '4'],
      () => ['update topic perm from 6 to 4', 'perm=R--'],
    ),
  ),
  works(
    'topicRoute',
    runOf(
      ({ topic }) => ['-t', topic],
      ({ broker, brokerName }) => [`"${broker}"`, `"brokerName":"${brokerName}"`],
    ),
    runOf(
      ({ topic }) => ['-t', topic, '-l'],
      ({ broker }) => [broker, 'Total:'],
    ),
  ),
  works(
    'topicStatus',
    runOf(
      ({ topic }) => ['-t', topic],
      ({ brokerName }) => [new RegExp(`${brokerName} +0 +0 +\\d+ +20\\d\\d-`, 'u')],
    ),
  ),
  works(
    'topicClusterList',
    runOf(
      ({ topic }) => ['-t', topic],
      ({ cluster }) => [new RegExp(`^${cluster}$`, 'mu')],
    ),
  ),
  works(
    'updateOrderConf',
    runOf(
      ({ brokerName }) => ['-m', 'put', '-t', 'AdminOrders', '-v', `${brokerName}:4`],
      () => ['update orderConf success'],
    ),
    runOf(
      () => ['-m', 'get', '-t', 'AdminOrders'],
      ({ brokerName }) => [`orderConf=[${brokerName}:4]`],
    ),
    runOf(
      () => ['-m', 'delete', '-t', 'AdminOrders'],
      () => ['delete orderConf success'],
    ),
  ),
  works(
    'allocateMQ',
    runOf(
      ({ topic }) => ['-t', topic, '-i', '10.0.0.1,10.0.0.2'],
      ({ brokerName }) => ['10.0.0.1', '10.0.0.2', `"brokerName":"${brokerName}"`],
    ),
  ),
  works(
    'statsAll',
    runOf(
      ({ topic }) => ['-t', topic],
      ({ topic, group }) => [new RegExp(`${topic} +${group} +\\d+ +\\d+\\.\\d+`, 'u')],
    ),
  ),
  works(
    'deleteTopic',
    runOf(
      ({ cluster }) => ['-c', cluster, '-t', 'AdminTopic'],
      () => ['from cluster', 'from NameServer success'],
    ),
  ),
  refused(
    'updateStaticTopic',
    ({ brokerName }) => ['-t', 'Static', '-qn', '4', '-b', brokerName],
    /there are no static topics/u,
  ),
  refused(
    'remappingStaticTopic',
    ({ brokerName }) => ['-t', 'Static', '-b', brokerName],
    /No topic route to do the remapping/u,
  ),
]

export const GROUPS: readonly MqadminCommand[] = [
  works(
    'updateSubGroup',
    runOf(
      ({ broker }) => ['-b', broker, '-g', 'AdminGroup', '-r', '7'],
      () => ['create subscription group', 'success', 'retryMaxTimes=7'],
    ),
  ),
  works(
    'updateSubGroupList',
    runOf(
      ({ broker, folder }) => ['-b', broker, '-f', `${folder}/groups.json`],
      () => ['submit batch of group config', 'success'],
    ),
  ),
  works(
    'getConsumerConfig',
    runOf(
      () => ['-g', 'AdminGroup'],
      () => [/retryMaxTimes += +7/u],
    ),
  ),
  works(
    'setConsumeMode',
    runOf(
      ({ broker, topic }) => ['-b', broker, '-t', topic, '-g', 'AdminGroup', '-m', 'PULL'],
      () => ['set consume mode to'],
    ),
  ),
  works(
    'consumerConnection',
    runOf(
      ({ group }) => ['-g', group],
      ({ topic }) => [
        ...['JAVA', 'V5_5_0', 'CONSUME_PASSIVELY', 'CLUSTERING'],
        new RegExp(`^${topic} +\\*`, 'mu'),
      ],
    ),
  ),
  works(
    'consumerProgress',
    runOf(
      () => [],
      ({ group }) => [new RegExp(`${group} +1 +V5_5_0 +PUSH +CLUSTERING +\\d+ +0`, 'u')],
    ),
    runOf(
      ({ group }) => ['-g', group, '-s', 'true'],
      ({ topic, brokerName }) => [
        new RegExp(`${topic} +${brokerName} +0 +\\d+ +\\d+ +\\S+`, 'u'),
        'Consume Diff Total: 0',
      ],
    ),
  ),
  works(
    'consumerStatus',
    runOf(
      ({ group }) => ['-g', group],
      () => ['V5_5_0', 'Rebalance OK', 'Same subscription in the same group of consumer'],
    ),
    runOf(
      ({ group }) => ['-g', group, '-s', 'true'],
      () => ['V5_5_0'],
    ),
    runOf(
      ({ group, clientId }) => ['-g', group, '-i', clientId, '-s'],
      ({ topic }) => [
        ...[
          '#Consumer Properties#',
          '#Consumer MQ Detail#',
          'ProcessQueueInfo [',
          '#Consumer jstack#',
        ],
        new RegExp(`001 Topic: .*SubExpression: `, 'u'),
        new RegExp(`^${topic} +\\S+ +0 +\\d+`, 'mu'),
      ],
    ),
  ),
  works(
    'cloneGroupOffset',
    runOf(
      ({ group, topic }) => ['-s', group, '-d', 'ClonedGroup', '-t', topic],
      () => ['clone group offset success'],
    ),
  ),
  works(
    'resetOffsetByTime',
    runOf(
      ({ topic }) => ['-g', 'ClonedGroup', '-t', topic, '-s', '0'],
      ({ brokerName }) => [new RegExp(`${brokerName} +0 +0`, 'u')],
    ),
  ),
  works(
    'skipAccumulatedMessage',
    runOf(
      ({ topic }) => ['-g', 'ClonedGroup', '-t', topic],
      ({ brokerName }) => [new RegExp(`${brokerName} +0 +[1-9]\\d*`, 'u')],
    ),
  ),
  works(
    'deleteSubGroup',
    runOf(
      ({ broker }) => ['-b', broker, '-g', 'AdminGroup', '-r', 'true'],
      () => ['delete subscription group [AdminGroup]', 'success'],
    ),
  ),
  works(
    'producerConnection',
    runOf(
      ({ producerGroup, topic }) => ['-g', producerGroup, '-t', topic],
      () => ['JAVA', 'V5_5_0'],
    ),
  ),
  works(
    'producer',
    runOf(toBroker, ({ producerGroup }) => [producerGroup, 'JAVA']),
  ),
  works(
    'brokerConsumeStats',
    runOf(toBroker, ({ topic, group }) => [
      new RegExp(`${topic} +${group} +\\S+ +0 +\\d+ +\\d+`, 'u'),
      'Diff Total:',
    ]),
  ),
  {
    ...works(
      'startMonitoring',
      runOf(
        () => [],
        () => [],
      ),
    ),
    note: 'prints nothing by itself; it logs what it finds',
  },
]

export const MESSAGES: readonly MqadminCommand[] = [
  works(
    'queryMsgById',
    runOf(
      ({ topic, message }) => ['-t', topic, '-i', message.offsetId],
      ({ topic, message, group }) => [
        message.key,
        new RegExp(`Topic: +${topic}`, 'u'),
        new RegExp(`Queue Offset: +${message.queueOffset}`, 'u'),
        new RegExp(`MessageTrack \\[consumerGroup=${group}, trackType=CONSUMED`, 'u'),
      ],
    ),
    runOf(
      ({ topic, message, group, clientId }) => [
        ...['-t', topic, '-i', message.offsetId],
        ...['-g', group, '-d', clientId],
      ],
      () => ['ConsumeMessageDirectlyResult [', 'consumeResult=CR_SUCCESS'],
    ),
    runOf(
      ({ topic, message }) => ['-t', topic, '-i', message.offsetId, '-s', 'true'],
      ({ message }) => [
        `prepare resend msg. originalMsgId=${message.offsetId}`,
        'SendResult [sendStatus=SEND_OK, msgId=',
      ],
    ),
  ),
  works(
    'queryMsgByKey',
    runOf(
      ({ topic, message }) => ['-t', topic, '-k', message.key],
      ({ message }) => [message.uniqueId],
    ),
    runOf(
      ({ topic }) => ['-t', topic, '-k', 'A', '-p', 'T'],
      ({ topic }) => [
        new RegExp(`^([0-9A-F]+) +\\d+ +\\d+ \\d+00000@${topic}@T@A@\\1@\\d+ *$`, 'mu'),
      ],
    ),
  ),
  works(
    'queryMsgByUniqueKey',
    runOf(
      ({ topic, message }) => ['-t', topic, '-i', message.uniqueId, '-a'],
      ({ message }) => [message.key],
    ),
  ),
  works(
    'queryMsgByOffset',
    runOf(
      ({ topic, brokerName, message }) => [
        ...['-t', topic, '-b', brokerName],
        ...['-i', String(message.queueId), '-o', String(message.queueOffset)],
      ],
      ({ message }) => [message.key, message.offsetId],
    ),
  ),
  works(
    'queryMsgTraceById',
    runOf(
      ({ tracedId }) => ['-i', tracedId],
      () => [/#Type +#ProducerGroup/u, /Pub +.*success/u],
    ),
  ),
  works(
    'printMsg',
    runOf(
      ({ topic }) => ['-t', topic, '-d', 'true'],
      ({ message }) => [message.uniqueId, 'BODY:'],
    ),
  ),
  works(
    'printMsgByQueue',
    runOf(
      ({ topic, brokerName, message }) => [
        ...['-t', topic, '-a', brokerName, '-i', String(message.queueId)],
        ...['-p', 'true', '-d', 'true', '-f', 'true'],
      ],
      ({ message }) => [message.uniqueId, 'Tag:'],
    ),
  ),
  works(
    'sendMsgStatus',
    runOf(
      ({ brokerName }) => ['-b', brokerName, '-c', '3'],
      () => ['sendStatus=SEND_OK'],
    ),
  ),
  works(
    'sendMessage',
    runOf(
      ({ topic }) => ['-t', topic, '-p', 'hello', '-k', 'sent-by-hand', '-c', 'Tag'],
      ({ brokerName }) => [new RegExp(`${brokerName} +\\d+ +SEND_OK +[0-9A-F]{32}`, 'u')],
    ),
  ),
  works(
    'consumeMessage',
    runOf(
      ({ topic, brokerName }) => ['-t', topic, '-b', brokerName, '-i', '0', '-o', '0', '-c', '3'],
      () => ['Consume ok', 'MSGID:'],
    ),
  ),
  works(
    'checkMsgSendRT',
    runOf(
      ({ topic }) => ['-t', topic, '-a', '5'],
      () => ['Avg RT:', 'true'],
    ),
  ),
  works('clusterRT', {
    args: () => ['-a', '3', '-i', '1'],
    shows: ({ cluster, brokerName }) => [
      new RegExp(`${cluster} +${brokerName} +\\d+\\.\\d+ +3 +0`, 'u'),
    ],
    isEndless: true,
  }),
  works(
    'queryCq',
    runOf(
      ({ topic, broker, group }) => [
        ...['-t', topic, '-q', '0', '-i', '0', '-c', '3'],
        ...['-b', broker, '-g', group],
      ],
      () => [
        'Subscription data:',
        'Queue data:',
        /physicOffset=\d+, physicSize=\d+, tagsCode=\d+/u,
      ],
    ),
  ),
]
