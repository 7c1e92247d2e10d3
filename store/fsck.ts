/**
 * Checks a store folder without changing it: every record of the CommitLog, every ConsumeQueue unit, the chains of the index, the
 * configuration files. What a killed broker leaves undone (a torn tail, units not yet written) is reported, and is no problem.
 */
import { delayLevelsOf, DEFAULT_DELAY_LEVELS } from '../common/delay-levels.ts'
import {
  DELIVERY_MARK_MIN,
  MARKS_TOPIC,
  kindOfMark,
  queueOffsetOfMark,
} from '../common/delivery-mark.ts'
import { messageOf } from '../common/errors.ts'
import { LIGHT_QUEUE_ID, lightPlacesOf } from '../common/light-queues.ts'
import { MessageSysFlag } from '../common/message.ts'
import type { RecordReader } from '../common/message-codec.ts'
import type { Disk } from '../common/ports.ts'
import { tagsCodeIn } from '../common/properties.ts'
import { readCheckpoint } from './checkpoint.ts'
import { checkIndexFiles } from './fsck-index.ts'
import { FsckProblems } from './fsck-problems.ts'
import { QueueChecker } from './fsck-queue.ts'
import { FilePool } from './file-pool.ts'
import { LogScanner } from './log-scanner.ts'
import { parkedTagsCode } from './parked-time.ts'
import { SegmentQueue } from './segment-queue.ts'

const MAX_OPEN_FILES = 512

export interface FsckReport {
  readonly records: number
  readonly units: number
  readonly queues: number
  readonly indexEntries: number
  readonly configFiles: number
  readonly startOffset: number
  readonly endOffset: number
  /** What ends the log when it does not end cleanly; the next start cuts it. */
  readonly tornTail: string | null
  /** Records whose units had not been written; the next start writes them. */
  readonly pendingUnits: number
  /** Records whose units went with a deleted topic, or by retention. */
  readonly droppedUnits: number
  /** Sentences which name file and offset; at most a thousand. */
  readonly problems: readonly string[]
  readonly problemCount: number
}

export interface FsckOptions {
  readonly disk: Disk
  readonly root: string
  /** Where the CommitLog is, when it is not in the folder. */
  readonly commitLogDirectory?: string
}

/** Runs all checks. Throws only what the disk throws. */
export function fsck(options: FsckOptions): FsckReport {
  const { disk, root } = options
  const directory = options.commitLogDirectory ?? `${root}/commitlog`
  const problems = new FsckProblems()
  const checkpoint = readCheckpoint(disk, `${root}/checkpoint`)
  const derivedOffset = checkpoint?.own?.derivedOffset ?? 0
  const flushedOffset =
    checkpoint?.own === undefined || checkpoint.own === null ? 0 : checkpoint.flushedOffset
  const files = new FilePool(disk, MAX_OPEN_FILES, 'read')
  try {
    const log = openSegments(disk, files, directory, problems)
    const queues = findQueues({ disk, files, root, problems, derivedOffset })
    const scan = scanLog({ log, queues, problems, derivedOffset })
    const tornTail = judgeEnd({ log, scan, problems, flushedOffset, root })
    for (const queue of queues.values()) queue.finish(log?.firstOffset ?? 0, scan.endOffset)
    const index = checkIndexFiles({ disk, root, log, problems, endOffset: scan.endOffset })
    const all = [...queues.values()]
    return {
      records: scan.records,
      units: all.reduce((sum, queue) => sum + queue.units, 0),
      queues: all.filter((queue) => queue.units > 0).length,
      indexEntries: index,
      configFiles: checkConfigFiles(disk, root, problems),
      startOffset: log?.firstOffset ?? 0,
      endOffset: scan.endOffset,
      tornTail,
      pendingUnits: all.reduce((sum, queue) => sum + queue.pending, 0),
      droppedUnits: all.reduce((sum, queue) => sum + queue.dropped, 0),
      problems: problems.sentences,
      problemCount: problems.count,
    }
  } finally {
    files.closeAll()
  }
}

interface Scan {
  readonly records: number
  readonly endOffset: number
  readonly problem: string | null
}

/** The segments of a folder, with the size of its first file; null when there are none or they do not fit together. */
function openSegments(
  disk: Disk,
  files: FilePool,
  directory: string,
  problems: FsckProblems,
): SegmentQueue | null {
  const first = disk.listSync(directory).find((entry) => /^\d{20}$/.test(entry.name))
  const segmentSize = disk.statusSync(`${directory}/${first?.name}`)?.size ?? 0
  if (first === undefined || segmentSize === 0) return null
  const segments = new SegmentQueue({ disk, files, directory, segmentSize })
  try {
    segments.load()
    return segments
  } catch (error) {
    problems.add(messageOf(error))
    return null
  }
}

