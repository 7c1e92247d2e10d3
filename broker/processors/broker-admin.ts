/** Administration of the broker itself: 25, 26, 28, 43, 306, 329. */
import { formatJavaProperties, parseJavaProperties } from '../../common/java-properties.ts'
import { encodeDataVersion } from '../../remoting/bodies/data-version.ts'
import { encodeKvTable } from '../../remoting/bodies/simple-bodies.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { runtimeInfo } from '../runtime-info.ts'
import { answer, success } from './answers.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { BrokerParts } from '../parts.ts'
import type { StoreRates } from '../store-rates.ts'

const CONFIG_BODY_MAX_BYTES = 256 * 1024
// Java's own sentence for these, which tools look for.
const BLACK_LIST: ReadonlySet<string> = new Set([
  'brokerConfigPath',
  'rocketmqHome',
  'configBlackList',
])

/** The processors of this family by code. */
export function brokerAdminProcessors(
  parts: BrokerParts,
  rates: StoreRates,
  inFlightSends: () => number,
): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [RequestCode.UPDATE_BROKER_CONFIG, (request) => request.respond(updateConfig(parts, request))],
    [RequestCode.GET_BROKER_CONFIG, (request) => request.respond(getConfig(parts))],
    [
      RequestCode.GET_BROKER_RUNTIME_INFO,
      (request) => {
        const facts = { parts, rates, inFlightSends: inFlightSends(), disk: parts.diskSpace() }
        request.respond(success(undefined, encodeKvTable(runtimeInfo(facts))))
      },
    ],
    [
      RequestCode.GET_ALL_CONSUMER_OFFSET,
      (request) => request.respond(success(undefined, parts.offsets.encode())),
    ],
    [
      RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE,
      (request) => {
        parts.store.cleanExpiredConsumeQueue()
        request.respond(success())
      },
    ],
    [
      RequestCode.DELETE_EXPIRED_COMMITLOG,
      (request) => {
        parts.store.deleteExpiredCommitLog()
        request.respond(success())
      },
    ],
  ])
}

/**
 * Takes live keys only. Whatever a key would otherwise let a peer do to paths, ports or commands cannot be done:
 * there is no list of what is forbidden but one of what is allowed.
 */
function updateConfig(parts: BrokerParts, request: RemotingRequest): ResponseContent {
  const { body } = request.command
  if (body.length > CONFIG_BODY_MAX_BYTES) {
    return answer(ResponseCode.SYSTEM_ERROR, 'the configuration is too large')
  }
  const changes = parseJavaProperties(body.toString())
  if (changes.some(({ key }) => BLACK_LIST.has(key))) {
    return answer(ResponseCode.NO_PERMISSION, 'Can not update config in black list.')
  }
  const problem = parts.config.update(changes, parts.clock.now())
  if (problem !== null) {
    parts.logger.warn(
      { remoteAddress: request.connection.remoteAddress, problem },
      'a change of the configuration was refused',
    )
    return answer(ResponseCode.NO_PERMISSION, `Can not update config: ${problem}`)
  }
  return success()
}

function getConfig({ config }: BrokerParts): ResponseContent {
  const lines = config.entries().map(({ key, value }) => [key, value] as const)
  return success(
    { version: encodeDataVersion(config.dataVersion).toString() },
    Buffer.from(formatJavaProperties(lines)),
  )
}
