/** Requests and their replies between official clients, over the broker. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { buildClients, events, startClient } from './clients.ts'
import type { Client, ClientProcess, Flags, Scenario } from './clients.ts'
import { covers } from './features.ts'
import { numberAt, textAt } from './json.ts'
import { OwnCluster } from './own-cluster.ts'

const RUN = Date.now().toString(36)
const WAIT_MS = 60_000

let cluster: OwnCluster

beforeAll(async () => {
  await buildClients()
  cluster = await OwnCluster.start(9100)
})

afterAll(async () => {
  await cluster?.stop()
})

const PAIRS: readonly (readonly [Client, Client])[] = [
  ['java-5.5.0', 'java-5.5.0'],
  ['java-4.9.8', 'java-5.5.0'],
  ['java-5.5.0', 'java-4.9.8'],
  ['go', 'go'],
  ['go', 'java-5.5.0'],
  ['java-5.5.0', 'go'],
]

test.for(PAIRS)('requests of %s are answered by %s', async ([asking, answering], { task }) => {
  covers(task, 'M38')
  const topic = topicFor(asking, answering)
  await finished(asking, 'produce', { topic, count: 16 })
  const responder = started(answering, 'respond', { topic, group: `${topic}-g` })
  await responder.line('started', WAIT_MS, (line) => textAt(line, 'event') === 'started')

  const { lines, summary } = await finished(asking, 'request', {
    topic,
    group: `${topic}-q`,
    count: 20,
    'timeout-ms': 30_000,
  })

  expect(numberAt(summary, 'replied')).toBe(20)
  expect(events(lines, 'reply').map((line) => textAt(line, 'body'))).toEqual(
    Array.from({ length: 20 }, (_, seq) => `re: q - ${seq}`),
  )
  const replied = events((await responder.stop()).lines, 'replied')
  expect(replied.length).toBeGreaterThanOrEqual(20)
})

test('a request that nobody answers fails in time', async ({ task }) => {
  covers(task, 'M38')
  const topic = topicFor('java-5.5.0', 'go')

  const { lines } = await finished('java-5.5.0', 'request', {
    topic: `${topic}-unheard`,
    group: `${topic}-q`,
    count: 1,
    'timeout-ms': 4000,
    'at-least': true,
  })

  expect(events(lines, 'failed').map((line) => textAt(line, 'type'))).toEqual([
    'RequestTimeoutException',
  ])
})

function topicFor(asking: Client, answering: Client): string {
  return `Ask-${asking}-${answering}-${RUN}`.replaceAll('.', '_')
}

async function finished(
  client: Client,
  scenario: Scenario,
  flags: Flags,
): ReturnType<ClientProcess['finished']> {
  return started(client, scenario, flags).finished()
}

function started(client: Client, scenario: Scenario, flags: Flags): ClientProcess {
  const all = { 'timeout-ms': 15_000, 'run-ms': 300_000, ...flags }
  const running = startClient(client, scenario, cluster.namesrv, all)
  onTestFinished(async () => {
    await running.kill()
  })
  return running
}
