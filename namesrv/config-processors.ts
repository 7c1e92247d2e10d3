/** The KV config and the name server's own configuration, as tools read and change them. */
import { encodeKvTable } from '../remoting/bodies/simple-bodies.ts'
import { requireString } from '../remoting/header-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { failure, success } from './handler.ts'
import type { Handler, HandlerDependencies } from './handler.ts'

export function configHandlers({
  kvConfig,
  settings,
  logger,
}: HandlerDependencies): readonly (readonly [number, Handler])[] {
  const putKv: Handler = ({ extFields }, { remoteAddress }) => {
    const namespace = requireString(extFields, 'namespace')
    const key = requireString(extFields, 'key')
    kvConfig.put(namespace, key, requireString(extFields, 'value'))
    logger.info({ namespace, key, remoteAddress }, 'the KV config was changed')
    return success()
  }
  const getKv: Handler = ({ extFields }) => {
    const namespace = requireString(extFields, 'namespace')
    const key = requireString(extFields, 'key')
    const value = kvConfig.get(namespace, key)
    if (value !== null) return success({ extFields: { value } })
    return failure(
      ResponseCode.QUERY_NOT_FOUND,
      `No config item, Namespace: ${namespace} Key: ${key}`,
    )
  }
  const deleteKv: Handler = ({ extFields }, { remoteAddress }) => {
    const namespace = requireString(extFields, 'namespace')
    const key = requireString(extFields, 'key')
    kvConfig.delete(namespace, key)
    logger.info({ namespace, key, remoteAddress }, 'a key of the KV config was deleted')
    return success()
  }
  const listKv: Handler = ({ extFields }) => {
    const namespace = requireString(extFields, 'namespace')
    const table = kvConfig.list(namespace)
    if (table !== null) return success({ body: encodeKvTable(table) })
    return failure(ResponseCode.QUERY_NOT_FOUND, `No config item, Namespace: ${namespace}`)
  }
  const updateConfig: Handler = ({ body }, { remoteAddress }) => {
    const result = settings.update(body.toString('utf8'))
    if (result.type === 'updated') {
      const { changed, ignored } = result
      logger.info({ changed, ignored, remoteAddress }, 'the configuration was changed')
      return success()
    }
    logger.warn({ reason: result.remark, remoteAddress }, 'a change of configuration was refused')
    const code = result.type === 'denied' ? ResponseCode.NO_PERMISSION : ResponseCode.SYSTEM_ERROR
    return failure(code, result.remark)
  }

  return [
    [RequestCode.PUT_KV_CONFIG, putKv],
    [RequestCode.GET_KV_CONFIG, getKv],
    [RequestCode.DELETE_KV_CONFIG, deleteKv],
    [RequestCode.GET_KVLIST_BY_NAMESPACE, listKv],
    [RequestCode.UPDATE_NAMESRV_CONFIG, updateConfig],
    [RequestCode.GET_NAMESRV_CONFIG, () => success({ body: Buffer.from(settings.format()) })],
  ]
}
