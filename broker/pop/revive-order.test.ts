/** The order of records in the revive log: what a log that ends early must not lose. */
import { expect, test } from 'vitest'
import { decodeRecord } from '../../common/message-codec.ts'
import { PropertyName, parseProperties } from '../../common/properties.ts'
import { REVIVE_QUEUES } from './revive-log.ts'
import { decodeReviveRecord } from './revive-record.ts'
import { parseReceipt } from './receipt.ts'
import { GROUP, createPopWorld } from './testing.ts'
import type { GetResult } from '../../store/types.ts'
import type { ReviveRecord } from './revive-record.ts'
import type { PopTarget } from './pop-service.ts'
import type { Popped, PopWorld } from './testing.ts'

const REVIVE_TOPIC = 'rmq_sys_REVIVE_LOG_DefaultCluster'

async function reviveRecords({ parts, time }: PopWorld): Promise<readonly ReviveRecord[]> {
  const records: ReviveRecord[] = []
  for (let queueId = 0; queueId < REVIVE_QUEUES; queueId++) {
    const request = { topic: REVIVE_TOPIC, queueId, queueOffset: 0, maxMessages: 32, filter: null }
    const reading = new Promise<GetResult>((resolve) => parts.store.get(request, resolve))
    await time.settle()
    for (const bytes of (await reading).records) {
      const { properties, body } = decodeRecord(bytes)
      const tag = parseProperties(properties.toString()).get(PropertyName.TAGS) ?? null
      const record = decodeReviveRecord(tag, body)
      if (record !== null) records.push(record)
    }
  }
  return records
}

function targetOf({ topic, queueId, handle }: Popped): PopTarget {
  const receipt = parseReceipt(handle)
  if (receipt === null) throw new Error('a pop gives handles')
  return { topic, consumerGroup: GROUP, queueId, receipt }
}

test('a message that is hidden for longer is recorded anew before its old checkpoint is finished, whatever is acknowledged in that turn', async () => {
  const world = await createPopWorld()
  for (const text of ['a', 'b']) await world.send(text)
  const [a, b] = await world.pop()
  if (a === undefined || b === undefined) throw new Error('nothing was popped')

  const { pops } = world.processors
  pops.ack(targetOf(a), [a.queueOffset], () => undefined)
  pops.changeInvisibleTime(targetOf(b), b.queueOffset, 90_000, () => undefined)
  await world.time.settle()

  const records = (await reviveRecords(world)).map((record) =>
    record.type === 'ck' || record.type === 'ack'
      ? [record.type, ...record.offsets]
      : [record.type],
  )
  expect(records).toEqual([
    ['ck', 0, 1],
    ['ack', 0],
    ['ck', 1],
    ['ack', 1],
  ])
})
