/**
 * Series over time in rings of fixed size: every 10 s for an hour, every 10 min for a week. Kept in one file of the data folder, so that charts
 * survive a restart; what came since the file was last written is lost when the process is killed.
 *
 * `history.bin`: "GHI1", the length of a JSON header (4 bytes, big-endian), the header, then for each series its fine and its coarse ring as
 * little-endian 32-bit floats. NaN: not known.
 */
import type { Logger } from '../common/log.ts'
import type { Disk } from '../common/ports.ts'
import type { HistoryAnswer } from './api-types.ts'

const MAGIC = 'GHI1'
export const FINE = { stepMs: 10_000, count: 360 } as const
export const COARSE = { stepMs: 600_000, count: 1008 } as const
/** 5.5 KiB each. */
export const SERIES_MAX = 6_000
const HEADER_MAX_BYTES = 4 * 1024 * 1024
const BYTES = 4

interface Series {
  readonly fine: Float32Array
  readonly coarse: Float32Array
  /** Of the coarse slot that is being filled. */
  sum: number
  count: number
}

export class History {
  readonly #series = new Map<string, Series>()
  /** Numbers of the newest slots, since 1970; -1: none. */
  #fineSlot = -1
  #coarseSlot = -1

  get size(): number {
    return this.#series.size
  }

