import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { javaHashCode } from '../common/bytes.ts'
import { parseProperties } from '../common/properties.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { parseTagExpression, tagFilter } from './filter.ts'
import { groupProblem, isForbiddenForClients, isSystemTopic, topicProblem } from './names.ts'
import { dropProperty, propertyPair, scanProperties } from './processors/send-properties.ts'
import { BrokerStats, SAMPLE_MS } from './stats.ts'
import { alterAttributes } from './topic-attributes.ts'

describe('names', () => {
  test.each([
    ['', 'The specified topic is blank.'],
    [
      '../x',
      'The specified topic: ../x, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$',
    ],
    [
      'a'.repeat(128),
      `The specified topic: ${'a'.repeat(128)}, is longer than topic max length: 127`,
    ],
    ['a'.repeat(127), null],
    [`%RETRY%${'g'.repeat(120)}`, null],
    [
      'a\u0000b',
      'The specified topic: a\u0000b, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$',
    ],
  ])('the topic %j is judged as RocketMQ does', (topic, problem) => {
    expect(topicProblem(topic)).toBe(problem)
  })

  test('a name that passes holds nothing that could lead out of a folder', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (name) => {
        const isBad = /[^%|a-zA-Z0-9_-]/.test(name) || name.length === 0
        return !isBad || (topicProblem(name) !== null && groupProblem(name) !== null)
      }),
    )
  })

  test('system topics are known, and clients may send into some of them', () => {
    expect(isSystemTopic('rmq_sys_anything')).toBe(true)
    expect(isForbiddenForClients('SCHEDULE_TOPIC_XXXX')).toBe(true)
    expect(isForbiddenForClients('RMQ_SYS_TRACE_TOPIC')).toBe(false)
  })
})

describe('tag expressions', () => {
  test.each([null, '', ' * ', '*'])('%j selects everything', (expression) => {
    expect(parseTagExpression(expression)?.codes).toEqual([])
  })

  test('alternatives are split and trimmed', () => {
    const selection = parseTagExpression(' A ||B|| ')

    expect(selection?.tags).toEqual(['A', 'B'])
    expect(selection?.codes).toEqual([javaHashCode('A'), javaHashCode('B')])
  })

  test('an expression without a tag is none', () => {
    expect(parseTagExpression('||')).toBeNull()
  })

  test('the filter passes the tags of the expression only', () => {
    const filter = tagFilter('A', [javaHashCode('A')])

    expect(filter?.matchesTagsCode(javaHashCode('A'))).toBe(true)
    expect(filter?.matchesTagsCode(0)).toBe(false)
    expect(tagFilter('*', [])).toBeNull()
  })
})

describe('properties of a send', () => {
  const pairs = (...list: readonly (readonly [string, string])[]) =>
    list.map(([name, value]) => propertyPair(name, value)).join('')

  test('what the broker itself sets is dropped, the rest stays in order', () => {
    const text = pairs(
      ['CLUSTER', 'x'],
      ['TAGS', 'a'],
      ['POP_CK', '1 2'],
      ['MSG_REGION', 'r'],
      ['k', 'v'],
    )

    expect(scanProperties(text).kept).toBe(pairs(['TAGS', 'a'], ['k', 'v']))
  })

  test('a text without its last separator is completed', () => {
    expect(scanProperties('TAGS\u0001a').kept).toBe(pairs(['TAGS', 'a']))
  })

  test.each([
    [['DELAY', '3'], true],
    [['DELAY', '0'], false],
    [['TIMER_DELAY_SEC', '3'], true],
    [['TIMER_DELAY_MS', '3'], true],
    [['TIMER_DELIVER_MS', '3'], true],
    [['MY_DELAY', '3'], false],
  ] as const)('%j asks for a delay: %s', (pair, asksForDelay) => {
    expect(scanProperties(pairs(pair)).asksForDelay).toBe(asksForDelay)
  })

  test.each([
    [['TRAN_MSG', 'true'], true],
    [['TRAN_MSG', 'TRUE'], true],
    [['TRAN_MSG', 'false'], false],
    [['MY_TRAN_MSG', 'true'], false],
  ] as const)('%j is transactional: %s', (pair, isTransactional) => {
    expect(scanProperties(pairs(pair))).toMatchObject({ isTransactional })
  })

  test('any text is scanned without a failure, and what is kept means the same', () => {
    const unit = fc.constantFrom('A', 'k', '\u0001', '\u0002')
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 40 }), (text) => {
        const before = parseProperties(text)
        const after = parseProperties(scanProperties(text).kept)
        expect(after).toEqual(before)
      }),
    )
  })

  test('one property is dropped by its whole name', () => {
    const text = pairs(['MY_DELAY', '1'], ['DELAY', '2'], ['k', 'v'])

    expect(dropProperty(text, 'DELAY')).toBe(pairs(['MY_DELAY', '1'], ['k', 'v']))
    expect(dropProperty(text, 'none')).toBe(text)
  })
})

describe('topic attributes', () => {
  test('a new topic takes additions', () => {
    expect(alterAttributes(null, '+message.type=FIFO')).toEqual({
      attributes: new Map([['message.type', 'FIFO']]),
    })
  })

  test.each([
    [null, '-message.type', 'only add attribute is supported while creating topic'],
    [null, '+x=y', 'unsupported key: x'],
    [null, '+message.type=ODD', 'value is not in set'],
    [null, 'message.type=FIFO', 'kv string format wrong'],
    [null, '+message.type=FIFO,+message.type=NORMAL', 'key duplication'],
    [null, '+cleanup.policy=COMPACTION', 'not implemented in this release'],
    [new Map([['queue.type', 'BatchCQ']]), '+queue.type=SimpleCQ', 'unchangeable attribute'],
    [new Map<string, string>(), '-message.type', 'nonexistent key'],
  ])('%j with %j is refused', (current, change, sentence) => {
    expect(alterAttributes(current, change)).toEqual({ problem: expect.stringContaining(sentence) })
  })

  test('a change sets and removes', () => {
    const current = new Map([
      ['message.type', 'FIFO'],
      ['reserve.time', '5'],
    ])

    const altered = alterAttributes(current, '+message.type=NORMAL,-reserve.time')

    expect(altered).toEqual({ attributes: new Map([['message.type', 'NORMAL']]) })
  })
})

describe('statistics', () => {
  test('a window holds what was counted in it', async () => {
    const time = new SimulatedTime()
    const stats = new BrokerStats(time)
    stats.add('TOPIC_PUT_NUMS', 'T', 60, 1)
    for (let count = 0; count < 6; count++) {
      await time.advance(SAMPLE_MS)
      Array.from(stats.sample())
    }
    expect(stats.view('TOPIC_PUT_NUMS', 'T')?.minute).toEqual({ sum: 60, tps: 1, avgpt: 60 })

    await time.advance(SAMPLE_MS)
    Array.from(stats.sample())

    expect(stats.tps('TOPIC_PUT_NUMS', 'T')).toBe(0)
    expect(stats.view('TOPIC_PUT_NUMS', 'T')?.hour.sum).toBe(60)
    expect(stats.view('TOPIC_PUT_NUMS', 'U')).toBeNull()
  })

  test('totals of the day move at midnight', async () => {
    const time = new SimulatedTime(new Date(2026, 0, 1, 23, 59, 55).getTime())
    const stats = new BrokerStats(time)
    stats.putTotal = 5
    await time.advance(SAMPLE_MS)

    Array.from(stats.sample())

    expect(stats.daily).toMatchObject({ putTodayMorning: 5, putYesterdayMorning: 0 })
  })
})
