/**
 * The official rocketmq-dashboard in front of a `gantry dev` with a group of three and users: what its pages ask and do, request by request
 * (`frontend-new/src/api/remoteApi` of its sources), while producers and consumers of the official Java client are online.
 *
 * It is in no package registry, so GANTRY_E2E_DASHBOARD_JAR names `target/rocketmq-dashboard-*.jar` of its sources after `npm ci && npm run build` in
 * `frontend-new` and `mvn package -Dmaven.test.skip=true -Dskip.npm -Dskip.installnodenpm`.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildClients, messages, runClient } from './clients.ts'
import type { ClientProcess, Message } from './clients.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { environmentVariable } from './environment.ts'
import { covers } from './features.ts'
import { JavaServer } from './java-server.ts'
import { at, listAt, numberAt, recordAt, textAt } from './json.ts'
import { eventually } from './messaging-world.ts'
import { FAILING_GROUP, GROUP, TOPIC, startFailing, startOrders } from './sample-load.ts'

const OFFSET = 5200
const PORT = 8082 + OFFSET
const CLUSTER = 'e2e'
const BROKER = 'e2e-broker-0'
/** The page of topics shows those of the type NORMAL first. */
const TYPED = 'Typed'
const TRACES = 'RMQ_SYS_TRACE_TOPIC'
const COLLECTED = { timeout: 200_000, interval: 1000 }
/** What pages ask of the dashboard. */
const QUERY = /\.query|\.do|refresh/u
/** Behind `#/`, with something of the cluster that it shows; forms show nothing until they are filled in. */
const PAGES = [
  ['', TOPIC],
  ['ops', '127.0.0.1'],
  ['proxy', ''],
  ['cluster', BROKER],
  ['topic', TYPED],
  ['consumer', GROUP],
  ['producer', ''],
  ['message', ''],
  ['dlqMessage', ''],
  ['messageTrace', ''],
  ['acl', ''],
] as const

let server: DevServer
let folder: string
let dashboard: JavaServer
let browser: Browser
let message: Message
/** Of the console's session, which its requests that change something carry. */
let cookie = ''
const clients: ClientProcess[] = []

beforeAll(async () => {
  const jar = environmentVariable('GANTRY_E2E_DASHBOARD_JAR')
  if (jar === '') throw new Error('GANTRY_E2E_DASHBOARD_JAR names no jar of rocketmq-dashboard.')
  await buildClients()
  folder = await mkdtemp(join(tmpdir(), 'gantry-official-dashboard-'))
  const levels = Array.from({ length: 18 }, () => '1s').join(' ')
  server = await startDevServer({
    portOffset: OFFSET,
    groups: 1,
    members: 3,
    config: { traceTopicEnable: 'true', messageDelayLevel: levels },
  })
  await startLoad()
  await startDashboard(jar)
  const queues = { readQueueNums: 2, writeQueueNums: 2, perm: 6, order: false }
  const typed = { clusterNameList: [CLUSTER], topicName: TYPED, ...queues, messageType: 'NORMAL' }
  await change('/topic/createOrUpdate.do', typed)
  browser = await chromium.launch({
    executablePath: environmentVariable('GANTRY_E2E_CHROMIUM') || '/usr/bin/chromium',
    args: ['--no-sandbox'],
  })
})

