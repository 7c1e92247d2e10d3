/** Thresholds of cold-data flow control: 2001, 2002, 2003. */
import { parseJavaProperties } from '../../common/java-properties.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { answer, success } from '../processors/answers.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { Processor } from '../../remoting/connection.ts'
import type { ColdDataControl } from './cold-data-control.ts'

export function coldDataProcessors(control: ColdDataControl): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [
      RequestCode.UPDATE_COLD_DATA_FLOW_CTR_CONFIG,
      (request) => request.respond(updateThresholds(control, request.command.body)),
    ],
    [
      RequestCode.REMOVE_COLD_DATA_FLOW_CTR_CONFIG,
      (request) => {
        control.removeThreshold(request.command.body.toString())
        request.respond(success())
      },
    ],
    [
      RequestCode.GET_COLD_DATA_FLOW_CTR_INFO,
      (request) => request.respond(success(undefined, Buffer.from(JSON.stringify(control.info())))),
    ],
  ])
}

/** Lines `group=bytes`, all or none. */
function updateThresholds(control: ColdDataControl, body: Buffer): ResponseContent {
  const entries = parseJavaProperties(body.toString())
  for (const { key, value } of entries) {
    if (!/^\d{1,15}$/.test(value.trim())) {
      const remark = `the threshold of ${key} is not a number of bytes: ${value.slice(0, 64)}`
      return answer(ResponseCode.INVALID_PARAMETER, remark)
    }
  }
  for (const { key, value } of entries) {
    if (!control.setThreshold(key, Number(value))) {
      return answer(ResponseCode.SYSTEM_ERROR, 'too many groups have a threshold of their own')
    }
  }
  return success()
}
