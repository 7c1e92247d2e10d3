import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { NAMESRV_SCHEMA, NamesrvSettings, loadNamesrvConfig } from './config.ts'
import type { NamesrvValues } from './config.ts'

function values(): NamesrvValues {
  return loadNamesrvConfig({ file: null, environment: {}, flags: [], homeDirectory: '/home/u' })
    .values
}

test('flags are stronger than the environment, and that is stronger than the file', () => {
  const loaded = loadNamesrvConfig({
    file: {
      path: 'n.conf',
      content: 'listenPort=1\nscanNotActiveBrokerInterval=101\nenableTopicList=false',
    },
    environment: {
      GANTRY_CONFIG_listenPort: '2',
      GANTRY_CONFIG_scanNotActiveBrokerInterval: '102',
      HOME: '/',
    },
    flags: ['listenPort=3'],
    homeDirectory: '/home/u',
  })

  expect(loaded.values).toMatchObject({
    listenPort: 3,
    scanNotActiveBrokerInterval: 102,
    enableTopicList: false,
    kvConfigPath: '/home/u/namesrv/kvConfig.json',
  })
})

test('a live key takes effect and is shown', () => {
  const settings = new NamesrvSettings(values())

  const result = settings.update('orderMessageEnable=true\nnobodyKnows=1\n')

  expect(result).toEqual({
    type: 'updated',
    changed: ['orderMessageEnable'],
    ignored: ['nobodyKnows'],
  })
  expect(settings.values.orderMessageEnable).toBe(true)
  expect(settings.format()).toContain('orderMessageEnable=true\n')
})

test.for(['kvConfigPath', 'configStorePath', 'rocketmqHome', 'configBlackList'])(
  '%s is refused with the remark of RocketMQ, and the rest of the request with it',
  (key) => {
    const settings = new NamesrvSettings(values())

    const result = settings.update(`orderMessageEnable=true\n${key}=/tmp/x`)

    expect(result).toEqual({ type: 'denied', remark: 'Can not update config in black list.' })
    expect(settings.values).toEqual(values())
  },
)

test('a key that only the start reads, or a bad value, changes nothing', () => {
  const settings = new NamesrvSettings(values())

  const fixed = settings.update('listenPort=1')
  const bad = settings.update('enableTopicList=false\nwaitSecondsForService=soon')

  expect(fixed.type).toBe('denied')
  expect(bad).toEqual({
    type: 'invalid',
    remark: "update: waitSecondsForService: 'soon' is not a whole number",
  })
  expect(settings.values).toEqual(values())
})

test('nothing outside the live keys ever changes, whatever keys are sent', () => {
  const fixed = Object.entries(NAMESRV_SCHEMA)
    .filter(([, key]) => key.live !== true)
    .map(([name]) => name)
  const name = fc.oneof(
    fc.string({ maxLength: 20 }),
    fc.constantFrom(...Object.keys(NAMESRV_SCHEMA), 'constructor', '__proto__'),
  )
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, fc.string({ maxLength: 20 })), { maxLength: 5 }),
      (pairs) => {
        const settings = new NamesrvSettings(values())

        settings.update(pairs.map(([key, value]) => `${key}=${value}`).join('\n'))

        const pick = (from: NamesrvValues) =>
          Object.entries(from).filter(([key]) => fixed.includes(key))
        expect(pick(settings.values)).toEqual(pick(values()))
      },
    ),
    { numRuns: 2000 },
  )
})
