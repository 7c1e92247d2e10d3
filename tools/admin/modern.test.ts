import { expect, test } from 'vitest'
import { ClientError } from '../../client/errors.ts'
import { ExitCode } from '../../common/errors.ts'
import { subscriptionGroupConfig } from '../../remoting/bodies/subscription-group-config.ts'
import { topicConfig } from '../../remoting/bodies/topic-config.ts'
import { RemotingError } from '../../remoting/errors.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { Progress } from './modern.ts'
import { withoutSecrets } from './modern/debug.ts'
import { formatDefinitions, parseDefinitions } from './modern/definition-file.ts'
import { exitCodeOf } from './program.ts'
import { AdminError } from './session.ts'

const DEFINITIONS = {
  topics: [topicConfig('Orders', { attributes: new Map([['message.type', 'FIFO']]) })],
  groups: [subscriptionGroupConfig('readers', { retryMaxTimes: 3 })],
  users: [{ username: 'app', userType: 'Normal', userStatus: 'disable' }],
  permissions: [
    {
      ...{ user: 'app', policyType: 'Custom', resource: 'Topic:Orders', decision: 'Allow' },
      ...{ actions: ['Pub'], sourceIps: ['10.0.0.0/8'] },
    },
  ],
  offsets: [{ group: 'readers', topic: 'Orders', brokerName: 'b', queueId: 2, queueOffset: 7 }],
} as const

test.each(['json', 'yaml'] as const)('definitions in %s are read back as they were', (format) => {
  expect(parseDefinitions(formatDefinitions(DEFINITIONS, format))).toEqual(DEFINITIONS)
})

test.each([
  ['version: 2', 'version: only 1 is known'],
  ['[', 'neither JSON nor YAML'],
  ['text', 'definitions'],
  ['{"version":1,"topics":[{"perm":6}]}', 'topicName'],
  ['{"version":1,"users":[{"username":"a","password":"p"}]}', 'does not belong here'],
  ['{"version":1,"users":[{"username":"a","userType":"Boss"}]}', 'none of Super, Normal'],
])('definitions like %s are refused', (text, problem) => {
  expect(() => parseDefinitions(text)).toThrow(problem)
})

test('a file of topics alone has no users, permissions and offsets', () => {
  const { topics, users, permissions, offsets } = parseDefinitions(
    '{"version":1,"topics":[{"topicName":"Orders"}]}',
  )

  expect(topics.map(({ topicName }) => topicName)).toEqual(['Orders'])
  expect([users, permissions, offsets]).toEqual([[], [], []])
})

test('values that may be secrets are not in a bundle', () => {
  const config = new Map([
    ['tlsServerKeyPassword', 'x'],
    ['brokerName', 'b'],
  ])

  expect(withoutSecrets(config)).toEqual({ tlsServerKeyPassword: '(left out)', brokerName: 'b' })
})

const rejected = (responseCode: number) => new ClientError('rejected', '', { responseCode })

test.each([
  [new AdminError('usage', ''), ExitCode.USAGE],
  [new AdminError('notFound', ''), ExitCode.NOT_FOUND],
  [new RemotingError('timeout', ''), ExitCode.TIMED_OUT],
  [new RemotingError('connectFailed', ''), ExitCode.UNAVAILABLE],
  [new ClientError('noNameServer', ''), ExitCode.UNAVAILABLE],
  [rejected(ResponseCode.NO_PERMISSION), ExitCode.DENIED],
  [rejected(ResponseCode.TOPIC_NOT_EXIST), ExitCode.NOT_FOUND],
  [rejected(ResponseCode.SYSTEM_ERROR), ExitCode.FAILED],
  [new Error('?'), ExitCode.FAILED],
])('%o ends with its exit code', (error, code) => {
  expect(exitCodeOf(error)).toBe(code)
})

/** What a progress line shows of three of ten steps, each after so many milliseconds. */
function shownProgress(isTTY: boolean, times: readonly number[]): readonly string[] {
  const shown: string[] = []
  const time = { now: 5000 }
  const write = (text: Uint8Array | string): boolean => shown.push(String(text)) > 0
  const progress = new Progress(time, 'import', { isTTY, write })
  for (const ms of times) {
    time.now = 5000 + ms
    progress.at(3, 10)
  }
  progress.end()
  return shown
}

test('progress is shown after a second, five times a second, and taken away at the end', () => {
  const bar = '\r\u001b[Kimport [######..............] 3/10'

  expect(shownProgress(true, [0, 999])).toEqual([])
  expect(shownProgress(true, [999, 1000, 1199, 1200])).toEqual([bar, bar, '\r\u001b[K'])
})

test('where nobody watches no progress is shown', () => {
  expect(shownProgress(false, [1000, 2000])).toEqual([])
})
