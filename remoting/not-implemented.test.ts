import { expect, test } from 'vitest'
import { NOT_IMPLEMENTED, notSupportedRemark } from './not-implemented.ts'
import { RequestCode } from './request-code.ts'

test('no code stands in the list twice', () => {
  expect(new Set(NOT_IMPLEMENTED).size).toBe(NOT_IMPLEMENTED.length)
})

test('the remark begins as RocketMQ says it, and tells what is planned from what nobody knows', () => {
  expect(notSupportedRemark(4711)).toBe(' request type 4711 not supported')
  expect(notSupportedRemark(RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN)).toBe(
    ' request type 353 not supported: UPDATE_AND_GET_GROUP_FORBIDDEN is not implemented in this release of Gantry',
  )
})

test('what Gantry does by other means is refused with a sentence that says how', () => {
  expect(notSupportedRemark(RequestCode.GET_CONTROLLER_CONFIG)).toBe(
    ' request type 1010 not supported: a broker group has no controller, its members elect their leader; ask a broker for its state',
  )
})
