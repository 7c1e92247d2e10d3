import { expect, test } from 'vitest'
import {
  ConfigError,
  choice,
  decimal,
  fileSource,
  flag,
  flagSource,
  integer,
  loadConfig,
  text,
} from './config.ts'
import { formatJavaProperties, parseJavaProperties } from './java-properties.ts'

const schema = {
  brokerName: text('broker-a', { description: 'Name of the broker group.' }),
  listenPort: integer(10911, { description: 'Port.', min: 1, max: 65535 }),
  diskMaxUsedSpaceRatio: decimal(75, { description: 'Ratio.', unit: '%' }),
  autoCreateTopicEnable: flag(true, { description: 'Whether.' }),
  flushDiskType: choice('ASYNC_FLUSH', ['ASYNC_FLUSH', 'SYNC_FLUSH'], { description: 'When.' }),
}

test('later sources win and every value has its own type', () => {
  const loaded = loadConfig({
    schema,
    sources: [
      fileSource('broker.conf', 'brokerName = b1\nlistenPort=1\nflushDiskType=SYNC_FLUSH\n'),
      flagSource(['listenPort=20911', 'autoCreateTopicEnable=false']),
    ],
  })

  expect(loaded.values).toEqual({
    brokerName: 'b1',
    listenPort: 20911,
    diskMaxUsedSpaceRatio: 75,
    autoCreateTopicEnable: false,
    flushDiskType: 'SYNC_FLUSH',
  })
})

test('a bad value names file, line, key and what is wrong', () => {
  const load = () =>
    loadConfig({ schema, sources: [fileSource('/etc/broker.conf', '# c\nlistenPort=70000')] })

  expect(load).toThrow(
    new ConfigError('badValue', '/etc/broker.conf:2: listenPort: 70000 is outside 1 to 65535'),
  )
})

test('a misspelt key is a warning with the nearest name, one of RocketMQ alone is listed as ignored', () => {
  const loaded = loadConfig({
    schema,
    rocketmqKeys: new Set(['useEpollNativeSelector']),
    sources: [
      fileSource('broker.conf', 'autoCreateTopicEnabled=true\nuseEpollNativeSelector=true\n'),
    ],
  })

  expect(loaded.ignored).toEqual(['useEpollNativeSelector'])
  expect(loaded.warnings).toEqual([
    'broker.conf:1: unknown key autoCreateTopicEnabled; did you mean autoCreateTopicEnable?',
  ])
})

test('a strict file refuses an unknown key', () => {
  const load = () => loadConfig({ schema, strict: true, sources: [flagSource(['listenPorts=1'])] })

  expect(load).toThrow('flag -p: unknown key listenPorts; did you mean listenPort?')
})

test('keys of Object.prototype are not keys of the schema', () => {
  const loaded = loadConfig({
    schema,
    sources: [fileSource('f', '__proto__=1\nconstructor=2\nhasOwnProperty=3')],
  })

  expect(loaded.warnings).toHaveLength(3)
})

test('Java Properties: comments, separators, escapes and continued lines', () => {
  const entries = parseJavaProperties(
    '# comment\n! other\n\na=1\nb : 2\nc 3\nlist = x,\\\n   y\npath=C:\\\\d\\t\\u0041\nempty=\nkey\\=x=v',
  )

  expect(entries.map(({ key, value, line }) => [key, value, line])).toEqual([
    ['a', '1', 4],
    ['b', '2', 5],
    ['c', '3', 6],
    ['list', 'x,y', 7],
    ['path', 'C:\\d\tA', 9],
    ['empty', '', 10],
    ['key=x', 'v', 11],
  ])
})

test('formatted properties are read back as they were', () => {
  const entries: [string, string][] = [
    ['a b', ' leading and \\ back'],
    ['k=1', 'line\nbreak\ttab'],
  ]

  const back = parseJavaProperties(formatJavaProperties(entries))

  expect(back.map(({ key, value }) => [key, value])).toEqual(entries)
})
