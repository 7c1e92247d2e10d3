import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DueWheel } from './due-wheel.ts'
import type { Due } from './due-wheel.ts'

class Item implements Due {
  readonly name: number
  deadline = 0
  tick = -1
  place = 0

  constructor(name: number) {
    this.name = name
  }
}

const step = fc.oneof(
  fc.record({ type: fc.constant('add' as const), item: fc.nat(9), inMs: fc.nat(900) }),
  fc.record({ type: fc.constant('remove' as const), item: fc.nat(9) }),
  fc.record({
    type: fc.constant('take' as const),
    afterMs: fc.constantFrom(0, 50, 100, 350, 2000),
  }),
)

// Goal: items come when they are due, however they were added, moved and removed. Method: beside a table of their buckets.
test('what was added and not removed is taken once, when it is due', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const wheel = new DueWheel<Item>(0)
      const items = Array.from({ length: 10 }, (_, name) => new Item(name))
      const buckets = new Map<Item, number>()
      let now = 0
      let next = 0
      for (const each of steps) {
        if (each.type === 'take') {
          now += each.afterMs
          const due = [...buckets].flatMap(([item, tick]) => (tick * 100 <= now ? [item] : []))
          for (const item of due) buckets.delete(item)
          next = Math.floor(now / 100) + 1

          const taken = wheel.take(now)

          expect(new Set(taken)).toEqual(new Set(due))
          expect(taken).toHaveLength(due.length)
        } else {
          const item = items[each.item]
          if (item === undefined) throw new Error('no such item')
          if (each.type === 'add') {
            item.deadline = now + each.inMs
            wheel.add(item)
            buckets.set(item, Math.max(next, Math.ceil(item.deadline / 100)))
          } else {
            wheel.remove(item)
            buckets.delete(item)
          }
        }
        expect(wheel.size).toBe(buckets.size)
      }
    }),
  )
})
