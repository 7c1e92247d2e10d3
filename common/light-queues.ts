/**
 * Light queues (RocketMQ's LMQ): a message of an ordinary topic stands in any number of further queues too, which need no topic.
 *
 * The producer names them in INNER_MULTI_DISPATCH, as `%LMQ%a,%LMQ%b`; the store adds INNER_MULTI_QUEUE_OFFSET, the place of the message in
 * each. A light queue is queue 0 of a topic with its name.
 */
import { PropertyName, propertyIn } from './properties.ts'

export const LIGHT_PREFIX = '%LMQ%'
/** Between the names, and between the offsets. */
export const LIGHT_SEPARATOR = ','
export const LIGHT_QUEUE_ID = 0

const NAME_MAX_LENGTH = 255
const NAME = /^%LMQ%[%|a-zA-Z0-9_+-]+$/

/**
 * Topics whose messages never stand in light queues: what waits to be delivered, or was. RocketMQ leaves out `%RETRY%`, `rmq_sys_` and the
 * delay levels; half messages and dead letters would otherwise be seen once more.
 */
const WITHOUT: readonly string[] = [
  '%RETRY%',
  '%DLQ%',
  'rmq_sys_',
  'RMQ_SYS_',
  'SCHEDULE_TOPIC_XXXX',
  'TRANS_CHECK_MAX_TIME_TOPIC',
]

/** One place of a message in a light queue. */
export interface LightPlace {
  readonly name: string
  readonly queueOffset: number
}

export function isLightName(name: string): boolean {
  return name.startsWith(LIGHT_PREFIX)
}

/** A name that a light queue can have. */
export function isLightQueue(name: string): boolean {
  return name.length <= NAME_MAX_LENGTH && NAME.test(name)
}

export function mayHaveLightQueues(topic: string): boolean {
  return !WITHOUT.some((prefix) => topic.startsWith(prefix))
}

/** For statistics: light queues and their groups are too many to have a name each. */
export function countedName(name: string): string {
  return name.startsWith(LIGHT_PREFIX) ? LIGHT_PREFIX : name
}

/** The queues that INNER_MULTI_DISPATCH names, each once; or what is wrong with it, in a sentence. */
export function lightNames(value: string): readonly string[] | string {
  const names = new Set(value.split(LIGHT_SEPARATOR))
  for (const name of names) {
    if (isLightQueue(name)) continue
    const shown = JSON.stringify(name.slice(0, 64))
    return `${PropertyName.INNER_MULTI_DISPATCH} names ${shown}: light queues are called ${LIGHT_PREFIX} and letters, digits or _ - + | %, at most ${NAME_MAX_LENGTH}.`
  }
  return [...names]
}

/** What the two properties of a stored message say; nothing when they do not fit each other. Of a repeated name the first counts. */
export function lightPlaces(names: string, offsets: string): readonly LightPlace[] {
  const nameList = names.split(LIGHT_SEPARATOR)
  const offsetList = offsets.split(LIGHT_SEPARATOR)
  if (nameList.length !== offsetList.length) return []
  const places = new Map<string, LightPlace>()
  for (const [index, name] of nameList.entries()) {
    const text = offsetList[index] ?? ''
    if (!isLightQueue(name) || !/^\d{1,15}$/.test(text) || places.has(name)) continue
    places.set(name, { name, queueOffset: Number(text) })
  }
  return [...places.values()]
}

/** The places of a stored message of `topic` whose properties are `source[start, end)`. */
export function lightPlacesOf(
  topic: string,
  source: Buffer,
  start: number,
  end: number,
): readonly LightPlace[] {
  if (!mayHaveLightQueues(topic)) return []
  const offsets = propertyIn(source, start, end, PropertyName.INNER_MULTI_QUEUE_OFFSET)
  if (offsets === null) return []
  const names = propertyIn(source, start, end, PropertyName.INNER_MULTI_DISPATCH)
  return lightPlaces(names ?? '', offsets)
}
