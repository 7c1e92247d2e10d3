/**
 * Cuts the stream of a connection into frames (protocol §1).
 *
 * A frame that lies whole in a chunk is handed out where it lies. One that spans chunks is gathered in a buffer that grows with what has
 * arrived, so that a length field alone commits no memory.
 */
import { RemotingError } from './errors.ts'

/** The header word, the least a frame has. */
const FRAME_MIN_LENGTH = 4
const GATHER_MIN_SIZE = 4096
const NOTHING = Buffer.alloc(0)

/**
 * Called for each frame: `[start, end)` is the frame without its length field. True when the handler is done with the bytes, which may
 * then be overwritten; otherwise they are not reused.
 */
export type FrameHandler = (source: Buffer, start: number, end: number) => boolean | void

/** A gathering buffer up to this size is kept for the next frame that spans chunks. */
const GATHER_KEEP_SIZE = 64 * 1024

export class FrameDecoder {
  readonly #maxLength: number
  readonly #onFrame: FrameHandler
  /** The unfinished frame with its length field; `#size` bytes of it are there. */
  #gathered: Buffer = NOTHING
  #size = 0

  /** `maxLength` bounds the bytes after the length field. */
  constructor(maxLength: number, onFrame: FrameHandler) {
    this.#maxLength = maxLength
    this.#onFrame = onFrame
  }

  /** Bytes of an unfinished frame. */
  get pendingBytes(): number {
    return this.#size
  }

  /** Takes the next bytes; throws `RemotingError` (`malformed`, `tooLarge`) after which the decoder must not be used. */
  push(chunk: Buffer): void {
    let at = 0
    while (this.#size > 0 && at < chunk.length) at = this.#gather(chunk, at)
    while (chunk.length - at >= 4) {
      const end = at + 4 + this.#checkLength(chunk.readInt32BE(at))
      if (end > chunk.length) break
      this.#onFrame(chunk, at + 4, end)
      at = end
    }
    while (at < chunk.length) at = this.#gather(chunk, at)
    // Kept from frame to frame while the stream flows, but not by a connection that has gone quiet.
    if (this.#size === 0) this.#gathered = NOTHING
  }

  /** Copies what is missing of the unfinished frame, first its length field; returns where the rest of the chunk starts. */
  #gather(chunk: Buffer, at: number): number {
    const isLengthKnown = this.#size >= 4
    const wanted = isLengthKnown ? 4 + this.#gathered.readInt32BE(0) : 4
    const count = Math.min(wanted - this.#size, chunk.length - at)
    this.#reserve(this.#size + count, wanted)
    chunk.copy(this.#gathered, this.#size, at, at + count)
    this.#size += count
    if (this.#size === wanted) {
      if (isLengthKnown) {
        const frame = this.#gathered
        this.#gathered = NOTHING
        this.#size = 0
        const isDone = this.#onFrame(frame, 4, wanted) === true
        if (isDone && frame.length <= GATHER_KEEP_SIZE) this.#gathered = frame
      } else {
        this.#checkLength(this.#gathered.readInt32BE(0))
      }
    }
    return at + count
  }

  #reserve(size: number, wanted: number): void {
    if (size <= this.#gathered.length) return
    const doubled = Math.max(size, this.#gathered.length * 2, GATHER_MIN_SIZE)
    // Once a quarter has come the rest is believed in.
    const capacity = size * 4 >= wanted && wanted > doubled ? wanted : doubled
    const grown = Buffer.allocUnsafeSlow(capacity)
    this.#gathered.copy(grown, 0, 0, this.#size)
    this.#gathered = grown
  }

  #checkLength(length: number): number {
    if (length < FRAME_MIN_LENGTH) {
      throw new RemotingError('malformed', `a frame of length ${length}`)
    }
    if (length > this.#maxLength) {
      throw new RemotingError('tooLarge', `a frame of ${length} bytes is over ${this.#maxLength}`)
    }
    return length
  }
}
