/** Finds what the dispatcher derives from a message's properties, in one pass over their bytes and without a string. */
import { readInt32 } from '../common/bytes.ts'
import { NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR } from '../common/properties.ts'

/** The values of TAGS, KEYS, UNIQ_KEY and of the two that name light queues; of a repeated name the last one counts, an absent one has start = end. */
export class PropertyFinder {
  tagsStart = 0
  tagsEnd = 0
  keysStart = 0
  keysEnd = 0
  uniqueStart = 0
  uniqueEnd = 0
  lightNamesStart = 0
  lightNamesEnd = 0
  lightOffsetsStart = 0
  lightOffsetsEnd = 0

  scan(source: Buffer, start: number, end: number): void {
    this.tagsStart = 0
    this.tagsEnd = 0
    this.keysStart = 0
    this.keysEnd = 0
    this.uniqueStart = 0
    this.uniqueEnd = 0
    this.lightNamesEnd = 0
    this.lightOffsetsEnd = 0
    for (let nameStart = start; nameStart < end;) {
      const name = wantedName(source, nameStart)
      const valueStart = name === null ? nameStart : nameStart + name.length
      let at = valueStart
      while (at < end && source[at] !== PROPERTY_SEPARATOR) at++
      if (name !== null && at > valueStart) this.#take(name, valueStart, at)
      nameStart = at + 1
    }
  }

  #take(name: Buffer, start: number, end: number): void {
    if (name === UNIQ_KEY) {
      this.uniqueStart = start
      this.uniqueEnd = end
    } else if (name === TAGS) {
      this.tagsStart = start
      this.tagsEnd = end
    } else if (name === KEYS) {
      this.keysStart = start
      this.keysEnd = end
    } else if (name === LIGHT_NAMES) {
      this.lightNamesStart = start
      this.lightNamesEnd = end
    } else {
      this.lightOffsetsStart = start
      this.lightOffsetsEnd = end
    }
  }
}

const TAGS = Buffer.from('TAGS\u0001')
const KEYS = Buffer.from('KEYS\u0001')
const UNIQ_KEY = Buffer.from('UNIQ_KEY\u0001')
const LIGHT_NAMES = Buffer.from('INNER_MULTI_DISPATCH\u0001')
const LIGHT_OFFSETS = Buffer.from('INNER_MULTI_QUEUE_OFFSET\u0001')

/** Which of the wanted properties begins at `at`; its name ends with the separator. */
function wantedName(source: Buffer, at: number): Buffer | null {
  const word = readInt32(source, at)
  if (word === WORD_TAGS) return source[at + 4] === NAME_VALUE_SEPARATOR ? TAGS : null
  if (word === WORD_KEYS) return source[at + 4] === NAME_VALUE_SEPARATOR ? KEYS : null
  if (word === WORD_INNE) return lightName(source, at)
  if (word !== WORD_UNIQ) return null
  const isWhole = readInt32(source, at + 4) === WORD__KEY && source[at + 8] === NAME_VALUE_SEPARATOR
  return isWhole ? UNIQ_KEY : null
}

function lightName(source: Buffer, at: number): Buffer | null {
  for (const name of [LIGHT_NAMES, LIGHT_OFFSETS]) {
    if (source.compare(name, 0, name.length, at, at + name.length) === 0) return name
  }
  return null
}

// Four letters of a name at a time.
const WORD_TAGS = 0x54414753
const WORD_KEYS = 0x4b455953
const WORD_UNIQ = 0x554e4951
const WORD__KEY = 0x5f4b4559
const WORD_INNE = 0x494e4e45
