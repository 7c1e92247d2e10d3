/** How far the delay levels have been delivered, as the log tells: on every member of a group the same. */
import { MARKS_TOPIC } from '../../common/delivery-mark.ts'
import { SCHEDULE_TOPIC } from '../names.ts'
import type { Store } from '../../store/types.ts'

export type LevelStore = Pick<Store, 'minOffsetInQueue' | 'maxOffsetInQueue' | 'tagsCodes'>

/** Queue offset of the first message of a level behind all that were delivered, or deleted. */
export function levelProgress(store: LevelStore, level: number): number {
  const min = store.minOffsetInQueue(SCHEDULE_TOPIC, level - 1)
  const last = store.maxOffsetInQueue(MARKS_TOPIC, level) - 1
  const parkedOffset = new Float64Array(1)
  if (last < 0 || store.tagsCodes(MARKS_TOPIC, level, last, parkedOffset) === 0) return min
  return Math.max(min, (parkedOffset[0] ?? 0) + 1)
}
