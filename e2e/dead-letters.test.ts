/** Dead letters of an official client's group, sent again by `gantry group resend`. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildClients, events } from './clients.ts'
import { ROOT, run } from './environment.ts'
import { covers } from './features.ts'
import { MessagingWorld } from './messaging-world.ts'
import { numberAt, textAt } from './json.ts'

const LEVELS = Array.from({ length: 18 }, () => '1s').join(' ')
const COUNT = 3

let world: MessagingWorld

beforeAll(async () => {
  await buildClients()
  world = await MessagingWorld.start({
    portOffset: 10_600,
    groups: 1,
    config: { messageDelayLevel: LEVELS },
  })
})

afterAll(async () => {
  await world?.stop()
})

test('a dead letter that is sent again comes to its group alone, as it was sent', async ({
  task,
}) => {
  covers(task, 'M31')
  const client = 'java-5.5.0'
  const topic = world.name(client, 'resend')
  const group = `${topic}-g`
  const sent = await world.produce(client, topic, { count: COUNT, tags: 'A', verbose: true })
  const failing = world.member(client, topic, { group, 'fail-times': 99, 'max-reconsume': 1 })
  await untilDead(group)
  await failing.stop()
  const other = world.member(client, topic, { group: `${topic}-other`, verbose: true })
  const mended = world.member(client, topic, { group, verbose: true })
  await other.line(
    'its last message',
    60_000,
    () => events(other.lines, 'message').length === COUNT,
  )

  const first = await gantry('group', 'resend', group)
  const again = await gantry('group', 'resend', group)
  await mended.line(
    'the last of them',
    60_000,
    () => events(mended.lines, 'message').length === COUNT,
  )
  const seenByOther = events((await other.stop()).lines, 'message').length
  const received = events((await mended.stop()).lines, 'message')

  expect(first).toContain(`sent ${COUNT} dead letters to ${group} again`)
  expect(again).toContain(`sent 0 dead letters to ${group} again`)
  expect(received.map((line) => textAt(line, 'topic'))).toEqual(sent.acks.map(() => topic))
  expect(received.map((line) => textAt(line, 'tags'))).toEqual(sent.acks.map(() => 'A'))
  expect(new Set(received.map((line) => numberAt(line, 'seq')))).toEqual(
    new Set(sent.acks.map(({ seq }) => seq)),
  )
  expect(seenByOther).toBe(COUNT)
})

async function untilDead(group: string): Promise<void> {
  for (let tries = 0; tries < 60; tries++) {
    const told = await gantry('group', 'dead-letters', group)
    if (told.startsWith(`${COUNT} dead letters`)) return
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
  throw new Error('the messages were not given up')
}

async function gantry(...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run(join(ROOT, 'gantry'), [...args, '-n', world.namesrv])
  return `${stderr}${stdout}`
}
