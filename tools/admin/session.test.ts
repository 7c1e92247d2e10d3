import { expect, test } from 'vitest'
import { createRuntime } from '../../common/runtime.ts'
import { LegacyFlags, repeat } from './legacy-command.ts'
import { Session } from './session.ts'

/** A session whose time passes when somebody waits; interrupted once so much of it has. */
function sessionUntil(endMs: number) {
  let elapsedMs = 0
  const runtime = createRuntime()
  const session = new Session({
    runtime: {
      ...runtime,
      clock: { now: () => elapsedMs, monotonic: () => elapsedMs },
      timers: {
        ...runtime.timers,
        after: (delayMs, callback) => {
          elapsedMs += delayMs
          callback()
          return { cancel: () => undefined }
        },
      },
    },
    nameServers: [],
    timeoutMs: 1000,
    credentials: null,
    print: () => undefined,
    warn: () => undefined,
    confirm: null,
    isInterrupted: () => elapsedMs >= endMs,
  })
  return session
}

test('who waits is awake again in time, and a moment after an interrupt', async () => {
  await using session = sessionUntil(5000)

  await session.pause(1234)
  const awakeAt = session.now
  await session.pause(60_000)

  expect([awakeAt, session.now]).toEqual([1234, 5034])
})

test.each([
  ['2', [0, 2000, 4000]],
  [null, [0]],
])('with -i %s a command runs at %j', async (interval, times) => {
  await using session = sessionUntil(5000)
  const flags = new LegacyFlags(new Map(interval === null ? [] : [['i', interval]]))
  const ran: number[] = []

  await repeat(session, flags, () => {
    ran.push(session.now)
    return Promise.resolve()
  })

  expect(ran).toEqual(times)
})

test('an interval that is none is refused', async () => {
  await using session = sessionUntil(0)
  const flags = new LegacyFlags(new Map([['i', '0']]))

  await expect(repeat(session, flags, () => Promise.resolve())).rejects.toThrow('-i is no number')
})