  /** Values of one moment. Series that are not among them are not known then. */
  record(at: number, values: Iterable<readonly [string, number]>): void {
    const fineSlot = Math.floor(at / FINE.stepMs)
    // The clock went back: what is there stays.
    if (fineSlot < this.#fineSlot) return
    this.#moveTo(fineSlot, Math.floor(at / COARSE.stepMs))
    for (const [name, value] of values) {
      const series = this.#series.get(name) ?? this.#make(name)
      if (series === null) continue
      series.fine[fineSlot % FINE.count] = value
      series.sum += value
      series.count++
      series.coarse[this.#coarseSlot % COARSE.count] = series.sum / series.count
    }
  }

  /** Forgets series of which nothing is known any more. */
  prune(): void {
    for (const [name, { fine, coarse }] of this.#series) {
      if (fine.every(Number.isNaN) && coarse.every(Number.isNaN)) this.#series.delete(name)
    }
  }

  /** The last `rangeMs`: fine up to an hour, coarse beyond. */
  read(names: readonly string[], rangeMs: number): HistoryAnswer {
    const isFine = rangeMs <= FINE.stepMs * FINE.count
    const { stepMs, count } = isFine ? FINE : COARSE
    const last = isFine ? this.#fineSlot : this.#coarseSlot
    const length = Math.min(count, Math.max(1, Math.ceil(rangeMs / stepMs)))
    const slots = Array.from({ length }, (_, at) => last - length + 1 + at)
    const series: Record<string, readonly (number | null)[]> = {}
    for (const name of names) {
      const found = this.#series.get(name)
      const ring = isFine ? found?.fine : found?.coarse
      series[name] = slots.map((slot) => {
        const value = slot < 0 ? Number.NaN : (ring?.[slot % count] ?? Number.NaN)
        return Number.isNaN(value) ? null : value
      })
    }
    return { stepMs, times: slots.map((slot) => slot * stepMs), series }
  }

  encode(): readonly Buffer[] {
    const header = Buffer.from(
      JSON.stringify({
        fineSlot: this.#fineSlot,
        coarseSlot: this.#coarseSlot,
        fineCount: FINE.count,
        coarseCount: COARSE.count,
        names: [...this.#series.keys()],
      }),
    )
    const start = Buffer.alloc(8)
    start.write(MAGIC, 'latin1')
    start.writeUInt32BE(header.length, 4)
    const rings: Buffer[] = []
    for (const { fine, coarse } of this.#series.values()) rings.push(bytesOf(fine), bytesOf(coarse))
    return [start, header, ...rings]
  }

  /** False when this is no history of this layout; nothing is taken then. */
  restore(file: Buffer): boolean {
    const header = headerOf(file)
    if (header === null) return false
    const perSeries = (FINE.count + COARSE.count) * BYTES
    if (file.length !== header.end + header.names.length * perSeries) return false
    this.#fineSlot = header.fineSlot
    this.#coarseSlot = header.coarseSlot
    for (const [index, name] of header.names.entries()) {
      const at = header.end + index * perSeries
      const series = this.#make(name)
      if (series === null) break
      floatsOf(file, at, series.fine)
      floatsOf(file, at + FINE.count * BYTES, series.coarse)
    }
    return true
  }

  #moveTo(fineSlot: number, coarseSlot: number): void {
    const fineFrom = Math.max(this.#fineSlot + 1, fineSlot - FINE.count + 1)
    const coarseFrom = Math.max(this.#coarseSlot + 1, coarseSlot - COARSE.count + 1)
    for (const series of this.#series.values()) {
      for (let slot = fineFrom; slot <= fineSlot; slot++)
        series.fine[slot % FINE.count] = Number.NaN
      for (let slot = coarseFrom; slot <= coarseSlot; slot++) {
        series.coarse[slot % COARSE.count] = Number.NaN
      }
      if (coarseFrom <= coarseSlot) {
        series.sum = 0
        series.count = 0
      }
    }
    this.#fineSlot = fineSlot
    this.#coarseSlot = coarseSlot
  }

  #make(name: string): Series | null {
    if (this.#series.size >= SERIES_MAX) return null
    const series: Series = {
      fine: new Float32Array(FINE.count).fill(Number.NaN),
      coarse: new Float32Array(COARSE.count).fill(Number.NaN),
      sum: 0,
      count: 0,
    }
    this.#series.set(name, series)
    return series
  }
}

function bytesOf(floats: Float32Array): Buffer {
  const bytes = Buffer.alloc(floats.length * BYTES)
  for (const [index, value] of floats.entries()) bytes.writeFloatLE(value, index * BYTES)
  return bytes
}

function floatsOf(file: Buffer, start: number, target: Float32Array): void {
  for (let index = 0; index < target.length; index++) {
    target[index] = file.readFloatLE(start + index * BYTES)
  }
}

interface Header {
  readonly fineSlot: number
  readonly coarseSlot: number
  readonly names: readonly string[]
  readonly end: number
}

function headerOf(file: Buffer): Header | null {
  if (file.length < 8 || file.toString('latin1', 0, 4) !== MAGIC) return null
  const end = 8 + file.readUInt32BE(4)
  if (end - 8 > HEADER_MAX_BYTES || end > file.length) return null
  let json: unknown
  try {
    json = JSON.parse(file.toString('utf8', 8, end))
  } catch {
    return null
  }
  if (typeof json !== 'object' || json === null) return null
  const members = new Map<string, unknown>(Object.entries(json))
  if (members.get('fineCount') !== FINE.count || members.get('coarseCount') !== COARSE.count) {
    return null
  }
  const fineSlot = members.get('fineSlot')
  const coarseSlot = members.get('coarseSlot')
  const names = members.get('names')
  if (typeof fineSlot !== 'number' || typeof coarseSlot !== 'number') return null
  if (!Array.isArray(names) || names.length > SERIES_MAX) return null
  return { fineSlot, coarseSlot, names: names.map(String), end }
}

/** Reads the file, or begins anew when it is not there or not readable. */
export function loadHistory(disk: Disk, path: string, logger: Logger): History {
  const history = new History()
  const file = disk.readFileSync(path)
  if (file !== null && !history.restore(file)) {
    logger.warn({ path }, 'the history is not readable, a new one begins')
    return new History()
  }
  return history
}

/** Replaces the file, off the event loop. */
export async function saveHistory(disk: Disk, path: string, history: History): Promise<void> {
  const temporary = `${path}.tmp`
  const file = disk.openSync(temporary, 'write')
  try {
    file.truncateSync(0)
    let position = 0
    for (const bytes of history.encode()) {
      await file.write(bytes, 0, bytes.length, position)
      position += bytes.length
    }
    await file.datasync()
  } finally {
    file.closeSync()
  }
  disk.renameSync(temporary, path)
}
