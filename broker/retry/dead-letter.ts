/** What a dead letter says of where it comes from, besides what each retry says (RETRY_TOPIC, ORIGIN_MESSAGE_ID). */
import { PropertyName } from '../../common/properties.ts'

/** The properties DLQ_ORIGIN_TOPIC and DLQ_ORIGIN_MESSAGE_ID, where the message's own ones tell what they are. */
export function deadLetterProperties(
  properties: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const own = new Map<string, string>()
  const topic = properties.get(PropertyName.RETRY_TOPIC)
  // The id that the producer was told, which people search for.
  const id = properties.get(PropertyName.UNIQ_KEY) ?? properties.get(PropertyName.ORIGIN_MESSAGE_ID)
  if (topic !== undefined) own.set(PropertyName.DLQ_ORIGIN_TOPIC, topic)
  if (id !== undefined) own.set(PropertyName.DLQ_ORIGIN_MESSAGE_ID, id)
  return own
}
