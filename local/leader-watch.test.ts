import { expect, test } from 'vitest'
import { createManualTime } from '../operator/manual-time.ts'
import { LeaderWatch } from './leader-watch.ts'
import type { LeaderFacts } from './leader-watch.ts'

const STEP_MS = 10

/** Members that answer what the test says, and a watch on them. */
class Watched {
  readonly #time = createManualTime()
  readonly answers = new Map<string, LeaderFacts | null | 'silent'>()
  readonly asked: string[] = []
  readonly leaders: (string | null)[] = []
  readonly watch: LeaderWatch

  constructor() {
    this.watch = new LeaderWatch({
      timers: this.#time.timers,
      members: () => [...this.answers.keys()],
      ask: (member) => {
        this.asked.push(member)
        const answer = this.answers.get(member) ?? null
        return answer === 'silent' ? new Promise(() => undefined) : Promise.resolve(answer)
      },
      onLeader: (leader) => this.leaders.push(leader),
    })
  }

  /** Lets time go by with everything that follows from it. */
  async pass(ms: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      this.#time.advance(STEP_MS)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

const FOLLOWS: LeaderFacts = { role: 'follower', term: 1, isReady: true }

function leads(term: number, isReady = true): LeaderFacts {
  return { role: 'leader', term, isReady }
}

function threeMembers(): Watched {
  const watched = new Watched()
  watched.answers.set('a', leads(1))
  watched.answers.set('b', FOLLOWS)
  watched.answers.set('c', FOLLOWS)
  return watched
}

test('the leader is found, and then it alone is asked', async () => {
  const watched = threeMembers()
  watched.watch.start()
  await watched.pass(0)
  watched.asked.length = 0

  await watched.pass(500)

  expect(watched.leaders).toEqual(['a'])
  expect(new Set(watched.asked)).toEqual(new Set(['a']))
})

test('a hand-over is seen with the next look', async () => {
  const watched = threeMembers()
  watched.watch.start()
  await watched.pass(0)

  watched.answers.set('a', FOLLOWS)
  watched.answers.set('b', leads(2))
  await watched.pass(100)

  expect(watched.leaders).toEqual(['a', 'b'])
})

test('nobody leads until one is ready, and it is asked for in a hurry', async () => {
  const watched = threeMembers()
  watched.watch.start()
  await watched.pass(0)
  watched.answers.delete('a')

  watched.answers.set('b', leads(2, false))
  watched.watch.hurry()
  await watched.pass(0)
  watched.answers.set('b', leads(2))
  await watched.pass(30)

  expect(watched.leaders).toEqual(['a', null, 'b'])
})

test('of two that say so the one of the newer term leads, and an older one never again', async () => {
  const watched = threeMembers()
  watched.answers.set('b', leads(3))
  watched.watch.start()
  await watched.pass(0)

  watched.answers.set('b', FOLLOWS)
  await watched.pass(100)

  expect(watched.leaders).toEqual(['b', null])
})

test('a leader that does not answer does not hide its successor', async () => {
  const watched = threeMembers()
  watched.watch.start()
  await watched.pass(0)

  watched.answers.set('a', 'silent')
  watched.answers.set('b', leads(2))
  await watched.pass(1_000)

  expect(watched.leaders).toEqual(['a', 'b'])
})
