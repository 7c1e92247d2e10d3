import { expect, test } from 'vitest'
import { SimulatedTime } from '../../simulation/time.ts'
import { BrokerStats } from '../stats.ts'
import { PutCounters } from './put-counters.ts'

const STORED = { count: 3, puts: 1, bytes: 300, type: 'normal' } as const

test('what is stored is counted by topic and in all, and but for system topics without them', () => {
  const stats = new BrokerStats(new SimulatedTime())
  const orders = new PutCounters(stats, { name: 'Orders', isSystem: false })
  const system = new PutCounters(stats, { name: 'TBW102', isSystem: true })

  orders.count('C', STORED)
  orders.count('C', STORED)
  system.count('C', STORED)

  const sumOf = (name: string, key: string) => stats.view(name, key)?.minute.sum
  expect(sumOf('TOPIC_PUT_NUMS', 'Orders')).toBe(6)
  expect(sumOf('TOPIC_PUT_SIZE', 'Orders')).toBe(600)
  expect(sumOf('BROKER_PUT_NUMS', 'C')).toBe(9)
  expect(sumOf('BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC', 'C')).toBe(6)
  expect(stats.putTotal).toBe(9)
})

test('a topic whose counters were forgotten is counted anew', () => {
  const stats = new BrokerStats(new SimulatedTime())
  const orders = new PutCounters(stats, { name: 'Orders', isSystem: false })
  orders.count('C', STORED)

  stats.forget((key) => key === 'Orders')
  orders.count('C', STORED)

  expect(stats.view('TOPIC_PUT_NUMS', 'Orders')?.minute.sum).toBe(3)
  expect(stats.view('TOPIC_PUT_SIZE', 'Orders')?.minute.sum).toBe(300)
})
