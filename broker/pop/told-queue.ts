/** What the revive log has told of one queue, record by record. */
import type { OrderQueue } from './order-queue.ts'
import type { OffsetRange } from './pop-queue.ts'
import type { CheckpointRecord, QueueName, ReviveRecord } from './revive-record.ts'

export class ToldQueue {
  readonly name: QueueName
  readonly recordsFrom: number
  readonly checkpoints: Map<string, CheckpointRecord> = new Map<string, CheckpointRecord>()
  handedOut: OffsetRange[] = []
  resetTo: number | null = null
  isGone: boolean = false
  order: { readonly next: number; readonly batch: OrderQueue['batch'] } | null = null

  constructor(name: QueueName, recordsFrom: number) {
    this.name = nameOf(name)
    this.recordsFrom = recordsFrom
  }

  take(record: ReviveRecord): void {
    switch (record.type) {
      case 'ck':
        this.isGone = false
        this.handedOut.push({ start: record.startOffset, end: record.nextOffset })
        this.checkpoints.set(`${record.startOffset}@${record.popTime}`, record)
        return
      case 'ack': {
        const key = `${record.startOffset}@${record.popTime}`
        const checkpoint = this.checkpoints.get(key)
        if (checkpoint === undefined) return
        const offsets = checkpoint.offsets.filter((offset) => !record.offsets.includes(offset))
        if (offsets.length === 0) this.checkpoints.delete(key)
        else this.checkpoints.set(key, { ...checkpoint, offsets })
        return
      }
      case 'base':
        this.handedOut.push(...record.handedOut)
        return
      case 'reset':
        this.checkpoints.clear()
        this.handedOut = []
        this.resetTo = record.queueOffset
        this.isGone = record.queueOffset === null
        if (this.isGone) this.order = null
        return
      case 'order':
        this.order = { next: record.next, batch: record.batch }
    }
  }
}

export function nameOf({ topic, consumerGroup, queueId }: QueueName): QueueName {
  return { topic, consumerGroup, queueId }
}