function findQueues(options: {
  readonly disk: Disk
  readonly files: FilePool
  readonly root: string
  readonly problems: FsckProblems
  readonly derivedOffset: number
}): Map<string, QueueChecker> {
  const { disk, files, root, problems, derivedOffset } = options
  const queues = new Map<string, QueueChecker>()
  const base = `${root}/consumequeue`
  for (const topic of disk.listSync(base)) {
    for (const queue of disk.listSync(`${base}/${topic.name}`)) {
      const directory = `${base}/${topic.name}/${queue.name}`
      const segments = openSegments(disk, files, directory, problems)
      const checker = new QueueChecker({ directory, segments, problems, derivedOffset })
      queues.set(`${topic.name}/${queue.name}`, checker)
    }
  }
  return queues
}

function scanLog(options: {
  readonly log: SegmentQueue | null
  readonly queues: Map<string, QueueChecker>
  readonly problems: FsckProblems
  readonly derivedOffset: number
}): Scan {
  const { log, queues, problems, derivedOffset } = options
  if (log === null) return { records: 0, endOffset: 0, problem: null }
  const levels = delayLevelsOf(DEFAULT_DELAY_LEVELS)
  const checkerOf = (topic: string, queueId: number): QueueChecker => {
    const name = `${topic}/${queueId}`
    let queue = queues.get(name)
    if (queue === undefined) {
      queue = new QueueChecker({ directory: name, segments: null, problems, derivedOffset })
      queues.set(name, queue)
    }
    return queue
  }
  const scanner = new LogScanner(log, log.firstOffset, true)
  let records = 0
  while (scanner.next()) {
    records++
    const { reader } = scanner
    if (!hasUnit(reader)) continue
    const topic = reader.topic(scanner.bytes)
    const end = reader.propertiesAt + reader.propertiesSize
    // Where messages are parked the field is a time, which depends on the broker's configuration and version.
    const isParked = parkedTagsCode(topic, reader, scanner.bytes, levels) !== null
    const tagsCode = isParked ? null : tagsCodeIn(scanner.bytes, reader.propertiesAt, end)
    checkerOf(topic, reader.queueId).record(reader, tagsCode)
    const mark = reader.preparedTransactionOffset
    for (const { name, queueOffset } of lightPlacesOf(
      topic,
      scanner.bytes,
      reader.propertiesAt,
      end,
    )) {
      checkerOf(name, LIGHT_QUEUE_ID).recordAt(queueOffset, reader, tagsCode)
    }
    if (mark >= DELIVERY_MARK_MIN) {
      checkerOf(MARKS_TOPIC, kindOfMark(mark)).extraUnit(reader, queueOffsetOfMark(mark))
    }
  }
  return { records, endOffset: scanner.physicalOffset, problem: scanner.problem }
}

function hasUnit(reader: RecordReader): boolean {
  const transaction = reader.sysFlag & MessageSysFlag.TRANSACTION_MASK
  return transaction === 0 || transaction === MessageSysFlag.TRANSACTION_COMMIT
}

/** Says whether the log ends in a torn tail, or in a hole, which is a problem. */
function judgeEnd(options: {
  readonly log: SegmentQueue | null
  readonly scan: Scan
  readonly problems: FsckProblems
  readonly flushedOffset: number
  readonly root: string
}): string | null {
  const { log, scan, problems, flushedOffset, root } = options
  if (log === null) {
    if (flushedOffset > 0) problems.add(`${root}: the CommitLog is missing`)
    return null
  }
  const place = `${log.pathAt(scan.endOffset)}: ${scan.problem ?? 'no record'} at offset ${scan.endOffset}`
  if (scan.endOffset < flushedOffset) {
    problems.add(`${place}, although everything below ${flushedOffset} was on disk`)
    return null
  }
  const next = log.startOf(scan.endOffset) + log.segmentSize
  for (let start = next; start < log.endOffset; start += log.segmentSize) {
    if (!new LogScanner(log, start, false).next()) continue
    problems.add(`${place}, and ${log.pathAt(start)} holds records`)
    return null
  }
  return scan.problem === null ? null : place
}

/** Object keys that are numbers, which fastjson leaves without quotes. */
const NUMERIC_KEYS = /([{,]\s*)(-?\d+)\s*:/g

function checkConfigFiles(disk: Disk, root: string, problems: FsckProblems): number {
  let count = 0
  for (const entry of disk.listSync(`${root}/config`)) {
    if (entry.isDirectory || !entry.name.endsWith('.json')) continue
    const path = `${root}/config/${entry.name}`
    const text = disk.readFileSync(path)?.toString('utf8') ?? ''
    count++
    try {
      JSON.parse(text.replace(NUMERIC_KEYS, '$1"$2":'))
    } catch (error) {
      problems.add(`${path}: ${messageOf(error)}`)
    }
  }
  return count
}
