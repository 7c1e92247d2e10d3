import { beforeEach, expect, test } from 'vitest'
import { SimulatedTime } from '../simulation/time.ts'
import { GroupNotices, NOTICE_GAP_MS } from './group-notices.ts'

let time: SimulatedTime
let told: string[]
let notices: GroupNotices

beforeEach(() => {
  time = new SimulatedTime()
  told = []
  notices = new GroupNotices(time, (group) => told.push(group))
})

test('a change is told at once, and only once', async () => {
  notices.changed('G')
  const atOnce = [...told]

  await time.advance(10 * NOTICE_GAP_MS)

  expect(atOnce).toEqual(['G'])
  expect(told).toEqual(['G'])
})

test('changes that follow one another are told together, the last one included', async () => {
  for (let change = 0; change < 50; change++) {
    notices.changed('G')
    await time.advance(NOTICE_GAP_MS / 10)
  }
  await time.advance(NOTICE_GAP_MS)

  expect(told.length).toBeGreaterThan(1)
  expect(told.length).toBeLessThan(8)
  notices.changed('G')
  expect(told.length).toBeLessThan(9)
})

test('groups do not wait for each other', () => {
  notices.changed('G')
  notices.changed('H')

  expect(told).toEqual(['G', 'H'])
})
