/** Finds what the dispatcher derives from a message's properties, in one pass over their bytes and without a string. */
import { readInt32 } from '../common/bytes.ts'
import { NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR } from '../common/properties.ts'

/** The values of TAGS, KEYS and UNIQ_KEY; of a repeated name the last one counts, an absent one has start = end. */
export class PropertyFinder {
  tagsStart = 0
  tagsEnd = 0
  keysStart = 0
  keysEnd = 0
  uniqueStart = 0
  uniqueEnd = 0

  scan(source: Buffer, start: number, end: number): void {
    this.tagsStart = 0
    this.tagsEnd = 0
    this.keysStart = 0
    this.keysEnd = 0
    this.uniqueStart = 0
    this.uniqueEnd = 0
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
    } else {
      this.keysStart = start
      this.keysEnd = end
    }
  }
}

const TAGS = Buffer.from('TAGS\u0001')
const KEYS = Buffer.from('KEYS\u0001')
const UNIQ_KEY = Buffer.from('UNIQ_KEY\u0001')

/** Which of the wanted properties begins at `at`; its name ends with the separator. */
function wantedName(source: Buffer, at: number): Buffer | null {
  const word = readInt32(source, at)
  if (word === WORD_TAGS) return source[at + 4] === NAME_VALUE_SEPARATOR ? TAGS : null
  if (word === WORD_KEYS) return source[at + 4] === NAME_VALUE_SEPARATOR ? KEYS : null
  if (word !== WORD_UNIQ) return null
  const isWhole = readInt32(source, at + 4) === WORD__KEY && source[at + 8] === NAME_VALUE_SEPARATOR
  return isWhole ? UNIQ_KEY : null
}

// Four letters of a name at a time.
const WORD_TAGS = 0x54414753
const WORD_KEYS = 0x4b455953
const WORD_UNIQ = 0x554e4951
const WORD__KEY = 0x5f4b4559
