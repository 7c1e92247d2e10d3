import { expect, test } from 'vitest'
import { boundPortsOf, createLocalAddressing, nextSlot, portsOf, relayPortsOf } from './ports.ts'
import type { PodSlot } from './ports.ts'

test('the first of each role is where a client looks for it, the next ones follow in steps', () => {
  const at = (role: PodSlot['role'], slot: number): number =>
    portsOf({ role, slot, adminSlot: 0 }, 0).remoting

  expect([at('namesrv', 0), at('namesrv', 1)]).toEqual([9876, 9877])
  expect([at('broker', 0), at('broker', 1), at('broker', 2)]).toEqual([10911, 10921, 10931])
  expect([at('proxy', 0), at('dashboard', 0)]).toEqual([8081, 8080])
})

test('the offset moves every port', () => {
  expect(portsOf({ role: 'broker', slot: 1, adminSlot: 3 }, 1000)).toEqual({
    remoting: 11_921,
    admin: 6560,
  })
})

test('a broker binds the port two below its own and the one above as well', () => {
  expect(boundPortsOf('broker', { remoting: 10_911, admin: 5558 })).toEqual([
    10_911, 10_909, 10_912, 5558,
  ])
  expect(boundPortsOf('namesrv', { remoting: 9876, admin: 5557 })).toEqual([9876, 5557])
})

test('slots are the lowest free ones, and a name server has that of its ordinal', () => {
  const taken: PodSlot[] = []
  const add = (role: PodSlot['role'], ordinal: number): PodSlot => {
    const slot = nextSlot(role, ordinal, taken)
    taken.push(slot)
    return slot
  }

  expect(add('namesrv', 0)).toEqual({ role: 'namesrv', slot: 0, adminSlot: 0 })
  expect(add('broker', 0)).toEqual({ role: 'broker', slot: 0, adminSlot: 1 })
  expect(add('broker', 0)).toEqual({ role: 'broker', slot: 1, adminSlot: 2 })
  expect(add('namesrv', 2)).toEqual({ role: 'namesrv', slot: 2, adminSlot: 3 })
})

test('no two pods of a large cluster share a port', () => {
  const taken: PodSlot[] = []
  for (let ordinal = 0; ordinal < 7; ordinal += 1) taken.push(nextSlot('namesrv', ordinal, taken))
  for (let pod = 0; pod < 64 * 5; pod += 1) taken.push(nextSlot('broker', 0, taken))
  const relays = Array.from({ length: 64 }, (_, group) => Object.values(relayPortsOf(group, 0)))

  const ports = taken
    .flatMap((slot) => boundPortsOf(slot.role, portsOf(slot, 0)))
    .concat(relays.flat())

  expect(new Set(ports).size).toBe(ports.length)
})

test('name servers are addressed by the port of their ordinal, members by the one above their own', () => {
  const addressing = createLocalAddressing('127.0.0.1', 100, slotOf)

  expect(addressing.nameServer('c', 'ns', 2)).toBe('127.0.0.1:9978')
  expect(addressing.member('c', 'ns', 1, 0)).toBe('127.0.0.1:11012')
  expect(addressing.member('c', 'ns', 1, 2)).toBe('127.0.0.1:11032')
})

test('a group of one is told as it is, a larger one by its relay', () => {
  const addressing = createLocalAddressing('127.0.0.1', 100, slotOf)

  expect(addressing.advertised('c', 1, 1)).toEqual({ host: '127.0.0.1', port: null })
  expect(addressing.advertised('c', 1, 3)).toEqual({ host: '127.0.0.1', port: 21_021 })
})

function slotOf(_pod: string, role: PodSlot['role'], ordinal: number): PodSlot {
  return { role, slot: ordinal, adminSlot: ordinal }
}
