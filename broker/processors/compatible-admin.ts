/**
 * Requests about things that Java's broker has in several forms and Gantry in one: answered as by a Java broker that has them in that
 * form. 354, 200056: queues and pops on files, not in RocksDB. 355: tables in JSON, not in RocksDB. 908: a group whose leader keeps the offsets. 5001: the time wheel on files.
 */
import { formatFastjson } from '../../remoting/bodies/fastjson.ts'
import { requireString } from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { answer, success } from './answers.ts'
import type { Processor } from '../../remoting/connection.ts'

/** Java's CheckRocksdbCqWriteResult. */
const CHECK_OK = 0

/** The processors of this family by code. */
export function compatibleAdminProcessors(): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    // The tables are JSON files at all times: there is nothing to be exported.
    [
      RequestCode.EXPORT_ROCKSDB_CONFIG_TO_JSON,
      (request) => request.respond({ ...success(), remark: 'export done.' }),
    ],
    // Into the files in which they are at all times.
    [RequestCode.POP_ROLLBACK, (request) => request.respond(success())],
    // As by a Java broker whose ConsumeQueues are files only, which then logs that there is nothing to check.
    [
      RequestCode.CHECK_ROCKSDB_CQ_WRITE_PROGRESS,
      (request) => {
        const checkResult = 'ConsumeQueues are files, no need check'
        request.respond(success(undefined, formatFastjson({ checkResult, checkStatus: CHECK_OK })))
      },
    ],
    // A slave's duty; what has been acknowledged is never taken back, so the leader has nothing to reset.
    [RequestCode.RESET_MASTER_FLUSH_OFFSET, (request) => request.respond(success())],
    [
      RequestCode.SWITCH_TIMER_ENGINE,
      (request) => {
        const engine = requireString(request.command.extFields, 'E_T')
        const refusal = `E_T ${engine}: timers are kept in files (F), there is no RocksDB`
        request.respond(
          engine === 'F' ? success() : answer(ResponseCode.INVALID_PARAMETER, refusal),
        )
      },
    ],
  ])
}
