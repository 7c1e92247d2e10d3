/** Cuts a stream into frames: an int32 with the length of what follows, then that. */
import { MAX_FRAME_SIZE } from './message-codec.ts'

const LENGTH_SIZE = 4
/** Of an unfinished frame that is read where it will lie as a whole; a smaller rest comes with what follows it. */
const DIRECT_SIZE_MIN = 64 * 1024
/** Where a frame begins: what was read of it here is copied, so not much of a large one. */
const HEAD_SIZE = 64 * 1024

export class FrameReader {
  readonly #onFrame: (frame: Buffer) => void
  /** The start of a frame that is not complete. */
  #pending: Buffer = Buffer.alloc(0)
  #pendingSize = 0
  #pendingFrameSize = 0
  #head: Buffer | null = null
  /** What `readTarget` last said, when it is the rest of `#pending`. */
  #direct: Buffer | null = null

  /** `onFrame` gets each frame with its length; a slice that is good for the call only. */
  constructor(onFrame: (frame: Buffer) => void) {
    this.#onFrame = onFrame
  }

  /**
   * Where the next bytes of the stream are best put, which are then to be pushed: a large frame so is read where it lies as a whole, and not
   * copied.
   */
  get readTarget(): Buffer {
    this.#direct = null
    if (this.#pendingFrameSize - this.#pendingSize >= DIRECT_SIZE_MIN) {
      this.#direct = this.#pending.subarray(this.#pendingSize, this.#pendingFrameSize)
      return this.#direct
    }
    this.#head ??= Buffer.allocUnsafeSlow(HEAD_SIZE)
    return this.#head
  }

  /** False when a frame is impossible: the connection is to be dropped. */
  push(bytes: Buffer): boolean {
    let at = 0
    if (this.#pendingSize > 0) {
      at = this.#complete(bytes)
      if (at === -1) return false
      if (this.#pendingSize > 0) return true
    }
    while (bytes.length - at >= LENGTH_SIZE) {
      const size = frameSize(bytes, at)
      if (size === null) return false
      if (bytes.length - at < size) break
      this.#onFrame(bytes.subarray(at, at + size))
      at += size
    }
    if (at < bytes.length) this.#keep(bytes, at)
    return true
  }

  /** Adds to the unfinished frame; returns how many bytes it took, -1 for an impossible frame. */
  #complete(bytes: Buffer): number {
    let at = 0
    if (this.#pendingSize < LENGTH_SIZE) {
      at = Math.min(bytes.length, LENGTH_SIZE - this.#pendingSize)
      this.#add(bytes, 0, at)
      if (this.#pendingSize < LENGTH_SIZE) return at
    }
    const size = frameSize(this.#pending, 0)
    if (size === null) return -1
    this.#reserve(size)
    this.#pendingFrameSize = size
    const step = Math.min(bytes.length - at, size - this.#pendingSize)
    this.#add(bytes, at, at + step)
    at += step
    if (this.#pendingSize === size) {
      this.#pendingSize = 0
      this.#pendingFrameSize = 0
      this.#onFrame(this.#pending.subarray(0, size))
    }
    return at
  }

  #keep(bytes: Buffer, at: number): void {
    const size = bytes.length - at >= LENGTH_SIZE ? (frameSize(bytes, at) ?? 0) : 0
    this.#reserve(Math.max(size, LENGTH_SIZE))
    this.#pendingFrameSize = size
    this.#add(bytes, at, bytes.length)
  }

  #reserve(size: number): void {
    if (this.#pending.length >= size) return
    const grown = Buffer.allocUnsafeSlow(size)
    this.#pending.copy(grown, 0, 0, this.#pendingSize)
    this.#pending = grown
  }

  #add(bytes: Buffer, from: number, to: number): void {
    const isInPlace =
      this.#direct?.buffer === bytes.buffer && this.#direct.byteOffset === bytes.byteOffset
    if (!isInPlace) bytes.copy(this.#pending, this.#pendingSize, from, to)
    this.#pendingSize += to - from
  }
}

/** Null when no frame has this length. */
function frameSize(bytes: Buffer, at: number): number | null {
  const length = bytes.readInt32BE(at)
  return length > 0 && length <= MAX_FRAME_SIZE ? length + LENGTH_SIZE : null
}
