/** Finds messages by key, unique id or tags through the index (protocol §7, request 12). */
import { javaHashCode } from '../common/bytes.ts'
import { RecordReader } from '../common/message-codec.ts'
import { PropertyName, keyWords, propertyIn } from '../common/properties.ts'
import type { CommitLog } from './commit-log.ts'
import { TAG_KEY_PREFIX, indexHash } from './dispatcher.ts'
import type { MessageIndex } from './message-index.ts'
import type { KeyQuery, KeyQueryResult } from './types.ts'

/** An answer's bytes stay below this, however many messages are asked for (reliability §4, index). */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024

/** Candidates looked at for one query. */
const MAX_CANDIDATES = 10_000

/**
 * Copies of the records that have the key, newest first, and how many the index names that the log should have and that cannot be read. A
 * hash that two keys share brings no wrong message.
 */
export function queryByKey(
  query: KeyQuery,
  commitLog: CommitLog,
  index: MessageIndex,
): Pick<KeyQueryResult, 'records' | 'unreadable'> {
  const { topic, key, beginTimestamp, endTimestamp } = query
  const records: Buffer[] = []
  const seen = new Set<number>()
  let bytes = 0
  let unreadable = 0
  const prefix = query.isTag === true ? TAG_KEY_PREFIX : ''
  const keyHash = indexHash(javaHashCode(`${topic}#${prefix}${key}`))
  const reader = new RecordReader()
  index.query({ keyHash, beginTimestamp, endTimestamp }, (physicalOffset) => {
    if (seen.has(physicalOffset)) return true
    seen.add(physicalOffset)
    const record = readRecord(commitLog, physicalOffset, reader)
    if (record === null) {
      if (physicalOffset >= commitLog.startOffset) unreadable++
    } else if (matches(reader, record, query)) {
      bytes += record.length
      records.push(record)
    }
    return (
      records.length < query.maxMessages && bytes < MAX_ANSWER_BYTES && seen.size < MAX_CANDIDATES
    )
  })
  return { records, unreadable }
}

/** A copy of the whole record at a physical offset, which is intact, and which `reader` has read; null when none begins there. */
export function readRecord(
  commitLog: CommitLog,
  physicalOffset: number,
  reader: RecordReader,
): Buffer | null {
  const header = Buffer.allocUnsafe(8)
  if (!commitLog.readSync(physicalOffset, 8, header, 0)) return null
  const size = header.readInt32BE(0)
  if (size < 8 || size > commitLog.maxRecordSize) return null
  const record = Buffer.allocUnsafe(size)
  if (!commitLog.readSync(physicalOffset, size, record, 0)) return null
  const isRecord =
    reader.read(record, 0, size, true) === null &&
    reader.type === 'message' &&
    reader.physicalOffset === physicalOffset
  return isRecord ? record : null
}

/** `reader` has read the record. */
function matches(reader: RecordReader, record: Buffer, query: KeyQuery): boolean {
  const { storeTimestamp, propertiesAt, propertiesSize } = reader
  if (storeTimestamp < query.beginTimestamp || storeTimestamp > query.endTimestamp) return false
  if (reader.topic(record) !== query.topic) return false
  const end = propertiesAt + propertiesSize
  if (query.isTag === true) {
    return propertyIn(record, propertiesAt, end, PropertyName.TAGS) === query.key
  }
  if (propertyIn(record, propertiesAt, end, PropertyName.UNIQ_KEY) === query.key) return true
  const keys = propertyIn(record, propertiesAt, end, PropertyName.KEYS)
  return keys !== null && keyWords(keys).includes(query.key)
}
