import { expect, test } from 'vitest'
import { SimulatedTime } from '../../simulation/time.ts'
import { BrokerStats } from '../stats.ts'
import { PutCounters, countPutsOfBroker } from './put-counters.ts'

test('what is stored is counted by topic', () => {
  const stats = new BrokerStats(new SimulatedTime())
  const orders = new PutCounters(stats, { name: 'Orders', isSystem: false })

  orders.count(3, 1, 300, 'normal')
  orders.count(3, 1, 300, 'normal')

  expect(stats.view('TOPIC_PUT_NUMS', 'Orders')?.minute.sum).toBe(6)
  expect(stats.view('TOPIC_PUT_SIZE', 'Orders')?.minute.sum).toBe(600)
})

test('what is stored is counted in all, and but for system topics without them', () => {
  const stats = new BrokerStats(new SimulatedTime())

  countPutsOfBroker(stats, 'C', { messages: 6, puts: 2, isSystem: false })
  countPutsOfBroker(stats, 'C', { messages: 3, puts: 1, isSystem: true })

  const sumOf = (name: string) => stats.view(name, 'C')?.minute.sum
  expect(sumOf('BROKER_PUT_NUMS')).toBe(9)
  expect(sumOf('BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC')).toBe(6)
  expect(stats.putTotal).toBe(9)
})

test('a topic whose counters were forgotten is counted anew', () => {
  const stats = new BrokerStats(new SimulatedTime())
  const orders = new PutCounters(stats, { name: 'Orders', isSystem: false })
  orders.count(3, 1, 300, 'normal')

  stats.forget((key) => key === 'Orders')
  orders.count(3, 1, 300, 'normal')

  expect(stats.view('TOPIC_PUT_NUMS', 'Orders')?.minute.sum).toBe(3)
  expect(stats.view('TOPIC_PUT_SIZE', 'Orders')?.minute.sum).toBe(300)
})
