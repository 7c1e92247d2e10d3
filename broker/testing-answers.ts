/** Requests and what a broker answers to them, for tables of bad input. */
import { RemotingError } from '../remoting/errors.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import type { FakeConnection } from './testing.ts'
import type { BrokerWorld } from './testing-world.ts'

export interface Call {
  readonly code: number
  readonly extFields: Readonly<Record<string, string>>
  readonly body?: Buffer
  readonly connection?: FakeConnection
}

export interface Answer {
  readonly code: number
  readonly remark: string
}

/** What is asked, the request, the code, and what the remark says. */
export type Row = readonly [name: string, call: Call, code: number, remark?: string]

/** The answer, or that of the dispatcher for a header that cannot be read; a held request is not answered at all. */
export async function answerOf(world: BrokerWorld, call: Call): Promise<Answer> {
  try {
    const { response } = await world.call(call)
    return { code: response?.code ?? -1, remark: response?.remark ?? '' }
  } catch (error) {
    if (!(error instanceof RemotingError)) throw error
    return { code: ResponseCode.SYSTEM_ERROR, remark: error.message }
  }
}

/** The same request without a field. */
export function without(call: Call, name: string): Call {
  const extFields = Object.entries(call.extFields).filter(([field]) => field !== name)
  return { ...call, extFields: Object.fromEntries(extFields) }
}

/** One row for each field that a request must have: the answer names it. */
export function withoutEach(call: Call, names: readonly string[]): readonly Row[] {
  return names.map((name) => [
    `${call.code}: no ${name}`,
    without(call, name),
    ResponseCode.SYSTEM_ERROR,
    `the custom field <${name}> is null`,
  ])
}
