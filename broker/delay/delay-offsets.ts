/**
 * `config/delayOffset.json`: how far each delay level has been delivered, in Java's format, for tools and for a Java broker that takes over
 * the folder. Gantry itself goes by the marks in the log, and by this file only when a Java broker has written it last.
 */
import { deliveryMark, MARKS_TOPIC } from '../../common/delivery-mark.ts'
import { dataVersionRecord } from '../../remoting/bodies/data-version.ts'
import { formatFastjson, parseFastjson } from '../../remoting/bodies/fastjson.ts'
import { asObject, optionalObject, textEntries } from '../../remoting/bodies/json-members.ts'
import { PersistedFile } from '../persisted-table.ts'
import type { MessageToStore } from '../../common/message.ts'
import type { BrokerParts } from '../parts.ts'

const FILE = 'delayOffset.json'
/** A member that only Gantry writes. */
const OWN_MEMBER = 'deliveredMessagesAreMarked'

export class DelayOffsets {
  readonly #parts: Pick<BrokerParts, 'clock'>
  readonly #progress: () => readonly number[]
  readonly #file: PersistedFile
  #counter = 0
  #saved = ''

  /** `progress` tells the next queue offset of each level. */
  constructor(
    parts: Pick<BrokerParts, 'clock' | 'timers' | 'logger' | 'configFolder'>,
    progress: () => readonly number[],
  ) {
    this.#parts = parts
    this.#progress = progress
    this.#file = new PersistedFile({
      name: FILE,
      folder: parts.configFolder,
      timers: parts.timers,
      logger: parts.logger,
      render: () => [this.encode().toString()],
      mayReplace: () => Promise.resolve(() => true),
      written: () => undefined,
    })
  }

  /** What a Java broker has delivered, by level; empty when it was not the last one here. Throws when the file is damaged. */
  loadJava(): ReadonlyMap<number, number> {
    return this.#file.read(parseJava) ?? new Map<number, number>()
  }

  encode(): Buffer {
    const offsets = this.#progress().map((next, index) => [String(index + 1), next] as const)
    const timestamp = this.#parts.clock.now()
    return formatFastjson({
      dataVersion: dataVersionRecord({ stateVersion: 0, timestamp, counter: this.#counter }),
      offsetTable: new Map(offsets),
      [OWN_MEMBER]: true,
    })
  }

  async saveIfChanged(): Promise<void> {
    if (this.#saved !== this.#progress().join()) await this.save()
  }

  async save(): Promise<void> {
    const progress = this.#progress().join()
    this.#counter++
    await this.#file.save()
    this.#saved = progress
  }
}

/** A message of nobody, whose mark says that a level is delivered up to `next`. */
export function progressMessage(
  level: number,
  next: number,
  parts: Pick<BrokerParts, 'clock' | 'storeHost'>,
): MessageToStore {
  return {
    topic: MARKS_TOPIC,
    queueId: 0,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: parts.clock.now(),
    bornHost: parts.storeHost(),
    reconsumeTimes: 0,
    preparedTransactionOffset: deliveryMark(level, next - 1),
    body: Buffer.from(FILE),
    properties: Buffer.alloc(0),
  }
}

function parseJava(text: string): ReadonlyMap<number, number> {
  const offsets = new Map<number, number>()
  const json = asObject(parseFastjson(text), FILE)
  if (json.get(OWN_MEMBER) === true) return offsets
  const table = optionalObject(json, 'offsetTable')
  for (const [level, next] of table === null ? [] : textEntries(table)) {
    const entry = [Number(level), Number(next)] as const
    if (entry.every(Number.isSafeInteger) && entry[1] > 0) offsets.set(...entry)
  }
  return offsets
}
