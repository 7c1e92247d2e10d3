import { expect, test } from 'vitest'
import { RequestCode } from '../remoting/request-code.ts'
import { RunningRequests } from './running-requests.ts'
import { FakeRequest } from './testing.ts'
import type { Processor } from '../remoting/connection.ts'

const { END_TRANSACTION, GET_ALL_TOPIC_CONFIG, HEART_BEAT, PULL_MESSAGE } = RequestCode

test('a request runs under the name of its processor until it ends, also when it fails', async () => {
  const ends: ((error: Error) => void)[] = []
  const processor = () => new Promise<void>((_, reject) => ends.push(reject))
  const codes = [END_TRANSACTION, GET_ALL_TOPIC_CONFIG]
  const processors = new Map<number, Processor>(codes.map((code) => [code, processor]))
  const requests = new RunningRequests(processors, new Set())
  const running = codes.map(async (code) => processors.get(code)?.(new FakeRequest({ code })))
  const before = new Map(requests.counts)

  for (const end of ends) end(new Error('no'))
  const ended = await Promise.allSettled(running)

  expect([before.get('transaction'), before.get('admin')]).toEqual([1, 1])
  expect(ended.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect([...requests.counts.values()].every((count) => count === 0)).toBe(true)
})

test('what is answered at once, and what others count, does not run', () => {
  const pull = () => new Promise<void>(() => undefined)
  const processors = new Map<number, Processor>([
    [HEART_BEAT, () => undefined],
    [PULL_MESSAGE, pull],
  ])
  const requests = new RunningRequests(processors, new Set([PULL_MESSAGE]))

  void processors.get(HEART_BEAT)?.(new FakeRequest({ code: HEART_BEAT }))

  expect(requests.counts.get('heartbeat')).toBe(0)
  expect(processors.get(PULL_MESSAGE)).toBe(pull)
})
