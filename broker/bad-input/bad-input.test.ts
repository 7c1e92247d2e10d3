/**
 * Each field of requests at its bounds and past them: the code is the one that RocketMQ's broker answered (`testdata/answers-5.5.0.txt`, written
 * by `e2e/bad-input.test.ts`) or the row says why not, and the remark names the field or the value.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { decodeOffsetMessageId } from '../../common/message-id.ts'
import { RemotingError } from '../../remoting/errors.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { FakeConnection } from '../testing.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { BrokerWorld } from '../testing-world.ts'
import { ADMINISTRATORS } from './testing-admin.ts'
import { CLIENTS } from './testing-clients.ts'
import { DIFFERENCES } from './testing-differences.ts'
import { parseGolden } from './testing-golden.ts'
import type { Answer } from './testing-golden.ts'
import { MESSAGES } from './testing-messages.ts'
import { STRICT, nameOf } from './testing-rows.ts'
import type { Asking, Suite } from './testing-rows.ts'

const SUITES = [MESSAGES, CLIENTS, ADMINISTRATORS]
const GOLDEN = parseGolden(
  readFileSync(new URL('testdata/answers-5.5.0.txt', import.meta.url), 'utf8'),
)

/** A broker that has what the suite's requests are about. */
class Asked {
  readonly #world: BrokerWorld
  #place = ''

  private constructor(world: BrokerWorld) {
    this.#world = world
  }

  static async by(suite: Suite): Promise<Asked> {
    const world = await createBrokerWorld({ ...STRICT, ...suite.keys })
    for (const service of world.processors.leaderServices) service.startLeading()
    await world.time.settle()
    const asked = new Asked(world)
    for (const call of suite.setup) {
      const connection = new FakeConnection(call.version ?? 1)
      const request = await world.call({ ...call, connection })
      assert.equal(request.response?.code, ResponseCode.SUCCESS)
      const id = decodeOffsetMessageId(request.field('msgId') ?? '')
      if (id !== null) asked.#place = String(id.physicalOffset)
    }
    return asked
  }

  /** The answer, or that of the dispatcher for a header that cannot be read; a held request is not answered at all. */
  async answerTo(asking: Asking): Promise<Answer> {
    try {
      const call = typeof asking === 'function' ? asking(this.#place) : asking
      const { response } = await this.#world.call(call)
      return { code: response?.code ?? -1, remark: response?.remark ?? '' }
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error
      return { code: ResponseCode.SYSTEM_ERROR, remark: error.message }
    }
  }
}

describe.each(SUITES)('$name', (suite) => {
  let asked: Asked

  beforeAll(async () => {
    asked = await Asked.by(suite)
  })

  describe.each(suite.tables)('%s', (_, rows) => {
    test.for(rows)('with %s', async ([, asking, code, remark = '']) => {
      const answered = await asked.answerTo(asking)

      expect(answered).toEqual({ code, remark: expect.stringContaining(remark) })
    })
  })
})

// Both ways: what differs has a reason, and what has a reason differs.
test("each code is RocketMQ's, or the reason is on record", () => {
  const codes = SUITES.flatMap(({ name, tables }) =>
    tables.flatMap(([table, rows]) =>
      rows.map(([row, , code]) => [nameOf(name, table, row), code] as const),
    ),
  )

  const different = codes.filter(([name, code]) => GOLDEN.get(name) !== code).map(([name]) => name)

  expect(codes.map(([name]) => name)).toEqual([...GOLDEN.keys()])
  expect(different.toSorted()).toEqual(DIFFERENCES.flatMap(([, rows]) => rows).toSorted())
})
