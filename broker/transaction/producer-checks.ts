/** CHECK_TRANSACTION_STATE (39): asks one producer of a group what has become of a transaction, each time the next one. */
import { encodeOffsetMessageId } from '../../common/message-id.ts'
import { PropertyName } from '../../common/properties.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { HALF_TOPIC } from '../names.ts'
import { checkBodyOf } from './half-message.ts'
import type { BrokerParts } from '../parts.ts'
import type { HalfMessage } from './half-message.ts'

export class ProducerChecks {
  readonly #parts: BrokerParts
  #turn = 0

  constructor(parts: BrokerParts) {
    this.#parts = parts
  }

  /** Any member of the group may know: the producer itself may be gone. False when there is nobody to ask. */
  ask(half: HalfMessage): boolean {
    const { clients, config, logger } = this.#parts
    const { message, producerGroup } = half
    const producers = clients.producers(producerGroup) ?? []
    const uniqueKey = half.properties.get(PropertyName.UNIQ_KEY)
    const request = {
      code: RequestCode.CHECK_TRANSACTION_STATE,
      extFields: {
        topic: HALF_TOPIC,
        tranStateTableOffset: String(message.queueOffset),
        commitLogOffset: String(message.physicalOffset),
        msgId: uniqueKey,
        transactionId: uniqueKey,
        offsetMsgId: encodeOffsetMessageId(message.storeHost, message.physicalOffset),
        bname: config.values.brokerName,
      },
      body: checkBodyOf(half),
    }
    const first = this.#turn++
    for (let offset = 0; offset < producers.length; offset++) {
      const producer = producers[(first + offset) % producers.length]
      if (producer?.connection.invokeOneway(request) === true) return true
    }
    logger.debug({ producerGroup, topic: half.realTopic }, 'no producer of the group is connected')
    return false
  }
}
