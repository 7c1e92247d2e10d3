import { expect, test } from 'vitest'
import { notSupportedRemark } from './not-supported.ts'
import { RequestCode } from './request-code.ts'

test('a code that nobody knows is refused in the words of RocketMQ', () => {
  expect(notSupportedRemark(4711)).toBe(' request type 4711 not supported')
})

test('what Gantry does by other means is refused with a sentence that says how', () => {
  expect(notSupportedRemark(RequestCode.GET_CONTROLLER_CONFIG)).toBe(
    ' request type 1010 not supported: a broker group has no controller, its members elect their leader; ask a broker for its state',
  )
})