afterAll(async () => {
  await browser?.close()
  await dashboard?.stop()
  await Promise.all(clients.map((client) => client.kill()))
  await server?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

test.for([
  ['ops', '/ops/homePage.query', '"namesvrAddrList"'],
  ['ops: state', '/ops/rocketMqStatus.query', 'CLUSTER_HEALTH_CHECK'],
  ['cluster', '/cluster/list.query', 'putTps'],
  ['topic: list', '/topic/list.query?skipSysProcess=true&skipRetryAndDlq=false', TOPIC],
  ['topic: types', '/topic/list.queryTopicType', 'messageTypeList'],
  ['topic: status', `/topic/stats.query?topic=${TOPIC}`, 'maxOffset'],
  ['topic: route', `/topic/route.query?topic=${TOPIC}`, BROKER],
  ['topic: consumers', `/topic/queryConsumerByTopic.query?topic=${TOPIC}`, 'diffTotal'],
  ['topic: groups', `/topic/queryTopicConsumerInfo.query?topic=${TOPIC}`, GROUP],
  ['topic: configuration', `/topic/examineTopicConfig.query?topic=${TOPIC}`, 'readQueueNums'],
  ['consumer: groups', '/consumer/groupList.query?skipSysGroup=true&address=', GROUP],
  ['consumer: one again', `/consumer/group.refresh?consumerGroup=${GROUP}`, 'CLUSTERING'],
  ['consumer: all again', '/consumer/group.refresh.all?address=', FAILING_GROUP],
  [
    'consumer: configuration',
    `/consumer/examineSubscriptionGroupConfig.query?consumerGroup=${GROUP}`,
    BROKER,
  ],
  ['consumer: brokers', `/consumer/fetchBrokerNameList.query?consumerGroup=${GROUP}`, BROKER],
  [
    'producer',
    `/producer/producerConnection.query?topic=${TOPIC}&producerGroup=${GROUP}-producer`,
    'clientId',
  ],
  ['proxy', '/proxy/homePage.query', 'currentProxyAddr'],
  ['monitor', '/monitor/consumerMonitorConfig.query', '{'],
] as const)('%s', async ([, path, shows], { task }) => {
  covers(task, 'A15')

  expect(JSON.stringify(await ask(path))).toContain(shows)
})

describe('what needs something that another page shows', () => {
  test('cluster: the configuration of a broker', async ({ task }) => {
    covers(task, 'A15')
    const clusters = await ask('/cluster/list.query')
    const address = textAt(clusters, 'clusterInfo', 'brokerAddrTable', BROKER, 'brokerAddrs', '0')

    const config = await ask(`/cluster/brokerConfig.query?brokerAddr=${address}`)

    expect(textAt(config, 'brokerName')).toBe(BROKER)
  })

  test('dashboard: brokers and topics over the day, and topics now', async ({ task }) => {
    covers(task, 'A15')
    const [date] = new Date().toISOString().split('T')

    // It collects once a minute.
    const shown = async (path: string) => JSON.stringify(await ask(`/dashboard/${path}`))
    await expect.poll(() => shown('topicCurrent.query'), COLLECTED).toContain(TOPIC)
    await expect.poll(() => shown(`broker.query?date=${date}`), COLLECTED).toContain(BROKER)
    await expect
      .poll(() => shown(`topic.query?date=${date}&topicName=${TOPIC}`), COLLECTED)
      .not.toBe('[]')
  })

  test('consumer: detail and connections, what a client is doing, and its stacks', async ({
    task,
  }) => {
    covers(task, 'A15')
    const groups = listAt(await ask('/consumer/groupList.query?skipSysGroup=true&address='))
    const group = groups.find((one) => textAt(one, 'group') === GROUP)
    const about = `consumerGroup=${GROUP}&address=${listAt(group, 'address').join(',')}`

    const detail = await ask(`/consumer/queryTopicByConsumer.query?${about}`)
    const connections = await ask(`/consumer/consumerConnection.query?${about}`)
    const clientId = textAt(connections, 'connectionSet', 0, 'clientId')

    const info = await ask(
      `/consumer/consumerRunningInfo.query?consumerGroup=${GROUP}&clientId=${encodeURIComponent(clientId)}&jstack=true`,
    )

    expect(listAt(detail).map((one) => textAt(one, 'topic'))).toContain(TOPIC)
    expect(listAt(connections, 'connectionSet')).toHaveLength(2)
    expect(Object.keys(recordAt(info, 'mqTable')).length).toBeGreaterThan(0)
    expect(textAt(info, 'jstack')).toContain('TID:')
  })

  test('message: by time, key and id, with what became of it in each group', async ({ task }) => {
    covers(task, 'A15')
    const now = Date.now()
    const query = { topic: TOPIC, begin: now - 3_600_000, end: now, pageNum: 1, pageSize: 20 }

    const page = await change('/message/queryMessagePageByTopic.query', { ...query, taskId: '' })
    const byKey = await ask(
      `/message/queryMessageByTopicAndKey.query?topic=${TOPIC}&key=${message.key}`,
    )
    const byId = await ask(`/message/viewMessage.query?topic=${TOPIC}&msgId=${message.msgId}`)

    expect(listAt(page, 'page', 'content').length).toBe(20)
    expect(listAt(byKey).map((one) => textAt(one, 'msgId'))).toEqual([message.msgId])
    expect(textAt(byId, 'messageView', 'msgId')).toBe(message.msgId)
    const tracks = listAt(byId, 'messageTrackList')
    expect(new Set(tracks.map((track) => textAt(track, 'consumerGroup')))).toEqual(
      new Set([GROUP, FAILING_GROUP]),
    )
  })

  test('message: handed to a consumer', async ({ task }) => {
    covers(task, 'A15')

    const result = await change(
      `/message/consumeMessageDirectly.do?msgId=${message.msgId}&consumerGroup=${GROUP}&topic=${TOPIC}`,
    )

    expect(textAt(result, 'consumeResult')).toBe('CR_SUCCESS')
  })

  test('dead letters: listed, exported and sent again', async ({ task }) => {
    covers(task, 'A15')
    const now = Date.now()
    const topic = `%DLQ%${FAILING_GROUP}`
    const time = { begin: now - 3_600_000, end: now + 3_600_000 }
    const query = { topic, ...time, pageNum: 1, pageSize: 10, taskId: '' }
    const page = await change('/dlqMessage/queryDlqMessageByConsumerGroup.query', query)
    const [letter] = listAt(page, 'page', 'content')
    const origin = textAt(letter, 'properties', 'ORIGIN_MESSAGE_ID')
    const found = { topicName: TOPIC, consumerGroup: FAILING_GROUP, msgId: origin, clientId: '' }

    const sheet = await fetch(
      url(
        `/dlqMessage/exportDlqMessage.do?msgId=${textAt(letter, 'msgId')}&consumerGroup=${FAILING_GROUP}`,
      ),
    )
    const resent = await change('/dlqMessage/batchResendDlqMessage.do', [found])

    expect((await sheet.arrayBuffer()).byteLength).toBeGreaterThan(1000)
    expect(listAt(resent).map((one) => textAt(one, 'msgId'))).toEqual([origin])
    // It is handed to the group's consumer, which gives it up once more.
    expect(textAt(resent, 0, 'consumeResult')).toBe('CR_LATER')
  })
})

test('topic: made, written to with and without a trace, changed, deleted', async ({ task }) => {
  covers(task, 'A15')
  const topic = 'FromDashboard'
  const config = { clusterNameList: [CLUSTER], topicName: topic, perm: 6, order: false }
  const queues = (count: number) => ({ readQueueNums: count, writeQueueNums: count })
  const body = { topic, key: 'k', tag: 't', messageBody: 'hello' }

  await change('/topic/createOrUpdate.do', { ...config, ...queues(4), messageType: 'NORMAL' })
  await change('/topic/createOrUpdate.do', { ...config, ...queues(6), messageType: 'NORMAL' })
  const made = await ask(`/topic/examineTopicConfig.query?topic=${topic}`)
  const plain = await change('/topic/sendTopicMessage.do', { ...body, traceEnabled: false })
  const traced = await change('/topic/sendTopicMessage.do', { ...body, traceEnabled: true })
  const graphOf = `/messageTrace/viewMessageTraceGraph.query?msgId=${textAt(traced, 'msgId')}&traceTopic=${TRACES}`
  await eventually('a trace', async () =>
    JSON.stringify(await ask(graphOf)).includes('"producerNode":{'),
  )
  const view = await ask(
    `/messageTrace/viewMessage.query?topic=${topic}&msgId=${textAt(traced, 'msgId')}`,
  )
  await change(`/topic/deleteTopic.do?topic=${topic}`)
  const left = await ask('/topic/list.query?skipSysProcess=true&skipRetryAndDlq=false')

  expect(numberAt(made, 0, 'readQueueNums')).toBe(6)
  expect(textAt(plain, 'sendStatus')).toBe('SEND_OK')
  expect(textAt(traced, 'sendStatus')).toBe('SEND_OK')
  expect(textAt(view, 'messageView', 'topic')).toBe(topic)
  expect(listAt(left, 'topicList')).not.toContain(topic)
})

test('consumer: a group is made, moved, and deleted', async ({ task }) => {
  covers(task, 'A15')
  const groupName = 'from-dashboard'
  const settings = { groupName, consumeEnable: true, retryQueueNums: 1, retryMaxTimes: 3 }
  const where = { clusterNameList: [CLUSTER], brokerNameList: [BROKER] }
  const move = { consumerGroupList: [GROUP], topic: TOPIC, force: true }

  await change('/consumer/createOrUpdate.do', { ...where, subscriptionGroupConfig: settings })
  const made = await ask(
    `/consumer/examineSubscriptionGroupConfig.query?consumerGroup=${groupName}`,
  )
  const reset = await change('/consumer/resetOffset.do', { ...move, resetTime: Date.now() })
  const skipped = await change('/consumer/skipAccumulate.do', { ...move, resetTime: -1 })
  await change('/consumer/deleteSubGroup.do', { groupName, brokerNameList: [BROKER] })
  const left = await ask(
    `/consumer/examineSubscriptionGroupConfig.query?consumerGroup=${groupName}`,
  )

  expect(numberAt(made, 0, 'subscriptionGroupConfig', 'retryMaxTimes')).toBe(3)
  for (const each of [reset, skipped]) expect(at(each, GROUP, 'status')).toBe(true)
  expect(left).toEqual([])
})

test('acl: users and what they may are made, changed and deleted', async ({ task }) => {
  covers(task, 'A15')
  const where = { clusterName: CLUSTER }
  const user = { username: 'shop', password: 'secret-of-shop', userType: 'Normal' }
  const usersNow = async () =>
    listAt(await ask(`/acl/users.query?clusterName=${CLUSTER}`)).map((one) =>
      ['username', 'userType', 'userStatus'].map((name) => textAt(one, name)).join(' '),
    )
  const policiesNow = async () =>
    JSON.stringify(await ask(`/acl/acls.query?clusterName=${CLUSTER}&searchParam=`))
  const entry = (actions: readonly string[]) => ({
    ...where,
    subject: 'User:shop',
    policies: [
      {
        policyType: 'Custom',
        entries: [
          { resource: ['Topic:Orders'], actions, sourceIps: ['10.0.0.1'], decision: 'Allow' },
        ],
      },
    ],
  })

  // It cannot show that there is no user.
  await change('/acl/createUser.do', { ...where, userInfo: { ...user, username: 'keeper' } })
  await change('/acl/createUser.do', { ...where, userInfo: user })
  const made = await usersNow()
  await change('/acl/updateUser.do', { ...where, userInfo: { ...user, userStatus: 'disable' } })
  const changed = await usersNow()
  await change('/acl/createAcl.do', entry(['Pub']))
  const allowed = await policiesNow()
  await change('/acl/updateAcl.do', entry(['Pub', 'Sub']))
  const more = await policiesNow()
  await remove(`/acl/deleteAcl.do?clusterName=${CLUSTER}&subject=User:shop&resource=Topic:Orders`)
  const denied = await policiesNow()
  await remove(`/acl/deleteUser.do?clusterName=${CLUSTER}&username=shop`)

  expect(made).toContain('shop Normal enable')
  expect(changed).toContain('shop Normal disable')
  expect(allowed).toContain('Topic:Orders')
  expect(more).toContain('Sub')
  expect(denied).not.toContain('Topic:Orders')
  expect(await usersNow()).toEqual(['keeper Normal enable'])
})

test.for(PAGES)(
  'the page /%s loads, and nothing that it asks is refused',
  async ([path, shows], { task }) => {
    covers(task, 'A15')
    const asked: string[] = []
    const refused: string[] = []
    await using page = await browser.newPage()
    // Every page asks for something.
    const hasAnswers = page.waitForResponse((response) => QUERY.test(response.url()))
    page.on('request', (request) => {
      if (QUERY.test(request.url())) asked.push(request.url())
    })
    page.on('requestfinished', async (request) => {
      if (!QUERY.test(request.url())) return
      const answer: unknown = await (await request.response())?.json()
      if (numberAt(answer, 'status') !== 0) refused.push(JSON.stringify(answer))
      asked.splice(asked.indexOf(request.url()), 1)
    })

    await page.goto(url(`/#/${path}`))
    await hasAnswers
    await page.locator('main').getByText(shows).first().waitFor()
    await expect.poll(() => asked).toEqual([])

    expect(refused).toEqual([])
  },
)

test('its log has no error of a server', () => {
  expect(dashboard.output.split('\n').filter((line) => line.includes('] ERROR '))).toEqual([])
})

function url(path: string): string {
  return `http://127.0.0.1:${PORT}${path}`
}

/** What an answer holds; throws what the dashboard has against the request. */
async function dataOf(response: Response, path: string): Promise<unknown> {
  const answer: unknown = await response.json()
  if (numberAt(answer, 'status') !== 0)
    throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`)
  return at(answer, 'data')
}

async function ask(path: string): Promise<unknown> {
  return dataOf(await fetch(url(path)), path)
}

async function send(method: 'POST' | 'DELETE', path: string, body: unknown): Promise<unknown> {
  const token = decodeURIComponent(/XSRF-TOKEN=([^;]+)/u.exec(cookie)?.[1] ?? '')
  const headers = { 'content-type': 'application/json', cookie, 'X-XSRF-TOKEN': token }
  return dataOf(await fetch(url(path), { method, headers, body: JSON.stringify(body ?? {}) }), path)
}

function change(path: string, body: unknown = null): Promise<unknown> {
  return send('POST', path, body)
}

function remove(path: string): Promise<unknown> {
  return send('DELETE', path, null)
}

async function startDashboard(jar: string): Promise<void> {
  dashboard = new JavaServer(jar, folder, [
    ...[`--server.port=${PORT}`, `--rocketmq.config.namesrvAddrs[0]=${server.namesrv}`],
    `--rocketmq.config.dataPath=${join(folder, 'data')}`,
    '--rocketmq.config.isVIPChannel=false',
  ])
  await eventually('the dashboard', async () => {
    dashboard.assertRuns()
    const response = await fetch(url('/rocketmq-dashboard/csrf-token')).catch(() => null)
    if (response?.ok !== true) return false
    cookie = response.headers
      .getSetCookie()
      .map((one) => one.split(';', 1)[0])
      .join('; ')
    return true
  })
}

/** A load with its consumers, and a message. */
async function startLoad(): Promise<void> {
  const { namesrv } = server
  clients.push(await startOrders(namesrv, 5))
  clients.push(await startFailing(namesrv))
  const produced = await runClient('java-5.5.0', 'produce', namesrv, {
    topic: TOPIC,
    count: 1,
    verbose: true,
  })
  const [sent] = messages(produced.lines, 'ack')
  if (sent === undefined) throw new Error('no message was acknowledged')
  // As the drivers make keys.
  message = { ...sent, key: `${sent.id}-${sent.seq}` }
}
