/** END_TRANSACTION (37) and RESUME_CHECK_HALF_MESSAGE (323). */
import { decodeOffsetMessageId } from '../../common/message-id.ts'
import { MessageSysFlag } from '../../common/message.ts'
import {
  optionalBoolean,
  requireInt,
  requireLong,
  requireString,
} from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { answer, success } from '../processors/answers.ts'
import { resumedMessageOf } from './half-message.ts'
import { putAnswer, putMessage } from './store-access.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { BrokerParts } from '../parts.ts'
import type { Transactions } from './transactions.ts'

/** The processors of this family by code. */
export function transactionProcessors(
  parts: Pick<BrokerParts, 'store' | 'logger'>,
  transactions: Transactions,
): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [
      RequestCode.END_TRANSACTION,
      async (request) => request.respond(await endTransaction(transactions, request)),
    ],
    [
      RequestCode.RESUME_CHECK_HALF_MESSAGE,
      async (request) => request.respond(await resumeCheck(parts, request)),
    ],
  ])
}

async function endTransaction(
  transactions: Transactions,
  { command }: RemotingRequest,
): Promise<ResponseContent> {
  const fields = command.extFields
  const decision = requireInt(fields, 'commitOrRollback')
  // For logs only; Java refuses a request without it.
  requireString(fields, 'msgId')
  const end = {
    producerGroup: requireString(fields, 'producerGroup'),
    queueOffset: requireLong(fields, 'tranStateTableOffset'),
    physicalOffset: requireLong(fields, 'commitLogOffset'),
    isCommit: decision === MessageSysFlag.TRANSACTION_COMMIT,
    isFromCheck: optionalBoolean(fields, 'fromTransactionCheck') === true,
  }
  // The producer does not know yet: it is asked again.
  if (!end.isCommit && decision !== MessageSysFlag.TRANSACTION_ROLLBACK) return success()
  return transactions.end(end)
}

/** An expired transaction is checked anew. */
async function resumeCheck(
  { store, logger }: Pick<BrokerParts, 'store' | 'logger'>,
  { command }: RemotingRequest,
): Promise<ResponseContent> {
  const msgId = requireString(command.extFields, 'msgId')
  const id = decodeOffsetMessageId(msgId)
  const message = id === null ? null : store.messageAt(id.physicalOffset)
  const half = message === null ? null : resumedMessageOf(message)
  if (half === null) {
    const remark = `msgId[${msgId}] is no message of TRANS_CHECK_MAX_TIME_TOPIC`
    return answer(ResponseCode.SYSTEM_ERROR, remark)
  }
  const response = putAnswer(await putMessage(store, half, 'inTime'))
  if (response.code !== ResponseCode.SUCCESS) {
    const remark = `Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed. ${response.remark ?? ''}`
    return answer(ResponseCode.SYSTEM_ERROR, remark)
  }
  logger.info({ msgId }, 'an expired transaction is checked again')
  return response
}
