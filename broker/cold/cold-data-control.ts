/**
 * Cold-data flow control: a group that reads much of what is no longer in memory is held back, so that the disk stays free for the others.
 *
 * What each group read of cold data counts for five seconds. A group over its threshold, or any while all together are over theirs, gets no
 * more of it until the five seconds are over; what is in memory it gets at all times. Counts and thresholds are this process's alone,
 * as in Java (`ColdDataCgCtrService`).
 */
import { isSystemGroup } from '../names.ts'
import type { Store } from '../../store/types.ts'
import type { BrokerParts } from '../parts.ts'

const WINDOW_MS = 5_000
/** A group that read nothing cold for so long is forgotten. */
const FORGET_MS = 60_000
/** Groups with a threshold of their own, and groups that are counted. */
const GROUPS_MAX = 10_000

type ColdDataParts = Pick<BrokerParts, 'config' | 'clock'> & {
  readonly store: Pick<Store, 'isInMemory' | 'maxOffsetInQueue'>
}

interface ColdReads {
  bytes: number
  readonly createdAt: number
  lastAt: number
}

/** What GET_COLD_DATA_FLOW_CTR_INFO answers. */
export interface ColdDataInfo {
  readonly runtimeTable: Readonly<
    Record<
      string,
      {
        readonly coldAcc: number
        readonly createTimeMills: number
        readonly lastColdReadTimeMills: number
      }
    >
  >
  readonly configTable: Readonly<Record<string, number>>
  readonly cgColdReadThreshold: number
  readonly globalColdReadThreshold: number
  readonly globalAcc: number
}

type Position = { readonly topic: string; readonly queueId: number; readonly queueOffset: number }

export class ColdDataControl {
  readonly #parts: ColdDataParts
  readonly #groups = new Map<string, ColdReads>()
  readonly #thresholds = new Map<string, number>()
  #allBytes = 0
  #windowStart = 0

  constructor(parts: ColdDataParts) {
    this.#parts = parts
  }

  /** True when what a group asks for is cold, and it must wait for it. */
  isHeldBack(consumerGroup: string, at: Position): boolean {
    if (!this.#isEnabled || isSystemGroup(consumerGroup)) return false
    this.#openWindow()
    const reads = this.#groups.get(consumerGroup)
    if (reads === undefined) return false
    const { cgColdReadThreshold, globalColdReadThreshold } = this.#parts.config.values
    const threshold = this.#thresholds.get(consumerGroup) ?? cgColdReadThreshold
    const isOver = reads.bytes >= threshold || this.#allBytes >= globalColdReadThreshold
    return isOver && this.#isCold(at)
  }

  /** Counts what a group was given, when it was cold. */
  count(consumerGroup: string, at: Position, bytes: number): void {
    if (!this.#isEnabled || bytes === 0 || !this.#isCold(at)) return
    this.#openWindow()
    const now = this.#parts.clock.now()
    let reads = this.#groups.get(consumerGroup)
    if (reads === undefined) {
      if (this.#groups.size >= GROUPS_MAX) return
      reads = { bytes: 0, createdAt: now, lastAt: now }
      this.#groups.set(consumerGroup, reads)
    }
    reads.bytes += bytes
    reads.lastAt = now
    this.#allBytes += bytes
  }

  /** False when there are too many groups with a threshold of their own. */
  setThreshold(consumerGroup: string, bytes: number): boolean {
    if (this.#thresholds.size >= GROUPS_MAX && !this.#thresholds.has(consumerGroup)) return false
    this.#thresholds.set(consumerGroup, bytes)
    return true
  }

  removeThreshold(consumerGroup: string): void {
    this.#thresholds.delete(consumerGroup)
  }

  info(): ColdDataInfo {
    this.#openWindow()
    const { cgColdReadThreshold, globalColdReadThreshold } = this.#parts.config.values
    const runtime = [...this.#groups].map(([group, { bytes, createdAt, lastAt }]) => [
      group,
      { coldAcc: bytes, createTimeMills: createdAt, lastColdReadTimeMills: lastAt },
    ])
    return {
      runtimeTable: Object.fromEntries(runtime),
      configTable: Object.fromEntries(this.#thresholds),
      cgColdReadThreshold,
      globalColdReadThreshold,
      globalAcc: this.#allBytes,
    }
  }

  get #isEnabled(): boolean {
    return this.#parts.config.values.coldDataFlowControlEnable
  }

  #isCold({ topic, queueId, queueOffset }: Position): boolean {
    const { store } = this.#parts
    if (queueOffset >= store.maxOffsetInQueue(topic, queueId)) return false
    return !store.isInMemory(topic, queueId, queueOffset)
  }

  /** Begins to count anew when the five seconds are over. */
  #openWindow(): void {
    const { clock } = this.#parts
    if (clock.monotonic() - this.#windowStart < WINDOW_MS) return
    this.#windowStart = clock.monotonic()
    this.#allBytes = 0
    const now = clock.now()
    for (const [group, reads] of this.#groups) {
      if (now - reads.lastAt >= FORGET_MS) this.#groups.delete(group)
      else reads.bytes = 0
    }
  }
}
