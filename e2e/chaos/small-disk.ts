/** A small file system in a file, so that a disk can be full. Needs root. */
import fs from 'node:fs'
import path from 'node:path'
import { run } from '../environment.ts'

const MEBIBYTE = 1024 * 1024

export class SmallDisk {
  readonly folder: string
  readonly #image: string

  private constructor(folder: string, image: string) {
    this.folder = folder
    this.#image = image
  }

  static async mount(folder: string, mebibytes: number): Promise<SmallDisk> {
    const image = `${folder}.image`
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(image, '')
    fs.truncateSync(image, mebibytes * MEBIBYTE)
    await run('mkfs.ext4', ['-q', '-F', image])
    await run('mount', ['-o', 'loop', image, folder])
    return new SmallDisk(folder, image)
  }

  /** Takes all that is left, as a file of somebody else. */
  fill(): void {
    const block = Buffer.alloc(MEBIBYTE, 1)
    const descriptor = fs.openSync(this.#foreign, 'w')
    try {
      for (;;) fs.writeSync(descriptor, block)
    } catch {
      // Full.
    } finally {
      fs.closeSync(descriptor)
    }
  }

  free(): void {
    fs.rmSync(this.#foreign, { force: true })
  }

  /** Safe to call twice. */
  async unmount(): Promise<void> {
    await run('umount', ['-l', this.folder]).catch(() => undefined)
    fs.rmSync(this.#image, { force: true })
  }

  get #foreign(): string {
    return path.join(this.folder, 'foreign')
  }
}
