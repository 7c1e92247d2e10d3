import fc from 'fast-check'
import { expect, test } from 'vitest'
import { NO_BLOCK, UNITS_PER_BLOCK, UnitPool } from './unit-pool.ts'

const BLOCK_SIZE = UNITS_PER_BLOCK * 20

interface Chain {
  first: number
  last: number
  readonly names: number[]
}

function blocksOf(pool: UnitPool, chain: Chain): number[] {
  const blocks: number[] = []
  for (let block = chain.first; block !== NO_BLOCK; block = pool.next(block)) blocks.push(block)
  return blocks
}

// Goal: chains never share a block, and blocks that were given up are used again.
// Method: random histories over a few chains; every block carries a name of its own, which must still be there at the end.
test('chains keep their blocks apart, whatever is appended, cut and given up', () => {
  const step = fc.record({
    chain: fc.nat(4),
    type: fc.constantFrom('append', 'append', 'append', 'append', 'cut', 'release'),
    at: fc.nat(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const pool = new UnitPool()
      const chains: Chain[] = Array.from({ length: 5 }, () => ({
        first: NO_BLOCK,
        last: NO_BLOCK,
        names: [],
      }))
      let name = 0
      let most = 0
      for (const { chain: index, type, at } of steps) {
        const chain = chains[index]
        if (chain === undefined) continue
        if (type === 'append') {
          chain.last = pool.append(chain.last)
          if (chain.first === NO_BLOCK) chain.first = chain.last
          pool.slabOf(chain.last).writeInt32BE(name, pool.positionOf(chain.last))
          chain.names.push(name++)
        } else if (type === 'release') {
          pool.release(chain.first)
          chain.first = NO_BLOCK
          chain.last = NO_BLOCK
          chain.names.length = 0
        } else if (chain.names.length > 0) {
          const kept = at % chain.names.length
          chain.last = blocksOf(pool, chain)[kept] ?? NO_BLOCK
          pool.cutAfter(chain.last)
          chain.names.length = kept + 1
        }
        most = Math.max(most, pool.usedBytes)

        const all = chains.flatMap((each) => blocksOf(pool, each))
        expect(new Set(all).size).toBe(all.length)
        expect(pool.usedBytes).toBe(all.length * BLOCK_SIZE)
        // No block was made while a free one was there.
        expect(Math.max(-1, ...all)).toBeLessThan(4096 + most / BLOCK_SIZE)
      }
      for (const chain of chains) {
        const names = blocksOf(pool, chain).map((block) =>
          pool.slabOf(block).readInt32BE(pool.positionOf(block)),
        )
        expect(names).toEqual(chain.names)
      }
    }),
  )
})

test('grows by slabs and keeps what the earlier ones hold', () => {
  const pool = new UnitPool()
  let last = NO_BLOCK
  let first = NO_BLOCK
  for (let count = 0; count < 10_000; count++) {
    last = pool.append(last)
    if (first === NO_BLOCK) first = last
    pool.slabOf(last).writeInt32BE(count, pool.positionOf(last))
  }

  let block = first
  for (let count = 0; count < 10_000; count++) {
    expect(pool.slabOf(block).readInt32BE(pool.positionOf(block))).toBe(count)
    block = pool.next(block)
  }

  expect(block).toBe(NO_BLOCK)
  pool.release(first)
  expect(pool.usedBytes).toBe(0)
})
